//! Errors as workers read them: `{"error","code"}`, with `fields` for 422.

use std::fmt;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use serde_json::json;

use crate::error::{ClientError, Error};

/// An error on its way out.
#[derive(Debug)]
pub(super) struct Refusal(ClientError);

impl Refusal {
    pub(super) fn new(status: u16, code: &'static str, message: &'static str) -> Self {
        Self(ClientError::new(status, code, message))
    }

    /// Everything here is a POST.
    pub(super) fn method_not_allowed() -> Self {
        Self::new(405, "method_not_allowed", "This address answers POST alone.")
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match &error {
            Error::Constraint { .. } | Error::Internal(_) => tracing::error!(%error, "worker API"),
            Error::Unavailable(_) => tracing::warn!(%error, "worker API"),
            _ => {}
        }
        match error {
            Error::Unauthenticated => {
                Self::new(401, "unauthenticated", "This needs a worker token: send it as \"Authorization: Bearer lkw_…\", once.")
            }
            error => Self(ClientError::from(&error)),
        }
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
