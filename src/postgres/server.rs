//! Starting and stopping the server. Both happen only under the gate, so nothing here races with another Latchkey.
//!
//! Whether a process of the cluster still lives is never read off a pid, which may by now be somebody else's: the
//! server holds the lock `postgres.server.lock` through its standard input, all its children inherit that, and
//! the kernel frees it with the last of them. When it is free and nobody answers on the socket, `postmaster.pid` and
//! the socket's lock file are stale whatever they say.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::account::Account;
use super::binaries::Binaries;
use super::error::{PostgresError, Result, last_lines};
use super::locks::Lock;
use super::probe::{Answer, probe};
use super::{init, place, settings, wait};

/// Recovery after a crash replays at most `max_wal_size`, on a slow disk some minutes.
const START_PATIENCE: Duration = Duration::from_secs(10 * 60);
/// A fast shutdown ends the sessions and writes what is not yet in the data files.
const STOP_PATIENCE: Duration = Duration::from_secs(60);

/// The server of one cluster, as seen by one process that uses it.
#[derive(Debug)]
pub(super) struct Server {
    data_dir: PathBuf,
    home: PathBuf,
    socket_dir: PathBuf,
    lock: Lock,
    /// The server, if it was this process that started it: somebody has to collect its exit status.
    child: Mutex<Option<Child>>,
}

impl Server {
    /// Finds the cluster or makes it, finds its server running or starts it.
    pub(super) fn bring_up(data_dir: &Path) -> Result<Server> {
        let (home, mut tools) = match place::find(data_dir)? {
            Some(home) => (home.dir, None),
            None => {
                let tools = Tools { account: Account::find(None)?, binaries: Binaries::find(None)? };
                (init::create(data_dir, &tools.account, &tools.binaries)?, Some(tools))
            }
        };
        let socket_dir = place::socket_dir(&home).unwrap_or_default();
        let lock = Lock::server(data_dir)?;
        let mut server = Server { data_dir: data_dir.to_path_buf(), home, socket_dir, lock, child: Mutex::default() };
        if server.settle()? {
            let tools = match tools.take() {
                Some(tools) => tools,
                None => server.tools()?,
            };
            server.socket_dir = place::make_socket_dir(&server.home, &tools.account)?;
            server.start(&tools)?;
        }
        Ok(server)
    }

    /// Starts the server again if it is down; whether it had to.
    pub(super) fn bring_back(&self) -> Result<bool> {
        if !self.settle()? {
            return Ok(false);
        }
        let tools = self.tools()?;
        let socket_dir = place::make_socket_dir(&self.home, &tools.account)?;
        if socket_dir != self.socket_dir {
            // Everybody's connections go to the old place: better to say so than to serve where nobody looks.
            let error = std::io::Error::other("it is no longer Latchkey's own; restart Latchkey");
            return Err(PostgresError::io("use the socket directory", &self.socket_dir)(error));
        }
        self.start(&tools)?;
        Ok(true)
    }

    /// Whether any process of the server lives. Costs two system calls and never disturbs the server.
    pub(super) fn lives(&self) -> Result<bool> {
        self.reap();
        let free = self.lock.try_shared()?;
        if free {
            self.lock.unlock()?;
        }
        Ok(!free)
    }

    pub(super) fn url(&self, database: &str) -> String {
        settings::url(&self.socket_dir, database)
    }

    /// Waits until the server is either ready (`false`) or certainly gone (`true`). It may be found on its way
    /// up or down, when whoever saw to that was killed in the midst of it.
    fn settle(&self) -> Result<bool> {
        let gone = wait::until(START_PATIENCE, || match probe(&self.socket()) {
            Answer::Ready => Ok(Some(false)),
            Answer::Busy => Ok(None),
            Answer::Nobody => Ok((!self.lives()?).then_some(true)),
        })?;
        gone.ok_or_else(|| self.not_ready())
    }

    fn start(&self, tools: &Tools) -> Result<()> {
        if !tools.account.can_enter(&self.home)? {
            return Err(PostgresError::Unreachable { cluster: self.home.clone() });
        }
        // An initdb whose Latchkey was killed may have gone on for a while, so not only when a cluster is made.
        place::sweep(&self.data_dir);
        let _ = fs::remove_file(self.home.join("postmaster.pid"));
        place::clear_socket(&self.socket_dir);
        settings::write(&self.home, &self.socket_dir, &tools.account)?;
        let mut child = self.spawn(tools)?;
        let ready = wait::until(START_PATIENCE, || {
            // The file first: every knock before the time is a line in the server's log.
            if self.says_ready() && probe(&self.socket()) == Answer::Ready {
                return Ok(Some(()));
            }
            let ended = child.try_wait().map_err(PostgresError::io("watch", &tools.binaries.postgres()))?;
            if ended.is_some() { Err(PostgresError::Start { log: self.log() }) } else { Ok(None) }
        })?;
        *self.child.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        ready.ok_or_else(|| self.not_ready())?;
        self.prune_logs(&tools.account);
        Ok(())
    }

