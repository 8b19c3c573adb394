//! What a profile must satisfy beyond its types. Every gap is named, not just the first.

use std::collections::HashSet;

use actix_web::http::header::HeaderName;

use super::{Action, Grant, Profile, Refusal, Template, Values};
use crate::error::FieldError;

/// Path prefixes that belong to Latchkey itself.
const RESERVED: &[&str] = &[
    "/orgs",
    "/sign-in",
    "/sign-out",
    "/sign-out-everywhere",
    "/account",
    "/invitations",
    "/assets",
    "/worker",
    "/verify",
    "/support",
    "/leaked-keys",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/docs",
];

/// The words of bodies that are texts; all others are numbers.
const TEXTS: [&str; 4] = ["message", "code", "code_upper", "permission"];

/// Headers of a delivery that are not the profile's to set.
const SENDERS: [&str; 14] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "expect",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

struct Problems(Vec<FieldError>);

impl Problems {
    fn unless(&mut self, fine: bool, field: impl Into<String>, message: impl Into<String>) {
        if !fine {
            self.0.push(FieldError { field: field.into().into(), message: message.into() });
        }
    }
}

/// Every gap and contradiction.
pub(super) fn problems(profile: &Profile) -> Vec<FieldError> {
    let mut problems = Problems(Vec::new());
    keys(profile, &mut problems);
    limits_and_jobs(profile, &mut problems);
    routes(profile, &mut problems);
    bodies(profile, &mut problems);
    webhooks(profile, &mut problems);
    problems.0
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.len() <= 40 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

fn first_repeated<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut seen = HashSet::new();
    names.into_iter().find(|name| !seen.insert(*name))
}

fn keys(profile: &Profile, problems: &mut Problems) {
    let keys = &profile.keys;
    problems.unless(!profile.place.is_empty(), "place", "names at least the page's title");
    problems.unless(is_word(&keys.prefix), "keys.prefix", "is 1 to 20 of a-z and 0-9");
    problems.unless(!keys.create_label.trim().is_empty(), "keys.create_label", "is the text of a button and can't be empty");
    problems.unless(["Revoke", "Delete"].contains(&keys.revoke_label.as_str()), "keys.revoke_label", "is \"Revoke\" or \"Delete\"");
    for environment in &keys.environments {
        problems.unless(is_word(&environment.name), "keys.environments", format!("{:?} is not 1 to 20 of a-z and 0-9", environment.name));
    }
    if let Some(name) = first_repeated(keys.environments.iter().map(|environment| environment.name.as_str())) {
        problems.unless(false, "keys.environments", format!("{name:?} stands there twice"));
    }
    let sandbox_first = keys.environments.first().is_some_and(|environment| environment.sandbox);
    problems.unless(!sandbox_first, "keys.environments", "starts with the environment of real keys, not with a sandbox");
    let permissions = &profile.permissions;
    problems.unless(
        (permissions.grant == Grant::None) == permissions.list.is_empty(),
        "permissions.list",
        "has entries when grant is \"chosen\" and none when grant is \"none\"",
    );
    if let Some(name) = first_repeated(permissions.list.iter().map(String::as_str)) {
        problems.unless(false, "permissions.list", format!("{name:?} stands there twice"));
    }
    for header in &profile.api.key_headers {
        let fine = header.parse::<HeaderName>().is_ok() && !header.eq_ignore_ascii_case("authorization");
        problems.unless(fine, "api.key_headers", format!("{header:?} is not the name of another header"));
    }
    // Names of headers have no case: twice the same would make every key ambiguous.
    let headers: Vec<String> = profile.api.key_headers.iter().map(|header| header.to_ascii_lowercase()).collect();
    if let Some(name) = first_repeated(headers.iter().map(String::as_str)) {
        problems.unless(false, "api.key_headers", format!("{name:?} stands there twice"));
    }
    if let Some(name) = first_repeated(profile.api.key_parameters.iter().map(String::as_str)) {
        problems.unless(false, "api.key_parameters", format!("{name:?} stands there twice"));
    }
}

