//! Reading JSON bodies: every way in which one can be wrong has its own answer.

use std::collections::BTreeMap;

use actix_web::{HttpMessage, HttpRequest, web};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::{ClientError, FieldError};
use crate::openapi::bounds::BODY;

/// The body's text, as it came.
pub(super) async fn read(request: &HttpRequest, payload: web::Payload) -> Result<String, ClientError> {
    declared(request)?;
    text_of(whole(payload).await?)
}

/// The same where there need not be one: without a body, its type does not matter either.
pub(super) async fn read_if_any(request: &HttpRequest, payload: web::Payload) -> Result<Option<String>, ClientError> {
    let bytes = whole(payload).await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    declared(request)?;
    text_of(bytes).map(Some)
}

fn declared(request: &HttpRequest) -> Result<(), ClientError> {
    let content_type = request.content_type();
    if content_type.eq_ignore_ascii_case("application/json") || content_type.to_ascii_lowercase().ends_with("+json") {
        Ok(())
    } else {
        Err(ClientError::new(415, "unsupported_media_type", "Send the body as application/json."))
    }
}

async fn whole(payload: web::Payload) -> Result<web::Bytes, ClientError> {
    match payload.to_bytes_limited(BODY).await {
        Err(_) => Err(ClientError::new(413, "too_large", format!("The body is larger than {} KiB.", BODY / 1024))),
        Ok(Err(_)) => Err(ClientError::new(400, "broken_body", "The body did not arrive whole.")),
        Ok(Ok(bytes)) => Ok(bytes),
    }
}

fn text_of(bytes: web::Bytes) -> Result<String, ClientError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| ClientError::new(400, "invalid_json", "The body is not UTF-8."))
}

/// The members of a JSON object, each with its text kept as it came.
pub(super) fn object(text: &str) -> Result<BTreeMap<String, Box<RawValue>>, ClientError> {
    serde_json::from_str(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => invalid(vec![field("body", "Send a JSON object.")]),
        _ => ClientError::new(400, "invalid_json", format!("The body is not JSON: {error}.")),
    })
}

/// A member that is a text of at most `most` characters; null counts as absent.
pub(super) fn text(
    members: &BTreeMap<String, Box<RawValue>>, name: &'static str, most: usize, wrong: &mut Vec<FieldError>,
) -> Option<String> {
    match serde_json::from_str(members.get(name)?.get()) {
        Ok(Value::Null) => None,
        Ok(Value::String(text)) if text.chars().count() <= most && !text.contains('\0') => Some(text),
        _ => {
            wrong.push(field(name, format!("Send a text of at most {most} characters without NUL.")));
            None
        }
    }
}

/// A member that is true or false; null counts as absent.
pub(super) fn flag(members: &BTreeMap<String, Box<RawValue>>, name: &'static str, wrong: &mut Vec<FieldError>) -> Option<bool> {
    match serde_json::from_str(members.get(name)?.get()) {
        Ok(Value::Null) => None,
        Ok(Value::Bool(flag)) => Some(flag),
        _ => {
            wrong.push(field(name, "Send true or false."));
            None
        }
    }
}

/// Members that the request does not have: a slip of the pen is told and not swallowed.
pub(super) fn unknown(members: &BTreeMap<String, Box<RawValue>>, known: &[&str], wrong: &mut Vec<FieldError>) {
    for name in members.keys().filter(|name| !known.contains(&name.as_str())).take(10) {
        let shown: String = name.chars().take(60).collect();
        wrong.push(field(shown, format!("There is no such field. There are: {}.", known.join(", "))));
    }
}

pub(super) fn field(name: impl Into<std::borrow::Cow<'static, str>>, message: impl Into<String>) -> FieldError {
    FieldError { field: name.into(), message: message.into() }
}

pub(super) fn invalid(fields: Vec<FieldError>) -> ClientError {
    ClientError { fields, ..ClientError::new(422, "invalid_request", "Some fields were not accepted.") }
}
