//! Writing the history: whole batches in one statement that is prepared once. The same statement leaves, for the rollups, one
//! row for what is equal in the batch.

use std::collections::HashMap;
use std::marker::PhantomData;

use diesel::RunQueryDsl;
use diesel::pg::PgConnection;
use diesel::sql_types as sql;
use time::OffsetDateTime;

use super::histogram;
use crate::clock;
use crate::error::Result;
use crate::ids::{JobId, KeyId, OrgId, RequestId};
use crate::outcome::Outcome;
use crate::statement::{column, statement};

/// One answered request.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its id.
    pub id: RequestId,
    /// Its organization.
    pub organization: OrgId,
    /// When it arrived.
    pub at: OffsetDateTime,
    /// With which key.
    pub key: KeyId,
    /// With which of the key's texts.
    pub generation: i32,
    /// The key's environment.
    pub environment: String,
    /// HTTP method.
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// Of the profile, with its method: `GET /analyses/{id}`. Empty for an address that is nobody's.
    pub route: String,
    /// HTTP status of the answer.
    pub status: u16,
    /// What admission said.
    pub outcome: Outcome,
    /// Microseconds from arrival to the answer being ready.
    pub duration_us: i32,
    /// Credits that it cost.
    pub credits: i64,
    /// Where it came from.
    pub address: String,
    /// With which program.
    pub user_agent: String,
    /// The job that it made.
    pub job: Option<JobId>,
    /// The text used was no longer, or soon no longer, the key's current one.
    pub stale: bool,
    /// JSON: why it was refused.
    pub detail: Option<String>,
    /// Whether a service may yet report what became of it.
    pub reportable: bool,
}

/// Adds rows to the history, whose days must be there: see [`super::make_days`].
///
/// # Errors
/// Those of the database.
pub fn insert(conn: &mut PgConnection, records: &[&Record]) -> Result<()> {
    let mut groups: HashMap<Group<'_>, Sum> = HashMap::with_capacity(records.len());
    for record in records {
        groups.entry(Group::of(record)).or_default().add(record);
    }
    write(conn, records, &groups.into_iter().collect::<Vec<_>>())
}

