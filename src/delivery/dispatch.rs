//! The dispatcher: claims lanes as it has room for them, sends each lane's head, records what came of it, and goes on with the
//! lane for as long as it has a next.
//!
//! It wakes by the news of this process at once and looks at the organizations that they name, and at those whose lanes have
//! ended. Once a second it walks through all, for what other instances left and for retries that are due, a stretch at a time:
//! with thousands of endpoints that are down, what goes to the others hardly waits for that.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::sleep;
use uuid::Uuid;

use super::Sender;
use crate::batch::Batch;
use crate::courier::{Attempt, Parcel};
use crate::error::Error;
use crate::ids::OrgId;
use crate::metrics::Metrics;
use crate::site::Site;
use crate::wake::Ear;
use crate::webhooks::{self, BEGIN_WITHIN, Claim, Claimed, Given, LEASE, Outcome, Record, Want, retry};

/// Most lanes that one instance works on at the same time: each has at most one request under way.
pub const MOST: usize = 512;
/// How often it looks when nobody rang.
const SAFETY_NET: Duration = Duration::from_secs(1);
/// Between two tries to reach the database.
const AWAY: Duration = Duration::from_millis(250);

/// Runs the dispatcher until the news stop; if it breaks, which would be a defect, it is told at once and begun again.
pub async fn keep_running(dispatcher: Rc<Dispatcher>) {
    while let Err(error) = spawn_local(Rc::clone(&dispatcher).run()).await {
        tracing::error!(%error, "the dispatcher broke and is begun again");
        sleep(SAFETY_NET).await;
    }
}

/// Where the walk through all organizations is.
#[derive(Clone, Copy)]
struct Walk {
    /// The last that it came to; none: between two walks.
    at: Option<OrgId>,
    /// When the next begins.
    next: Instant,
    /// Whether that is as soon as this one has ended.
    again: bool,
}

impl Walk {
    /// After whom to go on, if at all.
    fn from(&self) -> Option<OrgId> {
        self.at.or_else(|| (self.next <= Instant::now()).then_some(OrgId(Uuid::nil())))
    }

    fn hurry(&mut self, is_needed: bool) {
        if is_needed {
            (self.next, self.again) = (Instant::now(), self.at.is_some());
        }
    }

    fn went(&mut self, reached: Option<OrgId>) {
        self.at = reached;
        if reached.is_none() {
            let pause = if std::mem::take(&mut self.again) { Duration::ZERO } else { SAFETY_NET };
            self.next = Instant::now() + pause;
        }
    }
}

/// What all lanes of an instance share.
pub struct Dispatcher {
    site: Site,
    metrics: Metrics,
    sender: Rc<Sender>,
    claim: Batch<Claim>,
    record: Batch<Record>,
    busy: RefCell<HashMap<OrgId, usize>>,
    lanes: Cell<usize>,
    /// Organizations whose secret does not open.
    shut: RefCell<HashSet<OrgId>>,
    /// A lane has ended.
    freed: Notify,
    /// Whose lanes have ended since the last claim: they may have more.
    ended: RefCell<BTreeSet<OrgId>>,
    walk: Cell<Walk>,
    /// Why the last claim failed; empty: it did not.
    trouble: RefCell<String>,
}

impl Dispatcher {
    /// One that has nothing under way.
    pub fn new(site: Site, metrics: Metrics, sender: Rc<Sender>, claim: Batch<Claim>, record: Batch<Record>) -> Rc<Self> {
        let (busy, lanes, shut, freed, ended, trouble) = Default::default();
        let walk = Cell::new(Walk { at: None, next: Instant::now(), again: false });
        Rc::new(Self { site, metrics, sender, claim, record, busy, lanes, shut, freed, ended, walk, trouble })
    }

    /// Works until the news stop, and then until what is under way has been recorded.
    pub async fn run(self: Rc<Self>) {
        let mut ear = self.site.news.listen();
        while !self.site.news.is_stopped() {
            if self.fill().await {
                self.rest(&mut ear).await;
            }
        }
        while self.lanes.get() > 0 {
            self.freed.notified().await;
        }
    }

    /// Claims what it has room for. Whether there is nothing more to do at once.
    async fn fill(self: &Rc<Self>) -> bool {
        let free = MOST - self.lanes.get();
        if free == 0 {
            return true;
        }
        let mut named = self.site.news.take();
        named.organizations.append(&mut self.ended.borrow_mut());
        let mut walk = self.walk.get();
        walk.hurry(named.everybody);
        let of: Vec<OrgId> = named.organizations.into_iter().collect();
        let from = walk.from();
        if of.is_empty() && from.is_none() {
            return true;
        }
        let busy = self.busy.borrow().iter().map(|(organization, lanes)| (*organization, *lanes)).collect();
        let is_done = match self.claim.ask(Want { free, busy, of, walk: from }).await {
            Ok(Given { lanes, reached, is_full }) => {
                if from.is_some() {
                    walk.went(reached);
                }
                // Not for those whose secret does not open: they give their slots back at once, and there may be very many.
                let may_be_sent = |claimed: &Claimed| !self.shut.borrow().contains(&claimed.organization);
                walk.hurry(is_full && lanes.iter().any(may_be_sent));
                for claimed in lanes {
                    let slot = Slot::take(self, claimed.organization);
                    spawn_local(async move { slot.0.work(claimed).await });
                }
                self.trouble.borrow_mut().clear();
                walk.from().is_none()
            }
            Err(error) => {
                self.tell(&error);
                walk.hurry(true);
                sleep(AWAY).await;
                false
            }
        };
        self.walk.set(walk);
        is_done
    }

