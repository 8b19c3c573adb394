//! Answers: bodies from the profile, the fields of the rate limit, and the history before anything leaves.

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use serde::Serialize;

use super::{Creation, Partner, logged};
use crate::admission::{Answer, Decision, Effect, KnownKey, Rule, Settled, Settlement, limit_fields};
use crate::error::{ClientError, Error, FieldError, Result};
use crate::outcome::Outcome;
use crate::profile::{Profile, Values};

use super::door::Visit;

/// An answer that is not final yet.
pub(super) struct Reply {
    answer: Answer,
    replayed: bool,
    creation: Option<Box<Creation>>,
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self { answer, replayed: false, creation: None }
    }
}

#[derive(Serialize)]
struct Invalid<'a> {
    error: &'a str,
    code: &'a str,
    fields: &'a [FieldError],
}

impl Reply {
    fn new(status: u16, body: String) -> Self {
        Answer { status, body, ..Answer::default() }.into()
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
        Answer { status: error.status, body, retry_after_s: error.retry_after_s, detail: None }.into()
    }

    pub fn into_response(self) -> HttpResponse {
        let status = StatusCode::from_u16(self.answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = HttpResponse::build(status);
        for field in self.answer.fields() {
            response.insert_header(field);
        }
        if self.replayed {
            response.insert_header(("Idempotent-Replayed", "true"));
        }
        response.body(self.answer.body)
    }
}

/// Where the database could not say anything about a request, neither can its history.
pub(super) fn failed(partner: &Partner, visit: &Visit, error: &Error) -> HttpResponse {
    if !matches!(error, Error::Unavailable(_)) {
        tracing::error!(request_id = %visit.seen.id, error = %error, "request failed");
    }
    Reply::error(partner.profile(), &ClientError::from(error)).into_response()
}

/// Makes the answer final, then lets it leave.
pub(super) async fn finish(
    partner: &Partner, visit: &Visit, rule: &Rule, decision: &Decision, key: KnownKey, mut reply: Reply,
) -> HttpResponse {
    let answered = (reply.answer.status, reply.answer.detail.take());
    let record = visit.seen.record(decision, key, visit.started.elapsed(), answered);
    let effect = reply.creation.take().map_or(Effect::None, Effect::Creation);
    let settlement = Settlement { record, effect };
    let settled = match partner.settle.ask(settlement).await {
        Ok(settled) => settled,
        Err(error) => return failed(partner, visit, &logged(error, visit)),
    };
    let mut outcome = decision.outcome;
    let reply = match settled {
        Settled::Recorded | Settled::Spent { .. } => reply,
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
            Answer::without_credits(partner.profile(), required, available).into()
        }
    };
    partner.metrics.admitted(outcome.as_str());
    let mut response = reply.into_response();
    for (name, value) in limit_fields(rule, decision.window.as_ref()) {
        if let Ok(value) = header::HeaderValue::try_from(value) {
            response.headers_mut().insert(header::HeaderName::from_static(name), value);
        }
    }
    response
}
