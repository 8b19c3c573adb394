//! What runs beside the connections, and the order in which it ends.

use std::thread::JoinHandle;

use super::housekeeping::Housekeeping;
use crate::error::{Error, Result};
use crate::jobs::doorbell;
use crate::metrics::Metrics;
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
}

impl Threads {
    /// Starts them.
    ///
    /// # Errors
    /// `Internal` when the operating system gives no thread.
    pub fn start(site: &Site, wake: &Wake, metrics: &Metrics, cluster: Option<Cluster>, demo: bool) -> Result<Self> {
        let kinds = [Settings::SANDBOX, Settings::DEMO].into_iter().take(if demo { 2 } else { 1 });
        let workers = kinds.map(|settings| sandbox::spawn(site.clone(), wake.clone(), settings)).collect::<Result<_>>()?;
        let doorbell = doorbell::spawn(site.db.clone(), wake.clone())?;
        let housekeeping = Housekeeping::start(site.clone(), metrics.clone(), cluster)?;
        Ok(Self { wake: wake.clone(), doorbell, workers, housekeeping })
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
        cluster.map_or(Ok(()), |cluster| cluster.close().map_err(|e| Error::Internal(e.to_string())))
    }
}
