//! The command line, through the real binary: exit status, sentences, JSON.

mod commands;
mod doctor;
mod embedded;
mod log;
mod receiver;
mod secret_key;
mod seeds;
mod serving;
mod settings;

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::TestDb;

/// A clean environment around the binary, on a database of its own.
pub struct Cli {
    database: Option<TestDb>,
    data_dir: std::path::PathBuf,
}

impl Cli {
    /// On a migrated database.
    pub fn new() -> Self {
        Self { database: Some(TestDb::new()), data_dir: scratch() }
    }

    /// Without DATABASE_URL: on the private cluster of its data directory.
    pub fn embedded() -> Self {
        Self { database: None, data_dir: scratch() }
    }

    pub fn database(&self) -> &TestDb {
        self.database.as_ref().expect("a database")
    }

    pub fn data_dir(&self) -> &std::path::Path {
        &self.data_dir
    }

    /// The command, not yet run.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_latchkey"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LATCHKEY_")) {
            command.env_remove(name);
        }
        match &self.database {
            Some(database) => command.env("DATABASE_URL", database.url()),
            None => command.env_remove("DATABASE_URL"),
        };
        command.args(arguments).env("LATCHKEY_DATA_DIR", &self.data_dir).stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        Run::of(self.command(arguments))
    }

    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Run {
        let mut command = self.command(arguments);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Run::from(process.wait_with_output().unwrap())
    }
}

impl Drop for Cli {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.data_dir);
    }
}

fn scratch() -> std::path::PathBuf {
    let dir = std::env::temp_dir().join(format!("latchkey-cli-{}", latchkey::secret::random_base62(12).unwrap()));
    std::fs::create_dir(&dir).unwrap();
    // PostgreSQL runs as another user when this is root.
    std::fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    dir
}

/// How a command ended.
#[derive(Debug)]
pub struct Run {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl From<std::process::Output> for Run {
    fn from(output: std::process::Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { status: output.status.code().expect("an exit status"), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Run {
    pub fn of(mut command: Command) -> Self {
        Self::from(command.output().unwrap())
    }

    /// It worked, and said nothing of trouble.
    pub fn ok(self) -> Self {
        assert_eq!((self.status, self.err.as_str()), (0, ""), "{self:?}");
        self
    }

    pub fn json(self) -> Value {
        let run = self.ok();
        serde_json::from_str(&run.out).unwrap_or_else(|e| panic!("{e}: {}", run.out))
    }

    /// It failed with this status and this sentence, one line each, without an innard showing.
    pub fn fails(self, status: i32, sentence: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.err.contains(sentence), "{sentence:?} is not in {:?}", self.err);
        assert_eq!(self.out, "", "data beside a failure");
        for innard in ["panicked", "RUST_BACKTRACE", "Error {", "Invalid([", "Some("] {
            assert!(!self.err.contains(innard), "{:?}", self.err);
        }
    }
}