fn limits_and_jobs(profile: &Profile, problems: &mut Problems) {
    for limit in &profile.limits {
        problems.unless(limit.requests > 0, format!("limits.{}", limit.name), "lets at least one request pass");
        problems.unless(is_identifier(&limit.name), format!("limits.{}", limit.name), "has a name of a-z, 0-9 and _");
    }
    if let Some(name) = first_repeated(profile.limits.iter().map(|limit| limit.name.as_str())) {
        problems.unless(false, "limits", format!("{name:?} stands there twice"));
    }
    for job in &profile.jobs {
        let field = format!("jobs.{}", job.kind);
        for (what, value) in [("kind", &job.kind), ("id_field", &job.id_field), ("event_prefix", &job.event_prefix)] {
            problems.unless(is_identifier(value), format!("{field}.{what}"), "is 1 to 40 of a-z, 0-9 and _");
        }
        problems.unless(is_word(&job.id_prefix), format!("{field}.id_prefix"), "is 1 to 20 of a-z and 0-9");
        let example = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&job.example_input);
        problems.unless(example.is_ok(), format!("{field}.example_input"), "is a JSON object");
        let creates = |route: &super::Route| route.action == Action::JobsCreate && route.job.as_deref() == Some(&job.kind);
        problems.unless(profile.routes.iter().any(creates), field, "has no route with action \"jobs.create\" that makes one");
    }
    if let Some(first) = profile.jobs.first() {
        // The ledger and the history name jobs of every kind, and one reading route may serve them all.
        let same = profile.jobs.iter().all(|job| (&job.id_field, &job.id_prefix) == (&first.id_field, &first.id_prefix));
        problems.unless(same, "jobs", "share one id_field and one id_prefix");
    }
    if let Some(kind) = first_repeated(profile.jobs.iter().map(|job| job.kind.as_str())) {
        problems.unless(false, "jobs", format!("{kind:?} stands there twice"));
    }
}

