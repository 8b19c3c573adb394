//! Errors as programs read them: `{"error","code"}`, with `fields` for 422.

use std::fmt;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use serde_json::json;

use crate::error::{ClientError, Error};
use crate::programs::Kind;

/// An error on its way out.
#[derive(Debug)]
pub struct Refusal(ClientError);

impl Refusal {
    /// With a status, a code and a sentence.
    pub fn new(status: u16, code: &'static str, message: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Self(ClientError::new(status, code, message))
    }

    /// Of an address that answers POST and nothing else.
    pub fn post_alone() -> Self {
        Self::new(405, "method_not_allowed", "This address answers POST alone.")
    }

    /// Without a token of this kind.
    pub fn unauthenticated(kind: Kind) -> Self {
        let (noun, prefix) = (kind.noun(), kind.prefix());
        Self::new(401, "unauthenticated", format!("This needs a {noun} token: send it as \"Authorization: Bearer {prefix}_…\", once."))
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match &error {
            Error::Constraint { .. } | Error::Internal(_) => tracing::error!(%error, "a program's call failed"),
            Error::Unavailable(_) => tracing::warn!(%error, "a program's call failed"),
            _ => {}
        }
        Self(ClientError::from(&error))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status_code());
        match self.0.status {
            401 => drop(answer.insert_header((header::WWW_AUTHENTICATE, "Bearer"))),
            405 => drop(answer.insert_header((header::ALLOW, "POST"))),
            _ => {}
        }
        if let Some(seconds) = self.0.retry_after_s {
            answer.insert_header((header::RETRY_AFTER, seconds));
        }
        let mut body = json!({"error": self.0.message, "code": self.0.code});
        if !self.0.fields.is_empty() {
            body["fields"] = json!(self.0.fields);
        }
        answer.json(body)
    }
}
