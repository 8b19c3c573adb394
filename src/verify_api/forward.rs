//! `/verify/v1/forward`: the question as proxies ask it. The key stands in the request's own headers, which they pass on; what a place
//! needs stands in the query, which is of the proxy's configuration.
//!
//! A proxy proves itself by a service token in a header of its own, since `Authorization` carries the customer's key. Only of such a proxy
//! it is believed where the request came from, and only such a proxy may ask for credits. Without a token anybody may ask about a key that
//! he holds, as he may ask the Partner API what it is, and is slowed like there.

use std::borrow::Cow;
use std::time::Instant;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue, USER_AGENT};
use actix_web::{HttpRequest, HttpResponse, web};

use super::needs::Needs;
use super::verdict::{Question, Verdict, decide, refused};
use super::{Verify, arrival, request_id};
use crate::admission::{Answer, Visit, presented_key, short};
use crate::json_call::Refusal;
use crate::outcome::Outcome;
use crate::peer;
use crate::profile::{Profile, Values};
use crate::programs::{self, Kind};
use crate::usage::verify_route;

const TOKEN: &str = "X-Latchkey-Service-Token";

/// 200 with whose key it is, or the profile's refusal.
pub(super) async fn forward(request: HttpRequest, verify: web::Data<Verify>) -> Result<HttpResponse, Refusal> {
    let started = Instant::now();
    let is_service = is_service(&request, &verify).await?;
    let needs = Needs::of_query(request.query_string(), verify.profile())?;
    if needs.credits > 0 && !is_service {
        // Whoever found a key must not spend all there is with one request.
        return Err(Refusal::new(401, "unauthenticated", format!("Asking for credits needs a service token in {TOKEN}.")));
    }
    let uri = header(&request, "x-forwarded-uri").or_else(|| header(&request, "x-original-uri")).unwrap_or(Cow::Borrowed("/"));
    let text = match presented_key(verify.profile(), |name| headers(&request, name), || pairs(&uri)) {
        Ok(text) => Ok(text),
        Err(stranger) => match refused(stranger) {
            Some(outcome) => Err(outcome),
            None => return Ok(ambiguous(verify.profile())),
        },
    };
    let peer = peer::of(&request, &verify.site.proxies);
    let visit = visit(&request, &uri, &verify, &needs, is_service);
    let question = Question { visit, started, needs, is_reported: false };
    let verdict = decide(&verify, question, text).await?;
    if verdict.decision.key.is_none()
        && !is_service
        && let Some(peer) = peer
    {
        // Of the peer: whatever else a stranger says of where he is may be another thing each time.
        let delay = verify.slowdown.delay(peer, started);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }
    Ok(answer(verify.profile(), &verdict))
}

/// Whether a service asks; a token that is none is refused, so that a mistake in a configuration is noticed.
async fn is_service(request: &HttpRequest, verify: &Verify) -> Result<bool, Refusal> {
    let mut values = request.headers().get_all(TOKEN);
    let Some(value) = values.next() else { return Ok(false) };
    let refusal = || Refusal::new(401, "unauthenticated", format!("{TOKEN} must carry a service token, once, or be left out."));
    let token = value.to_str().ok().filter(|_| values.next().is_none()).ok_or_else(refusal)?;
    let digest = programs::digest(Kind::Service, token).ok_or_else(refusal)?;
    if verify.stages.services.ask(digest).await? { Ok(true) } else { Err(refusal()) }
}

/// The values of a header. Bytes that are no text are a credential all the same, only not one of ours.
fn headers<'a>(request: &'a HttpRequest, name: &str) -> Vec<Cow<'a, str>> {
    request.headers().get_all(name).map(|value| String::from_utf8_lossy(value.as_bytes())).collect()
}

/// The last value of a header that is not empty: what stands before it came from further away.
fn header<'a>(request: &'a HttpRequest, name: &str) -> Option<Cow<'a, str>> {
    headers(request, name).pop().filter(|value| !value.is_empty())
}

fn pairs(uri: &str) -> Vec<(String, String)> {
    let query = uri.split_once('?').map_or("", |(_, query)| query.split('#').next().unwrap_or_default());
    web::Query::from_query(query).map(web::Query::into_inner).unwrap_or_default()
}

fn visit(request: &HttpRequest, uri: &str, verify: &Verify, needs: &Needs, is_service: bool) -> Visit {
    let id = request_id(request);
    let method = header(request, "x-forwarded-method").or_else(|| header(request, "x-original-method"));
    let peer = || peer::of(request, &verify.site.proxies).map(|address| address.to_string()).unwrap_or_default();
    let forwarded = header(request, "x-forwarded-for").or_else(|| header(request, "x-real-ip"));
    let address = forwarded.as_deref().and_then(|list| list.rsplit(',').next()).map(str::trim).filter(|_| is_service);
    Visit {
        id,
        at: arrival(id),
        method: short(method.as_deref().unwrap_or(request.method().as_str())),
        path: short(uri.split(['?', '#']).next().unwrap_or_default()),
        route: verify_route(verify.profile(), needs.permission.as_deref()),
        address: address.map_or_else(peer, short),
        user_agent: header(request, USER_AGENT.as_str()).map(|agent| short(&agent)).unwrap_or_default(),
        environment: String::new(),
        prefix: String::new(),
    }
}

fn answer(profile: &Profile, verdict: &Verdict) -> HttpResponse {
    let mut fields = verdict.fields();
    if verdict.outcome != Outcome::Accepted {
        return respond(&verdict.answer, fields);
    }
    if let (Some(key), Some(permissions)) = (verdict.decision.key, verdict.permissions(profile)) {
        // Also when there are none. Not every proxy overwrites what a client sent with an empty one: see README.
        fields.push(("x-permissions", permissions.join(",")));
        fields.push(("x-organization-id", key.organization.to_string()));
        fields.push(("x-key-id", key.key.to_string()));
        fields.push(("cache-control", "no-store".to_owned()));
    }
    respond(&verdict.answer, fields)
}

/// As the Partner API answers more than one credential.
fn ambiguous(profile: &Profile) -> HttpResponse {
    let body = profile.errors.body.render(&Values::of_error("Send exactly one API key.", "ambiguous_credentials"));
    let answer = Answer { status: 400, body, ..Answer::default() };
    respond(&answer, answer.fields())
}

/// nginx relays no body of a refusal, and no status but 401 and 403: it finds both in headers.
fn respond(answer: &Answer, fields: Vec<(&'static str, String)>) -> HttpResponse {
    let mut response = HttpResponse::build(StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    let told = [("x-refusal-status", answer.status.to_string()), ("x-refusal-body", one_line(&answer.body))];
    let told = told.into_iter().filter(|_| answer.status >= 300);
    for (name, value) in fields.into_iter().chain(told) {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.insert_header((HeaderName::from_static(name), value));
        }
    }
    response.body(answer.body.clone())
}

/// JSON as a header may carry it: the same value. Line breaks stand between its tokens alone, and what is not ASCII in its texts alone.
fn one_line(json: &str) -> String {
    let mut line = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '\n' | '\r' | '\t' => line.push(' '),
            ' '..='~' => line.push(character),
            _ => character.encode_utf16(&mut [0; 2]).iter().for_each(|unit| line.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn a_line_of_json_is_the_same_json() {
        let json = "{\n\t\"detail\": \"Schlüssel fehlt – 🔑\\n\"\r\n}";
        let line = one_line(json);
        assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line}");
        let read = |text| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        assert_eq!(read(json), read(&line));
        assert_eq!(one_line(r#"{"detail":"API Key is missing"}"#), r#"{"detail":"API Key is missing"}"#);
    }
}
