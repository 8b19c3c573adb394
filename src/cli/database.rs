//! `latchkey database …` and `latchkey migrate`

use std::process::Command as Process;

use clap::{Args, Subcommand};
use serde_json::json;

use super::failure::{Done, Failure};
use super::opened::Opened;
use super::output::Output;
use crate::config::Place;

#[derive(Args)]
pub struct Migrate {
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    place: Place,
}

#[derive(Subcommand)]
pub enum Command {
    /// Run a program with DATABASE_URL set to the database in use: `latchkey database exec -- sh -c 'psql "$DATABASE_URL"'`
    Exec {
        #[command(flatten)]
        place: Place,
        /// The program and its arguments
        #[arg(required = true, last = true, value_name = "CMD")]
        program: Vec<String>,
    },
}

/// Brings the database up to this version.
pub fn migrate(Migrate { output, place }: Migrate) -> Done {
    let opened = Opened::find(&place, 1)?;
    let ran = opened.db.migrate();
    opened.close()?;
    let ran = ran?;
    output.print(&json!({"migrated": ran}), || match ran.len() {
        0 => "The database is up to date.".into(),
        _ => format!("Ran {}.", ran.join(", ")),
    });
    Ok(())
}

/// Does it.
pub fn run(command: Command) -> Done {
    let Command::Exec { place, program } = command;
    let opened = Opened::find(&place, 1)?;
    outlive_ctrl_c()?;
    let (name, arguments) = program.split_first().ok_or_else(|| Failure::wrong("There is no program to run."))?;
    let ended = Process::new(name).args(arguments).env("DATABASE_URL", &opened.url).status();
    opened.close()?;
    let ended = ended.map_err(|e| Failure::failed(format!("{name} can't be run: {e}.")))?;
    match ended.code() {
        Some(0) => Ok(()),
        code => Err(Failure::silent(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))),
    }
}

/// The program at the terminal is told of Ctrl-C too; this one must live on to release the database.
fn outlive_ctrl_c() -> Done {
    use actix_web::rt::signal::unix::{SignalKind, signal};
    // A handler, once registered, stays for the life of the process.
    let registered = actix_web::rt::System::new().block_on(async { signal(SignalKind::interrupt()).map(drop) });
    registered.map_err(|e| Failure::failed(format!("Signals can't be watched: {e}.")))
}
