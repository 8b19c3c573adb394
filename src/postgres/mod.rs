//! The embedded default database: a private PostgreSQL cluster in the data directory.
//!
//! Used when `DATABASE_URL` is not set. Every `latchkey` process that needs the database calls [`Cluster::open`], which finds
//! the server running or starts it; the last to leave stops it. The protocol rests on the locks of `locks.rs`: whoever dies
//! by kill -9 loses its locks by itself, the server lives on, and the next comer finds it or starts it again.
//!
//! The server listens on a unix socket only. The socket and its directory are 0700 and belong to the account that runs the
//! server: the user who runs Latchkey or, for root, the owner of the cluster (`postgres` when it is new). Within those walls
//! the server trusts.
//!
//! On two cores, PostgreSQL 15, durable: the first open 0.7 s, that of a stopped cluster 50 ms, of a running one 2 ms; a
//! close 30 ms when it stops the server, else 0.02 ms; [`Cluster::ensure_running`] 0.002 ms.

mod account;
mod binaries;
mod error;
mod init;
mod locks;
mod place;
mod probe;
mod server;
mod settings;
mod wait;

use std::path::{Path, PathBuf};

pub use error::PostgresError;
pub use locks::ServeLock;

use locks::Lock;
use server::Server;

/// A running private cluster, shared with other `latchkey` processes on the same data directory.
///
/// Dropping it releases it, and stops the server when nobody else uses it. `std::process::exit` drops nothing: the
/// server then stays until the next command on the data directory has ended.
#[derive(Debug)]
#[must_use = "the server stops as soon as nobody holds its cluster"]
pub struct Cluster {
    data_dir: PathBuf,
    server: Server,
    /// `None` once released.
    user: Option<Lock>,
}

impl Cluster {
    /// Finds, makes or starts the cluster of a data directory, and shares it. Ready for connections when this returns.
    ///
    /// # Errors
    /// Every [`PostgresError`] but [`PostgresError::AlreadyServing`]: no suitable server installed, a data directory
    /// that cannot be used, a server that does not start.
    pub fn open(data_dir: &Path) -> Result<Cluster, PostgresError> {
        let data_dir = place::data_dir(data_dir)?;
        let _gate = Lock::gate(&data_dir)?;
        let user = Lock::users(&data_dir)?;
        if !user.try_shared()? {
            // Exclusive only under the gate, which is ours: some other program holds it.
            return Err(PostgresError::Busy { data_dir, waited_s: 0 });
        }
        let server = Server::bring_up(&data_dir)?;
        Ok(Cluster { data_dir, server, user: Some(user) })
    }

    /// The address of the database `latchkey`, for libpq, Diesel and psql.
    pub fn url(&self) -> String {
        self.url_for("latchkey")
    }

    /// The address of another database of the cluster.
    pub fn url_for(&self, database: &str) -> String {
        self.server.url(database)
    }

    /// Brings the server back if it has died; whether it had to. Two system calls when all is well, so a housekeeping
    /// thread may ask every second. It cannot meet a deliberate stop: that is the last user's, and this is a user.
    ///
    /// # Errors
    /// As [`Cluster::open`]; the next call tries again.
    pub fn ensure_running(&self) -> Result<bool, PostgresError> {
        if self.server.lives()? {
            return Ok(false);
        }
        let _gate = Lock::gate(&self.data_dir)?;
        self.server.bring_back()
    }

    /// Releases the cluster; when nobody else uses it, stops the server and waits until it is gone.
    ///
    /// # Errors
    /// [`PostgresError::NotStopped`] when the server takes more than a minute (it goes on stopping by itself), or
    /// what prevented the stop.
    pub fn close(mut self) -> Result<(), PostgresError> {
        self.release()
    }

    fn release(&mut self) -> Result<(), PostgresError> {
        let Some(user) = self.user.take() else { return Ok(()) };
        let _gate = Lock::gate(&self.data_dir)?;
        user.unlock()?;
        let last = user.try_exclusive()?;
        if last { self.server.stop() } else { Ok(()) }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Nobody to tell; `close` is there for those who want to know.
        let _ = self.release();
    }
}
