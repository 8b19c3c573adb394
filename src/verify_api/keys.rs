//! `POST /verify/v1/keys`: may this key pass?

use std::collections::BTreeMap;
use std::time::Instant;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::value::RawValue;

use super::needs::{NAMES, Needs};
use super::verdict::{Question, Verdict, decide};
use super::{Verify, arrival, body, is_text, request_id};
use crate::admission::Visit;
use crate::error::Error;
use crate::ids::{KeyId, OrgId, RequestId};
use crate::json_call::{Fields, Refusal};
use crate::outcome::Outcome;
use crate::profile::Profile;
use crate::usage::verify_route;

#[derive(Serialize)]
struct Told<'a> {
    valid: bool,
    outcome: &'static str,
    status: u16,
    headers: BTreeMap<&'static str, String>,
    body: Option<Box<RawValue>>,
    request_id: RequestId,
    organization: Option<Organization<'a>>,
    key: Option<Key<'a>>,
    permissions: Option<&'a [String]>,
    rate_limit: Option<RateLimit>,
    credits: Option<Credits>,
}

#[derive(Serialize)]
struct Organization<'a> {
    id: OrgId,
    slug: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
struct Key<'a> {
    id: KeyId,
    name: &'a str,
    prefix: &'a str,
    environment: &'a str,
    /// None where the organization is suspended: the key was not looked at.
    status: Option<&'static str>,
}

#[derive(Serialize)]
struct RateLimit {
    limit: i64,
    remaining: i64,
    reset_s: i64,
}

#[derive(Serialize)]
struct Credits {
    required: i64,
    available: i64,
}

/// Answers 200 to every question that is one.
pub(super) async fn verify(request: HttpRequest, payload: web::Payload, verify: web::Data<Verify>) -> Result<HttpResponse, Refusal> {
    let started = Instant::now();
    verify.require(&request).await?;
    let mut fields = body(&request, payload).await?;
    fields.know(&[&["key", "resource", "source"][..], &NAMES[..]].concat());
    // An empty key is none, as an empty header is.
    let key = fields.optional::<String>("key", "the text of a key, or null").filter(|key| !key.is_empty());
    let needs = Needs::of_fields(&mut fields, verify.profile());
    let (resource, source) = (text(&mut fields, "resource"), text(&mut fields, "source"));
    if !fields.is_fine() {
        return Err(fields.refusal());
    }
    let (id, (method, path)) = (request_id(&request), method_and_path(&resource));
    let visit = Visit {
        id,
        at: arrival(id),
        method,
        path,
        route: verify_route(verify.profile(), needs.permission.as_deref()),
        address: source,
        // The program that called is the service's own, not its customer's.
        user_agent: String::new(),
        environment: String::new(),
        prefix: String::new(),
    };
    let question = Question { visit, started, needs, is_reported: true };
    let verdict = decide(&verify, question, key.map(Into::into).ok_or(Outcome::Missing)).await?;
    Ok(HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(told(verify.profile(), &verdict)?))
}

fn text(fields: &mut Fields, name: &'static str) -> String {
    let text = fields.optional::<String>(name, "a text").unwrap_or_default();
    if !is_text(&text) {
        fields.refuse(name, format!("{name} must be a text of at most 200 characters, none of them a control character."));
    }
    text
}

/// `POST /documents/123` is that; whatever else is a path alone. A query stays out: it may carry a key.
fn method_and_path(resource: &str) -> (String, String) {
    let is_method = |word: &str| (1..=20).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_uppercase());
    let (method, path) = match resource.split_once(' ') {
        Some((method, path)) if is_method(method) && path.starts_with('/') => (method, path),
        _ => ("VERIFY", resource),
    };
    let is_address = path.starts_with('/') || path.contains("://");
    let path = if is_address { path.split(['?', '#']).next().unwrap_or_default() } else { path };
    (method.to_owned(), path.to_owned())
}

fn told<'a>(profile: &'a Profile, verdict: &'a Verdict) -> Result<Told<'a>, Refusal> {
    let is_valid = verdict.outcome == Outcome::Accepted;
    let body = |text: &str| RawValue::from_string(text.to_owned()).map_err(|e| Error::internal("reading the profile's answer", e));
    let known = verdict.decision.key.zip(verdict.about());
    Ok(Told {
        valid: is_valid,
        outcome: verdict.outcome.as_str(),
        status: verdict.answer.status,
        headers: verdict.fields().into_iter().collect(),
        body: if is_valid { None } else { Some(body(&verdict.answer.body)?) },
        request_id: verdict.visit.id,
        organization: known.map(|(key, about)| Organization {
            id: key.organization,
            slug: &about.organization_slug,
            name: &about.organization_name,
        }),
        key: known.map(|(key, about)| Key {
            id: key.key,
            name: &about.name,
            prefix: &verdict.visit.prefix,
            environment: &verdict.visit.environment,
            status: match verdict.outcome {
                Outcome::Suspended => None,
                Outcome::Revoked => Some("revoked"),
                Outcome::Expired => Some("expired"),
                Outcome::Inactive => Some("inactive"),
                _ => Some("active"),
            },
        }),
        permissions: verdict.permissions(profile),
        rate_limit: verdict.decision.window.map(|window| RateLimit {
            limit: window.limit,
            remaining: window.remaining(),
            reset_s: window.reset_s,
        }),
        credits: verdict.available.map(|available| Credits { required: verdict.required, available }),
    })
}

#[cfg(test)]
mod tests {
    use super::method_and_path;

    #[test]
    fn what_was_asked_for_is_read_as_a_request_where_it_is_one() {
        for (resource, method, path) in [
            ("POST /documents/123", "POST", "/documents/123"),
            ("GET /a b?key=secret#x", "GET", "/a b"),
            ("/documents?key=secret", "VERIFY", "/documents"),
            ("https://api.example.com/v1?key=secret", "VERIFY", "https://api.example.com/v1"),
            ("post /documents", "VERIFY", "post /documents"),
            ("report 7, really?", "VERIFY", "report 7, really?"),
            ("POST documents", "VERIFY", "POST documents"),
            ("", "VERIFY", ""),
        ] {
            assert_eq!(method_and_path(resource), (method.to_owned(), path.to_owned()), "{resource}");
        }
    }
}
