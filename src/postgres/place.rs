//! Where the cluster and its socket live.
//!
//! The cluster is `<data dir>/postgres`. If root runs it for an account that cannot pass through to the data directory, it
//! is `/var/lib/latchkey/postgres-<random>` and `<data dir>/postgres` is a link to it: the random name keeps a fresh
//! data directory from ever meeting old data. A cluster is made under the name `postgres.new-<random>` and renamed when
//! complete, so one that is half made is never mistaken for a whole one.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::account::Account;
use super::error::{PostgresError, Result};

/// Where clusters live whose data directory is out of reach for the server's account.
const ELSEWHERE: &str = "/var/lib/latchkey";
const UNFINISHED: &str = "postgres.new-";
/// The file in the cluster that names the socket's directory when that is not the cluster itself.
const SOCKET_RECORD: &str = "latchkey.socket";
const SOCKET: &str = ".s.PGSQL.5432";
/// The longest path of a socket: `sun_path` less its terminator.
const SOCKET_PATH_MAX: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// Makes the data directory if need be and resolves it to the one name that all processes use.
pub(super) fn data_dir(path: &Path) -> Result<PathBuf> {
    fs::create_dir_all(path).map_err(PostgresError::io("create", path))?;
    fs::canonicalize(path).map_err(PostgresError::io("open", path))
}

/// A finished cluster.
#[derive(Debug)]
pub(super) struct Home {
    /// Its directory, links resolved.
    pub(super) dir: PathBuf,
    /// The major version that made it.
    pub(super) major: u32,
}

/// The cluster of a data directory, if it has one.
pub(super) fn find(data_dir: &Path) -> Result<Option<Home>> {
    let entry = data_dir.join("postgres");
    if let Err(error) = fs::symlink_metadata(&entry) {
        return if error.kind() == io::ErrorKind::NotFound { Ok(None) } else { Err(PostgresError::io("look at", &entry)(error)) };
    }
    let dir = fs::canonicalize(&entry).map_err(|error| match (error.kind(), fs::read_link(&entry)) {
        (io::ErrorKind::NotFound, Ok(target)) => PostgresError::Lost { link: entry.clone(), target },
        _ => PostgresError::io("open", &entry)(error),
    })?;
    match fs::read_to_string(dir.join("PG_VERSION")) {
        Ok(version) => match version.trim().parse() {
            Ok(major) => Ok(Some(Home { dir, major })),
            Err(_) => Err(PostgresError::NotACluster { path: entry }),
        },
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(PostgresError::Foreign { cluster: dir }),
        Err(_) => Err(PostgresError::NotACluster { path: entry }),
    }
}

/// A cluster being made: its directory is there, empty and the account's.
#[derive(Debug)]
pub(super) struct Unfinished {
    entry: PathBuf,
    /// The directory to make the cluster in.
    pub(super) dir: PathBuf,
}

impl Unfinished {
    pub(super) fn begin(data_dir: &Path, account: &Account) -> Result<Unfinished> {
        let name = random_name()?;
        let entry = data_dir.join(format!("{UNFINISHED}{name}"));
        make_private_dir(&entry, account)?;
        if account.can_enter(&entry)? {
            return Ok(Unfinished { dir: entry.clone(), entry });
        }
        fs::remove_dir(&entry).map_err(PostgresError::io("remove", &entry))?;
        let parent = Path::new(ELSEWHERE);
        if !parent.exists() {
            fs::create_dir_all(parent).map_err(PostgresError::io("create", parent))?;
            // Whatever the umask says, the account must be able to pass.
            let passable = fs::Permissions::from_mode(0o755);
            fs::set_permissions(parent, passable).map_err(PostgresError::io("set the mode of", parent))?;
        }
        let dir = parent.join(format!("postgres-{name}"));
        // The link comes first, so that what an interrupted attempt leaves can be found and swept.
        symlink(&dir, &entry).map_err(PostgresError::io("create", &entry))?;
        make_private_dir(&dir, account)?;
        Ok(Unfinished { entry, dir })
    }

    /// Gives the complete cluster its name, for good: both directories are flushed.
    pub(super) fn finish(self, data_dir: &Path) -> Result<PathBuf> {
        let named = data_dir.join("postgres");
        if let Some(parent) = self.dir.parent() {
            flush_dir(parent)?;
        }
        fs::rename(&self.entry, &named).map_err(PostgresError::io("create", &named))?;
        flush_dir(data_dir)?;
        fs::canonicalize(&named).map_err(PostgresError::io("open", &named))
    }
}

