//! Jobs as partners read them. The id's name is the profile's.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::json;
use time::OffsetDateTime;

use super::{Job, Status};
use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::profile::JobKind;
use crate::raw_json::RawJson;

/// A job's state.
#[derive(Debug, Clone, Copy)]
pub struct Shape<'a> {
    kind: &'a JobKind,
    job: &'a Job,
}

/// A job's state, as `POST` and `GET` answer it.
pub fn shape<'a>(kind: &'a JobKind, job: &'a Job) -> Shape<'a> {
    Shape { kind, job }
}

impl Serialize for Shape<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let job = self.job;
        let moment = |at: Option<OffsetDateTime>| at.map(rfc3339);
        let error = job.error_code.as_ref().map(|code| json!({"code": code, "message": job.error_message.as_deref().unwrap_or("")}));
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(&self.kind.id_field, &self.kind.public_id(job.id))?;
        map.serialize_entry("status", job.status().as_str())?;
        map.serialize_entry("percentage", &job.percentage)?;
        map.serialize_entry("environment", &job.environment)?;
        map.serialize_entry("external_reference", &job.external_reference)?;
        map.serialize_entry("created_at", &rfc3339(job.created_at))?;
        map.serialize_entry("started_at", &moment(job.started_at))?;
        map.serialize_entry("finished_at", &moment(job.finished_at))?;
        map.serialize_entry("error", &error)?;
        map.end()
    }
}

/// What came of a completed job.
#[derive(Debug, Clone, Copy)]
pub struct Results<'a> {
    kind: &'a JobKind,
    job: &'a Job,
    result: &'a RawJson,
}

/// What came of a completed job, as the results route answers it.
///
/// # Errors
/// `Conflict` while it is not finished, and when it failed.
pub fn results<'a>(kind: &'a JobKind, job: &'a Job) -> Result<Results<'a>> {
    match (job.status(), &job.result) {
        (Status::Completed, Some(result)) => Ok(Results { kind, job, result }),
        (Status::Failed, _) => Err(Error::Conflict(format!("This {} failed: it has no results.", kind.noun))),
        (status, _) => Err(Error::Conflict(format!("This {} is not finished yet: it is {}.", kind.noun, status.as_str()))),
    }
}

impl Serialize for Results<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry(&self.kind.id_field, &self.kind.public_id(self.job.id))?;
        map.serialize_entry("status", self.job.status().as_str())?;
        map.serialize_entry("result", self.result)?;
        map.end()
    }
}
