//! `latchkey worker-token …`

use clap::Subcommand;
use serde_json::json;

use super::failure::Done;
use super::opened::work;
use super::output::Output;
use crate::clock;
use crate::config::Place;
use crate::jobs::worker_tokens;

#[derive(Subcommand)]
pub enum Command {
    /// Make a credential for a worker; it is printed once and kept nowhere
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
pub fn run(command: Command) -> Done {
    let Command::Create { name, output, place } = command;
    let token = work(&place, |conn, actor| worker_tokens::create_token(conn, actor, clock::now(), &name))?;
    output.print(&json!({"name": name, "token": token.reveal()}), || token.reveal().to_owned());
    Ok(())
}
