//! Sending again what came to its end: one delivery, or all that were given up since a time. Same event, same id.

use diesel::dsl::sql;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Timestamptz, Uuid as SqlUuid};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::actor::{Actor, Permission};
use crate::audit;
use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::ids::{EventId, OrgId};
use crate::schema::{deliveries, webhooks};

/// Deliveries that are queued in one transaction: what it locks is free again soon.
const CHUNK: i64 = 500;
/// Failed deliveries that are counted before they are sent again; past that nobody asks how many exactly.
pub const MOST_COUNTED: i64 = 10_000;

/// Sends a delivery again: one that has ended is pending once more, with all its tries before it; one that waits for its next
/// try is due now. Waiting in its order behind others it stays where it is.
///
/// # Errors
/// `Conflict` where there is no webhook; `Forbidden`, `NotFound` for who may not; those of the database.
pub fn resend(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, event: EventId) -> Result<()> {
    actor.require(organization, Permission::ManageWebhook)?;
    conn.transaction(|conn| {
        let event_type: String = deliveries::table.find((organization, event)).select(deliveries::event_type).first(conn)?;
        hold_webhook(conn, organization)?;
        queue(conn, organization, &[event])?;
        note(conn, actor, now, organization, ("delivery.resent", event.to_string(), event_type), Value::Null)
    })
}

/// Sends everything again that was given up at `since` or later. Returns how many deliveries that is.
///
/// # Errors
/// As [`resend`].
pub fn resend_failed_since(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, since: OffsetDateTime,
) -> Result<i64> {
    actor.require(organization, Permission::ManageWebhook)?;
    // The audit log has it before the first chunk: what is cut short was still asked for by somebody.
    let count = conn.transaction(|conn| {
        hold_webhook(conn, organization)?;
        let count = failed_since(conn, organization, &[since])?.pop().unwrap_or(0);
        if count > 0 {
            let said = if count > MOST_COUNTED { json!(format!("more than {MOST_COUNTED}")) } else { json!(count) };
            let after = json!({"since": rfc3339(since), "deliveries": said});
            note(conn, actor, now, organization, ("deliveries.resent", organization.to_string(), "webhook".into()), after)?;
        }
        Ok::<_, Error>(count)
    })?;
    if count == 0 {
        return Ok(0);
    }
    let (mut last, mut queued) = (None, 0);
    loop {
        let events = conn.transaction(|conn| {
            hold_webhook(conn, organization)?;
            let mut query = deliveries::table
                .filter(deliveries::organization_id.eq(organization))
                .filter(sql::<Bool>("deliveries.state = 'gave_up'"))
                .filter(deliveries::finished_at.ge(since))
                .into_boxed();
            if let Some(last) = last {
                query = query.filter(deliveries::event_id.gt(last));
            }
            let events: Vec<EventId> = query.order(deliveries::event_id).limit(CHUNK).select(deliveries::event_id).load(conn)?;
            queue(conn, organization, &events)?;
            Ok::<_, Error>(events)
        })?;
        queued += events.len() as i64;
        match events.last() {
            Some(event) if events.len() as i64 == CHUNK => last = Some(*event),
            _ => return Ok(queued),
        }
    }
}

/// How many deliveries were given up at each of these times or later, counted to one more than [`MOST_COUNTED`].
///
/// # Errors
/// Those of the database.
pub fn failed_since(conn: &mut PgConnection, organization: OrgId, times: &[OffsetDateTime]) -> Result<Vec<i64>> {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    let query = "SELECT (SELECT count(*) FROM (
                SELECT FROM deliveries WHERE organization_id = $1 AND state = 'gave_up' AND finished_at >= t.since LIMIT $3) AS d) AS count
        FROM unnest($2) WITH ORDINALITY AS t (since, place) ORDER BY t.place";
    let query = diesel::sql_query(query).bind::<SqlUuid, _>(organization).bind::<Array<Timestamptz>, _>(times);
    let rows: Vec<Count> = query.bind::<BigInt, _>(MOST_COUNTED + 1).load(conn)?;
    Ok(rows.into_iter().map(|row| row.count).collect())
}

/// Refuses where there is no webhook, and keeps it there until the transaction ends.
fn hold_webhook(conn: &mut PgConnection, organization: OrgId) -> Result<()> {
    let held: Option<String> = webhooks::table.find(organization).select(webhooks::url).for_key_share().first(conn).optional()?;
    held.map(drop).ok_or_else(|| Error::Conflict("There is no webhook to send it to. Save one first.".into()))
}

/// Makes these pending, and their lanes due. A lane that is being sent keeps its claim; its sender finds what was added.
fn queue(conn: &mut PgConnection, organization: OrgId, events: &[EventId]) -> Result<()> {
    let lanes = "INSERT INTO delivery_lanes AS lane (organization_id, id, due_at)
        SELECT DISTINCT d.organization_id, d.lane, now() FROM deliveries d WHERE d.organization_id = $1 AND d.event_id = ANY($2)
        ORDER BY d.lane
        ON CONFLICT (id) DO UPDATE
            SET due_at = CASE WHEN lane.claim IS NULL THEN least(lane.due_at, excluded.due_at) ELSE lane.due_at END";
    diesel::sql_query(lanes).bind::<SqlUuid, _>(organization).bind::<Array<SqlUuid>, _>(events).execute(conn)?;
    let ended = deliveries::organization_id.eq(organization).and(deliveries::event_id.eq_any(events)).and(deliveries::state.ne("pending"));
    diesel::update(deliveries::table.filter(ended))
        .set((deliveries::state.eq("pending"), deliveries::failures.eq(0), deliveries::finished_at.eq(None::<OffsetDateTime>)))
        .execute(conn)?;
    Ok(())
}

fn note(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, (action, id, label): (&'static str, String, String),
    after: Value,
) -> Result<()> {
    let event = audit::Event { organization: Some(organization), action, target_id: id, target_label: label, before: Value::Null, after };
    audit::record(conn, actor, now, event)
}
