//! The rollups: requests by the hour and by the day, for each question that the Usage tab can be asked.
//!
//! ```text
//! settled batch → usage_pending (a row for what is equal in it)       in the transaction that settles
//! usage_pending → usage_hours, usage_days, key_uses                   about once a second, everything that waits at once
//! ```
//! Written in the settling transaction itself they would cost every request a row of its own under locks that all instances
//! want, for as long as a commit takes. Folded later, equal ones of a whole second are one. Invariant: what a reader sees under
//! one snapshot, pending rows and rollups together, is the history that was ever written, because a fold takes rows from the
//! one and adds them to the other in one transaction.
//!
//! Each request is in four rows of either table: of its key and its route, of its key and all routes, of all keys and its route, of
//! all keys and all routes. So whatever a filter asks, what is read grows with the period and not with keys and routes. A row holds
//! all statuses side by side ([`by_status`](super::by_status)): a row for each made a busy period eight times as many.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types as sql;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Uses;
use super::by_status::{ACCEPTED, ByStatus, REFUSED};
use crate::error::Result;
use crate::ids::{KeyId, OrgId, RequestId};
use crate::statement::statement;

/// Rows of one fold: a few tenths of a second at most, in which others go on.
pub const PIECE: i64 = 20_000;
/// Bytes that the waiting rows may take, with what is left of those that were folded: half a millisecond of reading.
const LITTLE: i64 = 512 * 1_024;
/// One fold at a time over all instances: it reads what it then writes.
const LOCK: i64 = 0x6c61_7463_6866_6f6c;
/// The key of rows that are about all keys.
pub(super) const ALL_KEYS: KeyId = KeyId(Uuid::nil());
/// The route of rows that are about all routes.
pub(super) const ALL_ROUTES: &str = "*";

/// A row that waits.
#[derive(Debug, Clone, Queryable)]
struct Pending {
    organization: OrgId,
    hour: OffsetDateTime,
    key: KeyId,
    generation: i32,
    environment: String,
    route: String,
    status: i16,
    bucket: i16,
    requests: i64,
    stale: i64,
    ended: i64,
    last: Option<RequestId>,
    last_accepted: Option<RequestId>,
    first_ended: Option<RequestId>,
    last_ended: Option<RequestId>,
}

impl Pending {
    fn uses(&self) -> Uses {
        Uses {
            key_id: self.key,
            generation: self.generation,
            requests: self.requests,
            stale: self.stale,
            ended: self.ended,
            last: self.last,
            last_accepted: self.last_accepted,
            first_ended: self.first_ended,
            last_ended: self.last_ended,
        }
    }
}

/// Which row of a rollup.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    organization: OrgId,
    key: KeyId,
    route: String,
    starts_at: OffsetDateTime,
    environment: String,
}

type Rollup = BTreeMap<Place, ByStatus>;

/// What the folding thread sets on a fresh connection.
///
/// # Errors
/// Those of the database.
pub fn settle_session(conn: &mut PgConnection) -> Result<()> {
    // A day waits for its readers before it is dropped, but not for a backup of an hour: it is dropped in the next one.
    diesel::sql_query("SET lock_timeout = '5s'").execute(conn)?;
    Ok(())
}

/// Adds what waits to the rollups, at most [`PIECE`] rows of it; how many. Whoever comes while another instance folds has
/// nothing to do.
///
/// # Errors
/// Those of the database.
pub fn fold(conn: &mut PgConnection) -> Result<i64> {
    conn.transaction(|conn| {
        let lock = diesel::dsl::sql::<sql::Bool>(&format!("pg_try_advisory_xact_lock({LOCK})"));
        if !diesel::select(lock).get_result::<bool>(conn)? {
            return Ok(0);
        }
        let taken: Vec<Pending> = Take { piece: PIECE, _life: PhantomData }.load(conn)?;
        if taken.is_empty() {
            return Ok(0);
        }
        let hour = |row: &Pending| row.hour;
        let day = |row: &Pending| row.hour.replace_time(time::Time::MIDNIGHT);
        // One after the other: with many keys at work each takes megabytes.
        store(conn, "usage_hours", rollup(&taken, hour))?;
        store(conn, "usage_days", rollup(&taken, day))?;
        store_uses(conn, &taken)?;
        Ok(taken.len() as i64)
    })
}

fn rollup(taken: &[Pending], starts_at: impl Fn(&Pending) -> OffsetDateTime) -> Rollup {
    let mut rollup = Rollup::new();
    taken.iter().for_each(|row| add(&mut rollup, row, starts_at(row)));
    rollup
}

