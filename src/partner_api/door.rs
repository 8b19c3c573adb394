//! The door: who calls, with which key, and what to say to those who bring none that we know.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::http::header;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use time::OffsetDateTime;

use super::Partner;
use super::answer::Reply;
use crate::clock;
use crate::error::ClientError;
use crate::ids::{RequestId, uuid_time};
use crate::keys;
use crate::outcome::Outcome;
use crate::profile::Profile;
use crate::secret::SecretDigest;

/// Longest part of a path or user agent that the history keeps, in characters.
const KEPT: usize = 200;

/// One request, as the history will know it.
pub(super) struct Visit {
    pub id: RequestId,
    pub at: OffsetDateTime,
    pub started: Instant,
    pub method: String,
    pub path: String,
    /// As the profile writes it, with its method; empty for an address that is nobody's.
    pub route: String,
    pub ip: Option<IpAddr>,
    pub user_agent: String,
    /// What the text of its key tells; empty until it is read.
    pub environment: String,
    pub prefix: String,
}

impl Visit {
    pub fn new(request: &HttpRequest, route: &str) -> Self {
        let id = request.extensions().get::<RequestId>().copied().unwrap_or_else(|| RequestId::new(clock::now()));
        let agent = request.headers().get(header::USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()));
        Self {
            id,
            at: uuid_time(id.0).unwrap_or_else(clock::now),
            started: Instant::now(),
            method: short(request.method().as_str()),
            path: short(request.uri().path()),
            route: route.to_owned(),
            ip: request.peer_addr().map(|address| address.ip()),
            user_agent: agent.map(|text| short(&text)).unwrap_or_default(),
            environment: String::new(),
            prefix: String::new(),
        }
    }

    /// Reads the request's key, checked for format and checksum but not yet looked up.
    pub fn digest(&mut self, request: &HttpRequest, profile: &Profile) -> Result<SecretDigest, Stranger> {
        let text = key_text(request, profile)?;
        let parsed = keys::parse(profile, &text).ok_or(Stranger::Refused(Outcome::Unknown))?;
        (self.environment, self.prefix) = (parsed.environment, parsed.prefix);
        Ok(parsed.digest)
    }

    pub fn address(&self) -> String {
        self.ip.map(|ip| ip.to_canonical().to_string()).unwrap_or_default()
    }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(KEPT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Someone without a key that could be looked up.
pub(super) enum Stranger {
    /// `missing` or `unknown`.
    Refused(Outcome),
    /// More than one credential came, and which one is meant is anyone's guess.
    Ambiguous,
}

fn key_text<'a>(request: &'a HttpRequest, profile: &Profile) -> Result<Cow<'a, str>, Stranger> {
    let mut found: Option<Cow<'a, str>> = None;
    let mut take = |text: Cow<'a, str>| match found.replace(text) {
        None => Ok(()),
        Some(_) => Err(Stranger::Ambiguous),
    };
    for value in request.headers().get_all(header::AUTHORIZATION) {
        // Bytes that are no text are a credential all the same, only not one of ours.
        take(bearer(&String::from_utf8_lossy(value.as_bytes())).map_or(Cow::Borrowed(""), |token| Cow::Owned(token.to_owned())))?;
    }
    for name in &profile.api.key_headers {
        for value in request.headers().get_all(name.as_str()) {
            take(String::from_utf8_lossy(value.as_bytes()))?;
        }
    }
    if !profile.api.key_parameters.is_empty()
        && let Ok(web::Query(pairs)) = web::Query::<Vec<(String, String)>>::from_query(request.query_string())
    {
        for (name, value) in pairs {
            if profile.api.key_parameters.contains(&name) {
                take(Cow::Owned(value))?;
            }
        }
    }
    // An empty credential, and one of another scheme, is no key at all.
    found.filter(|text| !text.is_empty()).ok_or(Stranger::Refused(Outcome::Missing))
}

/// The token of `Bearer …` (RFC 6750: the scheme's case does not matter).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Answers a stranger. Those without a known key belong to no organization: they are counted, and slowed by their address.
pub(super) async fn stranger(partner: &Partner, visit: &Visit, stranger: Stranger) -> HttpResponse {
    match stranger {
        Stranger::Ambiguous => {
            let error = ClientError::new(400, "ambiguous_credentials", "Send exactly one API key.");
            Reply::error(partner.profile(), &error).into_response()
        }
        Stranger::Refused(outcome) => {
            partner.metrics.admitted(outcome.as_str());
            partner.metrics.unknown_key_requests.inc();
            let delay = visit.ip.map_or(Duration::ZERO, |ip| partner.slowdown.delay(ip, visit.started));
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            let refused = crate::admission::Decision::stranger(outcome);
            Reply::refusal(partner.profile(), &refused, &Default::default()).into_response()
        }
    }
}

/// Makes guessing slow: after [`FREE`] requests without a known key in a minute, each further one from that address waits.
#[derive(Default)]
pub(super) struct Slowdown {
    minutes: Mutex<HashMap<IpAddr, (Instant, u32)>>,
}

/// Requests without a known key that an address may make in a minute before it is slowed.
const FREE: u32 = 60;
/// Addresses remembered; past it, all are forgotten, which only ever helps the callers.
const ADDRESSES: usize = 10_000;
/// Longest wait.
const SLOWEST: Duration = Duration::from_secs(2);

impl Slowdown {
    fn delay(&self, ip: IpAddr, now: Instant) -> Duration {
        let mut minutes = self.minutes.lock().unwrap_or_else(PoisonError::into_inner);
        if minutes.len() >= ADDRESSES && !minutes.contains_key(&ip) {
            minutes.clear();
        }
        let (since, count) = minutes.entry(ip).or_insert((now, 0));
        if now.duration_since(*since) >= Duration::from_secs(60) {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        (Duration::from_millis(20) * count.saturating_sub(FREE)).min(SLOWEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessing_gets_slower_and_is_forgiven_after_a_minute() {
        let (slowdown, start) = (Slowdown::default(), Instant::now());
        let ip = IpAddr::from([203, 0, 113, 24]);
        for _ in 0..FREE {
            assert_eq!(slowdown.delay(ip, start), Duration::ZERO);
        }
        assert!(slowdown.delay(ip, start) > Duration::ZERO);
        for _ in 0..1_000 {
            slowdown.delay(ip, start);
        }
        assert_eq!(slowdown.delay(ip, start), SLOWEST);
        assert_eq!(slowdown.delay(IpAddr::from([203, 0, 113, 25]), start), Duration::ZERO);
        assert_eq!(slowdown.delay(ip, start + Duration::from_secs(61)), Duration::ZERO);
    }

    #[test]
    fn bearer_is_read_as_the_standard_says() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bEARER  abc "), Some("abc"));
        assert_eq!(bearer("Basic abc"), None);
        assert_eq!(bearer("Bearer"), None);
    }
}