/// Removes what interrupted attempts left. What cannot be removed now is tried again by the next attempt.
pub(super) fn sweep(data_dir: &Path) {
    let Ok(entries) = fs::read_dir(data_dir) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().as_bytes().starts_with(UNFINISHED.as_bytes()) {
            continue;
        }
        let path = entry.path();
        match fs::read_link(&path) {
            Ok(target) if target.parent() == Some(Path::new(ELSEWHERE)) => {
                if fs::remove_dir_all(&target).is_ok() || !target.exists() {
                    let _ = fs::remove_file(&path);
                }
            }
            Ok(_) => {}
            Err(_) => drop(fs::remove_dir_all(&path)),
        }
    }
}

/// The socket itself, for a connection.
pub(super) fn socket(socket_dir: &Path) -> PathBuf {
    socket_dir.join(SOCKET)
}

/// The socket's directory as an earlier start chose it: the cluster itself when its path will do, else the recorded one.
pub(super) fn socket_dir(home: &Path) -> Option<PathBuf> {
    if fits(home) {
        return Some(home.to_path_buf());
    }
    let recorded = fs::read(home.join(SOCKET_RECORD)).ok()?;
    Some(PathBuf::from(std::ffi::OsString::from_vec(recorded)))
}

/// The socket's directory for a start: the same as before if that can be, since others may know it.
pub(super) fn make_socket_dir(home: &Path, account: &Account) -> Result<PathBuf> {
    let known = socket_dir(home);
    if let Some(dir) = &known
        && (dir == home || is_private(dir, account)?)
    {
        return Ok(dir.clone());
    }
    let name = format!("latchkey-{}", random_name()?);
    let fresh = [std::env::temp_dir(), PathBuf::from("/tmp")].map(|parent| parent.join(&name));
    for dir in known.into_iter().chain(fresh) {
        // The recorded one may be taken by a stranger meanwhile: then the next.
        if !fits(&dir) || make_private_dir(&dir, account).is_err() {
            continue;
        }
        if account.can_enter(&dir)? {
            account.write(&home.join(SOCKET_RECORD), dir.as_os_str().as_bytes())?;
            return Ok(dir);
        }
        let _ = fs::remove_dir(&dir);
    }
    let none = io::Error::other("the temporary directories cannot be used either");
    Err(PostgresError::io("find a place short enough for the socket of", home)(none))
}

/// Removes what a dead server leaves in its socket's directory, which could stop the next start.
pub(super) fn clear_socket(socket_dir: &Path) {
    let _ = fs::remove_file(socket(socket_dir));
    let _ = fs::remove_file(socket_dir.join(format!("{SOCKET}.lock")));
}

/// Removes the socket's directory if it is one of its own; the record stays, and the next start makes it again.
pub(super) fn remove_socket_dir(home: &Path, socket_dir: &Path) {
    if socket_dir != home {
        let _ = fs::remove_dir(socket_dir);
    }
}

/// Whether libpq can be told to connect there: it takes a comma for the end of a host's name.
fn fits(dir: &Path) -> bool {
    let path = socket(dir);
    let bytes = path.as_os_str().as_bytes();
    bytes.len() <= SOCKET_PATH_MAX && !bytes.iter().any(|byte| *byte == b',' || byte.is_ascii_control())
}

/// In a directory that everybody may write, only one that is certainly the account's own will do.
fn is_private(dir: &Path, account: &Account) -> Result<bool> {
    match fs::symlink_metadata(dir) {
        Ok(meta) => Ok(meta.is_dir() && meta.uid() == account.uid() && meta.mode() & 0o077 == 0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(PostgresError::io("look at", dir)(error)),
    }
}

fn make_private_dir(dir: &Path, account: &Account) -> Result<()> {
    DirBuilder::new().mode(0o700).create(dir).map_err(PostgresError::io("create", dir))?;
    account.own_dir(dir)
}

fn flush_dir(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|file| file.sync_all()).map_err(PostgresError::io("flush", dir))
}

/// 16 hex digits, so that a name has neither been used before nor can it be guessed.
fn random_name() -> Result<String> {
    let source = Path::new("/dev/urandom");
    let mut bytes = [0; 8];
    File::open(source).and_then(|mut file| file.read_exact(&mut bytes)).map_err(PostgresError::io("read", source))?;
    Ok(format!("{:016x}", u64::from_ne_bytes(bytes)))
}
