//! One running instance: the edges put together behind one listener, its background threads, and their orderly end.

mod health;
mod housekeeping;
mod listener;
mod requests;
mod slow_body;

use std::net::SocketAddr;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::rt::System;
use actix_web::rt::signal::unix::{SignalKind, signal};
use actix_web::{App, HttpServer, web};

pub use listener::Listener;

use crate::error::{Error, Result};
use crate::metrics::Metrics;
use crate::postgres::Cluster;
use crate::site::Site;
use crate::web as web_edge;
use housekeeping::Housekeeping;

/// How long requests under way may take to finish once the end is near.
const SHUTDOWN: Duration = Duration::from_secs(20);
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
        let metrics = Metrics::new();
        let housekeeping = Housekeeping::start(self.site.clone(), metrics.clone(), self.cluster)?;
        let edges = Edges { site: web::Data::new(self.site), metrics: web::Data::new(metrics) };
        let served = System::new().block_on(serve(edges, self.listener, self.workers, self.signals, ready));
        let cluster = housekeeping.stop();
        served.and(cluster.map_or(Ok(()), |cluster| cluster.close().map_err(|e| Error::Internal(e.to_string()))))
    }
}

/// What the worker threads share.
#[derive(Clone)]
struct Edges {
    site: web::Data<Site>,
    metrics: web::Data<Metrics>,
}

impl Edges {
    /// Every route. The Partner API comes last: its base path may be `/`.
    fn configure(&self, config: &mut web::ServiceConfig) {
        config.app_data(self.site.clone()).app_data(self.metrics.clone()).configure(health::configure);
        web_edge::configure(config, &self.site);
    }
}

async fn serve(
    edges: Edges, listener: Listener, workers: usize, signals: bool, ready: impl FnOnce(SocketAddr, ServerHandle),
) -> Result<()> {
    let address = listener.address();
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
        stop_at_signals(server.handle())?;
    }
    ready(address, server.handle());
    server.await.map_err(|e| Error::internal("serving", e))
}

/// The first signal asks for an orderly end, a second one for an end at once.
fn stop_at_signals(server: ServerHandle) -> Result<()> {
    let watch = |kind| signal(kind).map_err(|e| Error::internal("watching for signals", e));
    let (mut term, mut int) = (watch(SignalKind::terminate())?, watch(SignalKind::interrupt())?);
    actix_web::rt::spawn(async move {
        for graceful in [true, false] {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            tracing::info!(graceful, "stopping");
            drop(server.stop(graceful));
        }
    });
    Ok(())
}
