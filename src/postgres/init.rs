//! Making a new cluster: about half a second, once in the life of a data directory.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::account::Account;
use super::binaries::Binaries;
use super::error::{PostgresError, Result, last_lines};
use super::{place, settings};

/// The first major version with a C.UTF-8 of its own, the same on every operating system.
const BUILTIN_LOCALE: u32 = 17;

/// Makes the cluster and its database `latchkey`, durable when this returns.
pub(super) fn create(data_dir: &Path, account: &Account, binaries: &Binaries) -> Result<PathBuf> {
    let unfinished = place::Unfinished::begin(data_dir, account)?;
    let dir = &unfinished.dir;
    // Nothing is flushed on the way, everything at the end: `--sync-only` walks the whole cluster.
    initdb(dir, account, binaries)?;
    create_database(dir, account, binaries)?;
    let conf = dir.join("postgresql.conf");
    let text = fs::read_to_string(&conf).map_err(PostgresError::io("read", &conf))?;
    account.write(&conf, format!("{text}{}", settings::INCLUDE).as_bytes())?;
    run(account.command(&binaries.initdb()).arg("--sync-only").arg("-D").arg(dir), None)?;
    unfinished.finish(data_dir)
}

fn initdb(dir: &Path, account: &Account, binaries: &Binaries) -> Result<()> {
    let attempt = |locale: &[&str]| {
        let mut command = account.command(&binaries.initdb());
        command.args(["--username=latchkey", "--encoding=UTF8", "--data-checksums", "--auth=trust"]);
        command.args(["--no-sync", "--no-instructions"]).args(locale).arg("-D").arg(dir);
        run(&mut command, None)
    };
    // Some systems have no C.UTF-8. Plain C differs from it in the case of letters beyond ASCII.
    let mut outcome = match binaries.major() {
        BUILTIN_LOCALE.. => attempt(&["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]),
        _ => attempt(&["--locale=C.UTF-8"]),
    };
    if outcome.is_err() && attempt(&["--locale=C"]).is_ok() {
        outcome = Ok(());
    }
    outcome
}

/// In single-user mode: no socket, nothing to wait for. By default an error there would leave the exit status at 0.
fn create_database(dir: &Path, account: &Account, binaries: &Binaries) -> Result<()> {
    let mut command = account.command(&binaries.postgres());
    command.arg("--single").args(["-c", "exit_on_error=on", "-c", "fsync=off"]).arg("-D").arg(dir).arg("postgres");
    run(&mut command, Some("CREATE DATABASE latchkey;\n"))
}

fn run(command: &mut Command, input: Option<&str>) -> Result<()> {
    let program = PathBuf::from(command.get_program());
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    if input.is_some() {
        command.stdin(Stdio::piped());
    }
    let mut child = command.spawn().map_err(PostgresError::io("run", &program))?;
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        // A child that ended before reading tells why on its standard error, which says more than a broken pipe.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(PostgresError::io("run", &program))?;
    if output.status.success() {
        return Ok(());
    }
    Err(PostgresError::Init { log: last_lines(&String::from_utf8_lossy(&output.stderr), 8) })
}
