//! One running instance: the edges put together behind one listener, its background threads, and their orderly end.

mod health;
mod housekeeping;
mod listener;
mod requests;
mod rollups;
mod slow_body;
mod threads;

use std::net::SocketAddr;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::rt::System;
use actix_web::rt::signal::unix::{SignalKind, signal};
use actix_web::{App, HttpServer, web};

pub use listener::Listener;
pub use requests::identify;
pub use rollups::Rollups;

use crate::courier::Courier;
use crate::delivery::World;
use crate::error::{Error, Result};
use crate::metrics::Metrics;
use crate::news::News;
use crate::partner_api::{self, Partner};
use crate::postgres::Cluster;
use crate::site::Site;
use crate::verify_api::{self, Verify};
use crate::wake::Wake;
use crate::worker_api;
use threads::{Ends, Threads};

/// How long requests under way may take to finish once the end is near.
const SHUTDOWN: Duration = Duration::from_secs(15);
/// How long a client may take to send its headers.
const HEADERS: Duration = Duration::from_secs(5);
/// How long a connection may stay open without a request.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// What an instance is started with.
pub struct Instance {
    /// What every edge shares.
    pub site: Site,
    /// Where it is reached.
    pub listener: Listener,
    /// Threads that serve connections.
    pub workers: usize,
    /// The private database, kept running while the instance runs and closed with it.
    pub cluster: Option<Cluster>,
    /// Whether SIGTERM and SIGINT of the process are meant for it.
    pub signals: bool,
    /// Whether the built-in worker does live jobs too.
    pub demo: bool,
    /// What webhooks are sent into.
    pub world: World,
}

impl Instance {
    /// Serves until told to stop, then lets requests under way finish, ends its threads and closes the private database.
    /// Blocks this thread.
    ///
    /// `ready` is called once, when connections are accepted, with the address and the way to stop.
    ///
    /// # Errors
    /// What kept it from serving, or what broke.
    pub fn run(self, ready: impl FnOnce(SocketAddr, ServerHandle)) -> Result<()> {
        let Self { site, listener, workers, cluster, signals, demo, world } = self;
        let metrics = Metrics::new();
        let wake = Wake::default();
        let (threads, Ends { stages, courier }) = Threads::start(&site, &wake, &metrics, cluster, demo, world)?;
        let (admit, settle) = (stages.admit.clone(), stages.settle.clone());
        let partner = Partner::new(site.clone(), admit, settle, metrics.clone(), wake.clone(), courier.clone());
        let verify = Verify::new(site.clone(), stages, metrics.clone(), partner.slowdown());
        let edges = Edges {
            partner: web::Data::new(partner),
            verify: web::Data::new(verify),
            courier: web::Data::new(courier),
            site: web::Data::new(site),
            metrics: web::Data::new(metrics),
            wake: web::Data::new(wake),
        };
        let served = System::new().block_on(serve(edges, listener, workers, signals, ready));
        // In this order: who takes work first, who writes it down last.
        threads.stop().and(served)
    }
}

/// What the worker threads share.
#[derive(Clone)]
struct Edges {
    site: web::Data<Site>,
    metrics: web::Data<Metrics>,
    wake: web::Data<Wake>,
    partner: web::Data<Partner>,
    verify: web::Data<Verify>,
    courier: web::Data<Courier>,
}

impl Edges {
    /// Every route. The Partner API comes last: its base path may be `/`.
    fn configure(&self, config: &mut web::ServiceConfig) {
        config.app_data(self.site.clone()).app_data(self.metrics.clone()).app_data(self.wake.clone()).app_data(self.courier.clone());
        health::configure(config);
        worker_api::configure(config);
        verify_api::configure(config, &self.verify);
        crate::web::configure(config, &self.site);
        partner_api::configure(config, &self.partner);
        crate::web::configure_rest(config, &self.site);
        config.app_data(self.partner.clone()).app_data(self.verify.clone()).default_service(web::to(partner_api::not_found));
    }
}

async fn serve(
    edges: Edges, listener: Listener, workers: usize, signals: bool, ready: impl FnOnce(SocketAddr, ServerHandle),
) -> Result<()> {
    let (address, wake, news) = (listener.address(), Wake::clone(&edges.wake), edges.site.news.clone());
    let mut server = HttpServer::new(move || App::new().wrap_fn(requests::identify).configure(|config| edges.configure(config)))
        .workers(workers)
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(HEADERS)
        .tcp_nodelay(true)
        .shutdown_timeout(SHUTDOWN.as_secs())
        .disable_signals();
    for socket in listener.open()? {
        server = server.listen(socket).map_err(|e| Error::internal("listening", e))?;
    }
    let server = server.run();
    if signals {
        stop_at_signals(server.handle(), wake, news)?;
    }
    ready(address, server.handle());
    server.await.map_err(|e| Error::internal("serving", e))
}

/// The first signal asks for an orderly end, a second one for an end at once.
fn stop_at_signals(server: ServerHandle, wake: Wake, news: News) -> Result<()> {
    let watch = |kind| signal(kind).map_err(|e| Error::internal("watching for signals", e));
    let (mut term, mut int) = (watch(SignalKind::terminate())?, watch(SignalKind::interrupt())?);
    actix_web::rt::spawn(async move {
        for graceful in [true, false] {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            tracing::info!(graceful, "stopping");
            // Workers who wait for a job are answered at once instead of keeping the end waiting.
            wake.stop();
            // Deliveries under way have the same time to end as requests.
            news.stop();
            drop(server.stop(graceful));
        }
    });
    Ok(())
}
