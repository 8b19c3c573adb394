//! What a worker reports about the job that it holds.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use time::OffsetDateTime;
use uuid::Uuid;

use super::events::{Fact, emit};
use super::{Job, LEASE, Status};
use crate::clock::rfc3339;
use crate::credits::{Books, Purpose};
use crate::error::{Error, FieldError, Result};
use crate::ids::{JobId, OrgId};
use crate::profile::{Charge, JobKind, Profile};
use crate::raw_json::RawJson;
use crate::schema::jobs;

/// Who ended the credits of a job, as the ledger names it.
const WORKER: &str = "Worker";
/// Characters.
const LONGEST_CODE: usize = 100;
/// Characters.
const LONGEST_MESSAGE: usize = 1_000;

/// Where a job is after a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whose it is.
    pub organization: OrgId,
    /// Its state.
    pub status: Status,
    /// 0 to 100.
    pub percentage: i16,
}

/// Records progress and renews the lease. A percentage that is not above the last one renews the lease and no more.
///
/// # Errors
/// `Invalid` outside 0 to 100; `Conflict` when the lease is not the job's current one; `NotFound`; those of the database.
pub fn progress(
    conn: &mut PgConnection, now: OffsetDateTime, profile: &Profile, id: JobId, lease: Uuid, percentage: i64,
) -> Result<Standing> {
    let reported = i16::try_from(percentage)
        .ok()
        .filter(|percentage| (0..=100).contains(percentage))
        .ok_or_else(|| Error::field("percentage", format!("{percentage} is not between 0 and 100.")))?;
    conn.transaction(|conn| {
        let mut job = held(conn, now, id, lease)?;
        let before = job.percentage;
        job.percentage = before.max(reported);
        let passed: Vec<Fact<'_>> = (before / 10 + 1..=job.percentage / 10)
            .map(|tenth| Fact { word: "progress", status: Status::Processing, percentage: tenth * 10, error: None })
            .collect();
        if !passed.is_empty() {
            emit(conn, now, kind_of(profile, &job)?, &mut job, &passed)?;
        }
        diesel::update(jobs::table.find(id))
            .set((jobs::percentage.eq(job.percentage), jobs::last_sequence.eq(job.last_sequence), jobs::lease_expires_at.eq(now + LEASE)))
            .execute(conn)?;
        Ok(Standing { organization: job.organization_id, status: Status::Processing, percentage: job.percentage })
    })
}

/// Completes a job with its result. With `on_success` its credits are settled now.
///
/// # Errors
/// `Conflict` when the lease is not the job's current one; `NotFound`; those of the database.
pub fn complete(
    conn: &mut PgConnection, now: OffsetDateTime, profile: &Profile, id: JobId, lease: Uuid, result: RawJson,
) -> Result<Standing> {
    conn.transaction(|conn| {
        let job = held(conn, now, id, lease)?;
        finish(conn, now, profile, job, Ending::Completed(result), WORKER)
    })
}

/// Gives a job up, with a stable word of 1 to 100 characters for programs and a sentence of at most 1000 for people. With
/// `on_success` its credits are released.
///
/// # Errors
/// `Invalid` for a code or message that is not so; `Conflict` when the lease is not the job's current one; `NotFound`;
/// those of the database.
pub fn fail(
    conn: &mut PgConnection, now: OffsetDateTime, profile: &Profile, id: JobId, lease: Uuid, code: &str, message: &str,
) -> Result<Standing> {
    check_text(code, message)?;
    conn.transaction(|conn| {
        let job = held(conn, now, id, lease)?;
        finish(conn, now, profile, job, Ending::Failed { code, message }, WORKER)
    })
}

