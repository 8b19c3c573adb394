//! What operators do to a balance: grant, and correct.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use serde_json::json;
use time::OffsetDateTime;

use super::{Balance, Books, EntryKind, MOST};
use crate::actor::{Actor, Permission};
use crate::audit;
use crate::error::{Error, Result};
use crate::ids::OrgId;

/// Gives credits, with a note; audited. Returns the balance after it.
///
/// # Errors
/// `Invalid` for an amount outside 1 to [`MOST`] or a note that is empty, too long or not one line; `Forbidden`; those of the database.
pub fn grant(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, amount: i64, note: &str) -> Result<Balance> {
    actor.require(organization, Permission::Operate)?;
    if !(1..=MOST).contains(&amount) {
        return Err(Error::field("amount", format!("{amount} is not between 1 and {MOST}.")));
    }
    change(conn, actor, now, organization, EntryKind::Grant, amount, note)
}

/// Corrects what is available, up or down but never below zero, with a note; audited. Returns the balance after it.
///
/// # Errors
/// `Invalid` for an amount of 0, beyond [`MOST`] either way, or of more than is available, and for a note as in [`grant`];
/// `Forbidden`; those of the database.
pub fn adjust(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, amount: i64, note: &str,
) -> Result<Balance> {
    actor.require(organization, Permission::Operate)?;
    if amount == 0 || !(-MOST..=MOST).contains(&amount) {
        return Err(Error::field("amount", format!("{amount} is neither between 1 and {MOST} nor between -{MOST} and -1.")));
    }
    change(conn, actor, now, organization, EntryKind::Adjust, amount, note)
}

fn change(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, kind: EntryKind, amount: i64, note: &str,
) -> Result<Balance> {
    let note = note.trim();
    if !(1..=200).contains(&note.chars().count()) || note.chars().any(char::is_control) {
        return Err(Error::field("note", "A note of 1 to 200 characters on one line tells the organization why."));
    }
    conn.transaction(|conn| {
        let mut books = Books::open(conn, now, [organization])?;
        let before = books.balance(organization);
        if before.available + amount < 0 {
            return Err(Error::field(
                "amount",
                format!("Only {} credits are available: {amount} would leave less than none.", before.available),
            ));
        }
        books.post(organization, kind, amount, 0, None, actor.label(), note);
        let after = books.balance(organization);
        books.close(conn)?;
        audit::record(
            conn,
            actor,
            now,
            audit::Event {
                organization: Some(organization),
                action: if kind == EntryKind::Grant { "credits.granted" } else { "credits.adjusted" },
                target_id: organization.to_string(),
                target_label: note.into(),
                before: json!({"available": before.available}),
                after: json!({"available": after.available, "amount": amount}),
            },
        )?;
        Ok(after)
    })
}
