//! The first stage: key, organization, permission, rate limit, in one statement a batch.

use std::collections::HashMap;

use diesel::pg::{Pg, PgConnection};
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types as sql;
use diesel::{QueryResult, RunQueryDsl};
use uuid::Uuid;

use crate::actor::Role;
use crate::batch::Decide;
use crate::error::{Error, Result};
use crate::ids::{KeyId, OrgId};
use crate::outcome::Outcome;
use crate::profile::{Grant, Limit, Profile, Scope, quota};
use crate::secret::SecretDigest;

/// What a route asks of a key: constant over a deployment's life, shared by reference count.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Rule {
    /// The permission it needs.
    pub permission: Option<String>,
    /// Whose keys hold it where they inherit: 1 for admins, 2 for members, 3 for both.
    pub roles: i16,
    /// Name of the limit in the profile; empty is not limited.
    pub limit_name: String,
    /// Its number there, from 1; 0 is not limited.
    pub limit_number: i16,
    /// Whether the limit counts for the whole organization.
    pub per_organization: bool,
    /// Requests a window, unless the organization has its own.
    pub quota: i64,
    /// Length of a window.
    pub window_s: i64,
    /// Whether the answer is to tell [`About`] the key.
    pub describe: bool,
}

impl Rule {
    /// The rule of what needs this permission and counts in this numbered limit. Where every key may do everything, no permission
    /// is asked for.
    pub fn new(profile: &Profile, permission: Option<&str>, limit: Option<(i16, &Limit)>) -> Self {
        let permission = permission.filter(|_| profile.permissions.grant != Grant::None).map(str::to_owned);
        let may = |role: Role| permission.as_deref().is_some_and(|permission| profile.permissions.role_may(role.as_str(), permission));
        let roles = i16::from(may(Role::Admin)) + 2 * i16::from(may(Role::Member));
        match limit {
            None => Self { permission, roles, ..Self::default() },
            Some((number, limit)) => Self {
                describe: false,
                permission,
                roles,
                limit_name: limit.name.clone(),
                limit_number: number,
                per_organization: limit.scope == Scope::Organization,
                quota: i64::from(limit.requests),
                window_s: limit.window.as_secs() as i64,
            },
        }
    }
}

/// One request at the door.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Digest of the key that it brought.
    pub digest: SecretDigest,
    /// What the route asks.
    pub rule: std::sync::Arc<Rule>,
}

/// A key that is in the database, whatever its state.
#[derive(Debug, Clone, Copy)]
pub struct KnownKey {
    /// Its organization.
    pub organization: OrgId,
    /// Its id.
    pub key: KeyId,
    /// Which of its texts was used.
    pub generation: i32,
    /// The text is no longer, or soon no longer, the current one.
    pub stale: bool,
}

/// What a key may know of itself.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct About {
    /// The name people gave it.
    pub name: String,
    /// What it holds itself; empty where every key may do everything. See [`Profile::held`].
    pub permissions: Vec<String>,
    /// The role of the person that it inherits from, if it does.
    pub role: Option<String>,
    /// Its organization.
    pub organization_slug: String,
    /// Its organization's name.
    pub organization_name: String,
    /// Credits that are free.
    pub available: i64,
}

/// A window after this request was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// How many pass.
    pub limit: i64,
    /// How many have passed or were refused, this one included; at most `limit` have passed.
    pub used: i64,
    /// Whole seconds until it starts afresh, rounded up: at that moment a request passes.
    pub reset_s: i64,
}

impl Window {
    /// How many more pass in this window.
    pub fn remaining(&self) -> i64 {
        (self.limit - self.used).max(0)
    }
}

/// What was decided.
#[derive(Debug, Clone)]
pub struct Decision {
    /// Passed, or why not.
    pub outcome: Outcome,
    /// None for an unknown key.
    pub key: Option<KnownKey>,
    /// The window, where the limit was looked at.
    pub window: Option<Window>,
    /// Where the rule asks for it.
    pub about: Option<About>,
}

impl Decision {
    /// Refused before any key was found.
    pub fn stranger(outcome: Outcome) -> Self {
        Self { outcome, key: None, window: None, about: None }
    }
}

/// The first stage.
pub struct Admit;

impl Decide for Admit {
    type Ask = Ask;
    type Answer = Decision;
    /// At worst a place in a window is taken by nobody.
    const FORGETTABLE: bool = true;

    fn connected(&self, conn: &mut PgConnection) -> Result<()> {
        // The statement is the same for ever and its arrays are small: a plan made once is the right one.
        diesel::sql_query("SET plan_cache_mode = force_generic_plan").execute(conn)?;
        // Nothing it writes has to survive a crash of PostgreSQL: windows are unlogged.
        diesel::sql_query("SET synchronous_commit = off").execute(conn)?;
        Ok(())
    }

    fn decide(&self, conn: &mut PgConnection, asks: &[Ask]) -> Result<Vec<Decision>> {
        let mut groups: HashMap<(&SecretDigest, &Rule), usize> = HashMap::with_capacity(asks.len());
        let mut statement = Statement::default();
        let mut group_of = Vec::with_capacity(asks.len());
        for ask in asks {
            let group = *groups.entry((&ask.digest, &*ask.rule)).or_insert_with(|| statement.push(ask));
            statement.counts[group] += 1;
            group_of.push(group);
        }
        let mut rows: Vec<Option<Row>> = Vec::new();
        rows.resize_with(statement.counts.len(), || None);
        // How much of each window these groups took together: what was there before is the difference.
        let mut taken: HashMap<(Uuid, i16), i64> = HashMap::new();
        let counts = statement.counts.clone();
        let rules: Vec<&Rule> = statement.rules.clone();
        for columns in statement.load::<Columns>(conn)? {
            let group = columns.0 as usize - 1;
            let row = Row::new(columns, rules[group])?;
            if row.used_after.is_some() {
                *taken.entry((row.scope, rules[group].limit_number)).or_default() += counts[group];
            }
            rows[group] = Some(row);
        }
        Ok(group_of
            .into_iter()
            .map(|group| match &rows[group] {
                None => Decision::stranger(Outcome::Unknown),
                Some(row) => decision(row, rules[group].limit_number, &mut taken),
            })
            .collect())
    }
}

