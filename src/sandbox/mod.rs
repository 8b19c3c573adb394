//! The built-in worker. In `serve` it does the jobs of sandbox environments; in `demo` a second one does the live jobs, slowly
//! enough to watch. Any number of them may run, in any number of instances: they are workers like all others.
//!
//! A job advances by a tenth each step and then completes with a result that depends on its input alone. An input whose
//! `sandbox` is `"fail"` fails half-way, with the code `sandbox_failure`.

mod outcome;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use uuid::Uuid;

use crate::clock;
use crate::error::{Error, Result};
use crate::ids::{JobId, OrgId};
use crate::jobs;
use crate::raw_json::RawJson;
use crate::site::Site;
use crate::wake::{Ear, Wake, join_by};

use outcome::Outcome;

/// Which jobs it does, and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Jobs of sandbox environments, or live ones.
    pub sandbox: bool,
    /// Time for a tenth of a job.
    pub step: Duration,
    /// Jobs that it does at the same time.
    pub at_once: usize,
}

impl Settings {
    /// For the jobs of test keys.
    pub const SANDBOX: Self = Self { sandbox: true, step: Duration::from_millis(150), at_once: 64 };
    /// For live jobs in a demo: a job takes four seconds.
    pub const DEMO: Self = Self { sandbox: false, step: Duration::from_millis(400), at_once: 64 };
}

/// It looks for work this often even when nobody rang.
const SAFETY_NET: Duration = Duration::from_secs(1);

/// A running built-in worker. Dropping it leaves it running until [`Wake::stop`].
pub struct Handle {
    stopped: Arc<AtomicBool>,
    wake: Wake,
    thread: JoinHandle<()>,
}

impl Handle {
    /// Tells it to stop, and waits until it has, at most until `deadline`. The jobs that it holds return to the queue.
    pub fn stop(self, deadline: Instant) {
        self.stopped.store(true, Ordering::SeqCst);
        self.wake.ring();
        join_by(self.thread, deadline);
    }
}

/// Starts one on a thread of its own, until [`Handle::stop`] or [`Wake::stop`].
///
/// # Errors
/// `Internal` when the operating system gives no thread.
pub fn spawn(site: Site, wake: Wake, settings: Settings) -> Result<Handle> {
    let stopped = Arc::new(AtomicBool::new(false));
    let worker = Worker { site, wake: wake.clone(), settings, stopped: stopped.clone(), running: Vec::new() };
    let thread = std::thread::Builder::new()
        .name(if settings.sandbox { "sandbox" } else { "demo-worker" }.into())
        .spawn(move || worker.run())
        .map_err(|e| Error::internal("starting a thread", e))?;
    Ok(Handle { stopped, wake, thread })
}

/// A job that it holds.
struct Running {
    id: JobId,
    organization: OrgId,
    lease: Uuid,
    /// Tenths that are done.
    done: i64,
    next_at: OffsetDateTime,
    outcome: Outcome,
}

struct Worker {
    site: Site,
    wake: Wake,
    settings: Settings,
    stopped: Arc<AtomicBool>,
    running: Vec<Running>,
}

impl Worker {
    fn run(mut self) {
        let mut ear = self.wake.listen();
        while !self.is_stopped() {
            // The database being away is no reason to end: what was held goes on, or was given to others meanwhile.
            let (filled, advanced) = (self.fill(), self.advance());
            if let Err(error) = filled.and(advanced) {
                tracing::warn!(%error, "built-in worker");
                self.wake.wait_for_stop(self.settings.step);
            }
            self.rest(&mut ear);
        }
        self.hand_back();
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst) || self.wake.is_stopped()
    }

    /// Sleeps until a job's next step, a ring or the safety net.
    fn rest(&self, ear: &mut Ear) {
        let now = clock::now();
        let next = self.running.iter().map(|running| running.next_at).min();
        let pause = next.map_or(SAFETY_NET, |at| Duration::try_from(at - now).unwrap_or(Duration::ZERO).min(SAFETY_NET));
        if !pause.is_zero() {
            ear.wait(pause);
        }
    }

    /// Claims as many jobs as it may do at once.
    fn fill(&mut self) -> Result<()> {
        let profile = self.site.profile.clone();
        let kinds: Vec<String> = profile.jobs.iter().map(|kind| kind.kind.clone()).collect();
        while !kinds.is_empty() && self.running.len() < self.settings.at_once {
            let sandbox = self.settings.sandbox;
            let claimed = self.site.db.run_blocking(|conn| jobs::claim(conn, clock::now(), &profile, &kinds, sandbox))?;
            let Some(claimed) = claimed else { break };
            self.site.news.ring(claimed.job.organization_id);
            self.running.push(Running {
                id: claimed.job.id,
                organization: claimed.job.organization_id,
                lease: claimed.lease,
                done: i64::from(claimed.job.percentage / 10),
                next_at: clock::now() + self.settings.step,
                outcome: outcome::of(&claimed.job.input, sandbox),
            });
        }
        Ok(())
    }

    /// Takes each job whose time has come a step on, and lets go of those that ended or were lost.
    fn advance(&mut self) -> Result<()> {
        let now = clock::now();
        let mut index = 0;
        while let Some(running) = self.running.get_mut(index) {
            if running.next_at > now {
                index += 1;
                continue;
            }
            match step(&self.site, running) {
                Ok(false) => {
                    running.next_at = now + self.settings.step;
                    index += 1;
                }
                Ok(true) | Err(Error::Conflict(_) | Error::NotFound) => drop(self.running.swap_remove(index)),
                Err(Error::Unavailable(why)) => return Err(Error::Unavailable(why)),
                Err(error) => {
                    // One job that can't be reported on must not hold up the others; its lease will run out.
                    tracing::error!(%error, "built-in worker gives up a job");
                    drop(self.running.swap_remove(index));
                }
            }
        }
        Ok(())
    }

    fn hand_back(&mut self) {
        for running in std::mem::take(&mut self.running) {
            let given = self.site.db.run_blocking(|conn| jobs::hand_back(conn, clock::now(), running.id, running.lease));
            // Without the database the leases run out by themselves; waiting for each connection would hold up the end.
            if let Err(Error::Unavailable(_)) = given {
                break;
            }
        }
    }
}

/// One step; true when it was the last.
fn step(site: &Site, running: &mut Running) -> Result<bool> {
    let (profile, id, lease) = (&site.profile, running.id, running.lease);
    let next = (running.done + 1).min(10);
    let ended = match &running.outcome {
        Outcome::Failed { code, message } if next >= 5 => {
            site.db.run_blocking(|conn| jobs::fail(conn, clock::now(), profile, id, lease, code, message))?;
            true
        }
        Outcome::Completed(result) if next == 10 => {
            let result: RawJson = result.clone();
            site.db.run_blocking(|conn| jobs::progress(conn, clock::now(), profile, id, lease, 100))?;
            site.db.run_blocking(|conn| jobs::complete(conn, clock::now(), profile, id, lease, result))?;
            true
        }
        _ => {
            site.db.run_blocking(|conn| jobs::progress(conn, clock::now(), profile, id, lease, next * 10))?;
            false
        }
    };
    site.news.ring(running.organization);
    running.done = next;
    Ok(ended)
}
