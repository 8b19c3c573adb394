//! `latchkey audit …`

use clap::Subcommand;
use diesel::pg::PgConnection;
use serde_json::json;

use super::failure::{Done, Failure};
use super::opened::{Opened, organization};
use super::output::Output;
use crate::audit::verify::{self, Head, Noted, Verification, Wanted};
use crate::config::Place;
use crate::error::{Error, Result};
use crate::orgs::Organization;

/// Stands for the deployment's own chain where a slug is asked for; no slug is like it.
const DEPLOYMENT: &str = "-";

#[derive(Subcommand)]
pub enum Command {
    /// Prove that no entry was changed, or name the first that was
    Verify {
        /// Look at the chain of this organization alone
        #[arg(long, value_name = "SLUG")]
        org: Option<String>,
        /// A head that was noted earlier: it has to be in the chain still. ORG is a slug, or - for the deployment's own chain
        #[arg(long, value_name = "ORG=HASH", allow_hyphen_values = true)]
        head: Vec<String>,
        /// Also print each chain's head as ORG=HASH, to be kept elsewhere
        #[arg(long)]
        heads: bool,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        place: Place,
    },
}

/// Does it.
pub fn run(command: Command) -> Done {
    let Command::Verify { org, head, heads, output, place } = command;
    let noted = head.iter().map(|text| parse(text)).collect::<Done<Vec<_>>>()?;
    // Not inside `work`: it takes a snapshot of its own.
    let opened = Opened::migrated(&place, 1)?;
    let found = opened.db.run_blocking(|conn| {
        let wanted = Wanted {
            only: org.as_deref().map(|slug| Ok::<_, Error>(organization(conn, slug)?.id)).transpose()?,
            noted: noted.into_iter().map(|(slug, hash)| whose(conn, slug, hash)).collect::<Result<_>>()?,
        };
        verify::prove(conn, &wanted)
    });
    opened.close()?;
    let found = found?;
    output.print(&json!(found), || said(&found, heads || org.is_some(), &head));
    if found.is_whole() { Ok(()) } else { Err(Failure::silent(1)) }
}

fn said(found: &Verification, with_heads: bool, noted: &[String]) -> String {
    if let Some(at) = &found.first_break {
        let whose = at.organization.as_ref().map(|slug| format!(" ({slug})")).unwrap_or_default();
        return format!("The audit log is broken: chain {}{whose}, entry {}: {}.", at.chain, at.sequence, at.reason);
    }
    if !found.lost_heads.is_empty() {
        let hashes: Vec<String> = found.lost_heads.iter().map(|lost| verify::hex_text(&lost.hash)).collect();
        let lost = noted.iter().filter(|text| hashes.iter().any(|hash| text.to_lowercase().ends_with(hash)));
        let lost: Vec<&str> = lost.map(String::as_str).collect();
        return format!("The audit log is not the one of then: {} is in its chain no more.", lost.join(", "));
    }
    let chains = if found.chains == 1 { "chain" } else { "chains" };
    let mut lines = vec![format!("The audit log is whole: {} entries in {} {chains}.", found.entries, found.chains)];
    if with_heads {
        lines.extend(found.heads.iter().map(line));
    }
    lines.join("\n")
}

/// As `--head` takes it.
fn line(head: &Head) -> String {
    let whose = head.organization.as_deref().unwrap_or(if head.chain.is_nil() { DEPLOYMENT } else { "?" });
    format!("{whose}={}", verify::hex_text(&head.hash))
}

/// Slug and hash of `ORG=HASH`.
fn parse(text: &str) -> Done<(&str, Vec<u8>)> {
    let wrong = || Failure::wrong(format!("--head: {text:?} is not ORG=HASH, with the 64 digits that --heads prints."));
    let (slug, digits) = text.split_once('=').ok_or_else(wrong)?;
    if slug.is_empty() || digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| wrong());
    Ok((slug, (0..64).step_by(2).map(byte).collect::<Done<_>>()?))
}

fn whose(conn: &mut PgConnection, slug: &str, hash: Vec<u8>) -> Result<Noted> {
    if slug == DEPLOYMENT {
        return Ok(Noted { organization: None, hash });
    }
    let Organization { id, .. } = organization(conn, slug)?;
    Ok(Noted { organization: Some(id), hash })
}
