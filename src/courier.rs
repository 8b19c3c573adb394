//! The counter between those who have something to send to a webhook and the one edge that sends: [`crate::delivery`].
//!
//! A [`Parcel`] is one request to be made, an [`Attempt`] what came of it. Real deliveries, their retries, replays and the
//! **Send Test Event** button hand over the same parcel and read the same attempt, so that what a test shows is what a delivery does.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::{mpsc, oneshot};
use url::Url;

use crate::error::{Error, Result};
use crate::ids::{EventId, OrgId};
use crate::secret::SigningSecret;

/// Most of an answer's body that is kept, in bytes.
pub const KEPT_ANSWER: usize = 4_096;
/// How long one attempt may take in all, from looking up the name to the last byte that is read.
pub const TIMEOUT: Duration = Duration::from_secs(15);

/// One request to be made.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// Where to.
    pub url: String,
    /// The same on every attempt: `webhook-id`.
    pub event: EventId,
    /// JSON, sent as it is.
    pub payload: String,
    /// Each of them signs, the newest first.
    pub secrets: Vec<SigningSecret>,
}

/// What came of a parcel.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// When it was begun; its seconds are the `webhook-timestamp`.
    pub at: OffsetDateTime,
    /// Request line and headers as sent, one a line.
    pub request: String,
    /// The address that was connected to.
    pub address: Option<IpAddr>,
    /// Where the time went.
    pub laps: Laps,
    /// What was answered, if anything was; also beside a failure, as with a redirect.
    pub answer: Option<Answer>,
    /// Why it came to nothing, where that was not the answer's status.
    pub failure: Option<Failure>,
}

impl Attempt {
    /// 2xx is success, everything else is not (Standard Webhooks).
    pub fn is_success(&self) -> bool {
        self.failure.is_none() && self.answer.as_ref().is_some_and(|answer| (200..300).contains(&answer.status))
    }

    /// HTTP status, if there was one.
    pub fn status(&self) -> Option<u16> {
        self.answer.as_ref().map(|answer| answer.status)
    }
}

/// Where an attempt's time went. What did not happen, as connecting over a connection that was still open, is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Laps {
    /// Looking up the name.
    pub dns: Option<Duration>,
    /// TCP.
    pub connect: Option<Duration>,
    /// TLS.
    pub tls: Option<Duration>,
    /// From the request's first byte sent to the answer's first byte read.
    pub first_byte: Option<Duration>,
    /// All of it, reading the answer included.
    pub total: Duration,
}

/// What was answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Status line and headers, one a line.
    pub head: String,
    /// Its first [`KEPT_ANSWER`] bytes, as text: what is no UTF-8 is replaced.
    pub body: String,
    /// Whether there was more.
    pub is_cut: bool,
    /// `Retry-After`, as the wait it asks for (RFC 9110, 10.2.3).
    pub retry_after: Option<Duration>,
}

/// Why an attempt came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Stable, for programs.
    pub class: FailureClass,
    /// A sentence, for people.
    pub message: String,
}

/// Classes of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureClass {
    /// The address is not one that webhooks may reach.
    Blocked,
    /// The name has no address.
    Dns,
    /// Nobody listens, or the network has no way there.
    Refused,
    /// No secure connection came about.
    Tls,
    /// Not done within [`TIMEOUT`].
    Timeout,
    /// 3xx, which is never followed.
    Redirect,
    /// The connection broke, or what came was not HTTP.
    Reset,
}

impl FailureClass {
    /// All of them.
    pub const ALL: [Self; 7] = [Self::Blocked, Self::Dns, Self::Refused, Self::Tls, Self::Timeout, Self::Redirect, Self::Reset];

    /// As the API and the database write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Dns => "dns",
            Self::Refused => "refused",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Redirect => "redirect",
            Self::Reset => "reset",
        }
    }

    /// The inverse of [`FailureClass::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == text)
    }
}

