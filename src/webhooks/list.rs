//! Deliveries as people look at them: pages of the list, one with its attempts, and what the endpoint's card says.

use std::collections::HashMap;

use diesel::dsl::{min, sql};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, SmallInt, Timestamptz, Uuid as SqlUuid};
use time::OffsetDateTime;
use uuid::Uuid;

use super::settings::Off;
use crate::error::{Error, Result};
use crate::ids::{EventId, JobId, OrgId, uuid_time};
use crate::raw_json::RawJson;
use crate::schema::{deliveries, delivery_attempts, delivery_lanes, events, webhooks};

/// Attempts of one delivery that are shown; resent again and again it may have had more.
const MOST_ATTEMPTS: i64 = 50;
/// Waiting deliveries that are counted; past that nobody asks how many exactly.
const MOST_COUNTED: i64 = 10_000;

/// Where a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is to be sent, or sent again.
    Pending,
    /// The endpoint has it.
    Delivered,
    /// The last try failed, or there was nobody left to send it to.
    GaveUp,
    /// Dropped for newer progress.
    Overtaken,
}

impl State {
    /// As the database writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::GaveUp => "gave_up",
            Self::Overtaken => "overtaken",
        }
    }

    fn parse(text: &str) -> Result<Self> {
        let all = [Self::Pending, Self::Delivered, Self::GaveUp, Self::Overtaken];
        all.into_iter().find(|state| state.as_str() == text).ok_or_else(|| Error::internal("reading a delivery's state", text))
    }
}

/// One event on its way.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its event, which is its own public id.
    pub event: EventId,
    /// When the event happened.
    pub at: OffsetDateTime,
    /// `analysis.progress`.
    pub event_type: String,
    /// Whose event it is; none: the organization's own.
    pub job: Option<JobId>,
    /// Place among its job's events.
    pub sequence: i32,
    /// See [`State`].
    pub state: State,
    /// All attempts ever.
    pub attempts: i32,
    /// Those that failed since it was last queued.
    pub failures: i16,
    /// HTTP status of the last attempt.
    pub last_status: Option<i16>,
    /// Class of the last attempt's failure, see [`crate::courier::FailureClass`].
    pub last_failure: Option<String>,
    /// How long the last attempt took, in microseconds.
    pub last_duration_us: Option<i32>,
    /// When it came to its end.
    pub finished_at: Option<OffsetDateTime>,
    /// Of a pending one: where it stands in its lane.
    pub turn: Option<Turn>,
}

/// Where a pending delivery stands among those of its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Sequence of the one that is sent next; its own when it is that one.
    pub head: i32,
    /// When that one is to be sent.
    pub due_at: OffsetDateTime,
    /// Whether it is being sent.
    pub is_claimed: bool,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = deliveries, check_for_backend(diesel::pg::Pg))]
struct Row {
    event_id: EventId,
    lane: Uuid,
    sequence: i32,
    event_type: String,
    state: String,
    attempts: i32,
    failures: i16,
    last_status: Option<i16>,
    last_failure: Option<String>,
    last_duration_us: Option<i32>,
    finished_at: Option<OffsetDateTime>,
}

/// What to look for; all of it must hold.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In this state.
    pub state: Option<State>,
    /// Of pending ones: whether an attempt has failed already.
    pub is_retried: Option<bool>,
    /// Of this type.
    pub event_type: Option<String>,
}

/// Where a page starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// With the newest that is older than this one.
    Before(EventId),
    /// With the oldest that is newer than this one; the page is still newest first.
    After(EventId),
    /// With this one.
    From(EventId),
}

/// A page, newest first.
#[derive(Debug, Clone)]
pub struct Page {
    /// At most as many as asked for.
    pub deliveries: Vec<Delivery>,
    /// Whether there are newer ones.
    pub newer: bool,
    /// Whether there are older ones.
    pub older: bool,
}

