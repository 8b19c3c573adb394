//! Events that did not happen: what **Send Test Event** sends, and the sample in the events reference.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use time::OffsetDateTime;

use super::payload::{CreditNews, JobNews, Payload};
use super::secrets;
use crate::actor::{Actor, Permission};
use crate::courier::Parcel;
use crate::error::{Error, Result};
use crate::ids::{EventId, JobId, OrgId};
use crate::profile::{JobKind, Moment, Profile};
use crate::raw_json::RawJson;
use crate::schema::webhooks;
use crate::sealed::Keyring;

/// The event of an organization whose credits run low.
pub const CREDITS_LOW: &str = "credits.low";

/// A type of event that this deployment may send.
#[derive(Debug, Clone)]
pub struct EventType<'a> {
    /// `analysis.progress`.
    pub name: String,
    /// When it is sent, for people.
    pub what: &'static str,
    /// Whose life it is of, and the state that a job is in with it.
    job: Option<(&'a JobKind, Moment)>,
}

/// Every type of event: each kind of job in the order of its life, then those of the organization itself. Kinds that share a
/// prefix share their events. Without jobs there is one that only tests send, in their place.
pub fn event_types(profile: &Profile) -> Vec<EventType<'_>> {
    let of_jobs = profile.job_events().into_iter();
    let mut types: Vec<EventType<'_>> =
        of_jobs.map(|(name, kind, moment)| EventType { name, what: moment.what, job: Some((kind, moment)) }).collect();
    if types.is_empty() {
        types.push(EventType { name: "webhook.test".into(), what: "sent by a test alone", job: None });
    }
    types.push(EventType { name: CREDITS_LOW.into(), what: "credits fell below your threshold", job: None });
    types
}

/// The body of a test: of a job with the nil id, told apart by `"test": true`. Without a type it is `{prefix}.completed` of the
/// profile's first kind of job, `webhook.test` where there is none.
///
/// # Errors
/// `Invalid` on `event_type` for one that this deployment does not send.
pub fn test_payload(profile: &Profile, now: OffsetDateTime, event_type: Option<&str>) -> Result<RawJson> {
    let types = event_types(profile);
    let chosen = match event_type {
        Some(name) => types.iter().find(|known| known.name == name),
        None => types.iter().find(|known| known.job.is_none_or(|(_, moment)| moment.percentage == 100)),
    };
    let chosen = chosen.ok_or_else(|| {
        let names: Vec<&str> = types.iter().map(|known| known.name.as_str()).collect();
        Error::field("event_type", format!("There is no such event. There are: {}.", names.join(", ")))
    })?;
    let news = |(kind, moment): (_, Moment)| JobNews {
        kind,
        id: JobId(uuid::Uuid::nil()),
        status: moment.status,
        percentage: moment.percentage,
        error: (moment.status == "failed").then_some(("example", "What went wrong, in a sentence.")),
        external_reference: None,
    };
    let sequence = chosen.job.map_or(1, |(_, moment)| moment.sequence);
    let credits = (chosen.name == CREDITS_LOW).then_some(CreditNews { available: 499, threshold: 500 });
    Payload { job: chosen.job.map(news), credits, event_type: &chosen.name, sequence, at: now, is_test: true }.json()
}

/// The parcel of a test: to where the webhook goes, also while it is off, signed with all that signs now. Nothing is stored.
///
/// # Errors
/// `Conflict` where there is no webhook, or a secret that does not open; as [`test_payload`]; `Forbidden`, `NotFound` for who may
/// not; those of the database.
pub fn test_parcel(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, keyring: &Keyring, profile: &Profile,
    event_type: Option<&str>,
) -> Result<Parcel> {
    actor.require(organization, Permission::ManageWebhook)?;
    let payload = test_payload(profile, now, event_type)?.as_str().to_owned();
    let none = || Error::Conflict("There is no webhook to test yet: save one first.".into());
    let url: Option<String> = webhooks::table.find(organization).select(webhooks::url).first(conn).optional()?;
    let url = url.ok_or_else(none)?;
    let secrets = secrets::secrets(conn, organization, now, keyring).map_err(|e| match e {
        // It was removed between the two.
        Error::NotFound => none(),
        other => other,
    })?;
    Ok(Parcel { url, event: EventId::new(now), payload, secrets })
}
