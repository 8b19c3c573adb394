//! Deliveries as people look at them: pages of the list, and one with its attempts.

use std::collections::HashMap;

use diesel::dsl::{min, sql};
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use diesel::sql_types::Bool;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::ids::{EventId, JobId, OrgId, uuid_time};
use crate::raw_json::RawJson;
use crate::schema::{deliveries, delivery_attempts, delivery_lanes, events};

/// Attempts of one delivery that are shown; resent again and again it may have had more.
const MOST_ATTEMPTS: i64 = 50;
/// Deliveries that a page looks through for those that match, where no index knows which they are: a few at first, which are
/// enough where many match. Where few do, the next page goes on from where this one ended.
const LOOKED_THROUGH: [i64; 2] = [1_000, MOST_LOOKED];
/// The most of them, for whoever says so to people.
pub const MOST_LOOKED: i64 = 20_000;

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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// In this state.
    pub state: Option<State>,
    /// Of pending ones: whether an attempt has failed already.
    pub is_retried: Option<bool>,
    /// Of this type.
    pub event_type: Option<String>,
}

impl Filter {
    /// As much of it as one index knows.
    fn indexed(&self) -> Self {
        let state = self.state.filter(|state| *state != State::Delivered);
        let event_type = if state.is_none() { self.event_type.clone() } else { None };
        Self { state, is_retried: None, event_type }
    }

    fn query(&self, organization: OrgId) -> deliveries::BoxedQuery<'static, Pg> {
        let mut query = deliveries::table.filter(deliveries::organization_id.eq(organization)).into_boxed();
        if let Some(state) = self.state {
            query = query.filter(deliveries::state.eq(state.as_str()));
            if state != State::Delivered {
                // Said as the index of what needs a look has it: of a bind PostgreSQL would not know.
                query = query.filter(sql::<Bool>("deliveries.state <> 'delivered'"));
            }
        }
        if let Some(retried) = self.is_retried {
            query = if retried { query.filter(deliveries::failures.gt(0)) } else { query.filter(deliveries::failures.eq(0)) };
        }
        if let Some(event_type) = &self.event_type {
            query = query.filter(deliveries::event_type.eq(event_type.clone()));
        }
        query
    }
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
    /// Where newer ones begin: [`Cursor::After`] this one; none: there are none.
    pub newer: Option<EventId>,
    /// The same of older ones, [`Cursor::Before`] this one.
    pub older: Option<EventId>,
    /// Whether looking ended at [`MOST_LOOKED`] before the page was full: more may match, beyond.
    pub is_cut: bool,
}

/// A page of the organization's deliveries.
///
/// # Errors
/// Those of the database.
pub fn page(conn: &mut PgConnection, organization: OrgId, filter: &Filter, cursor: Option<Cursor>, limit: usize) -> Result<Page> {
    // One more than asked tells whether there are more in that direction; the cursor's own row proves the other.
    let (mut rows, edge) = look(conn, organization, filter, cursor, limit as i64 + 1)?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let is_up = matches!(cursor, Some(Cursor::After(_)));
    if is_up {
        rows.reverse();
    }
    let (first, last) = (rows.first().map(|row| row.event_id), rows.last().map(|row| row.event_id));
    let (newer, older) = match cursor {
        None => (None, last.filter(|_| more).or(edge)),
        Some(Cursor::Before(_)) => (first, last.filter(|_| more).or(edge)),
        Some(Cursor::After(_)) => (first.filter(|_| more).or(edge), last),
        Some(Cursor::From(id)) => {
            let (next, _) = look(conn, organization, filter, Some(Cursor::After(id)), 1)?;
            (next.first().and(first), last.filter(|_| more).or(edge))
        }
    };
    Ok(Page { deliveries: with_turns(conn, organization, rows)?, newer, older, is_cut: edge.is_some() })
}

/// Up to `count` that match, from the cursor on and in its direction; and where looking ended if that was before there were so
/// many.
fn look(
    conn: &mut PgConnection, organization: OrgId, filter: &Filter, cursor: Option<Cursor>, count: i64,
) -> Result<(Vec<Row>, Option<EventId>)> {
    let is_up = matches!(cursor, Some(Cursor::After(_)));
    let from_there = |filter: &Filter| {
        let query = filter.query(organization);
        let query = match cursor {
            None => query,
            Some(Cursor::Before(id)) => query.filter(deliveries::event_id.lt(id)),
            Some(Cursor::After(id)) => query.filter(deliveries::event_id.gt(id)),
            Some(Cursor::From(id)) => query.filter(deliveries::event_id.le(id)),
        };
        // In order, as by an index, also where one row is enough: a bare EXISTS is planned as a scan that is bound to end soon.
        if is_up { query.order(deliveries::event_id.asc()) } else { query.order(deliveries::event_id.desc()) }
    };
    let indexed = filter.indexed();
    for most in LOOKED_THROUGH {
        let edge: Option<EventId> = match indexed == *filter {
            true => None,
            false => from_there(&indexed).offset(most - 1).select(deliveries::event_id).first(conn).optional()?,
        };
        let query = match edge {
            None => from_there(filter),
            Some(edge) if is_up => from_there(filter).filter(deliveries::event_id.le(edge)),
            Some(edge) => from_there(filter).filter(deliveries::event_id.ge(edge)),
        };
        let rows: Vec<Row> = query.select(Row::as_select()).limit(count).load(conn)?;
        let is_full = rows.len() as i64 == count;
        if is_full || edge.is_none() || most == MOST_LOOKED {
            return Ok((rows, edge.filter(|_| !is_full)));
        }
    }
    Ok((Vec::new(), None))
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

/// The attempts of those that are open. One that is not on the page gets its place on it: it stays there while it is read, though
/// it may not be what the page looks for any more. What the organization has no such delivery of is passed over.
///
/// # Errors
/// Those of the database.
pub fn open(conn: &mut PgConnection, organization: OrgId, page: &mut Page, open: &[EventId]) -> Result<Vec<(EventId, History)>> {
    let mut histories = Vec::new();
    for &event in open {
        if page.deliveries.iter().all(|delivery| delivery.event != event) {
            match one(conn, organization, event) {
                Ok(delivery) => page.deliveries.push(delivery),
                Err(Error::NotFound) => continue,
                Err(other) => return Err(other),
            }
        }
        histories.push((event, history(conn, organization, event)?));
    }
    page.deliveries.sort_by_key(|delivery| std::cmp::Reverse(delivery.event));
    Ok(histories)
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
