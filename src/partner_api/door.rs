//! The door: who calls, with which key, and what to say to those who bring none that we know.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use actix_web::http::header;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use ipnet::IpNet;

use super::Partner;
use super::answer::Reply;
use crate::admission::{self, Answer, Stranger, short};
use crate::clock;
use crate::error::ClientError;
use crate::ids::{RequestId, uuid_time};
use crate::keys;
use crate::outcome::Outcome;
use crate::peer;
use crate::profile::Profile;
use crate::secret::SecretDigest;

/// One request on its way.
pub(super) struct Visit {
    /// As the history will know it.
    pub seen: admission::Visit,
    pub started: Instant,
    pub ip: Option<IpAddr>,
}

impl Visit {
    /// `route` is as the profile writes it, with its method; empty for an address that is nobody's. `proxies` are believed about who called.
    pub fn new(request: &HttpRequest, route: &str, proxies: &[IpNet]) -> Self {
        let id = request.extensions().get::<RequestId>().copied().unwrap_or_else(|| RequestId::new(clock::now()));
        let agent = request.headers().get(header::USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()));
        let ip = peer::of(request, proxies);
        let seen = admission::Visit {
            id,
            at: uuid_time(id.0).unwrap_or_else(clock::now),
            method: short(request.method().as_str()),
            path: short(request.uri().path()),
            route: route.to_owned(),
            address: ip.map(|ip| ip.to_string()).unwrap_or_default(),
            user_agent: agent.map(|text| short(&text)).unwrap_or_default(),
            environment: String::new(),
            prefix: String::new(),
        };
        Self { seen, started: Instant::now(), ip }
    }

    /// Reads the request's key, checked for format and checksum but not yet looked up.
    pub fn digest(&mut self, request: &HttpRequest, profile: &Profile) -> Result<SecretDigest, Stranger> {
        // Bytes that are no text are a credential all the same, only not one of ours.
        let headers = |name: &str| request.headers().get_all(name).map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        let text = admission::presented_key(profile, headers, || pairs(request.query_string()))?;
        let parsed = keys::parse(profile, &text).ok_or(Stranger::Refused(Outcome::Unknown))?;
        (self.seen.environment, self.seen.prefix) = (parsed.environment, parsed.prefix);
        Ok(parsed.digest)
    }
}

/// The pairs of a query; none of one that can't be read.
fn pairs(query: &str) -> Vec<(String, String)> {
    web::Query::from_query(query).map(web::Query::into_inner).unwrap_or_default()
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
            Reply::from(Answer::refusal(partner.profile(), &refused, &Default::default())).into_response()
        }
    }
}
