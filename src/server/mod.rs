//! One running instance: the edges put together behind one listener, and their orderly end.

mod health;

use std::net::SocketAddr;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::rt::System;
use actix_web::{App, HttpServer, web};

use crate::error::{Error, Result};
use crate::site::Site;

/// How long requests under way may take to finish once the end is near.
const SHUTDOWN: Duration = Duration::from_secs(20);

/// What an instance is started with.
pub struct Instance {
    /// What every edge shares.
    pub site: Site,
    /// Addresses to listen on; port 0 takes any that is free.
    pub listen: Vec<SocketAddr>,
    /// Threads that serve connections.
    pub workers: usize,
}

impl Instance {
    /// Serves until told to stop, then lets requests under way finish. Blocks this thread.
    ///
    /// `ready` is called once, when connections are accepted, with the address and the way to stop.
    ///
    /// # Errors
    /// `Invalid` when the address can't be listened on.
    pub fn run(self, ready: impl FnOnce(SocketAddr, ServerHandle)) -> Result<()> {
        System::new().block_on(self.serve(ready))
    }

    async fn serve(self, ready: impl FnOnce(SocketAddr, ServerHandle)) -> Result<()> {
        let site = web::Data::new(self.site);
        let server = HttpServer::new(move || App::new().app_data(site.clone()).configure(health::configure))
            .workers(self.workers)
            .backlog(2_048)
            .shutdown_timeout(SHUTDOWN.as_secs())
            .disable_signals()
            .bind(self.listen.as_slice())
            .map_err(|e| Error::field("listen", format!("{e}")))?;
        let address = server.addrs().first().copied().ok_or_else(|| Error::Internal("no listener".into()))?;
        let server = server.run();
        ready(address, server.handle());
        server.await.map_err(|e| Error::internal("serving", e))
    }
}
