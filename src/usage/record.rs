//! Writing the history: whole batches in one statement that is prepared once.

use diesel::pg::{Pg, PgConnection};
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types as sql;
use diesel::{QueryResult, RunQueryDsl};
use time::OffsetDateTime;

use crate::error::Result;
use crate::ids::{JobId, KeyId, OrgId, RequestId};
use crate::outcome::Outcome;

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
}

/// Adds rows to the history.
///
/// # Errors
/// Those of the database.
pub fn insert(conn: &mut PgConnection, records: &[&Record]) -> Result<()> {
    Insert::new(records).execute(conn)?;
    Ok(())
}

/// Columns of a batch, since a statement with arrays has one text for every size.
struct Insert<'a> {
    organizations: Vec<OrgId>,
    ids: Vec<RequestId>,
    ats: Vec<OffsetDateTime>,
    keys: Vec<KeyId>,
    generations: Vec<i32>,
    environments: Vec<&'a str>,
    methods: Vec<&'a str>,
    paths: Vec<&'a str>,
    statuses: Vec<i16>,
    outcomes: Vec<&'static str>,
    durations: Vec<i32>,
    credits: Vec<i64>,
    addresses: Vec<&'a str>,
    user_agents: Vec<&'a str>,
    jobs: Vec<Option<JobId>>,
    stale: Vec<bool>,
    details: Vec<Option<&'a str>>,
}

impl<'a> Insert<'a> {
    fn new(records: &[&'a Record]) -> Self {
        fn column<'a, T>(records: &[&'a Record], field: impl Fn(&'a Record) -> T) -> Vec<T> {
            records.iter().map(|record| field(record)).collect()
        }
        Self {
            organizations: column(records, |r| r.organization),
            ids: column(records, |r| r.id),
            ats: column(records, |r| r.at),
            keys: column(records, |r| r.key),
            generations: column(records, |r| r.generation),
            environments: column(records, |r| r.environment.as_str()),
            methods: column(records, |r| r.method.as_str()),
            paths: column(records, |r| r.path.as_str()),
            statuses: column(records, |r| r.status as i16),
            outcomes: column(records, |r| r.outcome.as_str()),
            durations: column(records, |r| r.duration_us),
            credits: column(records, |r| r.credits),
            addresses: column(records, |r| r.address.as_str()),
            user_agents: column(records, |r| r.user_agent.as_str()),
            jobs: column(records, |r| r.job),
            stale: column(records, |r| r.stale),
            details: column(records, |r| r.detail.as_deref()),
        }
    }
}

impl QueryId for Insert<'_> {
    type QueryId = Insert<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl RunQueryDsl<PgConnection> for Insert<'_> {}

impl QueryFragment<Pg> for Insert<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "INSERT INTO requests (organization_id, id, at, key_id, generation, environment, method, path, status, outcome, duration_us, \
             credits, address, user_agent, job_id, stale, detail) SELECT o, i, a, k, g, e, m, p, s, u, d, c, f, w, j, t, x::json FROM unnest(",
        );
        out.push_bind_param::<sql::Array<sql::Uuid>, _>(&self.organizations)?;
        out.push_sql(", ");
        out.push_bind_param::<sql::Array<sql::Uuid>, _>(&self.ids)?;
        out.push_sql(", ");
        out.push_bind_param::<sql::Array<sql::Timestamptz>, _>(&self.ats)?;
        out.push_sql(", ");
        out.push_bind_param::<sql::Array<sql::Uuid>, _>(&self.keys)?;
        out.push_sql(", ");
        out.push_bind_param::<sql::Array<sql::Int4>, _>(&self.generations)?;
        out.push_sql(", ");
        out.push_bind_param::<sql::Array<sql::Text>, _>(&self.environments)?;
        out.push_sql(", ");
        out.push_bind_param::<sql::Array<sql::Text>, _>(&self.methods)?;
        out.push_sql(", ");
        out.push_bind_param::<sql::Array<sql::Text>, _>(&self.paths)?;
        out.push_sql(", ");
        out.push_bind_param::<sql::Array<sql::Int2>, _>(&self.statuses)?;
        out.push_sql(", ");
        out.push_bind_param::<sql::Array<sql::Text>, _>(&self.outcomes)?;
        out.push_sql(", ");
        out.push_bind_param::<sql::Array<sql::Int4>, _>(&self.durations)?;
        out.push_sql(", ");
        out.push_bind_param::<sql::Array<sql::Int8>, _>(&self.credits)?;
        out.push_sql(", ");
        out.push_bind_param::<sql::Array<sql::Text>, _>(&self.addresses)?;
        out.push_sql(", ");
        out.push_bind_param::<sql::Array<sql::Text>, _>(&self.user_agents)?;
        out.push_sql(", ");
        out.push_bind_param::<sql::Array<sql::Nullable<sql::Uuid>>, _>(&self.jobs)?;
        out.push_sql(", ");
        out.push_bind_param::<sql::Array<sql::Bool>, _>(&self.stale)?;
        out.push_sql(", ");
        out.push_bind_param::<sql::Array<sql::Nullable<sql::Text>>, _>(&self.details)?;
        out.push_sql(") AS r (o, i, a, k, g, e, m, p, s, u, d, c, f, w, j, t, x)");
        Ok(())
    }
}
