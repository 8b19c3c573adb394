//! The pool of connections, and the way from async code to them.

use std::time::Duration;

use diesel::pg::PgConnection;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Pool};
use diesel::{Connection, RunQueryDsl};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use time::OffsetDateTime;

use crate::error::{Error, Result};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");
/// Advisory lock that lets one instance migrate while the others wait. Any constant does; it spells "latchkey".
const MIGRATION_LOCK: i64 = 0x6c61_7463_686b_6579;

/// Shared access to PostgreSQL.
#[derive(Clone)]
pub struct Db {
    pool: Pool<ConnectionManager<PgConnection>>,
    url: String,
}

impl Db {
    /// A pool of at most `size` connections to `url`. Connects lazily: a database that is away shows in [`Db::run`].
    pub fn new(url: &str, size: u32) -> Self {
        let url = with_patience(url);
        let pool = Pool::builder()
            .max_size(size)
            .min_idle(Some(1))
            // Also bounds how long r2d2 waits between tries to reconnect: at most half of it.
            .connection_timeout(Duration::from_secs(1))
            .connection_customizer(Box::new(Session))
            .error_handler(Box::new(r2d2_log::ToTrace))
            .build_unchecked(ConnectionManager::new(&url));
        Self { pool, url }
    }

    /// Runs `work` with a connection on a thread that may block.
    ///
    /// # Errors
    /// What `work` returns; `Unavailable` when no connection could be had within a second.
    pub async fn run<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut PgConnection) -> Result<T> + Send + 'static,
    {
        let db = self.clone();
        actix_web::web::block(move || db.run_blocking(work)).await.map_err(|_| Error::Unavailable("worker thread stopped".into()))?
    }

    /// The same on this thread, for code that is allowed to block.
    ///
    /// # Errors
    /// As [`Db::run`].
    pub fn run_blocking<T>(&self, work: impl FnOnce(&mut PgConnection) -> Result<T>) -> Result<T> {
        let mut conn = self.pool.get().map_err(|e| Error::Unavailable(e.to_string()))?;
        work(&mut conn)
    }

    /// A connection of one's own, outside the pool, for a thread that keeps it.
    ///
    /// # Errors
    /// `Unavailable` when the database does not answer.
    pub fn connect(&self) -> Result<PgConnection> {
        let mut conn = PgConnection::establish(&self.url).map_err(|e| Error::Unavailable(e.to_string()))?;
        settle_session(&mut conn)?;
        Ok(conn)
    }

    /// Brings the schema up to this program's version, one instance at a time.
    ///
    /// # Errors
    /// `Unavailable`, or `Internal` with the migration that failed. Returns the names of those that ran.
    pub fn migrate(&self) -> Result<Vec<String>> {
        let mut conn = self.connect()?;
        diesel::sql_query(format!("SELECT pg_advisory_lock({MIGRATION_LOCK})")).execute(&mut conn)?;
        let ran = conn.run_pending_migrations(MIGRATIONS).map_err(|e| Error::internal("migrating", e))?;
        let names = ran.iter().map(ToString::to_string).collect();
        // Closing the connection gives the lock back.
        Ok(names)
    }

    /// Whether migrations wait to be run.
    ///
    /// # Errors
    /// `Unavailable`, or `Internal` when the database's own list can't be read.
    pub fn needs_migration(&self) -> Result<bool> {
        self.connect()?.has_pending_migration(MIGRATIONS).map_err(|e| Error::internal("looking for migrations", e))
    }

    /// Connections now in the pool and idle among them, for the metrics.
    pub fn pool_state(&self) -> (u32, u32) {
        let state = self.pool.state();
        (state.connections, state.idle_connections)
    }
}

/// What every connection is set to: statements here are over long before compiling them would have paid.
fn settle_session(conn: &mut PgConnection) -> diesel::QueryResult<()> {
    diesel::sql_query("SET jit = off").execute(conn)?;
    Ok(())
}

#[derive(Debug)]
struct Session;

