//! `latchkey credits …` and `latchkey limit …`

use clap::Subcommand;
use serde_json::json;

use super::failure::Done;
use super::opened::{organization, work};
use super::orgs::shown;
use super::output::Output;
use crate::clock;
use crate::config::Place;
use crate::{credits, orgs};

#[derive(Subcommand)]
pub enum CreditsCommand {
    /// Give credits to an organization
    Grant {
        /// The organization's name in URLs
        #[arg(long, value_name = "SLUG")]
        org: String,
        /// How many
        #[arg(long, value_name = "N", allow_negative_numbers = true)]
        amount: i64,
        /// Why; it stands in the ledger
        #[arg(long)]
        note: String,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        place: Place,
    },
    /// Correct an organization's credits, up or down
    Adjust {
        /// The organization's name in URLs
        #[arg(long, value_name = "SLUG")]
        org: String,
        /// How many more, or less when negative; never below zero
        #[arg(long, value_name = "N", allow_negative_numbers = true)]
        amount: i64,
        /// Why; it stands in the ledger
        #[arg(long)]
        note: String,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Subcommand)]
pub enum LimitCommand {
    /// Set a quota in place of the profile's, per key or shared as the profile says
    Set {
        /// The organization's name in URLs
        #[arg(long, value_name = "SLUG")]
        org: String,
        /// The quota
        #[arg(long, value_name = "N", allow_negative_numbers = true)]
        requests_per_minute: i32,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        place: Place,
    },
}

/// Does it.
pub fn credits(command: CreditsCommand) -> Done {
    let (grants, org, amount, note, output, place) = match command {
        CreditsCommand::Grant { org, amount, note, output, place } => (true, org, amount, note, output, place),
        CreditsCommand::Adjust { org, amount, note, output, place } => (false, org, amount, note, output, place),
    };
    let balance = work(&place, |conn, actor| {
        let org = organization(conn, &org)?;
        let change = if grants { credits::grant } else { credits::adjust };
        change(conn, actor, clock::now(), org.id, amount, &note)
    })?;
    let value = json!({"organization": org, "available": balance.available, "held": balance.held, "settled": balance.settled});
    output.print(&value, || match grants {
        true => format!("Granted {amount} credits to {org}: {} are available now.", balance.available),
        false => format!("Adjusted the credits of {org} by {amount:+}: {} are available now.", balance.available),
    });
    Ok(())
}

/// Does it.
pub fn limit(command: LimitCommand) -> Done {
    let LimitCommand::Set { org, requests_per_minute, output, place } = command;
    let org = work(&place, |conn, actor| {
        let org = organization(conn, &org)?;
        orgs::set_requests_per_minute(conn, actor, clock::now(), org.id, Some(requests_per_minute))
    })?;
    output.print(&shown(&org), || format!("{} may make {requests_per_minute} requests a minute from now on.", org.slug));
    Ok(())
}
