//! The locks in the data directory. All are `flock`s: the kernel frees them when their holder dies, however it dies.
//!
//! | file | held | by |
//! |---|---|---|
//! | `postgres.lock` | exclusive | whoever is starting or stopping the server, for that long |
//! | `postgres.users.lock` | shared | every process that uses the cluster |
//! | `postgres.server.lock` | exclusive | the server itself: it inherits the open file as its standard input |
//! | `serve.lock` | exclusive | `latchkey serve` |
//!
//! The files are never removed: a lock on a removed file would exclude nobody.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::{PostgresError, Result};
use super::wait;

/// A start may include the recovery of much work after a crash, and those who wait want its end.
const GATE_PATIENCE: Duration = Duration::from_secs(15 * 60);

/// A `latchkey serve` that was killed keeps its lock until the kernel has taken it apart, and who watches it starts the next at once.
const DYING_PATIENCE: Duration = Duration::from_millis(1_500);

/// An open lock file, locked or not.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    pub(super) fn users(data_dir: &Path) -> Result<Lock> {
        Lock::open(data_dir.join("postgres.users.lock"))
    }

    pub(super) fn server(data_dir: &Path) -> Result<Lock> {
        Lock::open(data_dir.join("postgres.server.lock"))
    }

    /// Waits for the exclusive right to start or stop the server.
    ///
    /// # Errors
    /// [`PostgresError::Busy`] when its holder keeps it for a quarter of an hour.
    pub(super) fn gate(data_dir: &Path) -> Result<Lock> {
        let lock = Lock::open(data_dir.join("postgres.lock"))?;
        // Polled rather than blocked on: `flock` would give up with EINTR at any signal that has a handler.
        let held = wait::until(GATE_PATIENCE, || Ok(lock.try_exclusive()?.then_some(())))?;
        match held {
            Some(()) => Ok(lock),
            None => Err(PostgresError::Busy { data_dir: data_dir.to_path_buf(), waited_s: GATE_PATIENCE.as_secs() }),
        }
    }

    fn open(path: PathBuf) -> Result<Lock> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(0o600);
        let file = match options.create_new(true).open(&path) {
            Ok(file) => {
                share_with_owner(&file, &path).map_err(PostgresError::io("change the owner of", &path))?;
                Ok(file)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => options.create_new(false).open(&path),
            Err(error) => Err(error),
        };
        let file = file.map_err(PostgresError::io("open", &path))?;
        Ok(Lock { file, path })
    }

    /// Whether the exclusive lock is ours now.
    pub(super) fn try_exclusive(&self) -> Result<bool> {
        self.outcome(self.file.try_lock())
    }

    /// Whether a shared lock is ours now.
    pub(super) fn try_shared(&self) -> Result<bool> {
        self.outcome(self.file.try_lock_shared())
    }

    fn outcome(&self, tried: std::result::Result<(), TryLockError>) -> Result<bool> {
        match tried {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(PostgresError::io("lock", &self.path)(error)),
        }
    }

    /// Gives the lock back at once, also if a child that is just being started holds a copy of the open file.
    pub(super) fn unlock(&self) -> Result<()> {
        self.file.unlock().map_err(PostgresError::io("unlock", &self.path))
    }

    /// The open file, to be handed to a child that shall hold the lock from now on.
    pub(super) fn into_file(self) -> File {
        self.file
    }
}

/// Root working once in a person's data directory must not leave lock files there that the person cannot open.
fn share_with_owner(file: &File, path: &Path) -> io::Result<()> {
    let Some(parent) = path.parent() else { return Ok(()) };
    let (directory, ours) = (fs::metadata(parent)?, file.metadata()?);
    if ours.uid() == 0 && directory.uid() != 0 {
        fchown(file, Some(directory.uid()), Some(directory.gid()))?;
    }
    Ok(())
}

/// The right to be the one `latchkey serve` on a data directory, for as long as the value lives.
///
/// The lock is on the directory's own file, so another path to the same directory meets the same lock.
#[derive(Debug)]
pub struct ServeLock {
    _lock: Lock,
}

impl ServeLock {
    /// Takes the right, making the data directory if there is none.
    ///
    /// # Errors
    /// [`PostgresError::AlreadyServing`] when another process has it and keeps it for a second and a half;
    /// [`PostgresError::Io`] when the data directory cannot be made or written.
    pub fn acquire(data_dir: &Path) -> Result<ServeLock> {
        let data_dir = super::place::data_dir(data_dir)?;
        let lock = Lock::open(data_dir.join("serve.lock"))?;
        match wait::until(DYING_PATIENCE, || Ok(lock.try_exclusive()?.then_some(())))? {
            Some(()) => Ok(ServeLock { _lock: lock }),
            None => Err(PostgresError::AlreadyServing { data_dir }),
        }
    }
}

impl Drop for ServeLock {
    fn drop(&mut self) {
        // Closing the file would do, except for the moment in which a child being started holds a copy of it.
        let _ = self._lock.unlock();
    }
}
