//! Leases: how a worker comes to a job, and what happens when it falls silent.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use time::OffsetDateTime;
use uuid::Uuid;

use super::events::{Fact, emit};
use super::job::notify;
use super::report::{Ending, finish, held};
use super::{Job, LEASE, MOST_ATTEMPTS, Status};
use crate::actor::Actor;
use crate::error::{Error, Result};
use crate::ids::JobId;
use crate::profile::Profile;
use crate::schema::jobs;

/// A job and the right to report on it.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The job, as it is now.
    pub job: Job,
    /// Proof of the claim; every report names it.
    pub lease: Uuid,
    /// When the worker must have reported.
    pub lease_expires_at: OffsetDateTime,
    /// Whether nobody had it before.
    pub first: bool,
}

/// Leases the oldest queued job of these kinds; none when all are taken.
///
/// # Errors
/// `Invalid` for a kind that the profile lacks, or no kind at all; those of the database.
pub fn claim(conn: &mut PgConnection, now: OffsetDateTime, profile: &Profile, kinds: &[String], sandbox: bool) -> Result<Option<Claimed>> {
    check_kinds(profile, kinds)?;
    conn.transaction(|conn| {
        for kind in by_age(conn, kinds, sandbox)? {
            let kind = profile.job_kind(kind).ok_or_else(unknown_kind)?;
            let Some(mut job) = lock_oldest(conn, &kind.kind, sandbox)? else { continue };
            let (lease, lease_expires_at, first) = (Uuid::from_u128(rand::random()), now + LEASE, job.started_at.is_none());
            job.lease = Some(lease);
            job.lease_expires_at = Some(lease_expires_at);
            job.attempts += 1;
            if first {
                job.started_at = Some(now);
                let fact = Fact { word: "started", status: Status::Processing, percentage: job.percentage, error: None };
                emit(conn, now, kind, &mut job, &[fact])?;
            }
            diesel::update(jobs::table.find(job.id))
                .set((
                    jobs::lease.eq(job.lease),
                    jobs::lease_expires_at.eq(job.lease_expires_at),
                    jobs::attempts.eq(job.attempts),
                    jobs::started_at.eq(job.started_at),
                    jobs::last_sequence.eq(job.last_sequence),
                ))
                .execute(conn)?;
            return Ok(Some(Claimed { job, lease, lease_expires_at, first }));
        }
        Ok(None)
    })
}

fn check_kinds(profile: &Profile, kinds: &[String]) -> Result<()> {
    let offered = || profile.jobs.iter().map(|job| job.kind.as_str()).collect::<Vec<_>>().join(", ");
    match kinds.iter().find(|kind| profile.job_kind(kind).is_none()) {
        Some(unknown) => {
            let unknown: String = unknown.chars().take(100).collect();
            Err(Error::field("kinds", format!("{unknown:?} is not a kind of job here; there is {}.", offered())))
        }
        None if kinds.is_empty() => Err(Error::field("kinds", format!("Name at least one kind of job; there is {}.", offered()))),
        None => Ok(()),
    }
}

fn unknown_kind() -> Error {
    Error::Conflict("This kind of job is no longer offered.".into())
}

/// The kinds that have something queued, the one that waits longest first. One look-up a kind, because each is the end of an
/// index; one look-up for all would sort the whole queue.
fn by_age<'a>(conn: &mut PgConnection, kinds: &'a [String], sandbox: bool) -> Result<Vec<&'a str>> {
    if let [kind] = kinds {
        return Ok(vec![kind]);
    }
    let mut ages = Vec::with_capacity(kinds.len());
    for kind in kinds {
        let oldest: Option<OffsetDateTime> = queued(kind, sandbox).select(jobs::created_at).first(conn).optional()?;
        ages.extend(oldest.map(|at| (at, kind.as_str())));
    }
    ages.sort_unstable();
    ages.dedup();
    Ok(ages.into_iter().map(|(_, kind)| kind).collect())
}

#[diesel::dsl::auto_type(no_type_alias)]
fn queued<'a>(kind: &'a str, sandbox: bool) -> _ {
    jobs::table
        .filter(jobs::sandbox.eq(sandbox).and(jobs::kind.eq(kind)).and(jobs::finished_at.is_null().and(jobs::lease.is_null())))
        .order(jobs::created_at)
}

/// How many jobs wait for a worker, of every kind.
///
/// # Errors
/// Those of the database.
pub fn queued_count(conn: &mut PgConnection) -> Result<i64> {
    Ok(jobs::table.filter(jobs::finished_at.is_null().and(jobs::lease.is_null())).count().get_result(conn)?)
}

fn lock_oldest(conn: &mut PgConnection, kind: &str, sandbox: bool) -> Result<Option<Job>> {
    Ok(queued(kind, sandbox).select(Job::as_select()).limit(1).for_no_key_update().skip_locked().first(conn).optional()?)
}

/// Returns a job to the queue before it is finished, as a worker does that stops in good order. It does not count as an
/// attempt.
///
/// # Errors
/// `Conflict` when the lease is not the job's current one; `NotFound`; those of the database.
pub fn hand_back(conn: &mut PgConnection, now: OffsetDateTime, id: JobId, lease: Uuid) -> Result<()> {
    conn.transaction(|conn| {
        let job = held(conn, now, id, lease)?;
        requeue(conn, &job, job.attempts - 1)
    })
}

fn requeue(conn: &mut PgConnection, job: &Job, attempts: i16) -> Result<()> {
    diesel::update(jobs::table.find(job.id))
        .set((jobs::lease.eq(None::<Uuid>), jobs::lease_expires_at.eq(None::<OffsetDateTime>), jobs::attempts.eq(attempts)))
        .execute(conn)?;
    notify(conn)
}

/// Ends the leases that ran out: the job returns to the queue, or fails with `worker_lost` after its fourth attempt. Returns how
/// many there were. For housekeeping, each second; several instances may do it at once.
///
/// Jobs of a kind that the profile no longer has are left alone.
///
/// # Errors
/// Those of the database.
pub fn expire_leases(conn: &mut PgConnection, now: OffsetDateTime, profile: &Profile) -> Result<usize> {
    let mut ended = 0;
    while expire_one(conn, now, profile)? {
        ended += 1;
    }
    Ok(ended)
}

fn expire_one(conn: &mut PgConnection, now: OffsetDateTime, profile: &Profile) -> Result<bool> {
    let kinds: Vec<&str> = profile.jobs.iter().map(|job| job.kind.as_str()).collect();
    conn.transaction(|conn| {
        let lost: Option<Job> = jobs::table
            .filter(jobs::lease.is_not_null().and(jobs::lease_expires_at.le(now)).and(jobs::kind.eq_any(kinds)))
            .order(jobs::lease_expires_at)
            .select(Job::as_select())
            .limit(1)
            .for_no_key_update()
            .skip_locked()
            .first(conn)
            .optional()?;
        let Some(job) = lost else { return Ok(false) };
        if job.attempts < MOST_ATTEMPTS {
            requeue(conn, &job, job.attempts)?;
        } else {
            let message = format!("{MOST_ATTEMPTS} workers took this job and none finished it.");
            finish(conn, now, profile, job, Ending::Failed { code: "worker_lost", message: &message }, Actor::system().label())?;
        }
        Ok(true)
    })
}
