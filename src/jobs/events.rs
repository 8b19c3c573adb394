//! Events: the facts of a job's life, numbered within it and kept as the text that will be sent.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use serde::ser::{Serialize, SerializeMap, Serializer};
use time::OffsetDateTime;

use super::{Job, Status};
use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::ids::EventId;
use crate::profile::JobKind;
use crate::raw_json::RawJson;
use crate::schema::job_events;

/// What happened: the last word of the event's type, and the job's state as that event tells it.
pub(super) struct Fact {
    pub(super) word: &'static str,
    pub(super) status: Status,
    pub(super) percentage: i16,
}

/// One event's body, flat.
struct Payload<'a> {
    kind: &'a JobKind,
    job: &'a Job,
    event_type: &'a str,
    fact: &'a Fact,
    sequence: i32,
    now: OffsetDateTime,
}

impl Serialize for Payload<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(&self.kind.id_field, &self.kind.public_id(self.job.id))?;
        map.serialize_entry("event_type", self.event_type)?;
        map.serialize_entry("status", self.fact.status.as_str())?;
        map.serialize_entry("percentage", &self.fact.percentage)?;
        map.serialize_entry("sequence", &self.sequence)?;
        map.serialize_entry("timestamp", &rfc3339(self.now))?;
        if let Some(reference) = &self.job.external_reference {
            map.serialize_entry("external_reference", reference)?;
        }
        map.end()
    }
}

/// Writes these events and numbers them. The caller has locked the job's row and writes `last_sequence` with its own change.
pub(super) fn emit(conn: &mut PgConnection, now: OffsetDateTime, kind: &JobKind, job: &mut Job, facts: &[Fact]) -> Result<()> {
    if facts.is_empty() {
        return Ok(());
    }
    let mut rows = Vec::with_capacity(facts.len());
    for fact in facts {
        job.last_sequence += 1;
        let event_type = format!("{}.{}", kind.event_prefix, fact.word);
        let payload = Payload { kind, job, event_type: &event_type, fact, sequence: job.last_sequence, now };
        let payload = RawJson::of(&payload).map_err(|e| Error::internal("writing an event", e))?;
        rows.push((
            job_events::organization_id.eq(job.organization_id),
            job_events::job_id.eq(job.id),
            job_events::sequence.eq(job.last_sequence),
            job_events::id.eq(EventId::new(now)),
            job_events::event_type.eq(event_type),
            job_events::payload.eq(payload),
            job_events::created_at.eq(now),
        ));
    }
    diesel::insert_into(job_events::table).values(rows).execute(conn)?;
    Ok(())
}