    /// Tells why nothing is claimed, once for as long as it is the same. A database that is away is told by others.
    fn tell(&self, error: &Error) {
        let text = error.to_string();
        if *self.trouble.borrow() != text {
            match error {
                Error::Unavailable(_) => tracing::debug!(%error, "nothing claimed"),
                _ => tracing::error!(%error, "nothing is delivered"),
            }
            *self.trouble.borrow_mut() = text;
        }
    }

    /// Until somebody rings, a lane ends, whose organization may have more than its share was, or it is time to walk.
    async fn rest(&self, ear: &mut Ear) {
        // Without a free slot there is nothing to walk for.
        let left = if self.lanes.get() < MOST { self.walk.get().next.saturating_duration_since(Instant::now()) } else { SAFETY_NET };
        tokio::select! {
            () = ear.rung(left.min(SAFETY_NET)) => {}
            () = self.freed.notified() => {}
        }
    }

    /// Sends a lane's head, and the next, and the next.
    async fn work(&self, mut claimed: Claimed) {
        // Later than that, somebody else might claim the lane while its head is still under way.
        while claimed.since.elapsed() < BEGIN_WITHIN {
            let secrets = match webhooks::open_secrets(&self.site.keyring, claimed.organization, &claimed.secrets) {
                Ok(secrets) => {
                    self.shut.borrow_mut().remove(&claimed.organization);
                    secrets
                }
                Err(error) => {
                    // Nothing may leave unsigned; `latchkey doctor` tells which secrets are shut. Told once, since the lane
                    // comes round again with every claim that lapses; and nobody looks for more of them before the next walk.
                    if self.shut.borrow_mut().insert(claimed.organization) {
                        tracing::error!(organization = %claimed.organization, %error, "a webhook waits: its secret does not open");
                    }
                    return;
                }
            };
            let Claimed { event, ref url, ref payload, .. } = claimed;
            let attempt = self.sender.send(&Parcel { url: url.clone(), event, payload: payload.clone(), secrets }).await;
            let verdict = retry::verdict(&self.site.webhooks, &attempt, claimed.failures, rand::random());
            self.count(&claimed, &attempt);
            let go_on = !self.site.news.is_stopped();
            let organization = claimed.organization;
            match self.told(Outcome { claimed, attempt, verdict, go_on }).await {
                Some(next) => claimed = next,
                None => {
                    self.ended.borrow_mut().insert(organization);
                    return;
                }
            }
        }
    }

    /// Records an outcome, over a short absence of the database too, and tells what is next in its lane.
    async fn told(&self, outcome: Outcome) -> Option<Claimed> {
        let until = Instant::now() + LEASE;
        loop {
            match self.record.ask(outcome.clone()).await {
                Ok(next) => return next,
                Err(Error::Unavailable(_)) if Instant::now() < until && !self.site.news.is_stopped() => sleep(AWAY).await,
                Err(error) => {
                    // Its claim lapses, and the event is sent once more, with the same id.
                    tracing::error!(event = %outcome.claimed.event, %error, "what came of a delivery is not recorded");
                    return None;
                }
            }
        }
    }

    fn count(&self, claimed: &Claimed, attempt: &Attempt) {
        let result = match (&attempt.failure, attempt.status()) {
            (Some(failure), _) => failure.class.as_str(),
            (None, Some(200..=299)) => "delivered",
            (None, _) => "refused_by_endpoint",
        };
        self.metrics.attempted(result, attempt.laps.total);
        tracing::debug!(event = %claimed.event, result, status = attempt.status(), "delivery attempt");
    }
}

/// A lane under way. Dropping it gives its place back, however the lane ended.
struct Slot(Rc<Dispatcher>, OrgId);

impl Slot {
    fn take(dispatcher: &Rc<Dispatcher>, organization: OrgId) -> Self {
        dispatcher.lanes.set(dispatcher.lanes.get() + 1);
        *dispatcher.busy.borrow_mut().entry(organization).or_default() += 1;
        Self(Rc::clone(dispatcher), organization)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Self(dispatcher, organization) = self;
        dispatcher.lanes.set(dispatcher.lanes.get() - 1);
        let mut busy = dispatcher.busy.borrow_mut();
        if let Some(lanes) = busy.get_mut(organization) {
            *lanes -= 1;
            if *lanes == 0 {
                busy.remove(organization);
            }
        }
        dispatcher.freed.notify_one();
    }
}
