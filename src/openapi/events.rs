//! What is sent to webhooks, and how it is signed.

use serde_json::{Value, json};

use super::schema::{MOMENT, Member, Named, at_least, between, example_id, id, moment, object, said, text, word};
use super::shapes::failure;
use crate::profile::{JobKind, Moment, Profile, Values};

/// A type of event.
#[derive(Debug, Clone)]
pub struct Event {
    /// `analysis.progress`.
    pub name: String,
    /// When it is sent.
    pub what: String,
    /// Of its body.
    pub schema: Value,
    /// A body, as it is sent.
    pub example: String,
}

/// A signature in a form of the profile's own.
#[derive(Debug, Clone)]
pub struct SignatureExample {
    /// Name of the header.
    pub name: String,
    /// What is signed, with its words in braces.
    pub signed: String,
    /// What it says, with its words in braces.
    pub value: String,
}

/// Every type of event: each kind of job in the order of its life, then those of the organization itself.
pub(super) fn events(profile: &Profile, named: &mut Named) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    for (name, kind, moment) in profile.job_events() {
        let (schema, example) = of_job(kind, &name, moment);
        events.push(event(named, name, &sentence(moment.what), schema, example));
    }
    let moments: [Member<'_>; 3] = [("sequence", at_least(1), true), ("timestamp", moment(), true), ("test", test(), false)];
    if events.is_empty() {
        let (name, kind) = ("webhook.test", word(&["webhook.test"]));
        let schema = object(&[&[("event_type", kind, true)], moments.as_slice()].concat());
        let example = format!(r#"{{"event_type":"{name}","sequence":1,"timestamp":"{MOMENT}","test":true}}"#);
        events.push(event(named, name.into(), "Somebody tries the webhook.", schema, example));
    }
    let members: [Member<'_>; 4] = [
        ("event_type", word(&["credits.low"]), true),
        ("status", word(&["low"]), true),
        ("available", at_least(0), true),
        ("threshold", at_least(0), true),
    ];
    let schema = object(&[members.as_slice(), moments.as_slice()].concat());
    let example =
        format!(r#"{{"event_type":"credits.low","status":"low","available":499,"threshold":500,"sequence":1,"timestamp":"{MOMENT}"}}"#);
    events.push(event(named, "credits.low".into(), "Credits fell below your threshold.", schema, example));
    events
}

fn event(named: &mut Named, name: String, what: &str, schema: Value, example: String) -> Event {
    let schema = named.refer(&format!("Event.{name}"), schema);
    Event { name, what: what.to_owned(), schema, example }
}

fn test() -> Value {
    said(json!({ "type": "boolean", "const": true }), "Nothing happened: somebody tries the webhook.")
}

/// `Each 10% passed.`
fn sentence(what: &str) -> String {
    let mut letters = what.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).chain(['.']).collect())
}

fn of_job(kind: &JobKind, name: &str, Moment { status, percentage, sequence, .. }: Moment) -> (Value, String) {
    let mut members: Vec<Member<'_>> = vec![
        (&kind.id_field, id(&kind.id_prefix), true),
        ("event_type", word(&[name]), true),
        ("status", word(&[status]), true),
        ("percentage", between(0, 100), true),
        ("sequence", said(at_least(1), "Place among this job's events."), true),
        ("timestamp", moment(), true),
        ("external_reference", said(text(), "What you call it, where you said so."), false),
        ("test", test(), false),
    ];
    let mut error = "";
    if status == "failed" {
        members.push(("error", failure(), true));
        error = r#""error":{"code":"example","message":"What went wrong, in a sentence."},"#;
    }
    let example = format!(
        r#"{{"{}":"{}","event_type":"{name}","status":"{status}","percentage":{percentage},{error}"sequence":{sequence},"timestamp":"{MOMENT}"}}"#,
        kind.id_field,
        example_id(&kind.id_prefix, 1),
    );
    (object(&members), example)
}

/// Signatures beyond the standard's.
pub(super) fn signatures(profile: &Profile) -> Vec<SignatureExample> {
    let written = Values::default();
    let headers = profile.webhooks.signature_headers.iter();
    // A word without a value stays as written.
    headers
        .map(|header| SignatureExample {
            name: header.name.clone(),
            signed: header.signed.render(&written),
            value: header.value.render(&written),
        })
        .collect()
}
