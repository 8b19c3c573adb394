//! The catch-up feed: an organization's events in an order that only ever grows at its end.
//!
//! Ids won't do for that order: they are made before their transaction commits, and transactions commit in another order than
//! they began, so that a reader who is past an id may find a smaller one behind it. Numbers are therefore given when the feed
//! is read, to events that are committed by then, one reader at a time. An event that appears late gets a late number.
//!
//! The last event stays when others of its age are dropped, so that a reader who has read everything finds its place again,
//! however long nothing happened.
//!
//! Within a job the numbers follow the sequence. Its events are committed in that order, since each of them locks the job; so
//! whoever sees one sees those before it, and numbers them first.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types as sql;

use crate::error::{Error, Result};
use crate::ids::{EventId, OrgId};
use crate::raw_json::RawJson;
use crate::schema::events;

/// Events that are numbered under one lock. With those of their jobs that go first there may be a few more.
const CHUNK: i64 = 2_000;
/// Chunks of one call: what a reader who starts at an event far from the end waits for.
const CHUNKS: usize = 10;

/// An event of the feed.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = events, check_for_backend(diesel::pg::Pg))]
pub struct FeedEvent {
    /// The same as its delivery's.
    pub id: EventId,
    /// The body, as it is delivered.
    pub payload: RawJson,
}

/// What the feed has for a reader.
#[derive(Debug)]
pub enum FeedPage {
    /// The next events. Fewer than asked for: there are no more now.
    Events(Vec<FeedEvent>),
    /// The place of the reader's event is not known yet, with 20,000 before it that nobody read. A part of them was numbered:
    /// asked again, it comes further.
    Behind,
}

/// At most `limit` events after that one, or from the oldest on.
///
/// # Errors
/// `Invalid` on `after` where the organization has no such event, or no longer; those of the database.
pub fn feed(conn: &mut PgConnection, organization: OrgId, after: Option<EventId>, limit: i64) -> Result<FeedPage> {
    let start = match after {
        None => 0,
        Some(after) => match place_of(conn, organization, after)? {
            Some(number) => number,
            None => return Ok(FeedPage::Behind),
        },
    };
    let page = numbered_after(conn, organization, start, limit)?;
    let missing = limit - page.len() as i64;
    if missing <= 0 {
        return Ok(FeedPage::Events(page));
    }
    number_next(conn, organization, missing)?;
    // Also if there was nothing to number: another reader may have done it a moment ago.
    numbered_after(conn, organization, start, limit).map(FeedPage::Events)
}

fn numbered_after(conn: &mut PgConnection, organization: OrgId, start: i64, limit: i64) -> Result<Vec<FeedEvent>> {
    let later = events::organization_id.eq(organization).and(events::number.gt(start));
    Ok(events::table.filter(later).order(events::number).limit(limit).select(FeedEvent::as_select()).load(conn)?)
}

/// The number of an event, which is given now if it has none: a reader may know it from the webhook and come here first.
fn place_of(conn: &mut PgConnection, organization: OrgId, event: EventId) -> Result<Option<i64>> {
    for _ in 0..CHUNKS {
        let found: Option<Option<i64>> = events::table.find((organization, event)).select(events::number).first(conn).optional()?;
        match found {
            None => {
                let gone = "There is no such event, or no longer: events are kept for 90 days. Leave it out to start with the oldest.";
                return Err(Error::field("after", gone));
            }
            Some(Some(number)) => return Ok(Some(number)),
            Some(None) => number_next(conn, organization, CHUNK)?,
        }
    }
    Ok(None)
}

/// Gives numbers to the `count` oldest events that have none, and to those of their jobs that go first.
fn number_next(conn: &mut PgConnection, organization: OrgId, count: i64) -> Result<()> {
    conn.transaction(|conn| {
        // One reader at a time, and nobody else waits for it: publishers and admission know nothing of this lock.
        diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended('feed ' || $1::text, 0))")
            .bind::<sql::Uuid, _>(organization)
            .execute(conn)?;
        // In a statement of its own: its snapshot is of after the reader before has committed.
        diesel::sql_query(include_str!("number_next.sql"))
            .bind::<sql::Uuid, _>(organization)
            .bind::<sql::BigInt, _>(count)
            .execute(conn)?;
        Ok(())
    })
}
