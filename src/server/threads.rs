//! What runs beside the connections, and the order in which it ends.

use std::thread::JoinHandle;

use super::housekeeping::Housekeeping;
use crate::admission::{Admit, Settle};
use crate::batch::{self, Batch};
use crate::error::{Error, Result};
use crate::jobs::doorbell;
use crate::metrics::Metrics;
use crate::partner_api::Partner;
use crate::postgres::Cluster;
use crate::sandbox::{self, Handle, Settings};
use crate::site::Site;
use crate::wake::Wake;

/// The background threads of an instance.
pub struct Threads {
    wake: Wake,
    doorbell: JoinHandle<()>,
    /// The built-in workers: for test keys and, in a demo, for live ones.
    workers: Vec<Handle>,
    housekeeping: Housekeeping,
    admit: batch::Threads<Admit>,
    settle: batch::Threads<Settle>,
}

impl Threads {
    /// Starts them, and gives the Partner API that asks them.
    ///
    /// # Errors
    /// `Internal` when the operating system gives no thread.
    pub fn start(site: &Site, wake: &Wake, metrics: &Metrics, cluster: Option<Cluster>, demo: bool) -> Result<(Self, Partner)> {
        let kinds = [Settings::SANDBOX, Settings::DEMO].into_iter().take(if demo { 2 } else { 1 });
        let workers = kinds.map(|settings| sandbox::spawn(site.clone(), wake.clone(), settings)).collect::<Result<_>>()?;
        let doorbell = doorbell::spawn(site.db.clone(), wake.clone())?;
        let housekeeping = Housekeeping::start(site.clone(), metrics.clone(), cluster)?;
        let (admits, settles) = (metrics.admit_batch_size.clone(), metrics.settle_batch_size.clone());
        // One thread each: two were measured to be slower.
        let (ask_admit, admit) = Batch::start("admit", &site.db, 1, Admit, move |size| admits.observe(size as f64))?;
        let (ask_settle, settle) = Batch::start("settle", &site.db, 1, Settle, move |size| settles.observe(size as f64))?;
        let partner = Partner::new(site.clone(), ask_admit, ask_settle, metrics.clone());
        Ok((Self { wake: wake.clone(), doorbell, workers, housekeeping, admit, settle }, partner))
    }

    /// Ends them all, and closes the private database.
    ///
    /// # Errors
    /// `Internal` when the private database does not stop.
    pub fn stop(self) -> Result<()> {
        self.wake.stop();
        self.workers.into_iter().for_each(Handle::stop);
        if self.doorbell.join().is_err() {
            tracing::error!("the doorbell ended with a panic");
        }
        let cluster = self.housekeeping.stop();
        self.admit.stop();
        self.settle.stop();
        cluster.map_or(Ok(()), |cluster| cluster.close().map_err(|e| Error::Internal(e.to_string())))
    }
}
