//! The bodies of answers: their schemas, and an example of each, its members in the order in which they are sent.

use serde_json::{Value, json};

use super::parameters::{ENTRY_KINDS, environments};
use super::schema::{
    MOMENT, Named, anything, at_least, between, example_id, flag, id, integer, list, moment, nothing, number, object, or_null, pattern,
    said, text, word,
};
use crate::outcome::Outcome;
use crate::profile::{Grant, JobKind, Limit, Profile, Route};

/// A schema and an example of it.
pub(super) type Shape = (Value, String);

const STATES: [&str; 4] = ["queued", "processing", "completed", "failed"];

/// Code and message of a failure.
pub(super) fn failure() -> Value {
    object(&[("code", text(), true), ("message", text(), true)])
}

/// A job's state.
pub(super) fn job(profile: &Profile, kind: &JobKind, named: &mut Named, is_new: bool) -> Shape {
    let reference = "What you call it.";
    let schema = object(&[
        (&kind.id_field, id(&kind.id_prefix), true),
        ("status", word(&STATES), true),
        ("percentage", between(0, 100), true),
        ("environment", word(&environments(profile)), true),
        ("external_reference", said(or_null(text()), reference), true),
        ("created_at", moment(), true),
        ("started_at", or_null(moment()), true),
        ("finished_at", or_null(moment()), true),
        ("error", said(or_null(failure()), "Why it failed."), true),
    ]);
    let (status, percentage, started) = if is_new { ("queued", 0, "null".into()) } else { ("processing", 40, format!("\"{MOMENT}\"")) };
    let example = format!(
        r#"{{"{}":"{}","status":"{status}","percentage":{percentage},"environment":"{}","external_reference":"order-1042","created_at":"{MOMENT}","started_at":{started},"finished_at":null,"error":null}}"#,
        kind.id_field,
        example_id(&kind.id_prefix, 1),
        profile.default_environment(),
    );
    (named.refer("Job", schema), example)
}