fn check_text(code: &str, message: &str) -> Result<()> {
    let mut wrong = Vec::new();
    let mut unless = |fine: bool, field: &'static str, text: String| {
        if !fine {
            wrong.push(FieldError { field: field.into(), message: text });
        }
    };
    unless((1..=LONGEST_CODE).contains(&code.chars().count()), "code", format!("A code has 1 to {LONGEST_CODE} characters."));
    unless(!code.contains('\0'), "code", "A code can't hold the NUL character.".into());
    unless(message.chars().count() <= LONGEST_MESSAGE, "message", format!("A message has at most {LONGEST_MESSAGE} characters."));
    unless(!message.contains('\0'), "message", "A message can't hold the NUL character.".into());
    if wrong.is_empty() { Ok(()) } else { Err(Error::Invalid(wrong)) }
}

/// The job, its row locked, if this lease is still good.
pub(super) fn held(conn: &mut PgConnection, now: OffsetDateTime, id: JobId, lease: Uuid) -> Result<Job> {
    let job: Job = jobs::table.find(id).select(Job::as_select()).for_no_key_update().first(conn)?;
    let refusal = match (job.status(), job.lease_expires_at) {
        (status @ (Status::Completed | Status::Failed), _) => format!("This job is already {}.", status.as_str()),
        _ if job.lease != Some(lease) => "This is not the job's current lease: it ran out, or was never given.".into(),
        (_, Some(at)) if at <= now => format!("This lease ran out at {}.", rfc3339(at)),
        _ => return Ok(job),
    };
    Err(Error::Conflict(refusal))
}

/// How a job ends.
pub(super) enum Ending<'a> {
    Completed(RawJson),
    Failed { code: &'a str, message: &'a str },
}

/// Ends a job whose row is locked: state, event and credits.
pub(super) fn finish(
    conn: &mut PgConnection, now: OffsetDateTime, profile: &Profile, mut job: Job, ending: Ending<'_>, actor: &str,
) -> Result<Standing> {
    let (word, standing) = match &ending {
        Ending::Completed(_) => ("completed", Standing { organization: job.organization_id, status: Status::Completed, percentage: 100 }),
        Ending::Failed { .. } => {
            ("failed", Standing { organization: job.organization_id, status: Status::Failed, percentage: job.percentage })
        }
    };
    end_hold(conn, now, &job, standing.status, actor)?;
    let error = match &ending {
        Ending::Completed(_) => None,
        Ending::Failed { code, message } => Some((*code, *message)),
    };
    let fact = Fact { word, status: standing.status, percentage: standing.percentage, error };
    emit(conn, now, kind_of(profile, &job)?, &mut job, &[fact])?;
    let (result, error) = match ending {
        Ending::Completed(result) => (Some(result), None),
        Ending::Failed { code, message } => (None, Some((code, message))),
    };
    diesel::update(jobs::table.find(job.id))
        .set((
            jobs::lease.eq(None::<Uuid>),
            jobs::lease_expires_at.eq(None::<OffsetDateTime>),
            jobs::percentage.eq(standing.percentage),
            jobs::last_sequence.eq(job.last_sequence),
            jobs::finished_at.eq(now),
            jobs::result.eq(result),
            jobs::error_code.eq(error.map(|(code, _)| code)),
            jobs::error_message.eq(error.map(|(_, message)| message)),
        ))
        .execute(conn)?;
    Ok(standing)
}

/// Nothing to end where it cost nothing, or was settled when it was created.
fn end_hold(conn: &mut PgConnection, now: OffsetDateTime, job: &Job, status: Status, actor: &str) -> Result<()> {
    if job.price == 0 || job.charge != Charge::OnSuccess.as_str() {
        return Ok(());
    }
    let purpose =
        Purpose { hold_id: job.id.0, request_id: Some(job.request_id), job_id: Some(job.id), actor: actor.into(), note: String::new() };
    let mut books = Books::open(conn, now, [job.organization_id])?;
    match status {
        Status::Completed => books.settle(job.organization_id, job.price, &purpose),
        _ => books.release(job.organization_id, job.price, &purpose),
    }
    books.close(conn)
}

fn kind_of<'a>(profile: &'a Profile, job: &Job) -> Result<&'a JobKind> {
    profile.job_kind(&job.kind).ok_or_else(|| Error::Conflict("This kind of job is no longer offered.".into()))
}
