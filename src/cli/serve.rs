//! `latchkey serve`

use std::net::SocketAddr;

use tracing_subscriber::EnvFilter;

use super::failure::Done;
use super::opened::Opened;
use super::output::say;
use crate::config::{Config, LogFormat, Settings};
use crate::delivery::World;
use crate::news::News;
use crate::postgres::ServeLock;
use crate::server::{Instance, Listener};
use crate::site::Site;

/// Connections for everything but the batches and the background threads, which have their own.
const POOL: u32 = 10;

/// Serves until it is told to stop.
pub fn run(settings: Settings) -> Done {
    let config = settings.check()?;
    start(config, false, |site, address| {
        say(format!("Latchkey {} serves {} at {address}.", env!("CARGO_PKG_VERSION"), site.public_url));
        Ok(())
    })
}

/// What `serve` and `demo` have in common. `ready` is called with connections open.
pub fn start(config: Config, demo: bool, ready: impl FnOnce(&Site, SocketAddr) -> Done) -> Done {
    let Config { listen, public_url, place, profile, secret_key, webhooks, retention, mail, leaks, proxies, log, log_format } = config;
    init_log(log, log_format);
    // Before the port: that it is taken, too, is then no surprise.
    let _lock = place.database_url().is_none().then(|| ServeLock::acquire(&place.data_dir)).transpose()?;
    let listener = Listener::bind(&listen)?;
    // With the port that was really taken.
    let public_url = public_url.unwrap_or_else(|| format!("http://{}", listener.address()));
    let keyring = secret_key.keyring()?;
    let Opened { db, cluster, .. } = Opened::migrated(&place, POOL)?;
    let site = Site { db, profile, public_url, keyring, webhooks, retention, news: News::default(), mail, leaks, proxies };
    let workers = std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2));
    let instance = Instance { site: site.clone(), listener, workers, cluster, signals: true, demo, world: World::default() };
    let mut said = Ok(());
    instance.run(|address, server| {
        said = ready(&site, address);
        if said.is_err() {
            drop(server.stop(true));
        }
    })?;
    said
}

fn init_log(filter: EnvFilter, format: LogFormat) {
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Only a second call fails, and then there is a log already.
    let _ = match format {
        LogFormat::Text => log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
}
