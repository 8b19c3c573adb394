//! `serve` and `demo` in a process of their own, read line by line.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use super::Cli;

/// `serve` or `demo` in a process of its own.
pub struct Serving {
    process: Child,
    out: BufReader<ChildStdout>,
}

impl Serving {
    pub fn start(cli: &Cli, command: &str) -> Self {
        Self::logging(cli, command, "warn")
    }

    /// With its log, as JSON, in the file `log` of the data directory.
    pub fn logging(cli: &Cli, command: &str, filter: &str) -> Self {
        Self::with(cli, command, filter, &[])
    }

    /// The same with more settings.
    pub fn with(cli: &Cli, command: &str, filter: &str, settings: &[(&str, &str)]) -> Self {
        let mut process = cli
            .command(&[command, "--listen", "127.0.0.1:0"])
            .envs(settings.iter().copied())
            .env("LATCHKEY_LOG", filter)
            .env("LATCHKEY_LOG_FORMAT", "json")
            .stderr(std::fs::File::create(cli.data_dir().join("log")).unwrap())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(process.stdout.take().unwrap());
        Self { process, out }
    }

    /// What it says, up to and with the line that has `word`.
    pub fn until(&mut self, word: &str) -> String {
        let mut said = String::new();
        loop {
            let start = said.len();
            assert_ne!(self.out.read_line(&mut said).unwrap(), 0, "it ended, having said: {said}");
            if said[start..].contains(word) {
                return said;
            }
        }
    }

    /// SIGTERM, and the exit status.
    pub fn stop(mut self) -> Option<i32> {
        Command::new("kill").arg(self.process.id().to_string()).status().unwrap();
        self.process.wait().unwrap().code()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