    /// Whether the server wrote "ready" on the eighth line of `postmaster.pid`, as `pg_ctl` would look for.
    fn says_ready(&self) -> bool {
        fs::read_to_string(self.home.join("postmaster.pid"))
            .is_ok_and(|text| text.lines().nth(7).is_some_and(|line| line.trim() == "ready"))
    }

    fn spawn(&self, tools: &Tools) -> Result<Child> {
        let lock = Lock::server(&self.data_dir)?;
        if !lock.try_exclusive()? {
            // Another process's look at the lock can hold it for an instant.
            wait::until(STOP_PATIENCE, || Ok(lock.try_exclusive()?.then_some(())))?
                .ok_or_else(|| PostgresError::NotStopped { cluster: self.home.clone(), waited_s: STOP_PATIENCE.as_secs() })?;
        }
        let said = self.start_log();
        let _ = fs::remove_file(&said);
        let mut options = OpenOptions::new();
        let output = options.append(true).create_new(true).mode(0o600).open(&said);
        let output = output.map_err(PostgresError::io("create", &said))?;
        let again = output.try_clone().map_err(PostgresError::io("open", &said))?;
        let program = tools.binaries.postgres();
        let mut command = tools.account.command(&program);
        command.arg("-D").arg(&self.home).args(settings::fixed(&self.socket_dir));
        command.stdin(Stdio::from(lock.into_file())).stdout(Stdio::from(output)).stderr(Stdio::from(again));
        // Its own group: a Ctrl-C in the terminal is for Latchkey, which then stops the server when it is done.
        command.process_group(0);
        command.spawn().map_err(PostgresError::io("run", &program))
    }

    /// Stops the server and waits until the last of its processes is gone.
    pub(super) fn stop(&self) -> Result<()> {
        if probe(&self.socket()) != Answer::Nobody {
            let tools = self.tools()?;
            let program = tools.binaries.pg_ctl();
            let mut command = tools.account.command(&program);
            // Without waiting: pg_ctl looks ten times a second, we look more often.
            command.args(["stop", "--silent", "--no-wait", "--mode=fast", "-D"]).arg(&self.home);
            // That it found no server is as good; whether it is gone is seen below.
            // In a group of its own, or an impatient second Ctrl-C would hit it.
            command.process_group(0).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().map_err(PostgresError::io("run", &program))?;
        }
        let gone = wait::until(STOP_PATIENCE, || Ok((!self.lives()? && probe(&self.socket()) == Answer::Nobody).then_some(())))?;
        let waited_s = STOP_PATIENCE.as_secs();
        gone.ok_or_else(|| PostgresError::NotStopped { cluster: self.home.clone(), waited_s })?;
        if let Some(mut child) = self.child.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = child.wait();
        }
        place::remove_socket_dir(&self.home, &self.socket_dir);
        Ok(())
    }

    /// Collects the exit status of a server that was our child and has ended.
    fn reap(&self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        if child.as_mut().is_some_and(|child| !matches!(child.try_wait(), Ok(None))) {
            *child = None;
        }
    }

    fn tools(&self) -> Result<Tools> {
        let version = self.home.join("PG_VERSION");
        let home = place::find(&self.data_dir)?.ok_or(PostgresError::NotACluster { path: version })?;
        let account = Account::find(Some(&self.home))?;
        Ok(Tools { account, binaries: Binaries::find(Some((&self.home, home.major)))? })
    }

    fn socket(&self) -> PathBuf {
        place::socket(&self.socket_dir)
    }

    /// What the server says before its log files are open, and why it did not get that far.
    fn start_log(&self) -> PathBuf {
        self.data_dir.join("postgres.start.log")
    }

    fn log_files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.home.join("log")).into_iter().flatten().flatten();
        let is_log = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "log");
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_log).collect();
        files.sort_unstable();
        files
    }

    fn log(&self) -> String {
        let said = fs::read_to_string(self.start_log()).unwrap_or_default();
        // From there on the collector writes; its file names sort by time.
        let collected = said.contains("redirecting log output").then(|| self.log_files().pop()).flatten();
        let text = collected.and_then(|path| tail(&path)).unwrap_or(said);
        last_lines(&text, 8)
    }

    fn not_ready(&self) -> PostgresError {
        PostgresError::NotReady { waited_s: START_PATIENCE.as_secs(), log: self.log() }
    }

    /// The server makes a new log file at each start and never removes one. As its own account, because the directory is
    /// that account's and could lead anywhere.
    fn prune_logs(&self, account: &Account) {
        let files = self.log_files();
        let old = &files[..files.len().saturating_sub(settings::LOGS_KEPT)];
        if !old.is_empty() {
            let mut command = account.command(Path::new("rm"));
            let _ = command.args(["-f", "--"]).args(old).stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
    }
}

/// What it takes to start or stop the server.
struct Tools {
    account: Account,
    binaries: Binaries,
}

/// The end of a file that may be large.
fn tail(path: &Path) -> Option<String> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(8192))).ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
