//! Keys found in public: the pattern to find them by, and reports of those that were found, by people and by programs.

mod form;
mod partner;
mod telling;

use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{Bytes, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

pub use form::show;

use super::assets::Asset;
use super::{Answer, Frame, Visitor, errors};
use crate::error::ClientError;
use crate::keys;
use crate::site::Site;

/// Where reports go.
pub const PATH: &str = "/leaked-keys";

/// `GET /leaked-keys/gitleaks.toml`: the rule, for repositories that fetch it.
pub async fn rule(request: HttpRequest, site: Data<Site>) -> HttpResponse {
    let frame = Frame::of_site(&site);
    let text = format!(
        "# Finds API keys of {}: add it to .gitleaks.toml, or run `gitleaks dir --config` with it.\n# Report what it finds at {}{PATH}\n\n{}",
        frame.host,
        site.public_url,
        keys::gitleaks_rule(&site.profile, &frame.host)
    );
    Asset::new(text.into_bytes()).answer(&request, "text/plain; charset=utf-8", "public, max-age=3600")
}

/// `POST /leaked-keys`: a person's form, or a program's JSON in the format of GitHub's secret-scanning partners.
pub async fn create(visitor: Visitor, request: HttpRequest, payload: Payload) -> Answer {
    match kind(&request).as_str() {
        "application/x-www-form-urlencoded" => form::create(visitor, payload).await,
        "application/json" => Ok(partner::create(visitor, &request, payload).await),
        _ => Ok(errors::json(&ClientError::new(415, "unsupported_media_type", "Send the report as application/json."))),
    }
}

/// Whether the errors of a request are read by a program.
pub fn is_program(request: &HttpRequest) -> bool {
    request.path() == PATH && kind(request) == "application/json"
}

fn kind(request: &HttpRequest) -> String {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The whole body, up to so many bytes.
async fn body(payload: Payload, most: usize) -> Result<Bytes, ClientError> {
    match payload.to_bytes_limited(most).await {
        Err(_) => Err(ClientError::new(413, "too_large", format!("The report is larger than {} KiB.", most / 1024))),
        Ok(Err(_)) => Err(ClientError::new(400, "broken_body", "The report did not arrive whole.")),
        Ok(Ok(bytes)) => Ok(bytes),
    }
}

/// Makes it slow to try texts by the thousand: counts so many that were no keys, and waits as long as the last of them has to.
async fn slow_down(visitor: &Visitor, misses: usize) {
    let (now, address) = (std::time::Instant::now(), visitor.client.address);
    let delay = (0..misses).map(|_| visitor.site.leaks.slowdown.delay(address, now)).max().unwrap_or_default();
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}
