//! What a route takes beside its body: the id in its path, the parameters of lists, `Idempotency-Key`.

use serde_json::{Value, json};

use super::bounds::{PAGE, PAGE_MOST, PATH, REFERENCE};
use super::schema::{between, example_id, id, moment_or_day, pattern, text_of, word};
use crate::profile::{Action, Profile, Route};

/// Something that a request carries.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Its name in this profile.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// Whether it has to be there.
    pub required: bool,
    /// What it may be.
    pub schema: Value,
    /// What it does, a sentence.
    pub what: String,
    /// One of them.
    pub example: Option<Value>,
}

/// Where a parameter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the path.
    Path,
    /// In the query.
    Query,
    /// In a header.
    Header,
    /// A member of the body.
    Body,
}

impl Place {
    /// As OpenAPI writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
            Self::Body => "body",
        }
    }
}

/// The kinds of a ledger's entries.
pub(super) const ENTRY_KINDS: [&str; 5] = ["grant", "hold", "settle", "release", "adjust"];

/// The environments of keys.
pub(super) fn environments(profile: &Profile) -> Vec<&str> {
    match profile.keys.environments.as_slice() {
        [] => vec![profile.default_environment()],
        some => some.iter().map(|environment| environment.name.as_str()).collect(),
    }
}

/// What this route takes.
pub(super) fn parameters(profile: &Profile, route: &Route) -> Vec<Parameter> {
    let query = |word: &str, schema, what: &str| Parameter {
        name: route.name(word).to_owned(),
        place: Place::Query,
        required: false,
        schema,
        what: what.to_owned(),
        example: None,
    };
    let mut limit = between(1, PAGE_MOST as i64);
    limit["default"] = json!(PAGE);
    let limit = || query("limit", limit.clone(), "How many at most.");
    let period = || {
        [
            query("from", moment_or_day(), "Only what happened at this moment or later."),
            query("to", moment_or_day(), "Only what happened before this moment."),
        ]
    };
    let onward = |form| query("cursor", form, &format!("{} of the page before, for the next one.", route.name("next_cursor")));
    match route.action {
        Action::JobsCreate => {
            let what = "Makes a repetition safe: the same key and body get the first answer again, and cost nothing.".to_owned();
            let mut schema = pattern("^[ -~]+$");
            (schema["minLength"], schema["maxLength"]) = (json!(1), json!(REFERENCE));
            vec![Parameter {
                name: "Idempotency-Key".into(),
                place: Place::Header,
                required: false,
                schema,
                what,
                example: Some(json!("order-1042")),
            }]
        }
        Action::JobsRead | Action::JobsResults => {
            let prefix = profile.jobs.first().map_or("job", |job| &job.id_prefix);
            let what = "The id that came when it was made.".to_owned();
            vec![Parameter {
                name: "id".into(),
                place: Place::Path,
                required: true,
                schema: id(prefix),
                what,
                example: Some(json!(example_id(prefix, 1))),
            }]
        }
        Action::CreditsEntries => {
            let mut all = vec![query("kind", word(&ENTRY_KINDS), "Only entries of this kind.")];
            all.extend(period());
            all.extend([limit(), onward(pattern("^cre_[1-9][0-9]{0,17}$"))]);
            all
        }
        Action::UsageRead => {
            let mut all = vec![
                query("key", id("key"), "Only requests with this key."),
                query("environment", word(&environments(profile)), "Only requests with keys of this environment."),
                query("path", text_of(PATH), "Only requests for this path, or for a route and what is below it."),
                query("status", pattern("^([1-5]xx|[1-5][0-9][0-9])$"), "Only this status, as 429, or this class, as 4xx."),
            ];
            all.extend(period());
            all.extend([limit(), onward(id("req"))]);
            all
        }
        Action::EventsRead => {
            let after = query("after", id("evt"), "The id of the last event that you saw, or next_after of the page before.");
            vec![after, limit()]
        }
        Action::CreditsRead | Action::KeyRead | Action::WebhookRead | Action::WebhookPut | Action::WebhookDelete | Action::WebhookTest => {
            Vec::new()
        }
    }
}
