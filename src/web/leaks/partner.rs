//! Reports of programs: GitHub's secret-scanning partner program, and whoever speaks like it.

use std::time::Instant;

use actix_web::http::header::HeaderMap;
use actix_web::web::{self, Bytes, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};

use super::{body, report, slow_down};
use crate::error::{ClientError, Error, FieldError};
use crate::web::{Visitor, errors};

const LARGEST_BODY: usize = 1 << 20;
/// Most tokens of one report.
const MOST: usize = 500;
const IDENTIFIER: &str = "github-public-key-identifier";
const SIGNATURE: &str = "github-public-key-signature";

/// What was found. Fields that are not here are of no account.
#[derive(Deserialize)]
struct Token {
    token: String,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    url: Option<String>,
    /// What it was found in: `content`, `commit`.
    #[serde(default)]
    source: Option<String>,
}

impl Token {
    fn place(&self) -> &str {
        let given = |text: &'_ Option<String>| text.as_ref().is_some_and(|text| !text.trim().is_empty());
        if given(&self.url) { self.url.as_deref().unwrap_or_default() } else { self.source.as_deref().unwrap_or_default() }
    }
}

/// What is said of it.
#[derive(Serialize)]
struct Told {
    token_raw: String,
    token_type: String,
    label: &'static str,
}

/// Answers a report: each of its tokens, when all that was to be done about them is done.
pub(super) async fn create(visitor: Visitor, request: &HttpRequest, payload: Payload) -> HttpResponse {
    match take(&visitor, request.headers(), payload).await {
        Ok(told) => HttpResponse::Ok().json(told),
        Err(error) => errors::json(&error),
    }
}

async fn take(visitor: &Visitor, headers: &HeaderMap, payload: Payload) -> Result<Vec<Told>, ClientError> {
    let body = body(payload, LARGEST_BODY).await?;
    if let Err(error) = signed(visitor, headers, &body).await {
        slow_down(visitor, 1).await;
        return Err(error);
    }
    // Who signs is trusted not to guess. Others wait before there is work for them, too: many at once are as dear as many texts.
    let is_signed = visitor.site.leaks.signers.is_some();
    if !is_signed {
        slow_down(visitor, 1).await;
    }
    let tokens = read(&body)?;
    let found = tokens.iter().map(|token| (token.token.clone(), token.place().to_owned())).collect();
    let reported = report(visitor, found).await.map_err(|error| {
        tracing::error!(%error, "taking a report of leaked keys");
        ClientError::from(&error)
    })?;
    if !is_signed {
        let is_news = |token: &Token| reported.get(&token.token).is_some_and(|one| one.is_news);
        slow_down(visitor, tokens.iter().filter(|token| !is_news(token)).count()).await;
    }
    let label = |token: &Token| if reported.contains_key(&token.token) { "true_positive" } else { "false_positive" };
    let told = |token: Token| Told { label: label(&token), token_raw: token.token, token_type: token.kind.unwrap_or_default() };
    Ok(tokens.into_iter().map(told).collect())
}

/// Refuses what is not signed, where somebody has to sign.
async fn signed(visitor: &Visitor, headers: &HeaderMap, body: &Bytes) -> Result<(), ClientError> {
    let Some(signers) = visitor.site.leaks.signers.clone() else { return Ok(()) };
    let given = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (Some(identifier), Some(signature)) = (given(IDENTIFIER), given(SIGNATURE)) else {
        return Err(ClientError::new(401, "not_signed", format!("Sign the report: {IDENTIFIER} and {SIGNATURE} are needed.")));
    };
    let body = body.clone();
    let checked = web::block(move || signers.check(Instant::now(), &identifier, &signature, &body)).await;
    let checked = checked.map_err(|_| ClientError::from(&Error::Unavailable("worker thread stopped".into())))?;
    checked
        .map_err(|_| ClientError::new(403, "wrong_signature", "The signature is not of this report by a key known here. Nothing was done."))
}

/// The tokens. What is wrong is said in words of our own: those of the parser may hold a key.
fn read(body: &[u8]) -> Result<Vec<Token>, ClientError> {
    let tokens: Vec<Token> = serde_json::from_slice(body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => {
            invalid("Send an array of objects, each with a text \"token\" and perhaps \"type\", \"url\" and \"source\".")
        }
        _ => ClientError::new(400, "invalid_json", "The report is not JSON."),
    })?;
    if tokens.len() > MOST { Err(invalid(&format!("Send at most {MOST} tokens at once."))) } else { Ok(tokens) }
}

fn invalid(message: &str) -> ClientError {
    ClientError::from(&Error::Invalid(vec![FieldError { field: "body".into(), message: message.into() }]))
}
