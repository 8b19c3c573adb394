//! The cut-over meter: while an old secret is in grace, who still uses it.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Text, Timestamptz, Uuid as SqlUuid};
use time::{Duration, OffsetDateTime};

use super::{Grace, KeyView, list};
use crate::error::Result;
use crate::ids::{self, KeyId, OrgId, RequestId};
use crate::usage::{Uses, uses};

/// Who used the old secret, and when, is read from so many of its newest uses, each on a page of its own in a long history; how often is
/// counted whole.
const LOOK: i64 = 1_000;
/// How long an old secret must be silent before ending it is safe.
const SILENCE: Duration = Duration::HOUR;
/// Most buckets of the spark line.
const BUCKETS: i64 = 48;
/// Widths of a bucket in seconds, from 10 minutes to a day.
const WIDTHS: [i64; 6] = [600, 1_800, 3_600, 10_800, 21_600, 86_400];

/// Use of a key's new and old secret since its rotation.
#[derive(Debug, Clone)]
pub struct CutOver {
    /// The key.
    pub key: KeyId,
    /// Since when there are two.
    pub rotated_at: OffsetDateTime,
    /// The old one.
    pub old: Grace,
    /// Requests with the new secret.
    pub new_requests: i64,
    /// Requests with the old one.
    pub old_requests: i64,
    /// Who made the newest [`LOOK`] of those, the busiest ten.
    pub old_users: Vec<OldUser>,
    /// Requests with the old secret in equal spans since the rotation, oldest first; the last one is not over. Only the newest
    /// [`LOOK`] are counted here.
    pub by_bucket: Vec<i64>,
    /// How long each of them is.
    pub bucket: Duration,
    /// Last use of the old secret since the rotation.
    pub last_old_use: Option<OffsetDateTime>,
    /// Whether ending the grace would hurt somebody.
    pub quiet: Quiet,
}

/// Whether the old secret is silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quiet {
    /// Used within the hour.
    NotYet,
    /// Never used since the rotation, which is not an hour ago: nobody can tell yet.
    Unused,
    /// Silent for an hour or longer: safe to end.
    Since(OffsetDateTime),
}

/// Somebody with the old secret.
#[derive(Debug, Clone, QueryableByName)]
pub struct OldUser {
    /// Where it calls from.
    #[diesel(sql_type = Text)]
    pub address: String,
    /// What it calls itself.
    #[diesel(sql_type = Text)]
    pub user_agent: String,
    /// How often since the rotation.
    #[diesel(sql_type = BigInt)]
    pub requests: i64,
    /// When last.
    #[diesel(sql_type = Timestamptz)]
    pub last_at: OffsetDateTime,
}

#[derive(QueryableByName)]
struct Bucket {
    #[diesel(sql_type = BigInt)]
    bucket: i64,
    #[diesel(sql_type = BigInt)]
    requests: i64,
    #[diesel(sql_type = Timestamptz)]
    last_at: OffsetDateTime,
}

/// The meter of a key; none when no old secret of it is in grace.
///
/// # Errors
/// `NotFound`, for another organization's key too; those of the database.
pub fn cut_over(conn: &mut PgConnection, organization: OrgId, key: KeyId, now: OffsetDateTime) -> Result<Option<CutOver>> {
    let view = list::find(conn, organization, key, now)?;
    of(conn, &view, now)
}

pub(super) fn of(conn: &mut PgConnection, view: &KeyView, now: OffsetDateTime) -> Result<Option<CutOver>> {
    let Some(old) = view.grace.clone() else { return Ok(None) };
    let (organization, key, rotated_at) = (view.key.organization, view.key.id, view.key.secret_created_at);
    let since = RequestId(ids::uuid_floor(rotated_at));
    let used = uses(conn, organization, Some(key))?;
    let count = |generation: i32, of: fn(&Uses) -> i64| used.get(&(key, generation)).map_or(0, of);
    let old_users = diesel::sql_query(include_str!("cut_over_users.sql"))
        .bind::<SqlUuid, _>(organization)
        .bind::<SqlUuid, _>(key)
        .bind::<Integer, _>(old.generation)
        .bind::<SqlUuid, _>(since)
        .bind::<BigInt, _>(LOOK)
        .load(conn)?;
    let width = bucket_width((now - rotated_at).whole_seconds());
    let buckets: Vec<Bucket> = diesel::sql_query(include_str!("cut_over_buckets.sql"))
        .bind::<SqlUuid, _>(organization)
        .bind::<SqlUuid, _>(key)
        .bind::<Integer, _>(old.generation)
        .bind::<SqlUuid, _>(since)
        .bind::<Timestamptz, _>(rotated_at)
        .bind::<BigInt, _>(width)
        .bind::<BigInt, _>(LOOK)
        .load(conn)?;
    let old_generation = old.generation;
    let last_old_use = buckets.iter().map(|bucket| bucket.last_at).max();
    Ok(Some(CutOver {
        key,
        rotated_at,
        old,
        new_requests: count(view.key.generation, |uses| uses.requests),
        old_requests: count(old_generation, |uses| uses.stale),
        old_users,
        by_bucket: filled(&buckets, (now - rotated_at).whole_seconds() / width),
        bucket: Duration::seconds(width),
        last_old_use,
        quiet: quiet(rotated_at, last_old_use, now),
    }))
}

fn bucket_width(span_s: i64) -> i64 {
    WIDTHS.into_iter().find(|width| span_s / width < BUCKETS).unwrap_or(WIDTHS[WIDTHS.len() - 1])
}

fn filled(buckets: &[Bucket], last: i64) -> Vec<i64> {
    let count = |place| buckets.iter().filter(|bucket| bucket.bucket.min(last) == place).map(|bucket| bucket.requests).sum();
    (0..=last.max(0)).map(count).collect()
}

fn quiet(rotated_at: OffsetDateTime, last_old_use: Option<OffsetDateTime>, now: OffsetDateTime) -> Quiet {
    match last_old_use {
        _ if now - last_old_use.unwrap_or(rotated_at) >= SILENCE => Quiet::Since(last_old_use.unwrap_or(rotated_at)),
        Some(_) => Quiet::NotYet,
        None => Quiet::Unused,
    }
}
