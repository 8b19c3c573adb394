//! `latchkey key …`

use clap::Subcommand;
use serde_json::json;

use super::failure::{Done, Failure};
use super::opened::{organization, work};
use super::output::Output;
use crate::clock::{self, rfc3339};
use crate::config::{Contract, Place};
use crate::keys::{self, NewKey};
use crate::profile::Profile;

#[derive(Subcommand)]
pub enum Command {
    /// Make an API key; its text is printed once and kept nowhere
    Create {
        /// The organization's name in URLs
        #[arg(long, value_name = "SLUG")]
        org: String,
        /// Its name for people
        #[arg(long, default_value = "")]
        name: String,
        /// One of the profile's [default: the profile's first]
        #[arg(long)]
        environment: Option<String>,
        /// One of the profile's; may be repeated
        #[arg(long = "permission", value_name = "PERMISSION")]
        permissions: Vec<String>,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        contract: Contract,
        #[command(flatten)]
        place: Place,
    },
}

/// Does it.
pub fn run(command: Command) -> Done {
    let Command::Create { org, name, environment, permissions, output, contract, place } = command;
    let profile = Profile::load(&contract.profile).map_err(|e| Failure::of_profile(&contract.profile, e))?;
    let environment = environment.unwrap_or_else(|| profile.default_environment().to_owned());
    let (key, plain) = work(&place, |conn, actor| {
        let organization = organization(conn, &org)?.id;
        let new = NewKey { organization, name, environment, permissions, expires_at: None, form_token: None };
        keys::create(conn, actor, clock::now(), &profile, new)
    })?;
    let value = json!({
        "key_id": key.id,
        "key": plain.reveal(),
        "name": key.name,
        "prefix": key.prefix,
        "environment": key.environment,
        "permissions": key.permissions,
        "organization": org,
        "created_at": rfc3339(key.created_at),
    });
    output.print(&value, || plain.reveal().to_owned());
    Ok(())
}
