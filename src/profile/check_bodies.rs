//! Checks of what is sent: bodies of refusals and errors, signature headers of deliveries.

use actix_web::http::header::HeaderName;

use super::check::{Problems, first_repeated};
use super::{Profile, Refusal, Template, Values};

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

pub(super) fn refusals(profile: &Profile, problems: &mut Problems) {
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
        problems.unless((400..=499).contains(&refusal.status), format!("{field}.status"), "must be a 4xx status");
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

pub(super) fn webhooks(profile: &Profile, problems: &mut Problems) {
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
        problems.unless(header.signed.words().any(|word| word == "body"), field("signed"), "must sign {body}, or anybody could change it");
        asks(&header.value, &["hex", "base64", "timestamp", "id"], field("value"), problems);
        let carries = header.value.words().any(|word| ["hex", "base64"].contains(&word));
        problems.unless(carries, field("value"), "must carry the signature as {hex} or {base64}");
        // The words themselves are letters, digits, and what base64 and ids have beside them.
        let text = header.value.render(&Values::default());
        problems.unless(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), field("value"), "must be one line of ASCII");
    }
}

fn asks(template: &Template, words: &[&str], field: String, problems: &mut Problems) {
    let offered = words.iter().map(|word| format!("{{{word}}}")).collect::<Vec<_>>().join(" ");
    for unknown in template.words().filter(|word| !words.contains(word)) {
        problems.unless(false, field.clone(), format!("asks for {{{unknown}}}; there is {offered}"));
    }
}
