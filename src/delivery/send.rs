//! One attempt.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::error::ParseError;
use actix_web::http::header;
use awc::error::SendRequestError;
use awc::{Client, ClientResponse};
use time::OffsetDateTime;
use url::Url;

use super::World;
use super::connector::{self, Connector};
use super::trip::{TRIP, Trip, note};
use super::{answer, resolver::LookUps};
use crate::clock;
use crate::courier::{Answer, Attempt, Failure, FailureClass, Look, Parcel};
use crate::error::Result;
use crate::profile::Profile;
use crate::site::WebhookRules;
use crate::webhooks::{address, sign};

/// How long a look at a URL may take.
const LOOK: Duration = Duration::from_secs(2);
/// Names under way with which no look begins another.
const MOST_LOOKS: usize = 256;
/// How long a connection is kept without use, and in all. A name may lead elsewhere after that.
const IDLE: Duration = Duration::from_secs(15);
const LIFETIME: Duration = Duration::from_secs(60);
const USER_AGENT: &str = concat!("Latchkey/", env!("CARGO_PKG_VERSION"));

/// Makes requests to webhooks. It stays on one thread.
pub struct Sender {
    rules: Arc<WebhookRules>,
    profile: Arc<Profile>,
    plain: Connector,
    secure: Connector,
    timeout: Duration,
    clients: RefCell<Clients>,
}

/// awc lets go of a kept connection only when its host is asked again. So that connections to thousands of hosts don't add
/// up, the clients themselves are renewed; requests under way keep theirs until they are done.
struct Clients {
    plain: Client,
    secure: Client,
    made: Instant,
}

impl Clients {
    fn new(plain: &Connector, secure: &Connector) -> Self {
        Self { plain: client(plain), secure: client(secure), made: Instant::now() }
    }
}

impl Sender {
    /// A sender by these rules, into this world.
    ///
    /// # Errors
    /// `Internal` when there is no TLS to be had.
    pub fn new(rules: Arc<WebhookRules>, profile: Arc<Profile>, world: World) -> Result<Self> {
        let World { resolver, authorities, timeout } = world;
        let tls = connector::tls(&authorities)?;
        let names = LookUps::new(resolver);
        let connector = |tls| Connector { rules: Arc::clone(&rules), names: Rc::clone(&names), tls };
        let (plain, secure) = (connector(None), connector(Some(tls)));
        let clients = RefCell::new(Clients::new(&plain, &secure));
        Ok(Self { rules, profile, plain, secure, timeout, clients })
    }

    /// Sends a parcel once and tells what came of it.
    pub async fn send(&self, parcel: &Parcel) -> Attempt {
        let (at, begun) = (clock::now(), Instant::now());
        let trip = Rc::new(RefCell::new(Trip::default()));
        let outcome = match address::check_url(&parcel.url, &self.rules) {
            Ok(url) => TRIP.scope(Rc::clone(&trip), self.exchange(&url, parcel, at)).await,
            Err(message) => Err(Failure { class: FailureClass::Blocked, message }),
        };
        let trip = trip.borrow();
        let (answer, failure) = match outcome {
            Ok(answer) => (Some(answer), None),
            Err(failure) => (None, Some(failure)),
        };
        let failure = failure.or_else(|| answer.as_ref().and_then(no_last_word));
        let laps = crate::courier::Laps { total: begun.elapsed(), ..trip.laps };
        Attempt { at, request: trip.request(), address: trip.address, laps, answer, failure }
    }

    /// Looks where a URL leads, without connecting. Where very many names are being looked up it gives way to deliveries.
    pub async fn look(&self, url: &str) -> Look {
        let url = match address::check_url(url, &self.rules) {
            Ok(url) => url,
            Err(message) => return Look::Blocked(message),
        };
        if self.plain.names.under_way() >= MOST_LOOKS {
            return Look::Unresolved;
        }
        match tokio::time::timeout(LOOK, self.plain.permitted(url.host_str().unwrap_or_default())).await {
            Ok(Ok(_)) => Look::Open,
            Ok(Err(Failure { class: FailureClass::Blocked, message })) => Look::Blocked(message),
            Ok(Err(_)) | Err(_) => Look::Unresolved,
        }
    }

    async fn exchange(&self, url: &Url, parcel: &Parcel, at: OffsetDateTime) -> Result<Answer, Failure> {
        let deadline = tokio::time::Instant::now() + self.timeout;
        let host = url.host_str().unwrap_or_default();
        match tokio::time::timeout_at(deadline, self.ask(url, parcel, at)).await {
            Ok(Ok(response)) => Ok(answer::read(response, deadline, at).await),
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err(note(|trip| trip.timeout(host, self.timeout)).unwrap_or_else(|| broken("No answer in time."))),
        }
    }