/// Hands out the next place in the window: `taken` counts down to the window's last place of this batch.
fn decision(row: &Row, limit_number: i16, taken: &mut HashMap<(Uuid, i16), i64>) -> Decision {
    let Row { key, scope, limit, used_after, left_ms, .. } = row;
    let mut outcome = row.outcome;
    let window = used_after.zip(taken.get_mut(&(*scope, limit_number))).map(|(used_after, left)| {
        *left -= 1;
        let left_ms = left_ms.unwrap_or(0).max(1);
        Window { limit: *limit, used: used_after - *left, reset_s: (left_ms + 999) / 1_000 }
    });
    if window.is_some_and(|window| window.used > window.limit) {
        outcome = Outcome::RateLimited;
    }
    Decision { outcome, key: Some(*key), window, about: row.about.clone() }
}

type RowSql = (
    sql::Int8,
    sql::Uuid,
    sql::Uuid,
    sql::Int4,
    sql::Bool,
    sql::Text,
    sql::Nullable<sql::Int4>,
    sql::Nullable<sql::Int8>,
    sql::Nullable<sql::Int8>,
    sql::Nullable<sql::Text>,
);

type Columns = (i64, OrgId, KeyId, i32, bool, String, Option<i32>, Option<i64>, Option<i64>, Option<String>);

/// What the statement says about one group of asks.
struct Row {
    key: KnownKey,
    outcome: Outcome,
    /// For whom the limit counts.
    scope: Uuid,
    limit: i64,
    used_after: Option<i64>,
    left_ms: Option<i64>,
    about: Option<About>,
}

impl Row {
    fn new(columns: Columns, rule: &Rule) -> Result<Self> {
        let (_, organization, key, generation, stale, outcome, requests_per_minute, used_after, left_ms, about) = columns;
        let about = about.map(|text| serde_json::from_str(&text)).transpose();
        Ok(Self {
            key: KnownKey { organization, key, generation, stale },
            outcome: Outcome::parse(&outcome).unwrap_or(Outcome::Unknown),
            scope: if rule.per_organization { organization.0 } else { key.0 },
            limit: quota(rule.quota, rule.window_s, requests_per_minute),
            used_after,
            left_ms,
            about: about.map_err(|e| Error::internal("reading what a key is", e))?,
        })
    }
}

/// One constant text with arrays bound: prepared once a connection. `sql_query` would be planned anew each time.
#[derive(Default)]
struct Statement<'a> {
    rules: Vec<&'a Rule>,
    digests: Vec<SecretDigest>,
    permissions: Vec<&'a str>,
    roles: Vec<i16>,
    limit_numbers: Vec<i16>,
    per_organization: Vec<bool>,
    windows_s: Vec<i64>,
    describe: Vec<bool>,
    counts: Vec<i64>,
}

impl<'a> Statement<'a> {
    fn push(&mut self, ask: &'a Ask) -> usize {
        self.rules.push(&ask.rule);
        self.digests.push(ask.digest);
        self.permissions.push(ask.rule.permission.as_deref().unwrap_or_default());
        self.roles.push(ask.rule.roles);
        self.limit_numbers.push(ask.rule.limit_number);
        self.per_organization.push(ask.rule.per_organization);
        self.windows_s.push(ask.rule.window_s);
        self.describe.push(ask.rule.describe);
        self.counts.push(0);
        self.counts.len() - 1
    }
}

impl QueryId for Statement<'_> {
    type QueryId = Statement<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl Query for Statement<'_> {
    type SqlType = RowSql;
}

impl RunQueryDsl<PgConnection> for Statement<'_> {}

impl QueryFragment<Pg> for Statement<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("WITH ask AS (SELECT * FROM unnest(");
        out.push_bind_param::<sql::Array<sql::Binary>, _>(&self.digests)?;
        out.push_sql(", ");
        out.push_bind_param::<sql::Array<sql::Text>, _>(&self.permissions)?;
        out.push_sql(", ");
        out.push_bind_param::<sql::Array<sql::Int2>, _>(&self.roles)?;
        out.push_sql(", ");
        out.push_bind_param::<sql::Array<sql::Int2>, _>(&self.limit_numbers)?;
        out.push_sql(", ");
        out.push_bind_param::<sql::Array<sql::Bool>, _>(&self.per_organization)?;
        out.push_sql(", ");
        out.push_bind_param::<sql::Array<sql::Int8>, _>(&self.windows_s)?;
        out.push_sql(", ");
        out.push_bind_param::<sql::Array<sql::Bool>, _>(&self.describe)?;
        out.push_sql(", ");
        out.push_bind_param::<sql::Array<sql::Int8>, _>(&self.counts)?;
        out.push_sql(") WITH ORDINALITY AS a (digest, permission, roles, limit_number, per_organization, window_s, describe, n, ord)\n");
        out.push_sql(include_str!("admit.sql"));
        Ok(())
    }
}
