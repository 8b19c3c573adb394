//! `latchkey audit …`

use clap::Subcommand;
use serde_json::json;

use super::failure::{Done, Failure};
use super::opened::Opened;
use super::output::Output;
use crate::audit;
use crate::config::Place;

#[derive(Subcommand)]
pub enum Command {
    /// Prove that no entry was changed, or name the first that was
    Verify {
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        place: Place,
    },
}

/// Does it.
pub fn run(command: Command) -> Done {
    let Command::Verify { output, place } = command;
    // Not inside `work`: it takes a snapshot of its own.
    let opened = Opened::migrated(&place, 1)?;
    let found = opened.db.run_blocking(audit::verify);
    opened.close()?;
    let found = found?;
    output.print(&json!(found), || match &found.first_break {
        None => format!("The audit log is whole: {} entries in {} chains.", found.entries, found.chains),
        Some(at) => format!("The audit log is broken: chain {}, entry {}: {}.", at.chain, at.sequence, at.reason),
    });
    if found.first_break.is_some() { Err(Failure::silent(1)) } else { Ok(()) }
}
