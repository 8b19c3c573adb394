//! The outbox: events and their deliveries are written together with what they tell of.

use std::marker::PhantomData;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types as sql;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::Result;
use crate::ids::{EventId, JobId, OrgId};
use crate::raw_json::RawJson;
use crate::schema::delivery_lanes;
use crate::statement::statement;

statement! {
    Publish<'a> -> () = include_str!("publish.sql");
    organization: OrgId as sql::Uuid,
    job: Option<JobId> as sql::Nullable<sql::Uuid>,
    notify: bool as sql::Bool,
    now: OffsetDateTime as sql::Timestamptz,
    ids: Vec<EventId> as sql::Array<sql::Uuid>,
    sequences: Vec<i32> as sql::Array<sql::Int4>,
    types: Vec<&'a str> as sql::Array<sql::Text>,
    payloads: Vec<&'a str> as sql::Array<sql::Text>,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Place among its job's events, from 1; 1 for an event of the organization.
    pub sequence: i32,
    /// `analysis.progress`.
    pub event_type: String,
    /// The body, as it will be sent.
    pub payload: RawJson,
}

/// Writes events of one job, or of the organization, and queues them for the webhook where `notify` says so and there is one.
///
/// Call it inside the transaction of the change itself, as late in it as can be: from here to the commit it holds what a
/// dispatcher needs to record that job's last delivery.
///
/// # Errors
/// Those of the database.
pub fn publish(
    conn: &mut PgConnection, now: OffsetDateTime, organization: OrgId, job: Option<JobId>, notify: bool, events: Vec<NewEvent>,
) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    // Ids of one moment are random among themselves: in their order, they sort as the sequence does.
    let mut ids: Vec<EventId> = events.iter().map(|_| EventId::new(now)).collect();
    ids.sort_unstable();
    let (mut sequences, mut types, mut payloads) = (Vec::new(), Vec::new(), Vec::new());
    for event in &events {
        sequences.push(event.sequence);
        types.push(event.event_type.as_str());
        payloads.push(event.payload.as_str());
    }
    let publish = Publish { organization, job, notify, now, ids, sequences, types, payloads, _life: PhantomData };
    publish.execute(conn)?;
    Ok(())
}

/// Makes due what waits for its next try, as when the webhook is switched on: a piece at a time, so that nobody waits for it. Cut
/// short, the rest keeps its time.
///
/// # Errors
/// Those of the database.
pub(super) fn hasten(conn: &mut PgConnection, organization: OrgId) -> Result<()> {
    let piece = "UPDATE delivery_lanes SET due_at = now() WHERE id = ANY (ARRAY(
        SELECT id FROM delivery_lanes WHERE organization_id = $1 AND claim IS NULL AND due_at > now() LIMIT $2 FOR UPDATE SKIP LOCKED))";
    let later = delivery_lanes::organization_id
        .eq(organization)
        .and(delivery_lanes::claim.is_null())
        .and(delivery_lanes::due_at.gt(diesel::dsl::now));
    for _ in 0..HASTENED {
        while diesel::sql_query(piece).bind::<sql::Uuid, _>(organization).bind::<sql::BigInt, _>(PIECE).execute(conn)? as i64 == PIECE {}
        let left: Option<Uuid> = delivery_lanes::table.filter(later).select(delivery_lanes::id).first(conn).optional()?;
        if left.is_none() {
            break;
        }
        // A publisher holds it, who is done in a moment; or it has just failed again.
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    Ok(())
}

/// How often [`hasten`] comes back for lanes that somebody held.
const HASTENED: usize = 5;
/// Lanes that are dealt with in one transaction, where there may be very many: what it locks is free again soon.
pub(super) const PIECE: i64 = 5_000;

/// Whether more lanes wait than one transaction deals with.
///
/// # Errors
/// Those of the database.
pub(super) fn is_long(conn: &mut PgConnection, organization: OrgId) -> Result<bool> {
    let theirs = delivery_lanes::table.filter(delivery_lanes::organization_id.eq(organization));
    let one_more: Option<Uuid> = theirs.select(delivery_lanes::id).offset(PIECE).first(conn).optional()?;
    Ok(one_more.is_some())
}

/// Gives up everything that waits; the caller holds the webhook against everybody.
///
/// # Errors
/// Those of the database.
pub(super) fn give_up_all(conn: &mut PgConnection, now: OffsetDateTime, organization: OrgId) -> Result<()> {
    let theirs = delivery_lanes::table.filter(delivery_lanes::organization_id.eq(organization)).order(delivery_lanes::id);
    let lanes: Vec<Uuid> = theirs.select(delivery_lanes::id).for_update().load(conn)?;
    give_up(conn, now, organization, EventId(Uuid::max()), &lanes)
}

/// Gives up a piece of what waits in lanes that nobody sends from: what is older than an event id, in lanes that were due by
/// then. Tells whether there may be more.
///
/// # Errors
/// Those of the database.
pub(super) fn give_up_piece(
    conn: &mut PgConnection, now: OffsetDateTime, organization: OrgId, old: EventId, due_by: OffsetDateTime,
) -> Result<bool> {
    // A claim that lapsed while the webhook was off is nobody's.
    let idle = delivery_lanes::claim.is_null().or(delivery_lanes::due_at.le(diesel::dsl::now));
    let lanes: Vec<Uuid> = delivery_lanes::table
        .filter(delivery_lanes::organization_id.eq(organization).and(delivery_lanes::due_at.le(due_by)).and(idle))
        .order(delivery_lanes::due_at)
        .limit(PIECE)
        .select(delivery_lanes::id)
        .for_update()
        .skip_locked()
        .load(conn)?;
    give_up(conn, now, organization, old, &lanes)?;
    Ok(lanes.len() as i64 == PIECE)
}

fn give_up(conn: &mut PgConnection, now: OffsetDateTime, organization: OrgId, old: EventId, lanes: &[Uuid]) -> Result<()> {
    if !lanes.is_empty() {
        diesel::sql_query(include_str!("give_up.sql"))
            .bind::<sql::Uuid, _>(organization)
            .bind::<sql::Uuid, _>(old)
            .bind::<sql::Timestamptz, _>(now)
            .bind::<sql::Array<sql::Uuid>, _>(lanes)
            .execute(conn)?;
    }
    Ok(())
}
