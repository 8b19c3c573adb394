//! Former keys: every secret that ended, and who has not noticed yet.

use std::collections::HashMap;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use time::OffsetDateTime;

use super::Leak;
use super::calls::calls;
use crate::error::{Error, Result};
use crate::ids::{KeyId, OrgId, RequestId};
use crate::schema::requests;
use crate::usage::{Uses, uses};

/// Most former keys that are told of; older ones are in the audit log.
const MOST: i64 = 100;

/// Why a secret ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// Another one took its place.
    Rotated,
    /// Somebody ended its key.
    Revoked,
    /// Its key's expiry passed.
    Expired,
}

impl EndReason {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "rotated" => Some(Self::Rotated),
            "revoked" => Some(Self::Revoked),
            "expired" => Some(Self::Expired),
            _ => None,
        }
    }
}

/// A secret that ended.
#[derive(Debug, Clone)]
pub struct Former {
    /// Its key, which may live on with another secret.
    pub key: KeyId,
    /// The key's name.
    pub name: String,
    /// The key's environment.
    pub environment: String,
    /// Place among its key's secrets, from 1.
    pub generation: i32,
    /// Such as `lk_live_a1b2`; screens add `…`.
    pub prefix: String,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// By whom, as known then.
    pub created_by: String,
    /// When it stopped working.
    pub ended_at: OffsetDateTime,
    /// Why.
    pub reason: EndReason,
    /// By whom, as known then; none when its expiry did it.
    pub ended_by: Option<String>,
    /// That it was found in public.
    pub leak: Option<Leak>,
    /// What happened around its end and since.
    pub receipt: Receipt,
}

/// What happened around a secret's end and since. A request whose day of the history was dropped is none.
#[derive(Debug, Clone, Default)]
pub struct Receipt {
    /// The last request that passed with it.
    pub last_accepted: Option<Call>,
    /// The first one that was refused because it had ended.
    pub first_refused: Option<Call>,
    /// How many were refused since.
    pub refused: i64,
    /// The newest refused one.
    pub latest: Option<Call>,
}

/// A request.
#[derive(Debug, Clone, QueryableByName)]
#[diesel(table_name = requests, check_for_backend(diesel::pg::Pg))]
pub struct Call {
    /// Its id.
    pub id: RequestId,
    /// When.
    pub at: OffsetDateTime,
    /// HTTP method.
    pub method: String,
    /// Path, without its query.
    pub path: String,
    /// The status that it was answered.
    pub status: i16,
    /// Of the caller.
    pub address: String,
    /// What the caller calls itself.
    pub user_agent: String,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    key_id: KeyId,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    environment: String,
    #[diesel(sql_type = Integer)]
    generation: i32,
    #[diesel(sql_type = Text)]
    prefix: String,
    #[diesel(sql_type = Timestamptz)]
    created_at: OffsetDateTime,
    #[diesel(sql_type = Text)]
    created_by: String,
    #[diesel(sql_type = Timestamptz)]
    ended_at: OffsetDateTime,
    #[diesel(sql_type = Text)]
    reason: String,
    #[diesel(sql_type = Nullable<Text>)]
    ended_by: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    leaked_at: Option<OffsetDateTime>,
    #[diesel(sql_type = Nullable<Text>)]
    leaked_where: Option<String>,
}

impl Row {
    fn into_former(self, uses: Option<&Uses>, calls: &HashMap<RequestId, Call>) -> Result<Former> {
        let call = |id: Option<RequestId>| id.and_then(|id| calls.get(&id)).cloned();
        let receipt = uses.map_or_else(Receipt::default, |uses| Receipt {
            last_accepted: call(uses.last_accepted),
            first_refused: call(uses.first_ended),
            refused: uses.ended,
            latest: call(uses.last_ended),
        });
        Ok(Former {
            key: self.key_id,
            name: self.name,
            environment: self.environment,
            generation: self.generation,
            prefix: self.prefix,
            created_at: self.created_at,
            created_by: self.created_by,
            ended_at: self.ended_at,
            reason: EndReason::parse(&self.reason).ok_or_else(|| Error::internal("reading an end reason", self.reason))?,
            ended_by: self.ended_by,
            leak: Leak::of(self.leaked_at, self.leaked_where),
            receipt,
        })
    }
}

/// The newest hundred ended secrets of an organization, rotated, revoked and expired ones, newest end first.
///
/// # Errors
/// Those of the database.
pub fn former(conn: &mut PgConnection, organization: OrgId, now: OffsetDateTime) -> Result<Vec<Former>> {
    let rows: Vec<Row> = diesel::sql_query(include_str!("former.sql"))
        .bind::<SqlUuid, _>(organization)
        .bind::<Timestamptz, _>(now)
        .bind::<BigInt, _>(MOST)
        .load(conn)?;
    let uses = if rows.is_empty() { HashMap::new() } else { uses(conn, organization, None)? };
    let of = |row: &Row| uses.get(&(row.key_id, row.generation));
    let told = rows.iter().filter_map(of).flat_map(|uses| [uses.last_accepted, uses.first_ended, uses.last_ended]).flatten();
    let calls = calls(conn, organization, told.collect())?;
    rows.into_iter()
        .map(|row| {
            let uses = of(&row);
            row.into_former(uses, &calls)
        })
        .collect()
}
