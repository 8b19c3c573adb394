//! The second process: this test binary again, told by the environment to enter [`child`].

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use latchkey::postgres::{Cluster, ServeLock};

use super::ground::add_row;

const ROLE: &str = "LATCHKEY_TEST_POSTGRES_ROLE";
const DATA_DIR: &str = "LATCHKEY_TEST_POSTGRES_DATA_DIR";

/// What a second process does. It says each step on a line of its own, and goes on when told to.
#[test]
#[ignore = "entered by the other tests as a process of its own"]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let data_dir = PathBuf::from(std::env::var_os(DATA_DIR).unwrap());
    let wait = || std::io::stdin().read_line(&mut String::new()).unwrap();
    match role.as_str() {
        "use" => match Cluster::open(&data_dir) {
            Ok(cluster) => {
                say(&format!("url {}", cluster.url()));
                wait();
                cluster.close().unwrap();
                say("closed");
            }
            Err(error) => say(&format!("error {error}")),
        },
        "churn" => {
            for _ in 0..8 {
                let cluster = Cluster::open(&data_dir).unwrap();
                add_row(&cluster.url());
                cluster.close().unwrap();
            }
            say("closed");
        }
        "serve" => {
            let _lock = ServeLock::acquire(&data_dir).unwrap();
            say("serving");
            wait();
        }
        other => panic!("no such role: {other}"),
    }
}

fn say(line: &str) {
    // The test harness leaves its own line unfinished.
    println!("\n@ {}", line.replace('\n', " "));
}

pub(super) struct Other {
    pub(super) process: Child,
    stdin: Option<ChildStdin>,
    lines: BufReader<ChildStdout>,
}

impl Other {
    pub(super) fn start(role: &str, data_dir: &Path) -> Other {
        Other::run(Command::new(std::env::current_exe().unwrap()), role, data_dir)
    }

    pub(super) fn run(mut command: Command, role: &str, data_dir: &Path) -> Other {
        let entry = format!("{}::child", module_path!().split_once("::").map_or("", |(_, path)| path));
        command.args([entry.as_str(), "--exact", "--ignored", "--nocapture"]);
        command.env(ROLE, role).env(DATA_DIR, data_dir);
        // As a shell would, so that a signal can be sent to the whole group.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let (stdin, lines) = (process.stdin.take(), BufReader::new(process.stdout.take().unwrap()));
        Other { process, stdin, lines }
    }

    /// The rest of the next line that begins so.
    pub(super) fn hear(&mut self, word: &str) -> String {
        for line in self.lines.by_ref().lines() {
            let line = line.unwrap();
            if let Some(said) = line.strip_prefix("@ ") {
                return said.strip_prefix(word).unwrap_or_else(|| panic!("{said}")).trim().to_owned();
            }
        }
        panic!("the other process ended before it said {word:?}");
    }

    pub(super) fn tell_to_go_on(&mut self) {
        self.stdin.take().unwrap().write_all(b"\n").unwrap();
    }

    pub(super) fn close(mut self) {
        self.tell_to_go_on();
        self.hear("closed");
        self.process.wait().unwrap();
    }

    pub(super) fn kill_dead(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
