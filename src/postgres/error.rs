//! What can go wrong with the private cluster, each as a sentence for the person at the terminal.

use std::io;
use std::path::{Path, PathBuf};

/// Why the private PostgreSQL cluster cannot be used. `Display` is a sentence that says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresError {
    /// No server binaries were found anywhere.
    #[error(
        "No PostgreSQL server is installed. Install one (Debian/Ubuntu: `apt-get install postgresql`, \
         macOS: `brew install postgresql@17`), point LATCHKEY_POSTGRES_BIN at its bin directory, \
         or set DATABASE_URL to use a database that runs elsewhere."
    )]
    NoServer,
    /// `LATCHKEY_POSTGRES_BIN` was set and is of no use.
    #[error(
        "LATCHKEY_POSTGRES_BIN names {dir}, which does not hold a working PostgreSQL server \
         (the programs postgres, initdb and pg_ctl)."
    )]
    BadBin {
        /// The directory named by the variable.
        dir: PathBuf,
    },
    /// Servers are installed, but none that is new enough for a new cluster.
    #[error(
        "PostgreSQL {found} is too old: Latchkey needs {oldest} or newer. Install a newer server \
         (Debian/Ubuntu: `apt-get install postgresql`, macOS: `brew install postgresql@17`) or set DATABASE_URL."
    )]
    TooOld {
        /// The newest version found.
        found: u32,
        /// The oldest version that will do.
        oldest: u32,
    },
    /// The existing cluster was made by a major version that is not installed.
    #[error(
        "The database in {cluster} was made by PostgreSQL {needed}, which is not installed (found: {found}). \
         Install it (Debian/Ubuntu: `apt-get install postgresql-{needed}`, macOS: `brew install postgresql@{needed}`) \
         or point LATCHKEY_POSTGRES_BIN at its bin directory."
    )]
    WrongVersion {
        /// The cluster's directory.
        cluster: PathBuf,
        /// The major version in its `PG_VERSION`.
        needed: u32,
        /// The major versions that are installed, for a reader.
        found: String,
    },
    /// Started as root, and there is no account to run the server as.
    #[error(
        "PostgreSQL refuses to run as root and this system has no `postgres` user to run it as. \
         Start Latchkey as an ordinary user, install PostgreSQL from the system's packages (which make that user), \
         or set DATABASE_URL."
    )]
    NoPostgresUser,
    /// Started as root, and the cluster is root's: the server would refuse it.
    #[error(
        "The database in {cluster} belongs to root, and PostgreSQL refuses to run as root. \
         Give it to the account that is to run it: `chown -R postgres {cluster}`."
    )]
    OwnedByRoot {
        /// The cluster's directory.
        cluster: PathBuf,
    },
    /// The cluster belongs to somebody else.
    #[error("The database in {cluster} belongs to another user. Run Latchkey as that user or as root.")]
    Foreign {
        /// The cluster's directory.
        cluster: PathBuf,
    },
    /// The server's account may not pass through a directory above the cluster.
    #[error(
        "The account that owns the database in {cluster} may not enter that directory. \
         Make the directories above it passable (`chmod o+x`) or move the data directory elsewhere."
    )]
    Unreachable {
        /// The cluster's directory.
        cluster: PathBuf,
    },
    /// `<data dir>/postgres` is a link whose target is gone.
    #[error(
        "{link} points to {target}, which does not exist. Put the database back there, \
         or remove the link to begin with an empty one."
    )]
    Lost {
        /// The link in the data directory.
        link: PathBuf,
        /// Where it points.
        target: PathBuf,
    },
    /// `<data dir>/postgres` exists and is something else.
    #[error("{path} is not a PostgreSQL cluster. Move it away, and Latchkey makes a new one.")]
    NotACluster {
        /// The directory in question.
        path: PathBuf,
    },
    /// `initdb` or the creation of the database failed.
    #[error("A new PostgreSQL cluster could not be made:\n{log}")]
    Init {
        /// The last lines that the program said.
        log: String,
    },
    /// The server ended instead of starting.
    #[error("PostgreSQL did not start. The last lines of its log:\n{log}")]
    Start {
        /// The last lines of its log.
        log: String,
    },
    /// The server takes very long to become ready; it is left running.
    #[error("PostgreSQL is still not ready after {waited_s} seconds. The last lines of its log:\n{log}")]
    NotReady {
        /// How long we waited, seconds.
        waited_s: u64,
        /// The last lines of its log.
        log: String,
    },
    /// The server did not end within the time allowed; it goes on stopping by itself.
    #[error("PostgreSQL in {cluster} has not stopped after {waited_s} seconds.")]
    NotStopped {
        /// The cluster's directory.
        cluster: PathBuf,
        /// How long we waited, seconds.
        waited_s: u64,
    },
    /// Another process has been starting or stopping the cluster for too long.
    #[error("Another latchkey process has been busy starting or stopping the database in {data_dir} for {waited_s} seconds.")]
    Busy {
        /// The data directory.
        data_dir: PathBuf,
        /// How long we waited, seconds.
        waited_s: u64,
    },
    /// A second `latchkey serve` on one data directory.
    #[error(
        "Another `latchkey serve` already runs on the data directory {data_dir}. Stop it first, give this one \
         a directory of its own, or set DATABASE_URL: several instances may share that."
    )]
    AlreadyServing {
        /// The data directory.
        data_dir: PathBuf,
    },
    /// The operating system refused something.
    #[error("Cannot {action} {path}: {source}")]
    Io {
        /// What was being done, as a verb: "create", "lock", "run".
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl PostgresError {
    /// For `map_err`: adds the verb and the path to an [`io::Error`].
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PostgresError {
        let path = path.to_path_buf();
        move |source| PostgresError::Io { action, path, source }
    }
}

/// The result of everything in this module.
pub(super) type Result<T> = std::result::Result<T, PostgresError>;

/// The last `count` lines of a text, for the end of an error sentence.
pub(super) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
