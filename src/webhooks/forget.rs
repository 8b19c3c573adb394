//! What is kept for a time and no longer. Each call does a bounded piece, so that its caller can do other things in between;
//! instances that do it side by side leave each other's rows alone.

use diesel::dsl::exists;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types as sql;
use time::{Duration, OffsetDateTime};

use crate::error::Result;
use crate::ids::{EventId, OrgId, uuid_floor};
use crate::schema::{delivery_lanes, webhooks};

/// Events, their deliveries and the attempts.
const KEPT: Duration = Duration::days(90);
/// Figures by the minute, of which the last 24 hours are shown.
const MINUTES_KEPT: Duration = Duration::days(2);
/// How long deliveries wait for a webhook that is off.
pub const PATIENCE: Duration = Duration::days(7);
/// Rows of one piece: deliveries, events or minutes.
const PIECE: i64 = 5_000;

/// Drops what is past its time, and gives up what has waited too long for a webhook that is off. Tells whether there may be more.
///
/// # Errors
/// Those of the database.
pub fn forget_old(conn: &mut PgConnection, now: OffsetDateTime) -> Result<bool> {
    let mut more = give_up_waiting(conn, now)?;
    let old = EventId(uuid_floor(now - KEPT));
    // Deliveries first, and events without one after that: what is pending, or becomes so by a resend, keeps its event.
    for drop in [include_str!("forget_deliveries.sql"), include_str!("forget_events.sql")] {
        let dropped = diesel::sql_query(drop).bind::<sql::Uuid, _>(old).bind::<sql::BigInt, _>(PIECE).execute(conn)?;
        more |= dropped as i64 == PIECE;
    }
    let dropped = diesel::sql_query(include_str!("forget_minutes.sql"))
        .bind::<sql::Timestamptz, _>(now - MINUTES_KEPT)
        .bind::<sql::BigInt, _>(PIECE)
        .execute(conn)?;
    Ok(more | (dropped as i64 == PIECE))
}

/// Gives up deliveries that are as old as the webhook must have been off for.
fn give_up_waiting(conn: &mut PgConnection, now: OffsetDateTime) -> Result<bool> {
    let since = now - PATIENCE;
    let long_off = webhooks::disabled_at.le(since);
    // Nothing was tried since it is off, so that a lane with anything so old is due for as long, but for one that waited for its next
    // try then: that goes as much later. An organization where nothing is to be done costs one probe.
    let has_old = delivery_lanes::organization_id.eq(webhooks::organization_id).and(delivery_lanes::due_at.le(since));
    let all: Vec<OrgId> = webhooks::table
        .filter(long_off.and(exists(delivery_lanes::table.filter(has_old))))
        .select(webhooks::organization_id)
        .order(webhooks::organization_id)
        .load(conn)?;
    let mut more = false;
    for organization in all {
        more |= conn.transaction::<_, crate::error::Error, _>(|conn| {
            // Held, so that it stays off until this is done; and before the lanes, as everybody does.
            let still: Option<OrgId> =
                webhooks::table.find(organization).filter(long_off).select(webhooks::organization_id).for_share().first(conn).optional()?;
            match still {
                Some(_) => super::outbox::give_up_piece(conn, now, organization, EventId(uuid_floor(since)), since),
                None => Ok(false),
            }
        })?;
    }
    Ok(more)
}
