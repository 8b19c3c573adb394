//! What a receiver has to know: the events, a sample, and how to check a signature.

use time::{Duration, OffsetDateTime};

use super::words::{listed, span};
use crate::clock::rfc3339;
use crate::ids::{JobId, new_uuid};
use crate::profile::{Profile, with_article};
use crate::site::WebhookRules;
use crate::webhooks;

/// The reference of a profile's events.
pub(super) struct Guide {
    /// Type and when it is sent.
    pub(super) events: Vec<(String, &'static str)>,
    /// The fields of a body, written out.
    pub(super) sample: Vec<(String, String)>,
    /// The body of `credits.low`, a line a field.
    pub(super) credits_sample: String,
    /// What jobs are called, for sentences.
    pub(super) noun: String,
    /// Pauses between the tries of a delivery: `5 s, 5 min and 2 h`.
    pub(super) pauses: String,
    /// How many tries that makes.
    pub(super) tries: usize,
}

impl Guide {
    pub(super) fn of(profile: &Profile, rules: &WebhookRules, now: OffsetDateTime) -> Self {
        let quoted = |text: &str| format!("\"{text}\"");
        let sample = profile.jobs.first().map_or_else(Vec::new, |job| {
            let id: String = job.public_id(JobId(new_uuid(now))).chars().take(12).chain(['…']).collect();
            [
                (job.id_field.as_str(), quoted(&id)),
                ("event_type", quoted(&format!("{}.progress", job.event_prefix))),
                ("status", quoted("processing")),
                ("percentage", "40".into()),
                ("sequence", "5".into()),
                ("timestamp", quoted(&rfc3339(now))),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .into()
        });
        let credits_sample = [
            ("event_type", quoted(webhooks::CREDITS_LOW)),
            ("status", quoted("low")),
            ("available", "499".into()),
            ("threshold", "500".into()),
            ("sequence", "1".into()),
            ("timestamp", quoted(&rfc3339(now))),
        ]
        .map(|(name, value)| format!("\n  \"{name}\": {value}"))
        .join(",");
        let noun = match profile.jobs.as_slice() {
            [only] => only.noun.clone(),
            _ => "job".into(),
        };
        let events = webhooks::event_types(profile).into_iter().map(|event| (event.name, event.what)).collect();
        let pauses = listed(rules.retries.iter().map(|pause| span(Duration::try_from(*pause).unwrap_or(Duration::MAX))));
        Self { events, sample, credits_sample: format!("{{{credits_sample}\n}}"), noun, pauses, tries: rules.retries.len() + 1 }
    }
}

impl Guide {
    /// The sample in one line, as it is sent.
    pub(super) fn line(&self) -> String {
        if self.sample.is_empty() {
            return self.credits_sample.lines().map(|line| line.trim().replacen("\": ", "\":", 1)).collect();
        }
        let fields: Vec<String> = self.sample.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", fields.join(","))
    }

    /// What a webhook tells of, to complete a sentence.
    pub(super) fn tells(&self) -> String {
        match self.sample.is_empty() {
            true => "that credits run low".into(),
            false => format!("what happens to each {}", self.noun),
        }
    }

    /// `an analysis`.
    pub(super) fn a_noun(&self) -> String {
        with_article(&self.noun)
    }

    /// See [`SNIPPETS`].
    pub(super) fn snippets(&self) -> [Snippet; 3] {
        SNIPPETS
    }
}

type Snippet = (&'static str, &'static str, &'static str);

/// Language, how its library is installed, and a receiver in it.
pub(in crate::web) const SNIPPETS: [Snippet; 3] = [
    ("Node", "npm install standardwebhooks", NODE),
    ("Python", "pip install standardwebhooks", PYTHON),
    ("Rust", "cargo add standardwebhooks", RUST),
];

const NODE: &str = r#"import { Webhook } from "standardwebhooks";
import express from "express";

const webhook = new Webhook(process.env.WEBHOOK_SECRET); // whsec_…
const app = express();

app.post("/latchkey", express.raw({ type: "*/*" }), (request, response) => {
  let event;
  try {
    event = webhook.verify(request.body, request.headers);
  } catch {
    return response.sendStatus(400);
  }
  // request.headers["webhook-id"] seen before? Then it is done already.
  console.log(event.event_type, event.status);
  response.sendStatus(204);
});

app.listen(3000);"#;

const PYTHON: &str = r#"import os
from flask import Flask, request
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["WEBHOOK_SECRET"])  # whsec_…
app = Flask(__name__)

@app.post("/latchkey")
def latchkey():
    try:
        event = webhook.verify(request.get_data(), request.headers)
    except WebhookVerificationError:
        return "", 400
    # request.headers["webhook-id"] seen before? Then it is done already.
    print(event["event_type"], event["status"])
    return "", 204"#;

const RUST: &str = r#"use standardwebhooks::Webhook;

// body: &[u8] and headers: &http::HeaderMap as they arrived
let webhook = Webhook::new(&std::env::var("WEBHOOK_SECRET")?)?; // whsec_…
webhook.verify(body, headers)?; // else answer 400
let event: serde_json::Value = serde_json::from_slice(body)?;
// headers["webhook-id"] seen before? Then it is done already."#;
