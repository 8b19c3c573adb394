//! Bodies, read field by field so that every mistake is named and values stay as they were sent.

use std::collections::HashMap;

use actix_web::http::header;
use actix_web::{HttpMessage, HttpRequest, web};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::Refusal;
use crate::error::{Error, FieldError};

/// The fields of a JSON object, and what is wrong with those that were taken.
pub struct Fields {
    values: HashMap<String, Box<RawValue>>,
    wrong: Vec<FieldError>,
}

/// Reads a JSON object of at most `most` bytes; of a larger one `too_large` tells.
///
/// # Errors
/// 400, 413, 415, 422.
pub async fn read(request: &HttpRequest, payload: web::Payload, most: usize, too_large: fn() -> Refusal) -> Result<Fields, Refusal> {
    let content_type = request.content_type().to_ascii_lowercase();
    if content_type != "application/json" && !content_type.ends_with("+json") {
        return Err(Refusal::new(415, "unsupported_media_type", "Send JSON, with \"Content-Type: application/json\"."));
    }
    if request.headers().get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(Refusal::new(415, "unsupported_media_type", "Send the body as it is, without a Content-Encoding."));
    }
    let bytes = payload.to_bytes_limited(most).await.map_err(|_| too_large())?;
    let bytes = bytes.map_err(|_| Refusal::new(400, "broken_body", "The body ended early."))?;
    parse(&bytes)
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
    pub fn optional<T: DeserializeOwned>(&mut self, field: &'static str, form: &str) -> Option<T> {
        let raw = self.values.get(field).filter(|raw| raw.get() != "null")?;
        let value = serde_json::from_str(raw.get()).ok();
        if value.is_none() {
            self.refuse(field, format!("{field} must be {form}."));
        }
        value
    }

    /// A field that must be there, in a form that Rust reads; `form` completes "must be …".
    pub fn required<T: DeserializeOwned>(&mut self, field: &'static str, form: &str) -> Option<T> {
        if self.values.get(field).is_none_or(|raw| raw.get() == "null") {
            self.refuse(field, format!("{field} is missing; it must be {form}."));
        }
        self.optional(field, form)
    }

    /// Names every field that is not one of these: a slip of the pen is told and not swallowed.
    pub fn know(&mut self, known: &[&str]) {
        let unknown: Vec<String> = self.values.keys().filter(|name| !known.contains(&name.as_str())).take(10).cloned().collect();
        for name in unknown {
            let shown: String = name.chars().take(60).collect();
            self.wrong
                .push(FieldError { field: shown.into(), message: format!("There is no such field. There are: {}.", known.join(", ")) });
        }
    }

    /// Says that a field is wrong.
    pub fn refuse(&mut self, field: &'static str, message: String) {
        self.wrong.push(FieldError { field: field.into(), message });
    }

    /// What is wrong so far, as an answer.
    pub fn refusal(self) -> Refusal {
        Error::Invalid(self.wrong).into()
    }

    /// Whether nothing is wrong so far.
    pub fn is_fine(&self) -> bool {
        self.wrong.is_empty()
    }
}
