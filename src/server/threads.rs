//! What runs beside the connections, and the order in which it ends.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::housekeeping::Housekeeping;
use super::rollups::Rollups;
use crate::admission::{Admit, Reports, Settle};
use crate::batch::{self, Batch};
use crate::courier::Courier;
use crate::delivery::{self, World};
use crate::error::{Error, Result};
use crate::jobs::doorbell;
use crate::metrics::Metrics;
use crate::news::News;
use crate::postgres::Cluster;
use crate::programs::{Kind, Known};
use crate::sandbox::{self, Handle, Settings};
use crate::site::Site;
use crate::verify_api::Stages;
use crate::wake::{Wake, join_by};

/// How long all of them together may take to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// The background threads of an instance.
pub struct Threads {
    wake: Wake,
    news: News,
    doorbell: JoinHandle<()>,
    /// The built-in workers: for test keys and, in a demo, for live ones.
    workers: Vec<Handle>,
    delivery: delivery::Handle,
    housekeeping: Housekeeping,
    rollups: Rollups,
    admit: batch::Threads<Admit>,
    settle: batch::Threads<Settle>,
    report: batch::Threads<Reports>,
    services: batch::Threads<Known>,
}

/// The asking ends: of the batches, and the counter of the delivery edge.
pub struct Ends {
    pub stages: Stages,
    pub courier: Courier,
}

impl Threads {
    /// Starts them.
    ///
    /// # Errors
    /// `Internal` when the operating system gives no thread.
    pub fn start(site: &Site, wake: &Wake, metrics: &Metrics, cluster: Option<Cluster>, demo: bool, world: World) -> Result<(Self, Ends)> {
        let (admit_sizes, settle_sizes) = (metrics.admit_batch_size.clone(), metrics.settle_batch_size.clone());
        let (admit, admit_threads) = Batch::start("admit", &site.db, 1, Admit, move |size| admit_sizes.observe(size as f64))?;
        let (settle, settle_threads) =
            Batch::start("settle", &site.db, 1, Settle::default(), move |size| settle_sizes.observe(size as f64))?;
        let reports = Reports { within: site.profile.verify.report_within.try_into().unwrap_or(time::Duration::MAX) };
        let (report, report_threads) = Batch::start("report", &site.db, 1, reports, |_| {})?;
        let (services, services_threads) = Batch::start("services", &site.db, 1, Known(Kind::Service), |_| {})?;
        let kinds = [Settings::SANDBOX, Settings::DEMO].into_iter().take(if demo { 2 } else { 1 });
        let workers = kinds.map(|settings| sandbox::spawn(site.clone(), wake.clone(), settings)).collect::<Result<_>>()?;
        let doorbell = doorbell::spawn(site.db.clone(), wake.clone())?;
        let (courier, errands) = Courier::open();
        let delivery = delivery::spawn(site, metrics, errands, world)?;
        let housekeeping = Housekeeping::start(site.clone(), metrics.clone(), cluster)?;
        let rollups = Rollups::start(site.clone())?;
        let threads = Self {
            wake: wake.clone(),
            news: site.news.clone(),
            doorbell,
            workers,
            delivery,
            housekeeping,
            rollups,
            admit: admit_threads,
            settle: settle_threads,
            report: report_threads,
            services: services_threads,
        };
        Ok((threads, Ends { stages: Stages { admit, settle, report, services }, courier }))
    }

    /// Ends them all, and closes the private database. What a silent database holds is left behind after [`PATIENCE`]: the
    /// process ends whatever the database does.
    ///
    /// # Errors
    /// `Internal` when the private database does not stop.
    pub fn stop(self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        self.wake.stop();
        self.news.stop();
        for worker in self.workers {
            worker.stop(deadline);
        }
        // Connections are closed by now: nobody waits for an errand.
        self.delivery.stop(deadline);
        join_by(self.doorbell, deadline);
        self.rollups.stop(deadline);
        let cluster = self.housekeeping.stop(deadline);
        // Whoever still waits for an answer gets it.
        self.admit.stop(deadline);
        self.settle.stop(deadline);
        self.report.stop(deadline);
        self.services.stop(deadline);
        cluster.map_or(Ok(()), |cluster| cluster.close().map_err(|e| Error::Internal(e.to_string())))
    }
}