fn add(rollup: &mut Rollup, row: &Pending, starts_at: OffsetDateTime) {
    for (key, route) in [(row.key, row.route.as_str()), (row.key, ALL_ROUTES), (ALL_KEYS, row.route.as_str()), (ALL_KEYS, ALL_ROUTES)] {
        let place = Place { organization: row.organization, key, route: route.to_owned(), starts_at, environment: row.environment.clone() };
        rollup.entry(place).or_default().add(row.status, row.bucket, row.hour.hour().into(), row.requests);
    }
}

statement! {
    Take<'a> -> (sql::Uuid, sql::Timestamptz, sql::Uuid, sql::Int4, sql::Text, sql::Text, sql::Int2, sql::Int2, sql::Int8, sql::Int8, sql::Int8,
        sql::Nullable<sql::Uuid>, sql::Nullable<sql::Uuid>, sql::Nullable<sql::Uuid>, sql::Nullable<sql::Uuid>)
        = "DELETE FROM usage_pending WHERE ctid = ANY (ARRAY(SELECT ctid FROM usage_pending LIMIT {}))
           RETURNING organization_id, hour, key_id, generation, environment, route, status, duration_bucket, requests, stale_requests,
               ended_requests, last_request_id, last_accepted_id, first_ended_id, last_ended_id";
    piece: i64 as sql::Int8,
}

#[derive(QueryableByName)]
struct Before {
    #[diesel(sql_type = sql::Int8)]
    place: i64,
    #[diesel(sql_type = sql::Binary)]
    statuses: Vec<u8>,
    #[diesel(sql_type = sql::Binary)]
    durations: Vec<u8>,
    #[diesel(sql_type = sql::Binary)]
    hours: Vec<u8>,
}

/// Adds sums to the rows of `table`.
fn store(conn: &mut PgConnection, table: &str, mut rollup: Rollup) -> Result<()> {
    let places: Vec<Place> = rollup.keys().cloned().collect();
    let organizations: Vec<OrgId> = places.iter().map(|place| place.organization).collect();
    let keys: Vec<KeyId> = places.iter().map(|place| place.key).collect();
    let routes: Vec<&str> = places.iter().map(|place| place.route.as_str()).collect();
    let starts: Vec<OffsetDateTime> = places.iter().map(|place| place.starts_at).collect();
    let environments: Vec<&str> = places.iter().map(|place| place.environment.as_str()).collect();
    let named = |text: String| {
        diesel::sql_query(text)
            .bind::<sql::Array<sql::Uuid>, _>(&organizations)
            .bind::<sql::Array<sql::Uuid>, _>(&keys)
            .bind::<sql::Array<sql::Text>, _>(&routes)
            .bind::<sql::Array<sql::Timestamptz>, _>(&starts)
            .bind::<sql::Array<sql::Text>, _>(&environments)
    };
    // What is of each status can't be added up by the database; nobody else writes these rows meanwhile, see LOCK.
    let before: Vec<Before> = named(format!(
        "SELECT p.place, u.statuses, u.accepted_durations || u.refused_durations AS durations, u.hours
         FROM unnest($1, $2, $3, $4, $5) WITH ORDINALITY AS p (organization_id, key_id, route, starts_at, environment, place)
         JOIN {table} u USING (organization_id, key_id, route, starts_at, environment)"
    ))
    .load(conn)?;
    for Before { place, statuses, durations, hours } in before {
        let sums = usize::try_from(place - 1).ok().and_then(|place| places.get(place)).and_then(|place| rollup.get_mut(place));
        if let Some(sums) = sums {
            sums.add_bytes(&statuses, &durations, &hours);
        }
    }
    let column = |which: fn(&ByStatus) -> Vec<u8>| rollup.values().map(which).collect::<Vec<_>>();
    named(format!(
        "INSERT INTO {table} AS u (organization_id, key_id, route, starts_at, environment, requests, statuses, all_durations,
             accepted_durations, refused_durations, hours)
         SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         ON CONFLICT (organization_id, key_id, route, starts_at, environment) DO UPDATE
         SET requests = excluded.requests, statuses = excluded.statuses, all_durations = excluded.all_durations,
             accepted_durations = excluded.accepted_durations, refused_durations = excluded.refused_durations, hours = excluded.hours"
    ))
    .bind::<sql::Array<sql::Int8>, _>(rollup.values().map(ByStatus::requests).collect::<Vec<_>>())
    .bind::<sql::Array<sql::Binary>, _>(column(ByStatus::statuses))
    .bind::<sql::Array<sql::Binary>, _>(column(ByStatus::all_durations))
    .bind::<sql::Array<sql::Binary>, _>(column(|sums| sums.durations(ACCEPTED)))
    .bind::<sql::Array<sql::Binary>, _>(column(|sums| sums.durations(REFUSED)))
    .bind::<sql::Array<sql::Binary>, _>(column(ByStatus::hours))
    .execute(conn)?;
    Ok(())
}