/// A page of the organization's deliveries.
///
/// # Errors
/// Those of the database.
pub fn page(conn: &mut PgConnection, organization: OrgId, filter: &Filter, cursor: Option<Cursor>, limit: usize) -> Result<Page> {
    let found = || {
        let mut query = deliveries::table.filter(deliveries::organization_id.eq(organization)).into_boxed();
        if let Some(state) = filter.state {
            query = query.filter(deliveries::state.eq(state.as_str()));
            if state != State::Delivered {
                // Said as the index of what needs a look has it: of a bind PostgreSQL would not know.
                query = query.filter(sql::<Bool>("deliveries.state <> 'delivered'"));
            }
        }
        if let Some(retried) = filter.is_retried {
            query = if retried { query.filter(deliveries::failures.gt(0)) } else { query.filter(deliveries::failures.eq(0)) };
        }
        if let Some(event_type) = &filter.event_type {
            query = query.filter(deliveries::event_type.eq(event_type));
        }
        query
    };
    // One more than asked tells whether there are more in that direction; the cursor's own row proves the other.
    let query = match cursor {
        None => found().order(deliveries::event_id.desc()),
        Some(Cursor::Before(id)) => found().filter(deliveries::event_id.lt(id)).order(deliveries::event_id.desc()),
        Some(Cursor::After(id)) => found().filter(deliveries::event_id.gt(id)).order(deliveries::event_id.asc()),
        Some(Cursor::From(id)) => found().filter(deliveries::event_id.le(id)).order(deliveries::event_id.desc()),
    };
    let mut rows: Vec<Row> = query.select(Row::as_select()).limit(limit as i64 + 1).load(conn)?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let (newer, older) = match cursor {
        None => (false, more),
        Some(Cursor::Before(_)) => (true, more),
        Some(Cursor::After(_)) => (more, true),
        Some(Cursor::From(id)) => {
            // In order, as by its index: a bare EXISTS is planned as a scan of the whole table that is bound to end soon.
            let next = found().filter(deliveries::event_id.gt(id)).order(deliveries::event_id.asc());
            (next.select(deliveries::event_id).first::<EventId>(conn).optional()?.is_some(), more)
        }
    };
    if matches!(cursor, Some(Cursor::After(_))) {
        rows.reverse();
    }
    Ok(Page { deliveries: with_turns(conn, organization, rows)?, newer, older })
}

/// One delivery of this organization.
///
/// # Errors
/// `NotFound`; those of the database.
pub fn one(conn: &mut PgConnection, organization: OrgId, event: EventId) -> Result<Delivery> {
    let row: Row = deliveries::table.find((organization, event)).select(Row::as_select()).first(conn)?;
    with_turns(conn, organization, vec![row])?.pop().ok_or(Error::NotFound)
}

fn with_turns(conn: &mut PgConnection, organization: OrgId, rows: Vec<Row>) -> Result<Vec<Delivery>> {
    let mut waiting: Vec<Uuid> = rows.iter().filter(|row| row.finished_at.is_none()).map(|row| row.lane).collect();
    waiting.sort_unstable();
    waiting.dedup();
    let mut turns = HashMap::new();
    if !waiting.is_empty() {
        let heads: Vec<(Uuid, Option<i32>)> = deliveries::table
            .filter(deliveries::organization_id.eq(organization))
            .filter(deliveries::lane.eq_any(&waiting).and(sql::<Bool>("deliveries.state = 'pending'")))
            .group_by(deliveries::lane)
            .select((deliveries::lane, min(deliveries::sequence)))
            .load(conn)?;
        let lanes: Vec<(Uuid, OffsetDateTime, Option<Uuid>)> = delivery_lanes::table
            .filter(delivery_lanes::organization_id.eq(organization).and(delivery_lanes::id.eq_any(&waiting)))
            .select((delivery_lanes::id, delivery_lanes::due_at, delivery_lanes::claim))
            .load(conn)?;
        let heads: HashMap<Uuid, Option<i32>> = heads.into_iter().collect();
        turns.extend(lanes.into_iter().filter_map(|(lane, due_at, claim)| {
            let head = heads.get(&lane).copied().flatten()?;
            Some((lane, Turn { head, due_at, is_claimed: claim.is_some() }))
        }));
    }
    let delivery = |row: Row| {
        Ok(Delivery {
            event: row.event_id,
            at: uuid_time(row.event_id.0).ok_or_else(|| Error::internal("reading an event's time", row.event_id))?,
            job: (row.lane != row.event_id.0).then_some(JobId(row.lane)),
            sequence: row.sequence,
            state: State::parse(&row.state)?,
            attempts: row.attempts,
            failures: row.failures,
            last_status: row.last_status,
            last_failure: row.last_failure,
            last_duration_us: row.last_duration_us,
            turn: turns.get(&row.lane).copied().filter(|_| row.finished_at.is_none()),
            finished_at: row.finished_at,
            event_type: row.event_type,
        })
    };
    rows.into_iter().map(delivery).collect()
}

