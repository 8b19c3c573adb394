//! Whom the server runs as, and the writing of files that it must own.
//!
//! PostgreSQL refuses to run as root, so root runs it as somebody else: a cluster's owner, or `postgres` for a new one.
//! Root therefore writes into a directory that an ordinary account owns; everything here is done so that a link planted
//! there leads nowhere: files are made anew (`O_EXCL`), given away by descriptor and renamed into place.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, chown, fchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::{PostgresError, Result};

/// The environment that a server program gets: what it needs to be found and linked. Secrets of Latchkey's own
/// environment have no business in another account's process, and `PG*` variables would change its behaviour.
const KEPT_ENVIRONMENT: [&str; 4] = ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH"];

/// The account that owns the cluster and runs the server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Account {
    uid: u32,
    /// Its group, if we are root and must become this account.
    become_group: Option<u32>,
}

impl Account {
    /// The account for an existing cluster, or for a new one.
    pub(super) fn find(cluster: Option<&Path>) -> Result<Account> {
        let ours = id(&["-u"])?.ok_or_else(|| PostgresError::io("run", Path::new("id"))(io::Error::other("it failed")))?;
        if ours != 0 {
            return Ok(Account { uid: ours, become_group: None });
        }
        let (uid, gid) = match cluster {
            Some(dir) => {
                let owner = fs::metadata(dir).map_err(PostgresError::io("look at", dir))?;
                if owner.uid() == 0 {
                    return Err(PostgresError::OwnedByRoot { cluster: dir.to_path_buf() });
                }
                (owner.uid(), owner.gid())
            }
            None => match (id(&["-u", "postgres"])?, id(&["-g", "postgres"])?) {
                (Some(uid), Some(gid)) => (uid, gid),
                _ => return Err(PostgresError::NoPostgresUser),
            },
        };
        Ok(Account { uid, become_group: Some(gid) })
    }

    pub(super) fn uid(&self) -> u32 {
        self.uid
    }

    /// A program to be run as this account, with the least environment and nothing on its standard input.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("LC_ALL", "C");
        command.envs(KEPT_ENVIRONMENT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        // The account may not be allowed to stand where we stand.
        command.current_dir("/").stdin(Stdio::null());
        if let Some(gid) = self.become_group {
            // std also empties the supplementary groups when root changes the user id.
            command.uid(self.uid).gid(gid);
        }
        command
    }

    /// Makes the account the owner of a directory that we have just made.
    pub(super) fn own_dir(&self, dir: &Path) -> Result<()> {
        if let Some(gid) = self.become_group {
            chown(dir, Some(self.uid), Some(gid)).map_err(PostgresError::io("change the owner of", dir))?;
        }
        Ok(())
    }

    /// Whether the account may work in a directory. Asked of the kernel, since permission bits are not all of it.
    pub(super) fn can_enter(&self, dir: &Path) -> Result<bool> {
        if self.become_group.is_none() {
            return Ok(true);
        }
        let shell = Path::new("/bin/sh");
        let mut command = self.command(shell);
        command.args(["-c", r#"cd "$1" && test -w ."#, "sh"]).arg(dir);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Ok(command.status().map_err(PostgresError::io("run", shell))?.success())
    }

    /// Writes a file of this account (mode 0600), whole or not at all; leaves an identical one alone.
    pub(super) fn write(&self, path: &Path, content: &[u8]) -> Result<()> {
        if fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file()) && fs::read(path).is_ok_and(|old| old == content) {
            return Ok(());
        }
        let mut fresh = path.as_os_str().to_owned();
        fresh.push(".new");
        let fresh = PathBuf::from(fresh);
        // One from an attempt that was cut off; under the gate nobody else is at it.
        let _ = fs::remove_file(&fresh);
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&fresh).map_err(PostgresError::io("create", &fresh))?;
        file.write_all(content).map_err(PostgresError::io("write", &fresh))?;
        if let Some(gid) = self.become_group {
            fchown(&file, Some(self.uid), Some(gid)).map_err(PostgresError::io("change the owner of", &fresh))?;
        }
        fs::rename(&fresh, path).map_err(PostgresError::io("write", path))
    }
}

/// std has no `geteuid` and no look-up of users; the tool that has both also asks the network's directories.
fn id<S: AsRef<OsStr>>(arguments: &[S]) -> Result<Option<u32>> {
    let mut command = Command::new("id");
    command.args(arguments).stdin(Stdio::null()).stderr(Stdio::null());
    let output = command.output().map_err(PostgresError::io("run", Path::new("id")))?;
    if !output.status.success() {
        return Ok(None);
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().parse().ok())
}
