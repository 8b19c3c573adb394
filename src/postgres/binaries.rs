//! Finding the installed server binaries.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::{PostgresError, Result};

/// The oldest major version on which a new cluster is made.
const OLDEST: u32 = 14;
/// The programs without which a directory is of no use.
const NEEDED: [&str; 3] = ["postgres", "initdb", "pg_ctl"];

/// A directory of server binaries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    dir: PathBuf,
    major: u32,
}

impl Binaries {
    /// Binaries for an existing cluster (its directory and major version) or for a new one.
    pub(super) fn find(cluster: Option<(&Path, u32)>) -> Result<Binaries> {
        Search::of_this_machine().find(cluster)
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.dir.join("postgres")
    }

    pub(super) fn initdb(&self) -> PathBuf {
        self.dir.join("initdb")
    }

    pub(super) fn pg_ctl(&self) -> PathBuf {
        self.dir.join("pg_ctl")
    }

    pub(super) fn major(&self) -> u32 {
        self.major
    }

    /// Asks the server itself: the name of a directory proves nothing.
    fn in_dir(dir: &Path) -> Option<Binaries> {
        if !NEEDED.iter().all(|program| dir.join(program).is_file()) {
            return None;
        }
        let major = parse_version(&say(&dir.join("postgres"), "--version")?)?;
        Some(Binaries { dir: dir.to_path_buf(), major })
    }
}

/// Where to look. A value, so that tests can look elsewhere.
#[derive(Debug, Default)]
struct Search {
    /// `LATCHKEY_POSTGRES_BIN`: this or nothing.
    named: Option<PathBuf>,
    /// The directories of `PATH`.
    path: Vec<PathBuf>,
    /// Patterns with at most one `*`, in a single component.
    patterns: Vec<PathBuf>,
    /// Whether to ask `pg_config`, which may name a place of its own.
    ask_pg_config: bool,
}

impl Search {
    fn of_this_machine() -> Search {
        let patterns = [
            "/usr/lib/postgresql/*/bin",
            "/usr/pgsql-*/bin",
            "/opt/homebrew/opt/postgresql@*/bin",
            "/usr/local/opt/postgresql@*/bin",
            "/usr/local/pgsql/bin",
        ];
        Search {
            named: env::var_os("LATCHKEY_POSTGRES_BIN").filter(|value| !value.is_empty()).map(PathBuf::from),
            path: env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default(),
            patterns: patterns.map(PathBuf::from).into(),
            ask_pg_config: true,
        }
    }

    fn find(&self, cluster: Option<(&Path, u32)>) -> Result<Binaries> {
        let good = |major| cluster.map_or(major >= OLDEST, |(_, needed)| major == needed);
        let mut found = Vec::new();
        // Lazily: each candidate that is looked at costs the start of a program.
        for dir in self.candidates() {
            if let Some(binaries) = Binaries::in_dir(&dir) {
                if good(binaries.major) {
                    return Ok(binaries);
                }
                found.push(binaries.major);
            }
        }
        found.sort_unstable();
        found.dedup();
        Err(match (cluster, found.last(), &self.named) {
            (Some((dir, needed)), Some(_), _) => {
                let found = found.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
                PostgresError::WrongVersion { cluster: dir.to_path_buf(), needed, found }
            }
            (_, None, Some(dir)) => PostgresError::BadBin { dir: dir.clone() },
            (Some((dir, needed)), None, None) => {
                PostgresError::WrongVersion { cluster: dir.to_path_buf(), needed, found: "no server at all".into() }
            }
            (None, Some(&found), _) => PostgresError::TooOld { found, oldest: OLDEST },
            (None, None, None) => PostgresError::NoServer,
        })
    }

    fn candidates(&self) -> Box<dyn Iterator<Item = PathBuf> + '_> {
        if let Some(named) = &self.named {
            // The server's working directory is not ours.
            return Box::new(std::iter::once(fs::canonicalize(named).unwrap_or_else(|_| named.clone())));
        }
        let absolute = self.path.iter().filter(|dir| dir.is_absolute()).cloned();
        let installed = self.patterns.iter().flat_map(|pattern| expand(pattern));
        let configured = std::iter::once_with(|| self.ask_pg_config.then(pg_config_bindir).flatten()).flatten();
        Box::new(absolute.chain(installed).chain(configured))
    }
}

/// The directories that a pattern names, the highest number in place of its `*` first.
fn expand(pattern: &Path) -> Vec<PathBuf> {
    let mut front = PathBuf::new();
    let mut components = pattern.components();
    for component in components.by_ref() {
        let Some((before, after)) = component.as_os_str().to_str().and_then(|name| name.split_once('*')) else {
            front.push(component);
            continue;
        };
        let number = |name: &str| name.strip_prefix(before)?.strip_suffix(after)?.parse::<u32>().ok();
        let entries = fs::read_dir(&front).into_iter().flatten().flatten();
        let mut matches: Vec<(u32, PathBuf)> =
            entries.filter_map(|entry| Some((number(entry.file_name().to_str()?)?, entry.path().join(components.as_path())))).collect();
        matches.sort_unstable();
        return matches.into_iter().rev().map(|(_, dir)| dir).collect();
    }
    vec![front]
}

fn pg_config_bindir() -> Option<PathBuf> {
    say(Path::new("pg_config"), "--bindir").map(|line| PathBuf::from(line.trim()))
}

/// What a program answers to one argument.
fn say(program: &Path, argument: &str) -> Option<String> {
    let mut command = Command::new(program);
    command.arg(argument).stdin(Stdio::null()).stderr(Stdio::null());
    let output = command.output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}

/// `postgres (PostgreSQL) 15.18 (Debian …)`, `… 18beta1`, `… 17rc1`.
fn parse_version(line: &str) -> Option<u32> {
    let version = line.trim().strip_prefix("postgres (PostgreSQL) ")?;
    let digits = version.find(|c: char| !c.is_ascii_digit()).map_or(version, |end| &version[..end]);
    digits.parse().ok()
}

#[cfg(test)]
#[path = "binaries_tests.rs"]
mod tests;
