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
use crate::schema::{deliveries, delivery_lanes, webhooks};
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

/// Lets the lanes of an organization go on now, as when its webhook is switched on. In each lane, progress that nothing was
/// tried of and that is no longer the newest is dropped.
///
/// # Errors
/// Those of the database.
pub(super) fn resume(conn: &mut PgConnection, now: OffsetDateTime, organization: OrgId) -> Result<()> {
    // Against publishers too: a lane that came after the others were locked would be changed without its lock.
    let _: OrgId = webhooks::table.find(organization).select(webhooks::organization_id).for_update().first(conn)?;
    lock_lanes(conn, organization)?;
    diesel::sql_query(include_str!("overtake_all.sql"))
        .bind::<sql::Uuid, _>(organization)
        .bind::<sql::Timestamptz, _>(now)
        .execute(conn)?;
    let idle = delivery_lanes::organization_id.eq(organization).and(delivery_lanes::claim.is_null());
    diesel::update(delivery_lanes::table.filter(idle)).set(delivery_lanes::due_at.eq(diesel::dsl::now)).execute(conn)?;
    Ok(())
}

/// Gives up everything that waits.
///
/// # Errors
/// Those of the database.
pub(super) fn give_up_all(conn: &mut PgConnection, now: OffsetDateTime, organization: OrgId) -> Result<()> {
    lock_lanes(conn, organization)?;
    let pending = deliveries::organization_id.eq(organization).and(deliveries::state.eq("pending"));
    diesel::update(deliveries::table.filter(pending))
        .set((deliveries::state.eq("gave_up"), deliveries::finished_at.eq(now)))
        .execute(conn)?;
    diesel::delete(delivery_lanes::table.filter(delivery_lanes::organization_id.eq(organization))).execute(conn)?;
    Ok(())
}

/// Gives up what is older than an event id, in as many lanes as that; how many lanes there were.
///
/// # Errors
/// Those of the database.
pub(super) fn give_up_older(conn: &mut PgConnection, now: OffsetDateTime, organization: OrgId, old: EventId, lanes: i64) -> Result<usize> {
    // The ids of a lane's deliveries need not be in the order of their sequence, so any of them counts and not the head alone.
    let of_lane = deliveries::table
        .filter(deliveries::lane.eq(delivery_lanes::id).and(deliveries::state.eq("pending")).and(deliveries::event_id.lt(old)));
    let found: Vec<Uuid> = delivery_lanes::table
        .filter(delivery_lanes::organization_id.eq(organization).and(diesel::dsl::exists(of_lane)))
        .order(delivery_lanes::id)
        .limit(lanes)
        .select(delivery_lanes::id)
        .for_update()
        .load(conn)?;
    diesel::sql_query(include_str!("give_up_older.sql"))
        .bind::<sql::Uuid, _>(organization)
        .bind::<sql::Uuid, _>(old)
        .bind::<sql::Timestamptz, _>(now)
        .bind::<sql::Array<sql::Uuid>, _>(&found)
        .execute(conn)?;
    Ok(found.len())
}

fn lock_lanes(conn: &mut PgConnection, organization: OrgId) -> Result<()> {
    // Counted by PostgreSQL, so that a long list does not travel.
    let lock = "SELECT count(*) FROM (SELECT 1 FROM delivery_lanes WHERE organization_id = $1 ORDER BY id FOR UPDATE) AS locked";
    diesel::sql_query(lock).bind::<sql::Uuid, _>(organization).execute(conn)?;
    Ok(())
}
