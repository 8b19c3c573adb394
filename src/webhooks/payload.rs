//! What an event says: one flat JSON object, the same for a real event, a test and a sample.

use serde::ser::{Serialize, SerializeMap, Serializer};
use time::OffsetDateTime;

use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::ids::JobId;
use crate::profile::JobKind;
use crate::raw_json::RawJson;

/// One event's body.
#[derive(Debug)]
pub struct Payload<'a> {
    /// The job that it is about; none for an event of the organization.
    pub job: Option<JobNews<'a>>,
    /// What it says about credits.
    pub credits: Option<CreditNews>,
    /// `analysis.progress`.
    pub event_type: &'a str,
    /// Place among its job's events, from 1.
    pub sequence: i32,
    /// When it happened.
    pub at: OffsetDateTime,
    /// Whether nothing happened at all: somebody tries the webhook.
    pub is_test: bool,
}

/// A job as an event tells it.
#[derive(Debug)]
pub struct JobNews<'a> {
    /// Names the id and gives it its public form.
    pub kind: &'a JobKind,
    /// The job.
    pub id: JobId,
    /// `queued`, `processing`, `completed`, `failed`.
    pub status: &'a str,
    /// 0 to 100.
    pub percentage: i16,
    /// Code and message, when it failed.
    pub error: Option<(&'a str, &'a str)>,
    /// What its buyer calls it.
    pub external_reference: Option<&'a str>,
}

/// A balance that has just fallen below its threshold.
#[derive(Debug, Clone, Copy)]
pub struct CreditNews {
    /// Credits that are available.
    pub available: i64,
    /// Below so many the organization wanted to be told.
    pub threshold: i64,
}

impl Payload<'_> {
    /// The text that is kept and sent.
    ///
    /// # Errors
    /// `Internal` when it can't be written, which nothing in it gives reason for.
    pub fn json(&self) -> Result<RawJson> {
        RawJson::of(self).map_err(|e| Error::internal("writing an event", e))
    }
}

impl Serialize for Payload<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(job) = &self.job {
            map.serialize_entry(&job.kind.id_field, &job.kind.public_id(job.id))?;
        }
        map.serialize_entry("event_type", self.event_type)?;
        if let Some(job) = &self.job {
            map.serialize_entry("status", job.status)?;
            map.serialize_entry("percentage", &job.percentage)?;
        }
        if let Some(credits) = &self.credits {
            map.serialize_entry("status", "low")?;
            map.serialize_entry("available", &credits.available)?;
            map.serialize_entry("threshold", &credits.threshold)?;
        }
        if let Some((code, message)) = self.job.as_ref().and_then(|job| job.error) {
            map.serialize_entry("error", &serde_json::json!({"code": code, "message": message}))?;
        }
        map.serialize_entry("sequence", &self.sequence)?;
        map.serialize_entry("timestamp", &rfc3339(self.at))?;
        if let Some(reference) = self.job.as_ref().and_then(|job| job.external_reference) {
            map.serialize_entry("external_reference", reference)?;
        }
        if self.is_test {
            map.serialize_entry("test", &true)?;
        }
        map.end()
    }
}