/// What the delivery edge is asked for.
#[derive(Debug)]
pub enum Errand {
    /// Send this, once, and give the place back.
    Send(Box<Parcel>, oneshot::Sender<Attempt>, Place),
    /// Look where this URL leads, without connecting.
    Look(String, oneshot::Sender<Look>),
}

/// Where a URL leads, at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// To at least one address that webhooks may reach.
    Open,
    /// Only to addresses that they may not, or it is not a URL for webhooks; a sentence with the cure.
    Blocked(String),
    /// Nowhere yet: the name has no address, or nobody could say in time.
    Unresolved,
}

/// Parcels of one organization that may be under way at once; deliveries, which come by another way, are not counted.
const MOST: u8 = 2;

/// The asking end; cheap to clone.
#[derive(Debug, Clone)]
pub struct Courier {
    errands: mpsc::UnboundedSender<Errand>,
    under_way: Arc<Mutex<HashMap<OrgId, u8>>>,
}

/// One of an organization's places, until it is dropped. It goes with the parcel: whoever asked may be gone before that is sent.
#[derive(Debug)]
pub struct Place {
    under_way: Arc<Mutex<HashMap<OrgId, u8>>>,
    organization: OrgId,
}

impl Place {
    fn take(courier: &Courier, organization: OrgId) -> Option<Self> {
        let under_way = Arc::clone(&courier.under_way);
        let mut all = held(&under_way);
        let places = all.entry(organization).or_default();
        if *places == MOST {
            return None;
        }
        *places += 1;
        drop(all);
        Some(Self { under_way, organization })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Entry::Occupied(mut places) = held(&self.under_way).entry(self.organization) {
            *places.get_mut() -= 1;
            if *places.get() == 0 {
                places.remove();
            }
        }
    }
}

fn held(under_way: &Mutex<HashMap<OrgId, u8>>) -> MutexGuard<'_, HashMap<OrgId, u8>> {
    // Plain numbers can't be left half-changed.
    under_way.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Courier {
    /// A counter, and the end at which its errands come out.
    pub fn open() -> (Self, mpsc::UnboundedReceiver<Errand>) {
        let (ask, errands) = mpsc::unbounded_channel();
        (Self { errands: ask, under_way: Arc::default() }, errands)
    }

    /// Sends an organization's parcel once and waits for what comes of it, for [`TIMEOUT`] at most.
    ///
    /// # Errors
    /// `Conflict` when two of the organization are under way; `Unavailable` when the server is stopping.
    pub async fn send(&self, organization: OrgId, parcel: Parcel) -> Result<Attempt> {
        let busy = "Two tests of this webhook are under way. Send another when they are answered, in 15 seconds at most.";
        let place = Place::take(self, organization).ok_or_else(|| Error::Conflict(busy.into()))?;
        self.ask(|answer| Errand::Send(Box::new(parcel), answer, place)).await
    }

    /// Looks where a URL leads, for two seconds at most.
    ///
    /// # Errors
    /// `Unavailable` when the server is stopping.
    pub async fn look(&self, url: &str) -> Result<Look> {
        self.ask(|answer| Errand::Look(url.to_owned(), answer)).await
    }

    /// The last word on a URL that somebody wants to save: what the rules say of its text, then a look at where it leads. A name
    /// without an address is let through, since it may get one; each attempt looks again.
    ///
    /// # Errors
    /// `Invalid` on `url`; `Unavailable` when the server is stopping.
    pub async fn permit(&self, checked: Result<Url, String>) -> Result<(Url, Look)> {
        let refused = |why: String| Error::field("url", why);
        let url = checked.map_err(refused)?;
        match self.look(url.as_str()).await? {
            Look::Blocked(why) => Err(refused(why)),
            look => Ok((url, look)),
        }
    }

    async fn ask<T>(&self, errand: impl FnOnce(oneshot::Sender<T>) -> Errand) -> Result<T> {
        let stopping = || Error::Unavailable("delivery is stopping".into());
        let (answer, answered) = oneshot::channel();
        self.errands.send(errand(answer)).map_err(|_| stopping())?;
        answered.await.map_err(|_| stopping())
    }
}
