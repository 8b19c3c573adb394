//! Errors of handlers on their way to the page that `edge` makes of them.

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};
use askama::Template;

use super::filters;
use super::frame::Frame;
use crate::error::{ClientError, Error};

/// [`Error`] as handlers return it.
#[derive(Debug)]
pub struct WebError(pub Error);

impl From<Error> for WebError {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl From<askama::Error> for WebError {
    fn from(error: askama::Error) -> Self {
        Self(Error::internal("rendering a page", error))
    }
}

impl std::fmt::Display for WebError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl ResponseError for WebError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(ClientError::from(&self.0).status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Without a body: the request is not known here. `edge` finds what a reader may see in the extensions.
    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::new(self.status_code());
        response.extensions_mut().insert(ClientError::from(&self.0));
        response
    }
}

/// What a status that came without words of ours means to a reader: broken forms, unknown paths, wrong methods.
pub fn of_status(status: StatusCode) -> ClientError {
    let (code, message) = match status.as_u16() {
        401 => ("unauthenticated", "Sign in first."),
        403 => ("forbidden", "Your role does not allow this."),
        404 => ("not_found", "There is nothing here."),
        405 => ("method_not_allowed", "This address can't be used that way."),
        413 => ("too_large", "That was too much at once."),
        415 => ("wrong_type", "This address takes forms."),
        400..=499 => ("bad_request", "The form did not arrive as it was sent. Open the page again and repeat it."),
        _ => ("internal", "Something broke on our side. It has been logged."),
    };
    ClientError::new(status.as_u16(), code, message)
}

#[derive(Template)]
#[template(path = "errors/error.html")]
struct ErrorPage<'a> {
    frame: &'a Frame,
    title: &'a str,
    heading: &'a str,
    sentence: String,
    error: &'a ClientError,
    request_id: &'a str,
}

/// The same for a program: `{"error","code"}`, and the fields that were not accepted.
pub fn json(error: &ClientError) -> HttpResponse {
    let mut body = serde_json::json!({"error": error.message, "code": error.code});
    if !error.fields.is_empty() {
        body["fields"] = serde_json::json!(error.fields);
    }
    let mut response = HttpResponse::build(StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    if let Some(seconds) = error.retry_after_s {
        response.insert_header((RETRY_AFTER, seconds.to_string()));
    }
    response.json(body)
}

/// The page for an error.
pub fn render(frame: &Frame, error: &ClientError, request_id: &str) -> HttpResponse {
    let (title, heading, sentence) = words(error, frame);
    let page = ErrorPage { frame, title, heading, sentence, error, request_id };
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    response.insert_header((CONTENT_TYPE, "text/html; charset=utf-8"));
    if let Some(seconds) = error.retry_after_s {
        response.insert_header((RETRY_AFTER, seconds.to_string()));
    }
    match page.render() {
        Ok(html) => response.body(html),
        Err(_) => response.body("<!doctype html><title>Latchkey</title><h1>Something broke on our side</h1>"),
    }
}

/// Title, heading and sentence. What the capability said about a conflict or a delay is for the reader, as it is.
fn words(error: &ClientError, frame: &Frame) -> (&'static str, &'static str, String) {
    let own = || error.message.to_string();
    match error.status {
        401 => ("Not signed in", "You are not signed in", "Your session has ended, or never began. Nothing was changed.".into()),
        403 if error.code == "cross_origin" => ("Not allowed", "Another site asked for this", own()),
        403 if error.code == "visit_needed" => ("Not allowed", "Say first why you look at this organization", own()),
        403 if error.code == "two_factor_needed" => ("Not allowed", "Two-factor sign-in is needed here", own()),
        403 if error.code == "password_needed" => ("Not allowed", "Your password is needed", own()),
        403 if frame.is_console() => {
            ("Not allowed", "Your role does not allow this", "Staff look, operators do more. Nothing was changed.".into())
        }
        403 => {
            let member_of = frame.organization.as_ref().map(|organization| organization.name.as_str());
            let who = member_of.map_or_else(String::new, |name| format!("You are a member of {name}. "));
            ("Not allowed", "Only admins can do this", format!("{who}Ask an admin to do this, or to make you one. Nothing was changed."))
        }
        404 => ("Not found", "Not found", "There is nothing at this address, or it belongs to an organization that you are not in.".into()),
        409 => ("Changed meanwhile", "This could not be done", own()),
        422 => {
            ("Not accepted", "Some fields were not accepted", "Nothing was changed. Go back, correct them and send the form again.".into())
        }
        429 => ("Too often", "Too often", own()),
        503 => (
            "Out of reach",
            "The database is out of reach",
            "Latchkey answers, its database does not. Nothing is known to have changed. Try again in a few seconds.".into(),
        ),
        400..=499 => ("Not understood", "This request was not understood", own()),
        _ => (
            "Broken",
            "Something broke on our side",
            "It has been logged. Try again; when it stays broken, tell who runs this deployment.".into(),
        ),
    }
}
