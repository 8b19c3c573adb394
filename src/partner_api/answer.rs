//! Answers: bodies from the profile, the fields of the rate limit, and the history before anything leaves.

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use serde::Serialize;

use super::{Creation, Partner, logged};
use crate::admission::{Decision, KnownKey, Rule, Settled, Settlement, Window};
use crate::error::{ClientError, Error, FieldError, Result};
use crate::outcome::Outcome;
use crate::profile::{Profile, Refusal, Values};
use crate::usage::Record;

use super::door::Visit;

/// An answer that is not final yet.
pub(super) struct Reply {
    status: u16,
    body: String,
    retry_after_s: Option<u64>,
    replayed: bool,
    /// Why it was refused, for the history.
    detail: Option<String>,
    creation: Option<Box<Creation>>,
}

#[derive(Serialize)]
struct Invalid<'a> {
    error: &'a str,
    code: &'a str,
    fields: &'a [FieldError],
}

impl Reply {
    fn new(status: u16, body: String) -> Self {
        Self { status, body, retry_after_s: None, replayed: false, detail: None, creation: None }
    }

    /// 200 with a JSON body.
    pub fn ok(body: &impl Serialize) -> Result<Self> {
        let body = serde_json::to_string(body).map_err(|e| Error::internal("writing JSON", e))?;
        Ok(Self::new(200, body))
    }

    /// 202, if the job can be made.
    pub fn creating(creation: Creation) -> Self {
        let body = creation.answer.clone();
        Self { creation: Some(Box::new(creation)), ..Self::new(202, body) }
    }

    /// An error that is not a refusal. 422 has the same shape in every profile.
    pub fn error(profile: &Profile, error: &ClientError) -> Self {
        let body = if error.status == 422 {
            let invalid = Invalid { error: &error.message, code: error.code, fields: &error.fields };
            serde_json::to_string(&invalid).unwrap_or_default()
        } else {
            profile.errors.body.render(&Values::of_error(&error.message, error.code))
        };
        Self { retry_after_s: error.retry_after_s, ..Self::new(error.status, body) }
    }

    /// The profile's answer to a refusal.
    pub fn refusal(profile: &Profile, decision: &Decision, rule: &Rule) -> Self {
        let permission = rule.permission.as_deref().unwrap_or("");
        let mut values = Values::default().text("permission", permission);
        let mut reply = Self::new(0, String::new());
        if let Some(window) = &decision.window {
            values = values.number("retry_after", window.reset_s).number("limit", window.limit).number("window_s", rule.window_s);
        }
        reply.detail = match (decision.outcome, &decision.window) {
            (Outcome::RateLimited, Some(window)) => {
                reply.retry_after_s = Some(window.reset_s as u64);
                let scope = if rule.per_organization { "organization" } else { "key" };
                let detail = serde_json::json!({
                    "name": rule.limit_name, "limit": window.limit, "window_s": rule.window_s, "scope": scope, "reset_s": window.reset_s,
                });
                Some(detail.to_string())
            }
            (Outcome::Permission, _) => Some(serde_json::json!({"permission": permission}).to_string()),
            _ => None,
        };
        let Some(refusal) = refusal_of(profile, decision.outcome) else { return reply };
        Self { status: refusal.status, body: refusal.body.render(&values), ..reply }
    }

    fn without_credits(profile: &Profile, required: i64, available: i64) -> Self {
        let values = Values::default().number("credits_required", required).number("credits_available", available);
        Self::new(profile.refusals.credits.status, profile.refusals.credits.body.render(&values))
    }

    pub fn into_response(self) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = HttpResponse::build(status);
        response.insert_header((header::CONTENT_TYPE, "application/json")).insert_header((header::CACHE_CONTROL, "no-store"));
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 wants a challenge with every 401.
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        if let Some(seconds) = self.retry_after_s {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        if self.replayed {
            response.insert_header(("Idempotent-Replayed", "true"));
        }
        response.body(self.body)
    }
}