    /// Sends the request and waits for the answer's head.
    async fn ask(&self, url: &Url, parcel: &Parcel, at: OffsetDateTime) -> Result<ClientResponse, Failure> {
        let own = &self.profile.webhooks.signature_headers;
        let signatures = sign::headers(own, &parcel.secrets, parcel.event, at, &parcel.payload);
        loop {
            let host = url[url::Position::BeforeHost..url::Position::AfterPort].to_owned();
            let mut request = self.client(url).post(uri(url)).insert_header((header::HOST, host));
            request = request.insert_header((header::CONTENT_TYPE, "application/json")).insert_header((header::ACCEPT, "*/*"));
            request = request.insert_header((header::ACCEPT_ENCODING, "identity")).no_decompress();
            request = request.insert_header((header::USER_AGENT, USER_AGENT));
            for (name, value) in &signatures {
                request = request.insert_header((name.as_str(), value.as_str()));
            }
            let error = match request.send_body(parcel.payload.clone()).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            // The endpoint closed a kept connection at the moment when it was used. That says nothing of the endpoint, and
            // nothing was answered: once more, over a connection of its own.
            let stale = note(|trip| trip.was_stale().then(|| *trip = Trip::afresh()));
            if stale.flatten().is_none() {
                return Err(note(|trip| trip.failure.take()).flatten().unwrap_or_else(|| no_answer(&error)));
            }
        }
    }

    fn client(&self, url: &Url) -> Client {
        let mut clients = self.clients.borrow_mut();
        if clients.made.elapsed() > LIFETIME {
            *clients = Clients::new(&self.plain, &self.secure);
        }
        if url.scheme() == "https" { clients.secure.clone() } else { clients.plain.clone() }
    }
}

/// A client over this connector that does nothing of its own accord: no redirects, no default headers, no time limits
/// (there is one over everything), and no bound on connections (one endpoint would make others wait).
fn client(connector: &Connector) -> Client {
    let day = Duration::from_secs(86_400);
    let connector = awc::Connector::new().connector(connector.clone()).timeout(day).limit(0).conn_keep_alive(IDLE).conn_lifetime(LIFETIME);
    Client::builder().connector(connector).no_default_headers().disable_redirects().disable_timeout().finish()
}

/// The URL as awc is handed it: always with its port, so that the pool tells hosts apart by it, and never as https, so that
/// awc leaves TLS to the connector.
fn uri(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    format!("http://{host}:{port}{}", &url[url::Position::BeforePath..url::Position::AfterQuery])
}

/// Why an answer is none that could be a success.
fn no_last_word(answer: &Answer) -> Option<Failure> {
    let status = answer.status;
    let (class, message) = match status {
        300..=399 => (FailureClass::Redirect, redirected(answer)),
        // awc takes an interim answer for the last one; nobody asked for one.
        100..=199 => (FailureClass::Reset, format!("HTTP {status} is no last answer. Answer with 200.")),
        _ => return None,
    };
    Some(Failure { class, message })
}

fn redirected(answer: &Answer) -> String {
    let location = answer.head.lines().skip(1).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("location").then(|| value.trim())
    });
    let to = location.map(|location| format!(" to {}", location.chars().take(200).collect::<String>())).unwrap_or_default();
    format!("HTTP {} points elsewhere{to}. Redirects are not followed: use the URL that answers itself.", answer.status)
}

/// Why there is no answer although there was a connection.
fn no_answer(error: &SendRequestError) -> Failure {
    match error {
        SendRequestError::Response(ParseError::TooLarge) => broken("The answer's head is longer than 128 KiB or has more than 96 headers."),
        SendRequestError::Response(ParseError::Io(_)) => broken("The connection was closed in the middle of the answer's head."),
        SendRequestError::Response(_) => broken("What answered does not speak HTTP/1.1."),
        SendRequestError::Url(_) | SendRequestError::Http(_) => {
            Failure { class: FailureClass::Blocked, message: "The URL can't be written into a request. Use a plainer one.".into() }
        }
        _ => broken("The connection was closed before an answer came."),
    }
}

fn broken(why: &str) -> Failure {
    Failure { class: FailureClass::Reset, message: why.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn awc_is_handed_the_port_and_no_tls() {
        let told = |text: &str| uri(&Url::parse(text).unwrap());
        assert_eq!(told("https://example.com/a?b=c"), "http://example.com:443/a?b=c");
        assert_eq!(told("http://example.com"), "http://example.com:80/");
        assert_eq!(told("https://[2606:4700::1]:8443/?"), "http://[2606:4700::1]:8443/?");
        // Whatever a URL may hold, awc's own type takes it.
        let odd = told("https://example.com/a|b^[c]{d}\"e'ä\u{0}%zz;,=~`<>?q=|^[]{}\"'ä`<>\\");
        assert!(odd.parse::<actix_web::http::Uri>().is_ok(), "{odd}");
    }
}
