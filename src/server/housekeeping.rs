//! What has to be done now and then: leases that ran out and holds of which nobody told every second, what is past its time every hour.
//!
//! Any number of instances do it side by side; each step is safe to be done twice. A database that is away only means that
//! the next second tries again.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use diesel::pg::PgConnection;

use crate::accounts;
use crate::admission;
use crate::clock;
use crate::error::{Error, Result};
use crate::jobs;
use crate::metrics::Metrics;
use crate::orgs;
use crate::postgres::Cluster;
use crate::site::Site;
use crate::wake::join_by;
use crate::webhooks;

const EACH: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// The thread that does it.
pub struct Housekeeping {
    stop: Sender<()>,
    thread: JoinHandle<Option<Cluster>>,
}

impl Housekeeping {
    /// Starts it. It also keeps the private database running, when there is one.
    pub fn start(site: Site, metrics: Metrics, cluster: Option<Cluster>) -> Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let run = move || {
            let mut keeper = Keeper { site, metrics, cluster, conn: None, last_hourly: None, last_failure: None };
            while stopped.recv_timeout(EACH) == Err(RecvTimeoutError::Timeout) {
                keeper.second();
            }
            keeper.cluster
        };
        let thread = std::thread::Builder::new().name("housekeeping".into()).spawn(run);
        Ok(Self { stop, thread: thread.map_err(|e| Error::internal("starting a thread", e))? })
    }

    /// Ends it, and gives the private database back, if it ends by `deadline`.
    pub fn stop(self, deadline: Instant) -> Option<Cluster> {
        drop(self.stop);
        join_by(self.thread, deadline).flatten()
    }
}

struct Keeper {
    site: Site,
    metrics: Metrics,
    cluster: Option<Cluster>,
    /// Its own, so that a crowded pool doesn't keep leases from running out.
    conn: Option<PgConnection>,
    last_hourly: Option<Instant>,
    /// The last trouble that was told, so that a database that is away for an hour is not told 3,600 times.
    last_failure: Option<String>,
}

impl Keeper {
    fn second(&mut self) {
        if let Some(cluster) = &self.cluster {
            match cluster.ensure_running() {
                Ok(true) => tracing::warn!("the private database had died and was started again"),
                Ok(false) => {}
                Err(error) => tracing::error!(%error, "the private database does not start"),
            }
        }
        let (connections, idle) = self.site.db.pool_state();
        self.metrics.pool_connections.set(connections.into());
        self.metrics.pool_idle.set(idle.into());
        match self.keep() {
            Ok(()) => self.last_failure = None,
            Err(error) => {
                self.conn = None;
                let text = error.to_string();
                if self.last_failure.as_ref() != Some(&text) {
                    tracing::warn!(%error, "housekeeping waits");
                    self.last_failure = Some(text);
                }
            }
        }
    }

    fn keep(&mut self) -> Result<()> {
        let conn = match &mut self.conn {
            Some(conn) => conn,
            None => self.conn.insert(self.site.db.connect()?),
        };
        let now = clock::now();
        let expired = jobs::expire_leases(conn, now, &self.site.profile)?;
        if expired > 0 {
            self.metrics.expired_leases.inc_by(expired as u64);
            self.site.news.ring_for_everybody();
        }
        loop {
            let overdue = admission::settle_overdue(conn, now)?;
            if overdue == 0 {
                break;
            }
            self.metrics.overdue_holds.inc_by(overdue as u64);
        }
        if self.last_hourly.is_none_or(|last| last.elapsed() >= HOUR) {
            accounts::forget_old(conn, now)?;
            orgs::forget_old_invitations(conn, now)?;
            admission::forget_old_answers(conn, now)?;
            // A piece each second until all is gone: leases don't wait for it.
            if !webhooks::forget_old(conn, now)? {
                self.last_hourly = Some(Instant::now());
            }
        }
        Ok(())
    }
}
