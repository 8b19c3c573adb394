//! What a route can answer: cases by their status, the refusals and errors in the words of the profile.

use serde_json::{Value, json};

use super::schema::{at_least, between, closed, list, pattern, text, word};
use super::template::{self, Word};
use crate::error::{ClientError, Error};
use crate::profile::{Limit, Profile, Refusal, Route};

/// One way in which a request can end.
#[derive(Debug, Clone)]
pub struct Case {
    /// Stable: `ok`, the outcome of a refusal, the code of an error.
    pub name: String,
    /// HTTP status.
    pub status: u16,
    /// What it means, a sentence.
    pub what: String,
    /// Of its body.
    pub schema: Value,
    /// A body, as it is sent.
    pub example: String,
    /// Beside those that every answer carries.
    pub headers: Vec<Header>,
}

/// A header of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub what: &'static str,
    /// How.
    pub schema: Value,
    /// Whether the case always carries it.
    pub always: bool,
}

/// All cases of one status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// At least one.
    pub cases: Vec<Case>,
}

impl Answer {
    /// Cases by status, in order.
    pub(super) fn of(cases: Vec<Case>) -> Vec<Self> {
        let mut answers: Vec<Self> = Vec::new();
        for case in cases {
            match answers.iter_mut().find(|answer| answer.status == case.status) {
                Some(answer) => answer.cases.push(case),
                None => answers.push(Self { status: case.status, cases: vec![case] }),
            }
        }
        answers.sort_by_key(|answer| answer.status);
        answers
    }

    /// Its headers: always there, if they are in every case.
    pub fn headers(&self) -> Vec<Header> {
        let mut headers = vec![REQUEST_ID.header(), CACHING.header()];
        for case in &self.cases {
            for header in &case.headers {
                if !headers.iter().any(|known| known.name == header.name) {
                    let is_in = |case: &Case| case.headers.iter().any(|one| one.name == header.name && one.always);
                    headers.push(Header { always: self.cases.iter().all(is_in), ..header.clone() });
                }
            }
        }
        headers
    }
}

/// A header that has no bounds of a profile in it.
struct Plain(&'static str, &'static str, &'static str);

const REQUEST_ID: Plain = Plain("X-Request-Id", "Names the request. Say it when you ask about one.", "^req_[0-9A-Za-z]{22}$");
const CACHING: Plain = Plain("Cache-Control", "Nobody keeps answers.", "^no-store$");
const CHALLENGE: Plain = Plain("WWW-Authenticate", "How to bring a key (RFC 9110).", "^Bearer$");
const REPLAYED: Plain = Plain("Idempotent-Replayed", "This is the stored answer to the same request before.", "^true$");

impl Plain {
    fn header(&self) -> Header {
        let Self(name, what, like) = *self;
        Header { name, what, schema: pattern(like), always: true }
    }
}

/// `Idempotent-Replayed`, where a repetition was told the first answer.
pub(super) fn replayed() -> Header {
    Header { always: false, ..REPLAYED.header() }
}

fn retry_after(most: i64) -> Header {
    let what = "Whole seconds after which it makes sense to try again.";
    Header { name: "Retry-After", what, schema: between(0, most), always: true }
}

/// Headers of answers that were counted in a limit.
pub(super) fn counted(limit: &Limit) -> Vec<Header> {
    let (name, window) = (&limit.name, limit.window.as_secs() as i64);
    [
        ("RateLimit-Policy", "Requests in a window, and its length in seconds.", pattern(&format!("^\"{name}\";q=[0-9]+;w={window}$"))),
        (
            "RateLimit",
            "Requests that are left in this window, and seconds until the next.",
            pattern(&format!("^\"{name}\";r=[0-9]+;t=[0-9]+$")),
        ),
        ("X-RateLimit-Limit", "Requests in a window.", at_least(1)),
        ("X-RateLimit-Remaining", "Requests that are left in this window.", at_least(0)),
        ("X-RateLimit-Reset", "Seconds until the next window.", between(0, window)),
    ]
    .map(|(name, what, schema)| Header { name, what, schema, always: true })
    .into()
}

/// A refusal with its status, what it means, and the words of its body.
fn refused(name: &str, refusal: &Refusal, what: impl Into<String>, words: &[Word]) -> Case {
    let (schema, example) = template::body(&refusal.body, words);
    let headers = if refusal.status == 401 { vec![CHALLENGE.header()] } else { Vec::new() };
    Case { name: name.to_owned(), status: refusal.status, what: what.into(), schema, example, headers }
}

/// Every refusal of the profile, in the order in which they are looked at: with a permission, a limit and a price to show them with.
pub(super) fn refusals(profile: &Profile, permission: &str, limit: Option<&Limit>, price: i64) -> Vec<Case> {
    let r = &profile.refusals;
    let (quota, window) = limit.map_or((60, 60), |limit| (i64::from(limit.requests), limit.window.as_secs() as i64));
    let left = (window * 7 / 10).max(1);
    let rate = [
        Word::number("retry_after", left).or_any(between(0, window)),
        Word::number("limit", quota).or_any(at_least(1)),
        Word::number("window_s", window),
    ];
    let credits = [Word::number("credits_required", price), Word::number("credits_available", 0).or_any(at_least(0))];
    let mut rate_limited = refused("rate_limited", &r.rate_limited, "Too many requests in this window. Wait, then send it again.", &rate);
    rate_limited.headers.push(retry_after(window));
    rate_limited.headers.extend(limit.map(counted).unwrap_or_default());
    vec![
        refused("missing", &r.missing, "No key came with the request.", &[]),
        refused("unknown", &r.unknown, "It is not a key of this API, or was mistyped.", &[]),
        refused("suspended", &r.suspended, "The organization is suspended.", &[]),
        refused("revoked", &r.revoked, "The key was revoked, or replaced by a new one.", &[]),
        refused("expired", &r.expired, "The key is past its end.", &[]),
        refused("inactive", &r.inactive, "The key is deactivated.", &[]),
        refused(
            "permission",
            &r.permission,
            "The key lacks the permission that this route needs.",
            &[Word::text("permission", permission)],
        ),
        rate_limited,
        refused("credits", &r.credits, "Not enough credits are available.", &credits),
    ]
}

/// The refusals that this route can answer.
pub(super) fn refusals_of(profile: &Profile, route: &Route, price: i64) -> Vec<Case> {
    let limit = limit_of(profile, route);
    let mut cases = refusals(profile, route.permission.as_deref().unwrap_or(""), limit, price);
    cases.retain(|case| match case.name.as_str() {
        "permission" => route.permission.is_some(),
        "rate_limited" => limit.is_some(),
        "credits" => price > 0,
        _ => true,
    });
    // Credits are the only refusal after the request was counted.
    for case in cases.iter_mut().filter(|case| case.name == "credits") {
        case.headers.extend(limit.map(counted).unwrap_or_default());
    }
    cases
}

/// The limit that a route counts in.
pub(super) fn limit_of<'a>(profile: &'a Profile, route: &Route) -> Option<&'a Limit> {
    profile.limit(route.limit.as_deref()?).map(|(_, limit)| limit)
}

