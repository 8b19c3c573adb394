//! `latchkey worker-token …` and `latchkey service-token …`

use clap::Subcommand;
use serde_json::json;

use super::failure::Done;
use super::opened::work;
use super::output::Output;
use crate::clock;
use crate::config::Place;
use crate::programs::{self, Kind};

#[derive(Subcommand)]
pub enum Command {
    /// Make a credential; it is printed once and kept nowhere
    Create {
        /// What to call it
        #[arg(long)]
        name: String,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        place: Place,
    },
}

/// Does it.
pub fn run(kind: Kind, command: Command) -> Done {
    let Command::Create { name, output, place } = command;
    let token = work(&place, |conn, actor| programs::create_token(conn, actor, clock::now(), kind, &name))?;
    output.print(&json!({"name": name, "token": token.reveal()}), || token.reveal().to_owned());
    Ok(())
}