/// Adds to what each text of a key was used for.
fn store_uses(conn: &mut PgConnection, taken: &[Pending]) -> Result<()> {
    let mut uses: BTreeMap<(OrgId, KeyId, i32), Uses> = BTreeMap::new();
    for row in taken {
        let used = row.uses();
        uses.entry((row.organization, row.key, row.generation)).and_modify(|of| of.add(&used)).or_insert(used);
    }
    let ids = |which: fn(&Uses) -> Option<RequestId>| uses.values().map(which).collect::<Vec<_>>();
    let numbers = |which: fn(&Uses) -> i64| uses.values().map(which).collect::<Vec<_>>();
    diesel::sql_query(
        "INSERT INTO key_uses AS u (organization_id, key_id, generation, requests, stale_requests, ended_requests,
             last_request_id, last_accepted_id, first_ended_id, last_ended_id)
         SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (organization_id, key_id, generation) DO UPDATE
         SET requests = u.requests + excluded.requests, stale_requests = u.stale_requests + excluded.stale_requests,
             ended_requests = u.ended_requests + excluded.ended_requests,
             last_request_id = greatest(u.last_request_id, excluded.last_request_id),
             last_accepted_id = greatest(u.last_accepted_id, excluded.last_accepted_id),
             first_ended_id = least(u.first_ended_id, excluded.first_ended_id),
             last_ended_id = greatest(u.last_ended_id, excluded.last_ended_id)",
    )
    .bind::<sql::Array<sql::Uuid>, _>(uses.keys().map(|(organization, ..)| *organization).collect::<Vec<_>>())
    .bind::<sql::Array<sql::Uuid>, _>(uses.keys().map(|(_, key, _)| *key).collect::<Vec<_>>())
    .bind::<sql::Array<sql::Int4>, _>(uses.keys().map(|(.., generation)| *generation).collect::<Vec<_>>())
    .bind::<sql::Array<sql::Int8>, _>(numbers(|of| of.requests))
    .bind::<sql::Array<sql::Int8>, _>(numbers(|of| of.stale))
    .bind::<sql::Array<sql::Int8>, _>(numbers(|of| of.ended))
    .bind::<sql::Array<sql::Nullable<sql::Uuid>>, _>(ids(|of| of.last))
    .bind::<sql::Array<sql::Nullable<sql::Uuid>>, _>(ids(|of| of.last_accepted))
    .bind::<sql::Array<sql::Nullable<sql::Uuid>>, _>(ids(|of| of.first_ended))
    .bind::<sql::Array<sql::Nullable<sql::Uuid>>, _>(ids(|of| of.last_ended))
    .execute(conn)?;
    Ok(())
}

/// Removes rollups from before `keep`, a piece of them; whether there may be more.
///
/// # Errors
/// Those of the database.
pub fn forget_rollups(conn: &mut PgConnection, keep: OffsetDateTime) -> Result<bool> {
    let mut most = 0;
    for table in ["usage_hours", "usage_days"] {
        let gone = diesel::sql_query(format!(
            "DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE starts_at < $1 LIMIT $2))"
        ))
        .bind::<sql::Timestamptz, _>(keep)
        .bind::<sql::Int8, _>(PIECE)
        .execute(conn)?;
        most = most.max(gone as i64);
    }
    Ok(most == PIECE)
}

/// Makes the space of what was folded free to be used again, unless there is little of it, or somebody does just now. Giving it back
/// stops whoever settles for as long as that takes: only where it is `quiet`. Must not be called in a transaction.
///
/// # Errors
/// Those of the database.
pub fn tidy_pending(conn: &mut PgConnection, quiet: bool) -> Result<()> {
    let size: i64 = diesel::select(diesel::dsl::sql::<sql::Int8>("pg_relation_size('usage_pending')")).get_result(conn)?;
    if size > LITTLE {
        diesel::sql_query(format!("VACUUM (SKIP_LOCKED, TRUNCATE {quiet}) usage_pending")).execute(conn)?;
    }
    Ok(())
}
