//! Running low: the threshold below which an organization is warned, on its pages and by the event `credits.low`.
//!
//! The event tells of a crossing: once when what is available falls from the threshold or above it to below it, by whatever takes
//! credits, in the transaction that takes them. A rise to the threshold or above it arms it again. Setting a threshold takes
//! nothing: one that is set above what is available shows on the pages at once, and tells of the next crossing.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use serde_json::json;
use time::OffsetDateTime;

use super::{Balance, MOST};
use crate::actor::{Actor, Permission};
use crate::audit;
use crate::error::{Error, Result};
use crate::ids::OrgId;
use crate::schema::credit_balances;
use crate::webhooks::{self, CreditNews, NewEvent, Payload};

/// A balance below its threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Low {
    /// What is available.
    pub available: i64,
    /// What it is below of.
    pub threshold: i64,
}

/// Whether the organization runs low.
///
/// # Errors
/// `NotFound`; those of the database.
pub fn low(conn: &mut PgConnection, organization: OrgId) -> Result<Option<Low>> {
    let (Balance { available, .. }, threshold) = balance_and_threshold(conn, organization)?;
    Ok(threshold.filter(|threshold| available < *threshold).map(|threshold| Low { available, threshold }))
}

/// An organization's balance, and the threshold below which it is warned.
///
/// # Errors
/// `NotFound`; those of the database.
pub fn balance_and_threshold(conn: &mut PgConnection, organization: OrgId) -> Result<(Balance, Option<i64>)> {
    Ok(credit_balances::table.find(organization).select((Balance::as_select(), credit_balances::low_threshold)).first(conn)?)
}

/// Sets the threshold, or removes it; audited. Nothing is sent: see the top of this module.
///
/// # Errors
/// `Invalid` for a threshold outside 1 to [`MOST`]; `Forbidden`, `NotFound` for who may not; those of the database.
pub fn set_threshold(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, threshold: Option<i64>,
) -> Result<()> {
    actor.require(organization, Permission::ManageCredits)?;
    if let Some(outside) = threshold.filter(|threshold| !(1..=MOST).contains(threshold)) {
        return Err(Error::field("threshold", format!("{outside} is not between 1 and {MOST}. Leave it empty for no warning.")));
    }
    conn.transaction(|conn| {
        let row = credit_balances::table.find(organization);
        let before: Option<i64> = row.select(credit_balances::low_threshold).for_no_key_update().first(conn)?;
        if before == threshold {
            return Ok(());
        }
        diesel::update(row).set(credit_balances::low_threshold.eq(threshold)).execute(conn)?;
        audit::record(
            conn,
            actor,
            now,
            audit::Event {
                organization: Some(organization),
                action: "credits.threshold_set",
                target_id: organization.to_string(),
                target_label: "Low balance".into(),
                before: json!({"threshold": before}),
                after: json!({"threshold": threshold}),
            },
        )
    })
}

/// Publishes `credits.low` where these entries crossed the threshold. The balance's row is locked: one crossing, one event.
pub(super) fn tell(
    conn: &mut PgConnection, now: OffsetDateTime, organization: OrgId, threshold: Option<i64>, before: i64, available: i64,
) -> Result<()> {
    let Some(threshold) = threshold.filter(|threshold| before >= *threshold && available < *threshold) else { return Ok(()) };
    let event_type = webhooks::CREDITS_LOW;
    let credits = Some(CreditNews { available, threshold });
    let payload = Payload { job: None, credits, event_type, sequence: 1, at: now, is_test: false }.json()?;
    webhooks::publish(conn, now, organization, None, true, vec![NewEvent { sequence: 1, event_type: event_type.into(), payload }])
}
