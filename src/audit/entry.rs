//! An entry as it stands in the table, and what its hash covers.

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::prelude::*;
use diesel::sql_types::{Jsonb, Timestamptz};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::schema::audit_entries;

/// Microseconds from 1970 to PostgreSQL's own zero, the year 2000.
const EPOCH: i64 = 946_684_800_000_000;

/// What an entry says: all that its hash covers beside the hash before it.
pub(super) struct Content<'a> {
    pub chain: Uuid,
    pub sequence: i64,
    pub at: Micros,
    pub actor_kind: &'a str,
    pub actor_id: Option<Uuid>,
    pub actor_label: &'a str,
    pub action: &'a str,
    pub target_id: &'a str,
    pub target_label: &'a str,
    pub address: Option<&'a str>,
    pub user_agent: Option<&'a str>,
    pub changes: &'a Value,
}

impl Content<'_> {
    /// SHA-256 of the previous hash and all other columns. `serde_json` keeps an object's names sorted, so that the text
    /// does not depend on the order in which PostgreSQL gives them back.
    pub fn digest(&self, previous_hash: &[u8]) -> Vec<u8> {
        let text = json!([
            self.chain,
            self.sequence,
            self.at.0,
            self.actor_kind,
            self.actor_id,
            self.actor_label,
            self.action,
            self.target_id,
            self.target_label,
            self.address,
            self.user_agent,
            self.changes,
        ]);
        Sha256::new().chain_update(previous_hash).chain_update(text.to_string()).finalize().to_vec()
    }
}

/// A row. Whatever somebody wrote into it past us can be read: proving the log must not fail where it ought to find.
#[derive(Queryable, Selectable)]
#[diesel(table_name = audit_entries, check_for_backend(Pg))]
pub(super) struct Row {
    pub chain: Uuid,
    pub sequence: i64,
    pub at: Micros,
    pub actor_kind: String,
    pub actor_id: Option<Uuid>,
    pub actor_label: String,
    pub action: String,
    pub target_id: String,
    pub target_label: String,
    pub address: Option<String>,
    pub user_agent: Option<String>,
    pub changes: Changes,
    pub previous_hash: Vec<u8>,
    pub hash: Vec<u8>,
}

impl Row {
    pub fn digest(&self) -> Vec<u8> {
        let content = Content {
            chain: self.chain,
            sequence: self.sequence,
            at: self.at,
            actor_kind: &self.actor_kind,
            actor_id: self.actor_id,
            actor_label: &self.actor_label,
            action: &self.action,
            target_id: &self.target_id,
            target_label: &self.target_label,
            address: self.address.as_deref(),
            user_agent: self.user_agent.as_deref(),
            changes: &self.changes.0,
        };
        content.digest(&self.previous_hash)
    }
}

/// A moment in microseconds since 1970, of any year that PostgreSQL can write, the infinite ones too.
#[derive(Debug, Clone, Copy, FromSqlRow, AsExpression)]
#[diesel(sql_type = Timestamptz)]
pub(super) struct Micros(pub i64);

impl Micros {
    pub fn of(at: OffsetDateTime) -> Self {
        Self((at.unix_timestamp_nanos() / 1_000) as i64)
    }

    /// The nearest moment that can be reckoned with.
    pub fn moment(self) -> OffsetDateTime {
        let most = if self.0 < 0 { time::Date::MIN } else { time::Date::MAX };
        let nearest = || most.with_time(time::Time::MIDNIGHT).assume_utc();
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000).unwrap_or_else(|_| nearest())
    }
}

impl FromSql<Timestamptz, Pg> for Micros {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        let since_2000 = i64::from_be_bytes(value.as_bytes().try_into()?);
        // Of the infinite ones one is mapped onto the other end of time, where no entry was made either.
        Ok(Self(since_2000.wrapping_add(EPOCH)))
    }
}

/// `{"before":…,"after":…}`; null when it can't be read, which no entry says that we wrote.
#[derive(Debug, Clone, FromSqlRow, AsExpression)]
#[diesel(sql_type = Jsonb)]
pub(super) struct Changes(pub Value);

impl FromSql<Jsonb, Pg> for Changes {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(<Value as FromSql<Jsonb, Pg>>::from_sql(value).unwrap_or(Value::Null)))
    }
}
