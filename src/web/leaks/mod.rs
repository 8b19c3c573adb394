//! Keys found in public: the pattern to find them by, and reports of those that were found, by people and by programs.

mod form;
mod partner;
mod telling;

use std::collections::HashMap;

use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{Bytes, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use tokio::sync::Semaphore;

pub use form::show;

use super::assets::Asset;
use super::{Answer, Frame, Visitor, errors};
use crate::actor::Actor;
use crate::clock;
use crate::error::{ClientError, Error};
use crate::keys::{self, Reported};
use crate::site::Site;

/// Where reports go.
pub const PATH: &str = "/leaked-keys";

/// Reports that are in the database at once: one may name hundreds of keys, and the console needs its connections too.
static AT_ONCE: Semaphore = Semaphore::const_new(2);

/// `GET /leaked-keys/gitleaks.toml`: a whole file with the rule, for repositories that fetch it. gitleaks has no rules of its own beside a
/// file that does not ask for them.
pub async fn rule(request: HttpRequest, site: Data<Site>) -> HttpResponse {
    let frame = Frame::of_site(&site);
    let text = format!(
        "# Finds API keys of {}, beside all that gitleaks finds by itself: a whole .gitleaks.toml.\n\
         # Where there is one already, add the [[rules]] part alone, below its other rules.\n\
         # Report what it finds at {}{PATH}\n\n[extend]\nuseDefault = true\n\n{}",
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

/// Reports texts, each with the place where it was found; what became of those that are keys of ours. A text that comes twice is reported
/// once, with its first place. Those before one that fails are dealt with all the same, and their admins told: a report that is sent
/// again finds them so.
async fn report(visitor: &Visitor, found: Vec<(String, String)>) -> Result<HashMap<String, Reported>, Error> {
    let permit = AT_ONCE.acquire().await.map_err(|e| Error::internal("waiting for other reports", e))?;
    let (profile, then, now) = (visitor.site.profile.clone(), visitor.site.leaks.then, clock::now());
    let actor = Actor::leak_report(visitor.client.address.to_string(), visitor.client.user_agent.clone());
    let work = move |conn: &mut _| {
        // Until the work is done, whether or not somebody waits for its answer.
        let _permit = permit;
        let known = keys::known(conn, &profile, found.iter().map(|(text, _)| text.as_str()))?;
        let mut reported: HashMap<String, Reported> = HashMap::new();
        for (text, place) in found.iter().filter(|(text, _)| known.contains(text.as_str())) {
            if reported.contains_key(text) {
                continue;
            }
            match keys::report(conn, &actor, now, &profile, then, text, place) {
                Ok(one) => reported.extend(one.map(|one| (text.clone(), one))),
                Err(error) => return Ok::<_, Error>((reported, Some(error))),
            }
        }
        Ok((reported, None))
    };
    let (reported, failed) = visitor.site.db.run(work).await?;
    telling::tell(&visitor.site, reported.values().cloned());
    failed.map_or(Ok(reported), Err)
}

/// Makes it slow to try texts by the thousand: counts so many that were no news, and waits as long as the last of them has to.
async fn slow_down(visitor: &Visitor, misses: usize) {
    let (now, address) = (std::time::Instant::now(), visitor.client.address);
    let delay = (0..misses).map(|_| visitor.site.leaks.slowdown.delay(address, now)).max().unwrap_or_default();
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}
