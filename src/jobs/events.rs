//! Events: the facts of a job's life, numbered within it and kept as the text that will be sent.

use diesel::pg::PgConnection;
use time::OffsetDateTime;

use super::{Job, Status};
use crate::error::Result;
use crate::profile::JobKind;
use crate::webhooks::{self, JobNews, NewEvent, Payload};

/// What happened: the last word of the event's type, and the job's state as that event tells it.
pub(super) struct Fact<'a> {
    pub(super) word: &'static str,
    pub(super) status: Status,
    pub(super) percentage: i16,
    /// Code and message, when it failed.
    pub(super) error: Option<(&'a str, &'a str)>,
}

/// Writes these events, numbers them and queues them for the webhook. The caller has locked the job's row and writes
/// `last_sequence` with its own change.
pub(super) fn emit(conn: &mut PgConnection, now: OffsetDateTime, kind: &JobKind, job: &mut Job, facts: &[Fact<'_>]) -> Result<()> {
    let mut events = Vec::with_capacity(facts.len());
    for fact in facts {
        job.last_sequence += 1;
        let (sequence, event_type) = (job.last_sequence, format!("{}.{}", kind.event_prefix, fact.word));
        let news = JobNews {
            kind,
            id: job.id,
            status: fact.status.as_str(),
            percentage: fact.percentage,
            error: fact.error,
            external_reference: job.external_reference.as_deref(),
        };
        let payload = Payload { job: Some(news), credits: None, event_type: &event_type, sequence, at: now, is_test: false }.json()?;
        events.push(NewEvent { sequence, event_type, payload });
    }
    webhooks::publish(conn, now, job.organization_id, Some(job.id), job.notify_via_webhook, events)
}
