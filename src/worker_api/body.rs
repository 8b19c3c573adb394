//! Bodies, read field by field so that every mistake is named and values stay as they were sent.

use std::collections::HashMap;

use actix_web::http::header;
use actix_web::{HttpMessage, HttpRequest, web};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::answer::Refusal;
use super::{LARGEST_BODY, LARGEST_RESULT};
use crate::error::{Error, FieldError};
use crate::raw_json::RawJson;

/// The fields of a JSON object, and what is wrong with those that were taken.
pub(super) struct Fields {
    values: HashMap<String, Box<RawValue>>,
    wrong: Vec<FieldError>,
}

/// Reads a JSON object of at most [`LARGEST_BODY`] bytes.
pub(super) async fn read(request: &HttpRequest, payload: web::Payload) -> Result<Fields, Refusal> {
    let content_type = request.content_type().to_ascii_lowercase();
    if content_type != "application/json" && !content_type.ends_with("+json") {
        return Err(Refusal::new(415, "unsupported_media_type", "Send JSON, with \"Content-Type: application/json\"."));
    }
    if request.headers().get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(Refusal::new(415, "unsupported_media_type", "Send the body as it is, without a Content-Encoding."));
    }
    let bytes = payload.to_bytes_limited(LARGEST_BODY).await.map_err(|_| too_large())?;
    let bytes = bytes.map_err(|_| Refusal::new(400, "broken_body", "The body ended early."))?;
    parse(&bytes)
}

fn too_large() -> Refusal {
    Refusal::new(413, "too_large", "The body is too large: a result may have 1 MiB.")
}

fn parse(bytes: &[u8]) -> Result<Fields, Refusal> {
    let broken = || Refusal::new(400, "invalid_json", "The body is not valid JSON in UTF-8.");
    let text = std::str::from_utf8(bytes).map_err(|_| broken())?;
    let raw: &RawValue = serde_json::from_str(text).map_err(|_| broken())?;
    match serde_json::from_str(raw.get()) {
        Ok(values) => Ok(Fields { values, wrong: Vec::new() }),
        Err(_) if raw.get().starts_with('{') => Err(broken()),
        Err(_) => Err(Error::field("body", "The body must be a JSON object.").into()),
    }
}

impl Fields {
    /// A field that may be left out or null.
    pub(super) fn optional<T: DeserializeOwned>(&mut self, field: &'static str, form: &str) -> Option<T> {
        let raw = self.values.get(field).filter(|raw| raw.get() != "null")?;
        let value = serde_json::from_str(raw.get()).ok();
        if value.is_none() {
            self.refuse(field, format!("{field} must be {form}."));
        }
        value
    }

    /// A field that must be there, in a form that Rust reads; `form` completes "must be …".
    pub(super) fn required<T: DeserializeOwned>(&mut self, field: &'static str, form: &str) -> Option<T> {
        if self.values.get(field).is_none_or(|raw| raw.get() == "null") {
            self.refuse(field, format!("{field} is missing; it must be {form}."));
        }
        self.optional(field, form)
    }

    /// The lease that a report is made under.
    pub(super) fn lease(&mut self) -> Option<Uuid> {
        self.required("lease", "the lease that came with the job")
    }

    /// A JSON object, kept as sent.
    pub(super) fn object(&mut self, field: &'static str) -> Result<Option<RawJson>, Refusal> {
        let Some(raw) = self.required::<Box<RawValue>>(field, "a JSON object") else { return Ok(None) };
        if raw.get().len() > LARGEST_RESULT {
            return Err(too_large());
        }
        Ok(RawJson::object(raw.get()).map_err(|why| self.refuse(field, format!("{field} {why}"))).ok())
    }

    pub(super) fn refuse(&mut self, field: &'static str, message: String) {
        self.wrong.push(FieldError { field: field.into(), message });
    }

    /// What is wrong so far, as an answer.
    pub(super) fn refusal(self) -> Refusal {
        Error::Invalid(self.wrong).into()
    }

    /// Whether nothing is wrong so far.
    pub(super) fn is_fine(&self) -> bool {
        self.wrong.is_empty()
    }
}
