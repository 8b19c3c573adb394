//! `latchkey org …`

use clap::Subcommand;
use serde_json::{Value, json};

use super::failure::Done;
use super::opened::{organization, work};
use super::output::{Output, table};
use crate::audit::moment;
use crate::clock::{self, rfc3339};
use crate::config::Place;
use crate::orgs::{self, Organization};

#[derive(Subcommand)]
pub enum Command {
    /// Make an organization
    Create {
        /// Its name for people
        #[arg(long)]
        name: String,
        /// Its name in URLs [default: made of the name]
        #[arg(long)]
        slug: Option<String>,
        /// Credits to begin with
        #[arg(long, value_name = "N")]
        credits: Option<i64>,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        place: Place,
    },
    /// Show all organizations
    List {
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        place: Place,
    },
    /// Refuse every request of an organization from now on
    Suspend(State),
    /// Admit its requests again
    Reinstate(State),
}

#[derive(clap::Args)]
pub struct State {
    /// The organization's name in URLs
    slug: String,
    /// Why; kept in the audit log
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    place: Place,
}

/// Does it.
pub fn run(command: Command) -> Done {
    match command {
        Command::Create { name, slug, credits, output, place } => {
            let org = work(&place, |conn, actor| orgs::create(conn, actor, clock::now(), &name, slug.as_deref(), credits))?;
            output.print(&shown(&org), || format!("Created the organization {} ({}).", org.name, org.slug));
        }
        Command::List { output, place } => {
            let all = work(&place, |conn, _| orgs::list(conn))?;
            let rows: Vec<Vec<String>> = all.iter().map(row).collect();
            output.print(&all.iter().map(shown).collect(), || table(&["SLUG", "NAME", "STATE", "REQUESTS/MIN", "CREATED"], &rows));
        }
        Command::Suspend(State { slug, reason, output, place }) => {
            let org = work(&place, |conn, actor| {
                let org = organization(conn, &slug)?;
                orgs::suspend(conn, actor, clock::now(), org.id, &reason)
            })?;
            output.print(&shown(&org), || format!("Suspended {}: its keys are refused from now on.", org.slug));
        }
        Command::Reinstate(State { slug, reason, output, place }) => {
            let org = work(&place, |conn, actor| {
                let org = organization(conn, &slug)?;
                orgs::reinstate(conn, actor, clock::now(), org.id, &reason)
            })?;
            output.print(&shown(&org), || format!("Reinstated {}: its keys work again.", org.slug));
        }
    }
    Ok(())
}

fn state(org: &Organization) -> &'static str {
    if org.suspended_at.is_some() { "suspended" } else { "active" }
}

/// An organization as JSON.
pub fn shown(org: &Organization) -> Value {
    json!({
        "id": org.id,
        "slug": org.slug,
        "name": org.name,
        "state": state(org),
        "requests_per_minute": org.requests_per_minute,
        "suspended_at": moment(org.suspended_at),
        "suspended_reason": org.suspended_reason,
        "created_at": rfc3339(org.created_at),
    })
}

fn row(org: &Organization) -> Vec<String> {
    let quota = org.requests_per_minute.map_or_else(|| "profile's".into(), |quota| quota.to_string());
    vec![org.slug.clone(), org.name.clone(), state(org).into(), quota, rfc3339(org.created_at)]
}