/// An error in the profile's shape. Its code is fixed, its sentence is not.
pub(super) fn error(profile: &Profile, error: &ClientError, what: impl Into<String>) -> Case {
    let words = [
        Word::text("message", &error.message).or_any(text()),
        Word::text("code", error.code),
        Word::text("code_upper", &error.code.to_ascii_uppercase()),
    ];
    let (schema, example) = template::body(&profile.errors.body, &words);
    let headers = error.retry_after_s.map(|_| retry_after(60)).into_iter().collect();
    Case { name: error.code.to_owned(), status: error.status, what: what.into(), schema, example, headers }
}

/// Errors that every route can end with.
pub(super) fn everywhere(profile: &Profile) -> Vec<Case> {
    let ambiguous = ClientError::new(400, "ambiguous_credentials", "Send exactly one API key.");
    let internal = ClientError::from(&Error::Internal(String::new()));
    let unavailable = ClientError::from(&Error::Unavailable(String::new()));
    vec![
        error(profile, &ambiguous, "More than one key came with the request."),
        error(profile, &internal, "Something broke on our side."),
        error(profile, &unavailable, "The service is out of reach for a moment."),
    ]
}

/// What an address is told that is nobody's, and a method that an address does not answer.
pub(super) fn elsewhere(profile: &Profile) -> Vec<Case> {
    let nothing = ClientError::new(404, "not_found", "There is nothing at this address.");
    let method = ClientError::new(405, "method_not_allowed", "This address answers GET.");
    let allow =
        Header { name: "Allow", what: "The methods that this address answers.", schema: pattern("^[A-Z]+(, [A-Z]+)*$"), always: true };
    let mut method = error(profile, &method, "The address does not answer this method.");
    method.headers.push(allow);
    vec![error(profile, &nothing, "There is nothing at this address."), method]
}

/// 422, the same in every profile.
pub(super) fn invalid(field: &str, message: &str) -> Case {
    let told = closed(&[("field", text(), true), ("message", text(), true)]);
    let mut fields = list(told);
    fields["minItems"] = json!(1);
    let schema = closed(&[("error", text(), true), ("code", word(&["invalid_request"]), true), ("fields", fields, true)]);
    let fields = json!([{ "field": field, "message": message }]);
    let example = format!(r#"{{"error":"Some fields were not accepted.","code":"invalid_request","fields":{fields}}}"#);
    let what = "Some fields were not accepted: each is named with its cure.".to_owned();
    Case { name: "invalid_request".into(), status: 422, what, schema, example, headers: Vec::new() }
}

/// What can be wrong with a body before its fields are looked at.
pub(super) fn of_body(profile: &Profile) -> Vec<Case> {
    let most = super::bounds::BODY / 1024;
    let told = |status, code, message: String| ClientError::new(status, code, message);
    vec![
        error(
            profile,
            &told(400, "invalid_json", "The body is not JSON: expected value at line 1 column 1.".into()),
            "The body is not JSON.",
        ),
        error(profile, &told(400, "broken_body", "The body did not arrive whole.".into()), "The body did not arrive whole."),
        error(
            profile,
            &told(413, "too_large", format!("The body is larger than {most} KiB.")),
            format!("The body is larger than {most} KiB."),
        ),
        error(profile, &told(415, "unsupported_media_type", "Send the body as application/json.".into()), "The body is of another type."),
    ]
}

/// What there is not, or not for this key.
pub(super) fn not_found(profile: &Profile, what: &str) -> Case {
    error(profile, &ClientError::from(&Error::NotFound), what)
}

/// The state does not allow it.
pub(super) fn conflict(profile: &Profile, message: &str, what: &str) -> Case {
    error(profile, &ClientError::from(&Error::Conflict(message.to_owned())), what)
}

/// It went as asked.
pub(super) fn done(status: u16, what: &str, schema: Value, example: String) -> Case {
    debug_assert!(serde_json::from_str::<Value>(&example).is_ok(), "{example}");
    Case { name: "ok".into(), status, what: what.to_owned(), schema, example, headers: Vec::new() }
}
