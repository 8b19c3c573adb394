//! `webhook.read`, `webhook.put`, `webhook.delete`, `webhook.test`: what the dashboard does, through the same functions.

use std::time::Duration;

use actix_web::web;
use serde::Serialize;

use super::Call;
use super::answer::Reply;
use super::body::{self, field, invalid};
use crate::actor::Actor;
use crate::clock::{self, rfc3339};
use crate::courier::{Answer, Attempt, Laps, Parcel};
use crate::error::{ClientError, Error, Result};
use crate::secret::SigningSecret;
use crate::webhooks::address::{LONGEST_URL, check_url};
use crate::webhooks::{self, Webhook};

/// Longest name of an event, in characters.
const NAME: usize = 100;

#[derive(Serialize)]
struct WebhookBody {
    url: String,
    enabled: bool,
    updated_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_reason: Option<&'static str>,
    /// Told once, to whoever saved first.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl WebhookBody {
    fn new(webhook: Webhook, secret: Option<SigningSecret>) -> Self {
        Self {
            enabled: webhook.is_enabled(),
            url: webhook.url,
            updated_at: rfc3339(webhook.updated_at),
            disabled_reason: webhook.off.map(|(_, why)| why.as_str()),
            secret: secret.map(|secret| secret.reveal()),
        }
    }
}

/// `{}`: there is none.
#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
struct TestBody {
    status: Option<u16>,
    latency_ms: f64,
    laps: LapsBody,
    error: Option<FailureBody>,
    request: RequestBody,
    response: Option<ResponseBody>,
}

#[derive(Serialize)]
struct LapsBody {
    dns_ms: Option<f64>,
    connect_ms: Option<f64>,
    tls_ms: Option<f64>,
    first_byte_ms: Option<f64>,
    total_ms: f64,
}

#[derive(Serialize)]
struct FailureBody {
    class: &'static str,
    message: String,
}

#[derive(Serialize)]
struct RequestBody {
    url: String,
    /// Request line and headers, one a line.
    head: String,
    body: String,
}

#[derive(Serialize)]
struct ResponseBody {
    /// Status line and headers, one a line.
    head: String,
    /// The first 4 KiB.
    body: String,
    is_cut: bool,
}

pub(super) async fn read(call: &Call<'_>) -> Result<Reply> {
    let organization = call.key.organization;
    let found = call.partner.site.db.run(move |conn| webhooks::read(conn, organization, clock::now())).await?;
    match found {
        Some(webhook) => Reply::ok(&WebhookBody::new(webhook, None)),
        None => Reply::ok(&Nothing {}),
    }
}

pub(super) async fn put(call: &Call<'_>, payload: web::Payload) -> Result<Reply> {
    let (url, enabled) = match order(call, payload).await {
        Ok(order) => order,
        Err(error) => return Ok(Reply::error(call.profile(), &error)),
    };
    let site = &call.partner.site;
    let (url, _) = call.partner.courier.permit(check_url(&url, &site.webhooks)).await?;
    let (organization, actor, keyring) = (call.key.organization, actor(call), site.keyring.clone());
    let save = move |conn: &mut _| webhooks::save(conn, &actor, clock::now(), organization, &keyring, &url, enabled);
    let saved = site.db.run(save).await?;
    // What waited while it was off is due now.
    site.news.ring(organization);
    Reply::ok(&WebhookBody::new(saved.webhook, saved.new_secret))
}

async fn order(call: &Call<'_>, payload: web::Payload) -> Result<(String, Option<bool>), ClientError> {
    let text = body::read(call.request, payload).await?;
    let members = body::object(&text)?;
    let mut wrong = Vec::new();
    body::unknown(&members, &["url", "enabled"], &mut wrong);
    let url = body::text(&members, "url", LONGEST_URL, &mut wrong);
    let enabled = body::flag(&members, "enabled", &mut wrong);
    if url.is_none() && !wrong.iter().any(|wrong| wrong.field == "url") {
        wrong.push(field("url", "It is missing: send where events are to go."));
    }
    match url {
        Some(url) if wrong.is_empty() => Ok((url, enabled)),
        _ => Err(invalid(wrong)),
    }
}

pub(super) async fn delete(call: &Call<'_>) -> Result<Reply> {
    let (organization, actor) = (call.key.organization, actor(call));
    let removed = call.partner.site.db.run(move |conn| webhooks::remove(conn, &actor, clock::now(), organization)).await;
    match removed {
        // Nothing there to remove: it is as it was asked to be.
        Ok(()) | Err(Error::NotFound) => Reply::ok(&Nothing {}),
        Err(other) => Err(other),
    }
}

pub(super) async fn test(call: &Call<'_>, payload: web::Payload) -> Result<Reply> {
    let event_type = match wanted_event(call, payload).await {
        Ok(event_type) => event_type,
        Err(error) => return Ok(Reply::error(call.profile(), &error)),
    };
    let site = &call.partner.site;
    let (organization, actor, keyring, profile) = (call.key.organization, actor(call), site.keyring.clone(), site.profile.clone());
    let parcel =
        move |conn: &mut _| webhooks::test_parcel(conn, &actor, clock::now(), organization, &keyring, &profile, event_type.as_deref());
    // The connection is back in the pool before anything is sent, which may take long.
    let parcel = site.db.run(parcel).await?;
    let attempt = call.partner.courier.send(organization, parcel.clone()).await?;
    Reply::ok(&outcome(parcel, attempt))
}

/// An empty body asks for the default.
async fn wanted_event(call: &Call<'_>, payload: web::Payload) -> Result<Option<String>, ClientError> {
    let Some(text) = body::read_if_any(call.request, payload).await? else { return Ok(None) };
    let members = body::object(&text)?;
    let mut wrong = Vec::new();
    body::unknown(&members, &["event_type"], &mut wrong);
    let event_type = body::text(&members, "event_type", NAME, &mut wrong);
    if wrong.is_empty() { Ok(event_type) } else { Err(invalid(wrong)) }
}

fn outcome(parcel: Parcel, attempt: Attempt) -> TestBody {
    let Laps { dns, connect, tls, first_byte, total } = attempt.laps;
    TestBody {
        status: attempt.status(),
        latency_ms: millis(total),
        laps: LapsBody {
            dns_ms: dns.map(millis),
            connect_ms: connect.map(millis),
            tls_ms: tls.map(millis),
            first_byte_ms: first_byte.map(millis),
            total_ms: millis(total),
        },
        error: attempt.failure.map(|failure| FailureBody { class: failure.class.as_str(), message: failure.message }),
        request: RequestBody { url: parcel.url, head: attempt.request, body: parcel.payload },
        response: attempt.answer.map(|Answer { head, body, is_cut, .. }| ResponseBody { head, body, is_cut }),
    }
}

/// Milliseconds with one decimal.
fn millis(lap: Duration) -> f64 {
    (lap.as_secs_f64() * 10_000.0).round() / 10.0
}

/// Whoever holds the key, as the audit log names it.
fn actor(call: &Call<'_>) -> Actor {
    let label = format!("Key {}…", call.visit.seen.prefix);
    Actor::key(call.key.key, label, call.key.organization, call.visit.seen.address.clone(), call.visit.seen.user_agent.clone())
}
