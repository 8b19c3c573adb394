use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use time::OffsetDateTime;
use uuid::Uuid;

use super::CHANNEL;
use crate::error::Result;
use crate::ids::{JobId, KeyId, OrgId, RequestId};
use crate::profile::Charge;
use crate::raw_json::RawJson;
use crate::schema::jobs;

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Waits for a worker.
    Queued,
    /// A worker holds a lease on it.
    Processing,
    /// Done, with a result.
    Completed,
    /// Given up, with an error.
    Failed,
}

impl Status {
    /// As bodies, events and screens write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Processing => "processing",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

/// One unit of paid work.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = jobs, check_for_backend(diesel::pg::Pg))]
pub struct Job {
    /// Its id; see [`crate::profile::JobKind::public_id`] for its public form.
    pub id: JobId,
    /// Who bought it.
    pub organization_id: OrgId,
    /// With which key.
    pub key_id: KeyId,
    /// By which request.
    pub request_id: RequestId,
    /// Kind in the profile.
    pub kind: String,
    /// Environment of the key.
    pub environment: String,
    /// Done by the built-in worker.
    pub sandbox: bool,
    /// As the partner sent it.
    pub input: RawJson,
    /// The partner's own name for it.
    pub external_reference: Option<String>,
    /// Whether its events go to the webhook.
    pub notify_via_webhook: bool,
    /// 0 to 100.
    pub percentage: i16,
    /// Sequence of its newest event; 0 before the first.
    pub last_sequence: i32,
    /// Credits held for it; 0 where it costs nothing.
    pub price: i64,
    /// When they are settled, see [`Charge`].
    pub charge: String,
    /// How often it was claimed.
    pub attempts: i16,
    /// The lease of the worker that has it.
    pub lease: Option<Uuid>,
    /// When that lease runs out.
    pub lease_expires_at: Option<OffsetDateTime>,
    /// When it was bought.
    pub created_at: OffsetDateTime,
    /// When it was first claimed.
    pub started_at: Option<OffsetDateTime>,
    /// When it was completed or failed.
    pub finished_at: Option<OffsetDateTime>,
    /// As the worker sent it; of completed jobs alone.
    pub result: Option<RawJson>,
    /// Stable word; of failed jobs alone.
    pub error_code: Option<String>,
    /// Sentence; of failed jobs alone.
    pub error_message: Option<String>,
}

impl Job {
    /// Where it is.
    pub fn status(&self) -> Status {
        match (self.finished_at, &self.error_code, self.lease) {
            (Some(_), Some(_), _) => Status::Failed,
            (Some(_), None, _) => Status::Completed,
            (None, _, Some(_)) => Status::Processing,
            (None, _, None) => Status::Queued,
        }
    }
}

/// A job to be queued.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// A fresh id; also the id of the hold that pays it.
    pub id: JobId,
    /// Who buys it.
    pub organization: OrgId,
    /// With which key.
    pub key: KeyId,
    /// By which request.
    pub request_id: RequestId,
    /// Kind in the profile.
    pub kind: String,
    /// Environment of the key.
    pub environment: String,
    /// Whether that environment is a sandbox.
    pub sandbox: bool,
    /// As sent.
    pub input: RawJson,
    /// The partner's own name for it.
    pub external_reference: Option<String>,
    /// Whether its events go to the webhook.
    pub notify_via_webhook: bool,
    /// Credits; 0 in a sandbox.
    pub price: i64,
    /// When they are settled.
    pub charge: Charge,
    /// Now.
    pub created_at: OffsetDateTime,
}

impl NewJob {
    /// The row that [`insert_many`] is about to write, for the answer to the request that creates it.
    pub fn to_job(&self) -> Job {
        Job {
            id: self.id,
            organization_id: self.organization,
            key_id: self.key,
            request_id: self.request_id,
            kind: self.kind.clone(),
            environment: self.environment.clone(),
            sandbox: self.sandbox,
            input: self.input.clone(),
            external_reference: self.external_reference.clone(),
            notify_via_webhook: self.notify_via_webhook,
            percentage: 0,
            last_sequence: 0,
            price: self.price,
            charge: self.charge.as_str().into(),
            attempts: 0,
            lease: None,
            lease_expires_at: None,
            created_at: self.created_at,
            started_at: None,
            finished_at: None,
            result: None,
            error_code: None,
            error_message: None,
        }
    }
}

/// Queues jobs and, when the transaction commits, wakes the workers of every instance.
///
/// Call it inside the transaction that also holds their credits, and with `on_start` settles them: `hold_id` is the job's
/// id. A job that costs nothing has no hold.
///
/// # Errors
/// Those of the database.
pub fn insert_many(conn: &mut PgConnection, new: &[NewJob]) -> Result<()> {
    if new.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = new
        .iter()
        .map(|job| {
            (
                jobs::id.eq(job.id),
                jobs::organization_id.eq(job.organization),
                jobs::key_id.eq(job.key),
                jobs::request_id.eq(job.request_id),
                jobs::kind.eq(&job.kind),
                jobs::environment.eq(&job.environment),
                jobs::sandbox.eq(job.sandbox),
                jobs::input.eq(&job.input),
                jobs::external_reference.eq(&job.external_reference),
                jobs::notify_via_webhook.eq(job.notify_via_webhook),
                jobs::percentage.eq(0),
                jobs::last_sequence.eq(0),
                jobs::price.eq(job.price),
                jobs::charge.eq(job.charge.as_str()),
                jobs::attempts.eq(0),
                jobs::created_at.eq(job.created_at),
            )
        })
        .collect();
    diesel::insert_into(jobs::table).values(&rows).execute(conn)?;
    notify(conn)
}

/// Tells every instance that there is something to claim, once the transaction commits.
pub(super) fn notify(conn: &mut PgConnection) -> Result<()> {
    Ok(conn.batch_execute(&format!("NOTIFY {CHANNEL}"))?)
}

/// A job of this organization.
///
/// # Errors
/// `NotFound`, for another organization's job too; those of the database.
pub fn read(conn: &mut PgConnection, organization: OrgId, id: JobId) -> Result<Job> {
    Ok(jobs::table.find(id).filter(jobs::organization_id.eq(organization)).select(Job::as_select()).first(conn)?)
}