/// What came of a job.
pub(super) fn results(kind: &JobKind, named: &mut Named) -> Shape {
    let result = said(anything(), "What the work came to.");
    let schema = object(&[(&kind.id_field, id(&kind.id_prefix), true), ("status", word(&["completed"]), true), ("result", result, true)]);
    let example = format!(r#"{{"{}":"{}","status":"completed","result":{{"score":87}}}}"#, kind.id_field, example_id(&kind.id_prefix, 1));
    (named.refer("Results", schema), example)
}

/// The balance.
pub(super) fn balance(named: &mut Named) -> Shape {
    let schema = object(&[
        ("available", said(at_least(0), "Free to be spent."), true),
        ("held", said(at_least(0), "Set aside for work under way."), true),
        ("settled", said(at_least(0), "Spent since the beginning."), true),
    ]);
    (named.refer("Balance", schema), r#"{"available":499,"held":0,"settled":1}"#.into())
}

/// A page of the ledger.
pub(super) fn entries(profile: &Profile, route: &Route, named: &mut Named) -> Shape {
    let (prefix, kind) = (profile.jobs.first().map_or("job", |job| &job.id_prefix), route.name("kind"));
    let entry = object(&[
        ("id", pattern("^cre_[1-9][0-9]*$"), true),
        ("at", moment(), true),
        (kind, word(&ENTRY_KINDS), true),
        ("amount", said(integer(), "Effect on what is available."), true),
        ("held_amount", said(integer(), "Effect on what is held."), true),
        ("available_after", at_least(0), true),
        ("request_id", or_null(id("req")), true),
        ("job_id", or_null(id(prefix)), true),
        ("note", text(), true),
    ]);
    let entry = named.refer("Entry", entry);
    let (entries, next) = (route.name("entries"), route.name("next_cursor"));
    let cursor = said(or_null(pattern("^cre_[1-9][0-9]*$")), "Of the next page; null on the last.");
    let schema = object(&[(entries, list(entry), true), (next, cursor, true)]);
    let example = format!(
        r#"{{"{entries}":[{{"id":"cre_1","at":"{MOMENT}","{kind}":"grant","amount":500,"held_amount":0,"available_after":500,"request_id":null,"job_id":null,"note":"Invoice 2026-1009"}}],"{next}":null}}"#
    );
    (named.refer("Entries", schema), example)
}

/// A page of the request history.
pub(super) fn requests(profile: &Profile, route: &Route, named: &mut Named) -> Shape {
    let outcomes: Vec<&str> = Outcome::ALL.iter().map(|outcome| outcome.as_str()).collect();
    let request = object(&[
        ("request_id", id("req"), true),
        ("at", moment(), true),
        ("method", text(), true),
        ("path", text(), true),
        ("status", between(100, 599), true),
        ("outcome", said(word(&outcomes), "Accepted, or which check refused it."), true),
        ("duration_ms", number(), true),
        ("key_id", id("key"), true),
        ("environment", word(&environments(profile)), true),
        ("credits", said(at_least(0), "What it cost."), true),
    ]);
    let request = named.refer("Request", request);
    let (requests, next, path) = (route.name("requests"), route.name("next_cursor"), profile.full_path(route));
    let cursor = said(or_null(id("req")), "Of the next page; null on the last.");
    let schema = object(&[(requests, list(request), true), (next, cursor, true)]);
    let example = format!(
        r#"{{"{requests}":[{{"request_id":"{}","at":"{MOMENT}","method":"GET","path":"{path}","status":200,"outcome":"accepted","duration_ms":1.84,"key_id":"{}","environment":"{}","credits":0}}],"{next}":null}}"#,
        example_id("req", 2),
        example_id("key", 3),
        profile.default_environment(),
    );
    (named.refer("Requests", schema), example)
}

/// What a key is.
pub(super) fn key(profile: &Profile, limit: Option<&Limit>, named: &mut Named) -> Shape {
    let permission = match profile.permissions.list.as_slice() {
        [] => text(),
        some => word(some),
    };
    let permissions = match profile.permissions.grant {
        Grant::None => json!({ "type": "array", "items": permission, "maxItems": 0 }),
        _ => list(permission),
    };
    let window = limit.map(|limit| limit.window.as_secs() as i64);
    let counted = |window| object(&[("limit", at_least(1), true), ("remaining", at_least(0), true), ("reset_s", between(0, window), true)]);
    let schema = object(&[
        ("key_id", id("key"), true),
        ("name", text(), true),
        ("prefix", said(text(), "The first characters of its text, as the console shows it."), true),
        ("environment", word(&environments(profile)), true),
        ("status", word(&["active"]), true),
        ("permissions", permissions, true),
        ("organization", object(&[("id", id("org"), true), ("slug", text(), true), ("name", text(), true)]), true),
        ("rate_limit", window.map_or_else(|| json!({ "type": "null" }), counted), true),
        ("credits", object(&[("available", at_least(0), true)]), true),
    ]);
    let rate = limit.map_or_else(
        || "null".to_owned(),
        |limit| format!(r#"{{"limit":{0},"remaining":{1},"reset_s":{2}}}"#, limit.requests, limit.requests - 1, limit.window.as_secs()),
    );
    let environment = match profile.keys.environments.as_slice() {
        [] => String::new(),
        _ => format!("{}_", profile.default_environment()),
    };
    let example = format!(
        r#"{{"key_id":"{}","name":"Production backend","prefix":"{}_{environment}a1b2","environment":"{}","status":"active","permissions":{},"organization":{{"id":"{}","slug":"acme-motion","name":"Acme Motion"}},"rate_limit":{rate},"credits":{{"available":499}}}}"#,
        example_id("key", 3),
        profile.keys.prefix,
        profile.default_environment(),
        json!(profile.permissions.list),
        example_id("org", 4),
    );
    (named.refer("Key", schema), example)
}

/// The URL of all examples.
pub(super) const ENDPOINT: &str = "https://hooks.example.com/latchkey";

fn webhook_schema(with_secret: bool) -> Value {
    let reason = said(word(&["switched_off", "gone", "failing"]), "Why it is off, while it is.");
    let mut members = vec![
        ("url", said(json!({ "type": "string", "format": "uri" }), "Where events go, in its canonical form."), true),
        ("enabled", flag(), true),
        ("updated_at", moment(), true),
        ("disabled_reason", reason, false),
    ];
    if with_secret {
        members.push((
            "secret",
            said(pattern("^whsec_[0-9A-Za-z+/]+=*$"), "What deliveries are signed with. Told once, to who saves first."),
            false,
        ));
    }
    object(&members)
}

/// Where events go, or that they go nowhere.
pub(super) fn webhook(named: &mut Named) -> Shape {
    let schema = json!({ "anyOf": [named.refer("Webhook", webhook_schema(false)), nothing()] });
    (schema, format!(r#"{{"url":"{ENDPOINT}","enabled":true,"updated_at":"{MOMENT}"}}"#))
}

/// The same after saving.
pub(super) fn saved_webhook(named: &mut Named) -> Shape {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let example = format!(r#"{{"url":"{ENDPOINT}","enabled":true,"updated_at":"{MOMENT}","secret":"{secret}"}}"#);
    (named.refer("SavedWebhook", webhook_schema(true)), example)
}

/// There is none any more.
pub(super) fn no_webhook() -> Shape {
    (nothing(), "{}".into())
}

/// What came of a test.
pub(super) fn test(payload: &str, named: &mut Named) -> Shape {
    let classes = ["blocked", "dns", "refused", "tls", "timeout", "redirect", "reset"];
    let lap = || or_null(number());
    let schema = object(&[
        ("status", said(or_null(between(100, 999)), "What the endpoint answered; null: nothing."), true),
        ("latency_ms", number(), true),
        (
            "laps",
            object(&[
                ("dns_ms", lap(), true),
                ("connect_ms", lap(), true),
                ("tls_ms", lap(), true),
                ("first_byte_ms", lap(), true),
                ("total_ms", number(), true),
            ]),
            true,
        ),
        ("error", or_null(object(&[("class", word(&classes), true), ("message", text(), true)])), true),
        ("request", object(&[("url", text(), true), ("head", text(), true), ("body", text(), true)]), true),
        ("response", or_null(object(&[("head", text(), true), ("body", text(), true), ("is_cut", flag(), true)])), true),
    ]);
    let head = json!("POST /latchkey HTTP/1.1\ncontent-type: application/json\nwebhook-id: evt_…");
    let example = format!(
        r#"{{"status":200,"latency_ms":123.4,"laps":{{"dns_ms":4.1,"connect_ms":19.2,"tls_ms":31.0,"first_byte_ms":62.3,"total_ms":123.4}},"error":null,"request":{{"url":"{ENDPOINT}","head":{head},"body":{}}},"response":{{"head":"HTTP/1.1 204 No Content","body":"","is_cut":false}}}}"#,
        json!(payload),
    );
    (named.refer("Test", schema), example)
}

/// A page of the feed: events with their payloads, one of these.
pub(super) fn feed(payloads: &[Value], payload: &str, named: &mut Named) -> Shape {
    let event = object(&[("id", id("evt"), true), ("payload", json!({ "anyOf": payloads }), true)]);
    let event = named.refer("FeedEvent", event);
    let after = said(or_null(id("evt")), "Send it as after for what comes next; null while there are no events.");
    let schema = object(&[("events", list(event), true), ("next_after", after, true)]);
    let event = example_id("evt", 5);
    (named.refer("Feed", schema), format!(r#"{{"events":[{{"id":"{event}","payload":{payload}}}],"next_after":"{event}"}}"#))
}