fn refusal_of(profile: &Profile, outcome: Outcome) -> Option<&Refusal> {
    let refusals = &profile.refusals;
    Some(match outcome {
        Outcome::Missing => &refusals.missing,
        Outcome::Unknown => &refusals.unknown,
        Outcome::Suspended => &refusals.suspended,
        Outcome::Revoked => &refusals.revoked,
        Outcome::Expired => &refusals.expired,
        Outcome::Inactive => &refusals.inactive,
        Outcome::Permission => &refusals.permission,
        Outcome::RateLimited => &refusals.rate_limited,
        Outcome::Credits => &refusals.credits,
        Outcome::Accepted => return None,
    })
}

/// Where the database could not say anything about a request, neither can its history.
pub(super) fn failed(partner: &Partner, visit: &Visit, error: &Error) -> HttpResponse {
    if !matches!(error, Error::Unavailable(_)) {
        tracing::error!(request_id = %visit.id, error = %error, "request failed");
    }
    Reply::error(partner.profile(), &ClientError::from(error)).into_response()
}

/// Makes the answer final, then lets it leave.
pub(super) async fn finish(
    partner: &Partner, visit: &Visit, rule: &Rule, decision: &Decision, key: KnownKey, mut reply: Reply,
) -> HttpResponse {
    let record = Record {
        id: visit.id,
        organization: key.organization,
        at: visit.at,
        key: key.key,
        generation: key.generation,
        // What a key could not have used, it has not used: only its own state counts as stale.
        stale: key.stale || matches!(decision.outcome, Outcome::Revoked | Outcome::Expired),
        environment: visit.environment.clone(),
        method: visit.method.clone(),
        path: visit.path.clone(),
        route: visit.route.clone(),
        status: reply.status,
        outcome: decision.outcome,
        duration_us: i32::try_from(visit.started.elapsed().as_micros()).unwrap_or(i32::MAX),
        credits: 0,
        address: visit.address(),
        user_agent: visit.user_agent.clone(),
        job: None,
        detail: reply.detail.take(),
    };
    let settlement = Settlement { record, creation: reply.creation.take() };
    let settled = match partner.settle.ask(settlement).await {
        Ok(settled) => settled,
        Err(error) => return failed(partner, visit, &logged(error, visit)),
    };
    let mut outcome = decision.outcome;
    let reply = match settled {
        Settled::Recorded => reply,
        Settled::Created => {
            // The workers of this instance need not wait for the doorbell.
            partner.wake.ring();
            reply
        }
        Settled::Replayed { status, answer } => Reply { replayed: true, ..Reply::new(status, answer) },
        Settled::Mismatch => {
            let error = Error::field("Idempotency-Key", "This key was used before with another request. Use a new one.");
            Reply::error(partner.profile(), &ClientError::from(&error))
        }
        Settled::InsufficientCredits { required, available } => {
            outcome = Outcome::Credits;
            Reply::without_credits(partner.profile(), required, available)
        }
    };
    partner.metrics.admitted(outcome.as_str());
    let mut response = reply.into_response();
    if let Some(window) = &decision.window {
        limit_fields(&mut response, rule, window);
    }
    response
}

/// The fields of the IETF draft, and the older ones that clients still look for; all times in seconds from now.
fn limit_fields(response: &mut HttpResponse, rule: &Rule, window: &Window) {
    let Rule { limit_name: name, window_s, .. } = rule;
    let fields = [
        ("ratelimit-policy", format!("\"{name}\";q={};w={window_s}", window.limit)),
        ("ratelimit", format!("\"{name}\";r={};t={}", window.remaining(), window.reset_s)),
        ("x-ratelimit-limit", window.limit.to_string()),
        ("x-ratelimit-remaining", window.remaining().to_string()),
        ("x-ratelimit-reset", window.reset_s.to_string()),
    ];
    for (name, value) in fields {
        if let Ok(value) = header::HeaderValue::try_from(value) {
            response.headers_mut().insert(header::HeaderName::from_static(name), value);
        }
    }
}
