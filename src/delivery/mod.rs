//! The sending edge: one thread that makes every request to an endpoint that Latchkey makes.
//!
//! A delivery, its retries, a replay and a test are the same function, [`Sender::send`]: a [`courier::Parcel`] in, a
//! [`courier::Attempt`] out, whatever the endpoint does. It never fails; it tells what happened.
//!
//! 1. [`webhooks::address::check_url`] reads the URL: what is not sent to is not looked up either.
//! 2. `connector` looks up the name, checks **every address that it is about to connect to**, connects to just that address,
//!    and agrees on TLS itself. There is no second look-up that could say something else, no proxy, no redirect.
//! 3. `awc` speaks HTTP/1.1 over it and keeps the connection for the next parcel to the same host and port. A connection
//!    that is kept was checked when it was made; it is used for a minute at most.
//! 4. `trip` listens at the connection: it has the moments of the first byte each way, and the very text that was sent.
//! 5. The answer's status decides. Of its body 4 KiB are kept, 64 KiB are read to keep the connection, and nothing is waited
//!    for longer than two seconds once the head is there: a body without an end costs neither memory nor the success.
//!
//! Beside the errands of other edges it sends what waits by itself: [`dispatch`] claims, sends and records.
//!
//! Everything is bounded by one deadline. Nothing here is shared between threads, and nothing waits for anything but its
//! own endpoint: there is no bound on connections in here. Whoever hands in parcels has one: [`dispatch`] 512 lanes, of which
//! nobody gets all, [`courier::Courier`] two at once for an organization.
//!
//! [`courier::Parcel`]: crate::courier::Parcel
//! [`courier::Attempt`]: crate::courier::Attempt
//! [`courier::Courier`]: crate::courier::Courier
//! [`webhooks::address::check_url`]: crate::webhooks::address::check_url

mod answer;
mod connector;
mod desk;
mod dispatch;
mod line;
mod resolver;
mod send;
mod trip;

use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use tokio::sync::{mpsc, oneshot};

pub use resolver::Resolver;
pub use send::Sender;

use crate::batch::{self, Batch};
use crate::courier::{Errand, TIMEOUT};
use crate::error::{Error, Result};
use crate::metrics::Metrics;
use crate::site::Site;
use crate::wake::join_by;
use crate::webhooks::{Claim, Record};
use dispatch::Dispatcher;

/// The world that parcels are sent into. Tests have another one than the operating system's.
#[derive(Clone)]
pub struct World {
    /// Who says where names lead.
    pub resolver: Resolver,
    /// Authorities to be trusted beside the operating system's and Mozilla's.
    pub authorities: Vec<CertificateDer<'static>>,
    /// How long one attempt may take.
    pub timeout: Duration,
}

impl Default for World {
    fn default() -> Self {
        Self { resolver: Resolver::System, authorities: Vec::new(), timeout: TIMEOUT }
    }
}

/// Most names that are looked up at once, each by a thread of its own. A look-up may go on twice as long as anybody waits for it,
/// so that this is room for all lanes twice and for the looks of those who save a URL.
const NAMES: usize = 1_536;

/// The running edge.
pub struct Handle {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
    claim: batch::Threads<Claim>,
    record: batch::Threads<Record>,
}

impl Handle {
    /// Takes no more errands and ends when the deliveries under way are recorded, at most until `deadline`. Call it when nobody
    /// waits for an errand any more, and after the news have stopped.
    pub fn stop(self, deadline: Instant) {
        // Only a thread that has ended does not listen.
        let _ = self.stop.send(());
        join_by(self.thread, deadline);
        self.claim.stop(deadline);
        self.record.stop(deadline);
    }
}

/// Starts the edge on a thread of its own. Dropping the handle ends it too.
///
/// # Errors
/// `Internal` when the operating system gives no thread.
pub fn spawn(site: &Site, metrics: &Metrics, errands: mpsc::UnboundedReceiver<Errand>, world: World) -> Result<Handle> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(NAMES).build();
    let runtime = runtime.map_err(|e| Error::internal("starting a runtime", e))?;
    let (claim, claim_threads) = Batch::start("claim", &site.db, 1, Claim::default(), |_| {})?;
    let sizes = metrics.delivery_batch_size.clone();
    let (record, record_threads) = Batch::start("record", &site.db, 1, Record::default(), move |size| sizes.observe(size as f64))?;
    let (site, metrics) = (site.clone(), metrics.clone());
    let (stop, stopped) = oneshot::channel();
    let run = move || {
        let tasks = tokio::task::LocalSet::new();
        match Sender::new(Arc::clone(&site.webhooks), Arc::clone(&site.profile), world).map(Rc::new) {
            Ok(sender) => tasks.block_on(&runtime, async {
                let dispatcher = Dispatcher::new(site, metrics, Rc::clone(&sender), claim, record);
                let dispatched = tokio::task::spawn_local(dispatch::keep_running(dispatcher));
                desk::serve(sender, errands, stopped).await;
                // It can't panic, and nobody ends it.
                let _ = dispatched.await;
            }),
            Err(error) => tracing::error!(%error, "nothing can be sent to webhooks"),
        }
        drop(tasks);
        // A look-up that hangs can't be interrupted, and must not hold up the end.
        runtime.shutdown_background();
    };
    let thread = std::thread::Builder::new().name("delivery".into()).spawn(run).map_err(|e| Error::internal("starting a thread", e))?;
    Ok(Handle { stop, thread, claim: claim_threads, record: record_threads })
}