/// One HTTP request of a delivery, as it was recorded.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = delivery_attempts, check_for_backend(diesel::pg::Pg))]
pub struct AttemptRow {
    /// From 1.
    pub number: i32,
    /// When it was begun.
    pub at: OffsetDateTime,
    /// Request line and headers.
    pub request: String,
    /// The address that was connected to.
    pub address: Option<String>,
    /// HTTP status of the answer.
    pub status: Option<i16>,
    /// Status line and headers of the answer.
    pub answer_head: Option<String>,
    /// The first 4 KiB of its body.
    pub answer_body: Option<String>,
    /// Whether there was more.
    pub answer_is_cut: bool,
    /// Class of the failure, see [`crate::courier::FailureClass`].
    pub failure: Option<String>,
    /// The sentence about it.
    pub failure_message: Option<String>,
    /// Microseconds of each lap; none: it did not happen.
    pub dns_us: Option<i32>,
    /// The same of connecting.
    pub connect_us: Option<i32>,
    /// The same of TLS.
    pub tls_us: Option<i32>,
    /// The same up to the first byte of the answer.
    pub first_byte_us: Option<i32>,
    /// Of all of it.
    pub total_us: i32,
}

/// What an opened row shows.
#[derive(Debug, Clone)]
pub struct History {
    /// The body of every attempt.
    pub payload: RawJson,
    /// The newest fifty, in their order.
    pub attempts: Vec<AttemptRow>,
}

/// The attempts of one delivery.
///
/// # Errors
/// `NotFound` when the event is not this organization's; those of the database.
pub fn history(conn: &mut PgConnection, organization: OrgId, event: EventId) -> Result<History> {
    let payload = events::table.find((organization, event)).select(events::payload).first(conn)?;
    let mut attempts: Vec<AttemptRow> = delivery_attempts::table
        .filter(delivery_attempts::organization_id.eq(organization).and(delivery_attempts::event_id.eq(event)))
        .order(delivery_attempts::number.desc())
        .limit(MOST_ATTEMPTS)
        .select(AttemptRow::as_select())
        .load(conn)?;
    attempts.reverse();
    Ok(History { payload, attempts })
}

/// What the endpoint's card says.
#[derive(Debug, Clone, QueryableByName)]
pub struct Facts {
    /// When something arrived last; to the minute when that is long ago.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub last_at: Option<OffsetDateTime>,
    /// The status that it was answered, when that is known.
    #[diesel(sql_type = Nullable<SmallInt>)]
    pub last_status: Option<i16>,
    /// How long that took, in microseconds.
    #[diesel(sql_type = Nullable<Integer>)]
    pub last_duration_us: Option<i32>,
    /// Delivered in 24 hours.
    #[diesel(sql_type = BigInt)]
    pub delivered: i64,
    /// Given up in 24 hours.
    #[diesel(sql_type = BigInt)]
    pub gave_up: i64,
    /// Waiting now, see [`Facts::is_capped`].
    #[diesel(sql_type = BigInt)]
    pub waiting: i64,
    /// Lanes among them whose head has failed.
    #[diesel(sql_type = BigInt)]
    pub retrying: i64,
}

impl Facts {
    /// Whether more are waiting than were counted.
    pub fn is_capped(&self) -> bool {
        self.waiting > MOST_COUNTED
    }
}

/// What the endpoint's card says.
///
/// # Errors
/// Those of the database.
pub fn facts(conn: &mut PgConnection, organization: OrgId, now: OffsetDateTime) -> Result<Facts> {
    let query = diesel::sql_query(include_str!("facts.sql"));
    Ok(query.bind::<SqlUuid, _>(organization).bind::<Timestamptz, _>(now).bind::<BigInt, _>(MOST_COUNTED + 1).get_result(conn)?)
}

/// Since when the webhook is off, and why, when it was not a person who switched it off.
///
/// # Errors
/// Those of the database.
pub fn stopped(conn: &mut PgConnection, organization: OrgId) -> Result<Option<(OffsetDateTime, Off)>> {
    let row: Option<(Option<OffsetDateTime>, Option<String>)> =
        webhooks::table.find(organization).select((webhooks::disabled_at, webhooks::disabled_reason)).first(conn).optional()?;
    let off = row.and_then(|(at, reason)| at.zip(reason.as_deref().and_then(Off::parse)));
    Ok(off.filter(|(_, reason)| *reason != Off::SwitchedOff))
}