impl CustomizeConnection<PgConnection, diesel::r2d2::Error> for Session {
    fn on_acquire(&self, conn: &mut PgConnection) -> std::result::Result<(), diesel::r2d2::Error> {
        settle_session(conn).map_err(diesel::r2d2::Error::QueryError)
    }
}

/// How long a database may say nothing: 2 s at connecting, about 11 s in the midst of a connection over TCP. libpq's own
/// settings wait for minutes, or for ever.
const PATIENCE: [(&str, &str); 5] = [
    ("connect_timeout", "2"),
    ("keepalives_idle", "5"),
    ("keepalives_interval", "2"),
    ("keepalives_count", "3"),
    ("tcp_user_timeout", "10000"),
];

/// The address with [`PATIENCE`] in front of its own parameters: of two equal ones libpq takes the last.
fn with_patience(url: &str) -> String {
    let joined = |between: &str| PATIENCE.map(|(name, value)| format!("{name}={value}")).join(between);
    let Some(start) = url.find("://").map(|at| at + 3).filter(|_| url.starts_with("postgres")) else {
        return format!("{} {url}", joined(" "));
    };
    // A password may hold a question mark.
    let host = url[start..].split('/').next().and_then(|authority| authority.rfind('@')).map_or(start, |at| start + at);
    match url[host..].find('?').map(|at| host + at + 1) {
        None => format!("{url}?{}", joined("&")),
        Some(query) if query == url.len() => format!("{url}{}", joined("&")),
        Some(query) => format!("{}{}&{}", &url[..query], joined("&"), &url[query..]),
    }
}

/// Asks the database for an answer.
///
/// # Errors
/// `Unavailable` when it has none.
pub fn ping(conn: &mut PgConnection) -> Result<()> {
    diesel::sql_query("SELECT 1").execute(conn)?;
    Ok(())
}

/// Does `work` whole or not at all.
///
/// # Errors
/// What `work` returns; those of the database.
pub fn transaction<T>(conn: &mut PgConnection, work: impl FnOnce(&mut PgConnection) -> Result<T>) -> Result<T> {
    conn.transaction(work)
}

/// Reads under one snapshot: whatever `read` asks, it is told as of one moment, so that a figure and a list agree.
///
/// # Errors
/// What `read` returns; those of the database.
pub fn snapshot<T>(conn: &mut PgConnection, read: impl FnOnce(&mut PgConnection) -> Result<T>) -> Result<T> {
    conn.build_transaction().read_only().repeatable_read().run(read)
}

/// The database's own clock.
///
/// # Errors
/// Those of the database.
pub fn clock(conn: &mut PgConnection) -> Result<OffsetDateTime> {
    Ok(diesel::select(diesel::dsl::sql::<diesel::sql_types::Timestamptz>("clock_timestamp()")).get_result(conn)?)
}

mod r2d2_log {
    /// r2d2 would print to the `log` crate, which nobody reads here.
    #[derive(Debug)]
    pub struct ToTrace;

    impl diesel::r2d2::HandleError<diesel::r2d2::Error> for ToTrace {
        fn handle_error(&self, error: diesel::r2d2::Error) {
            tracing::warn!(error = %error, "database connection");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_stands_before_the_addresss_own_parameters() {
        let ours = "connect_timeout=2&keepalives_idle=5&keepalives_interval=2&keepalives_count=3&tcp_user_timeout=10000";
        for (url, expected) in [
            ("postgresql://u@h/d", format!("postgresql://u@h/d?{ours}")),
            ("postgres://u:a?b@h:5/d", format!("postgres://u:a?b@h:5/d?{ours}")),
            ("postgresql:///d?host=/tmp&connect_timeout=9", format!("postgresql:///d?{ours}&host=/tmp&connect_timeout=9")),
            ("postgresql://h?", format!("postgresql://h?{ours}")),
            ("host=h password='a://b'", format!("{} host=h password='a://b'", ours.replace('&', " "))),
        ] {
            assert_eq!(with_patience(url), expected);
        }
    }
}