/// Writes rows, and for the rollups what is equal in them.
pub(super) fn write(conn: &mut PgConnection, records: &[&Record], groups: &[(Group<'_>, Sum)]) -> Result<()> {
    Insert {
        organizations: column(records, |r| r.organization),
        ids: column(records, |r| r.id),
        ats: column(records, |r| r.at),
        keys: column(records, |r| r.key),
        generations: column(records, |r| r.generation),
        environments: column(records, |r| r.environment.as_str()),
        methods: column(records, |r| r.method.as_str()),
        paths: column(records, |r| r.path.as_str()),
        routes: column(records, |r| r.route.as_str()),
        statuses: column(records, |r| r.status as i16),
        outcomes: column(records, |r| r.outcome.as_str()),
        durations: column(records, |r| r.duration_us),
        credits: column(records, |r| r.credits),
        addresses: column(records, |r| r.address.as_str()),
        user_agents: column(records, |r| r.user_agent.as_str()),
        jobs: column(records, |r| r.job),
        stale: column(records, |r| r.stale),
        details: column(records, |r| r.detail.as_deref()),
        reportable: column(records, |r| r.reportable.then_some(true)),
        of_organizations: column(groups, |(group, _)| group.organization),
        of_hours: column(groups, |(group, _)| group.hour),
        of_keys: column(groups, |(group, _)| group.key),
        of_generations: column(groups, |(group, _)| group.generation),
        of_environments: column(groups, |(group, _)| group.environment),
        of_routes: column(groups, |(group, _)| group.route),
        of_statuses: column(groups, |(group, _)| group.status as i16),
        of_buckets: column(groups, |(group, _)| group.bucket),
        requests: column(groups, |(_, sum)| sum.requests),
        stale_requests: column(groups, |(_, sum)| sum.stale),
        ended_requests: column(groups, |(_, sum)| sum.ended),
        last: column(groups, |(_, sum)| sum.last),
        last_accepted: column(groups, |(_, sum)| sum.last_accepted),
        first_ended: column(groups, |(_, sum)| sum.first_ended),
        last_ended: column(groups, |(_, sum)| sum.last_ended),
        _life: PhantomData,
    }
    .execute(conn)?;
    Ok(())
}

/// What the rollups hold to be equal.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Group<'a> {
    pub organization: OrgId,
    pub hour: OffsetDateTime,
    pub key: KeyId,
    pub generation: i32,
    pub environment: &'a str,
    pub route: &'a str,
    pub status: u16,
    pub bucket: i16,
}

impl<'a> Group<'a> {
    fn of(record: &'a Record) -> Self {
        Self {
            organization: record.organization,
            hour: clock::hour(record.at),
            key: record.key,
            generation: record.generation,
            environment: &record.environment,
            route: &record.route,
            status: record.status,
            bucket: histogram::bucket(record.duration_us),
        }
    }
}

#[derive(Default)]
pub(super) struct Sum {
    pub requests: i64,
    pub stale: i64,
    /// Refused because this text of the key had ended.
    pub ended: i64,
    pub last: Option<RequestId>,
    pub last_accepted: Option<RequestId>,
    pub first_ended: Option<RequestId>,
    pub last_ended: Option<RequestId>,
}

impl Sum {
    fn add(&mut self, record: &Record) {
        self.requests += 1;
        self.stale += i64::from(record.stale);
        if matches!(record.outcome, Outcome::Revoked | Outcome::Expired) {
            self.ended += 1;
            self.first_ended = Some(self.first_ended.map_or(record.id, |first| first.min(record.id)));
            self.last_ended = self.last_ended.max(Some(record.id));
        } else {
            self.last = self.last.max(Some(record.id));
        }
        if record.outcome == Outcome::Accepted {
            self.last_accepted = self.last_accepted.max(Some(record.id));
        }
    }
}

statement! {
    Insert<'a> -> () = include_str!("insert.sql");
    organizations: Vec<OrgId> as sql::Array<sql::Uuid>,
    ids: Vec<RequestId> as sql::Array<sql::Uuid>,
    ats: Vec<OffsetDateTime> as sql::Array<sql::Timestamptz>,
    keys: Vec<KeyId> as sql::Array<sql::Uuid>,
    generations: Vec<i32> as sql::Array<sql::Int4>,
    environments: Vec<&'a str> as sql::Array<sql::Text>,
    methods: Vec<&'a str> as sql::Array<sql::Text>,
    paths: Vec<&'a str> as sql::Array<sql::Text>,
    routes: Vec<&'a str> as sql::Array<sql::Text>,
    statuses: Vec<i16> as sql::Array<sql::Int2>,
    outcomes: Vec<&'static str> as sql::Array<sql::Text>,
    durations: Vec<i32> as sql::Array<sql::Int4>,
    credits: Vec<i64> as sql::Array<sql::Int8>,
    addresses: Vec<&'a str> as sql::Array<sql::Text>,
    user_agents: Vec<&'a str> as sql::Array<sql::Text>,
    jobs: Vec<Option<JobId>> as sql::Array<sql::Nullable<sql::Uuid>>,
    stale: Vec<bool> as sql::Array<sql::Bool>,
    details: Vec<Option<&'a str>> as sql::Array<sql::Nullable<sql::Text>>,
    reportable: Vec<Option<bool>> as sql::Array<sql::Nullable<sql::Bool>>,
    of_organizations: Vec<OrgId> as sql::Array<sql::Uuid>,
    of_hours: Vec<OffsetDateTime> as sql::Array<sql::Timestamptz>,
    of_keys: Vec<KeyId> as sql::Array<sql::Uuid>,
    of_generations: Vec<i32> as sql::Array<sql::Int4>,
    of_environments: Vec<&'a str> as sql::Array<sql::Text>,
    of_routes: Vec<&'a str> as sql::Array<sql::Text>,
    of_statuses: Vec<i16> as sql::Array<sql::Int2>,
    of_buckets: Vec<i16> as sql::Array<sql::Int2>,
    requests: Vec<i64> as sql::Array<sql::Int8>,
    stale_requests: Vec<i64> as sql::Array<sql::Int8>,
    ended_requests: Vec<i64> as sql::Array<sql::Int8>,
    last: Vec<Option<RequestId>> as sql::Array<sql::Nullable<sql::Uuid>>,
    last_accepted: Vec<Option<RequestId>> as sql::Array<sql::Nullable<sql::Uuid>>,
    first_ended: Vec<Option<RequestId>> as sql::Array<sql::Nullable<sql::Uuid>>,
    last_ended: Vec<Option<RequestId>> as sql::Array<sql::Nullable<sql::Uuid>>,
}
