//! Completing a row of the history: what a service reports of a request that it asked about.
//!
//! The rollups are told of a change as of two requests: one less of what the row was, one more of what it is. Both wait together, in the
//! transaction of the change. A fold may still take the one and leave the other, or take the first before the request itself: sums below
//! zero are kept as they are, and a reader, who adds up what waits and what is folded, never sees one.

use std::collections::HashMap;
use std::marker::PhantomData;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types as sql;
use time::OffsetDateTime;

use super::histogram;
use super::record::{Group, Sum, write};
use crate::clock;
use crate::error::Result;
use crate::ids::{KeyId, OrgId, RequestId};
use crate::statement::{column, statement};

/// A row of which a report was awaited once.
#[derive(Debug, Clone, Queryable)]
pub struct Awaited {
    /// Its organization.
    pub organization: OrgId,
    /// Its id.
    pub id: RequestId,
    at: OffsetDateTime,
    key: KeyId,
    generation: i32,
    environment: String,
    route: String,
    status: i16,
    duration_us: i32,
    /// Credits that it cost.
    pub credits: i64,
    stale: bool,
    /// Whether one still is.
    pub is_open: bool,
}

/// What became of it.
#[derive(Debug, Clone)]
pub struct Completion {
    /// The row, locked in the same transaction.
    pub of: Awaited,
    /// HTTP status.
    pub status: u16,
    /// Microseconds; none leaves what the row has.
    pub duration_us: Option<i32>,
    /// What it cost in the end.
    pub credits: i64,
}

statement! {
    Lock<'a> -> (sql::Uuid, sql::Uuid, sql::Timestamptz, sql::Uuid, sql::Int4, sql::Text, sql::Text, sql::Int2, sql::Int4, sql::Int8, sql::Bool,
        sql::Bool)
        // The bounds tell which days there is no need to look into.
        = "SELECT organization_id, id, at, key_id, generation, environment, route, status, duration_us, credits, stale, reportable
           FROM requests WHERE id >= {} AND id <= {} AND id = ANY ({}) AND reportable IS NOT NULL
           ORDER BY id FOR UPDATE";
    least: RequestId as sql::Uuid,
    most: RequestId as sql::Uuid,
    ids: Vec<RequestId> as sql::Array<sql::Uuid>,
}

statement! {
    Update<'a> -> ()
        = "UPDATE requests r SET status = coalesce(u.status, r.status), duration_us = coalesce(u.duration_us, r.duration_us),
               credits = coalesce(u.credits, r.credits), reportable = false
           FROM unnest({}, {}, {}, {}, {}) AS u (organization_id, id, status, duration_us, credits)
           WHERE r.organization_id = u.organization_id AND r.id = u.id AND r.id >= {} AND r.id <= {}";
    organizations: Vec<OrgId> as sql::Array<sql::Uuid>,
    ids: Vec<RequestId> as sql::Array<sql::Uuid>,
    statuses: Vec<Option<i16>> as sql::Array<sql::Nullable<sql::Int2>>,
    durations: Vec<Option<i32>> as sql::Array<sql::Nullable<sql::Int4>>,
    credits: Vec<Option<i64>> as sql::Array<sql::Nullable<sql::Int8>>,
    least: RequestId as sql::Uuid,
    most: RequestId as sql::Uuid,
}

/// Locks those of these requests of which a report is or was awaited, in the order of their ids, until the transaction ends.
///
/// # Errors
/// Those of the database.
pub fn lock_awaited(conn: &mut PgConnection, ids: Vec<RequestId>) -> Result<Vec<Awaited>> {
    let Some((least, most)) = bounds(ids.iter().copied()) else { return Ok(Vec::new()) };
    Ok(Lock { least, most, ids, _life: PhantomData }.load(conn)?)
}

/// Writes what became of requests, and tells the rollups.
///
/// # Errors
/// Those of the database.
pub fn complete(conn: &mut PgConnection, completions: &[Completion]) -> Result<()> {
    let Some((least, most)) = bounds(completions.iter().map(|one| one.of.id)) else { return Ok(()) };
    Update {
        organizations: column(completions, |one| one.of.organization),
        ids: column(completions, |one| one.of.id),
        statuses: column(completions, |one| Some(one.status as i16)),
        durations: column(completions, |one| one.duration_us),
        credits: column(completions, |one| Some(one.credits)),
        least,
        most,
        _life: PhantomData,
    }
    .execute(conn)?;
    let mut groups: HashMap<Group<'_>, Sum> = HashMap::new();
    for (group, change) in completions.iter().flat_map(changes) {
        let sum = groups.entry(group).or_default();
        sum.requests += change.requests;
        sum.stale += change.stale;
    }
    // What comes to the same as before changes no sum.
    groups.retain(|_, sum| (sum.requests, sum.stale) != (0, 0));
    write(conn, &[], &groups.into_iter().collect::<Vec<_>>())
}

/// Lets these rows be as they are: no report of them is taken any more.
///
/// # Errors
/// Those of the database.
pub fn stop_awaiting(conn: &mut PgConnection, requests: &[(OrgId, RequestId)]) -> Result<()> {
    let Some((least, most)) = bounds(requests.iter().map(|(_, id)| *id)) else { return Ok(()) };
    Update {
        organizations: column(requests, |(organization, _)| *organization),
        ids: column(requests, |(_, id)| *id),
        statuses: vec![None; requests.len()],
        durations: vec![None; requests.len()],
        credits: vec![None; requests.len()],
        least,
        most,
        _life: PhantomData,
    }
    .execute(conn)?;
    Ok(())
}

fn bounds(ids: impl Iterator<Item = RequestId> + Clone) -> Option<(RequestId, RequestId)> {
    ids.clone().min().zip(ids.max())
}

/// One less of what it was, one more of what it is.
fn changes(completion: &Completion) -> [(Group<'_>, Sum); 2] {
    let Completion { of, status, duration_us, .. } = completion;
    let was = Group {
        organization: of.organization,
        hour: clock::hour(of.at),
        key: of.key,
        generation: of.generation,
        environment: &of.environment,
        route: &of.route,
        status: of.status as u16,
        bucket: histogram::bucket(of.duration_us),
    };
    let is = Group { status: *status, bucket: histogram::bucket(duration_us.unwrap_or(of.duration_us)), ..was.clone() };
    let sum = |requests: i64| Sum { requests, stale: requests * i64::from(of.stale), ..Sum::default() };
    [(was, sum(-1)), (is, sum(1))]
}