fn routes(profile: &Profile, problems: &mut Problems) {
    let base = &profile.api.base_path;
    problems.unless(
        base.starts_with('/') && (base == "/" || !base.ends_with('/')),
        "api.base_path",
        "starts with / and does not end with one",
    );
    let mut seen = HashSet::new();
    for route in &profile.routes {
        let field = format!("routes.{} {}", route.method.as_str(), route.path);
        let full = profile.full_path(route);
        problems.unless(
            route.path.starts_with('/') && !route.path.ends_with('/'),
            field.clone(),
            "has a path that starts with / and does not end with one",
        );
        problems.unless(seen.insert((route.method, full.clone())), field.clone(), "stands there twice");
        let reserved =
            RESERVED.iter().find(|prefix| full.strip_prefix(**prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
        problems.unless(reserved.is_none(), field.clone(), format!("lies below {}, which is Latchkey's own", reserved.unwrap_or(&"")));
        let needs_id = matches!(route.action, Action::JobsRead | Action::JobsResults);
        let placeholders = route.path.matches('{').count();
        problems.unless(
            needs_id == route.path.contains("/{id}") && placeholders == usize::from(needs_id),
            field.clone(),
            "has exactly one {id} when it reads a job and none otherwise",
        );
        let methods = route.action.methods();
        let named = methods.iter().map(|method| method.as_str()).collect::<Vec<_>>().join(" or ");
        problems.unless(methods.contains(&route.method), field.clone(), format!("is {named} by what it does"));
        if let Some(job) = &route.job {
            problems.unless(profile.job_kind(job).is_some(), field.clone(), format!("names a job {job:?} that is not defined"));
        }
        problems.unless(route.action != Action::JobsCreate || route.job.is_some(), field.clone(), "makes a job and has to name its kind");
        if let Some(permission) = &route.permission {
            let known = profile.permissions.list.contains(permission);
            problems.unless(known, field.clone(), format!("needs a permission {permission:?} that is not in permissions.list"));
        }
        if let Some(limit) = &route.limit {
            problems.unless(profile.limit(limit).is_some(), field, format!("names a limit {limit:?} that is not defined"));
        }
    }
}

fn bodies(profile: &Profile, problems: &mut Problems) {
    let r = &profile.refusals;
    let rate: &[&str] = &["retry_after", "limit", "window_s"];
    let credits: &[&str] = &["credits_required", "credits_available"];
    let refusals: [(&str, &Refusal, &[&str]); 9] = [
        ("missing", &r.missing, &[]),
        ("unknown", &r.unknown, &[]),
        ("suspended", &r.suspended, &[]),
        ("revoked", &r.revoked, &[]),
        ("expired", &r.expired, &[]),
        ("inactive", &r.inactive, &[]),
        ("permission", &r.permission, &["permission"]),
        ("rate_limited", &r.rate_limited, rate),
        ("credits", &r.credits, credits),
    ];
    for (name, refusal, words) in refusals {
        let field = format!("refusals.{name}");
        problems.unless((400..=499).contains(&refusal.status), format!("{field}.status"), "is a 4xx status");
        body(&refusal.body, words, &field, problems);
    }
    body(&profile.errors.body, &["message", "code", "code_upper"], "errors", problems);
}

fn body(template: &Template, words: &[&'static str], field: &str, problems: &mut Problems) {
    let unknown = template.words().find(|word| !words.contains(word));
    let offered = words.iter().map(|word| format!("{{{word}}}")).collect::<Vec<_>>().join(" ");
    let offered = if offered.is_empty() { "none".to_owned() } else { offered };
    problems.unless(unknown.is_none(), format!("{field}.body"), format!("asks for {{{}}}; there is {offered}", unknown.unwrap_or("")));
    let sample = |values: Values, word: &&'static str| match TEXTS.contains(word) {
        // A text outside quotes is no JSON, whatever it says.
        true => values.text(word, "say \"no\" twice"),
        false => values.number(word, 1),
    };
    let samples = words.iter().fold(Values::default(), sample);
    let json = serde_json::from_str::<serde_json::Value>(&template.render(&samples));
    problems.unless(unknown.is_some() || json.is_ok(), format!("{field}.body"), "is not JSON once its words are filled in");
}

fn webhooks(profile: &Profile, problems: &mut Problems) {
    let headers = &profile.webhooks.signature_headers;
    let names: Vec<String> = headers.iter().map(|header| header.name.to_ascii_lowercase()).collect();
    if let Some(name) = first_repeated(names.iter().map(String::as_str)) {
        problems.unless(false, "webhooks.signature_headers", format!("{name:?} stands there twice"));
    }
    for (header, name) in headers.iter().zip(&names) {
        let field = |part: &str| format!("webhooks.signature_headers.{}.{part}", header.name);
        let taken = SENDERS.contains(&name.as_str()) || name.starts_with("webhook-");
        let fine = name.parse::<HeaderName>().is_ok() && !taken;
        problems.unless(fine, field("name"), format!("{:?} is not the name of a header of its own", header.name));
        asks(&header.signed, &["id", "timestamp", "body"], field("signed"), problems);
        problems.unless(header.signed.words().any(|word| word == "body"), field("signed"), "signs {body}, or anybody could change it");
        asks(&header.value, &["hex", "base64", "timestamp", "id"], field("value"), problems);
        let carries = header.value.words().any(|word| ["hex", "base64"].contains(&word));
        problems.unless(carries, field("value"), "carries the signature as {hex} or {base64}");
        // The words themselves are letters, digits, and what base64 and ids have beside them.
        let text = header.value.render(&Values::default());
        problems.unless(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), field("value"), "is one line of ASCII");
    }
}

fn asks(template: &Template, words: &[&str], field: String, problems: &mut Problems) {
    let offered = words.iter().map(|word| format!("{{{word}}}")).collect::<Vec<_>>().join(" ");
    for unknown in template.words().filter(|word| !words.contains(word)) {
        problems.unless(false, field.clone(), format!("asks for {{{unknown}}}; there is {offered}"));
    }
}
