//! Former keys: every secret that ended, and who has not noticed yet.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid};
use time::OffsetDateTime;

use crate::error::{Error, Result};
use crate::ids::{KeyId, OrgId};

/// Most former keys that are told of; older ones are in the audit log.
const MOST: i64 = 100;
/// Counting stops here, so that a client that never stops does not make the page slow.
const COUNTED: i64 = 10_000;

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
    /// What happened around its end and since.
    pub receipt: Receipt,
}

/// What happened around a secret's end and since.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// The last request that passed with it.
    pub last_accepted: Option<Call>,
    /// The first one that was refused because it had ended.
    pub first_refused: Option<Call>,
    /// How many were refused since.
    pub refused: Refused,
    /// The newest refused one.
    pub latest: Option<Caller>,
}

/// A number of refused requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// So many.
    Exactly(i64),
    /// More than so many; nobody counted on.
    MoreThan(i64),
}

/// A request.
#[derive(Debug, Clone)]
pub struct Call {
    /// When.
    pub at: OffsetDateTime,
    /// HTTP method.
    pub method: String,
    /// Path, without its query.
    pub path: String,
    /// Of the caller.
    pub address: String,
}

/// Somebody who still calls.
#[derive(Debug, Clone)]
pub struct Caller {
    /// When last.
    pub at: OffsetDateTime,
    /// What it calls itself.
    pub user_agent: String,
    /// Where it calls from.
    pub address: String,
    /// The status that it was answered.
    pub status: i16,
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
    accepted_at: Option<OffsetDateTime>,
    #[diesel(sql_type = Nullable<Text>)]
    accepted_method: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    accepted_path: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    accepted_address: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    first_at: Option<OffsetDateTime>,
    #[diesel(sql_type = Nullable<Text>)]
    first_method: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    first_path: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    first_address: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    latest_at: Option<OffsetDateTime>,
    #[diesel(sql_type = Nullable<Text>)]
    latest_user_agent: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    latest_address: Option<String>,
    #[diesel(sql_type = Nullable<SmallInt>)]
    latest_status: Option<i16>,
    #[diesel(sql_type = BigInt)]
    refused: i64,
}

fn call(at: Option<OffsetDateTime>, method: Option<String>, path: Option<String>, address: Option<String>) -> Option<Call> {
    Some(Call { at: at?, method: method?, path: path?, address: address? })
}

impl Row {
    fn into_former(self) -> Result<Former> {
        let latest = match (self.latest_at, self.latest_user_agent, self.latest_address, self.latest_status) {
            (Some(at), Some(user_agent), Some(address), Some(status)) => Some(Caller { at, user_agent, address, status }),
            _ => None,
        };
        let receipt = Receipt {
            last_accepted: call(self.accepted_at, self.accepted_method, self.accepted_path, self.accepted_address),
            first_refused: call(self.first_at, self.first_method, self.first_path, self.first_address),
            refused: if self.refused > COUNTED { Refused::MoreThan(COUNTED) } else { Refused::Exactly(self.refused) },
            latest,
        };
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
        .bind::<BigInt, _>(COUNTED + 1)
        .load(conn)?;
    rows.into_iter().map(Row::into_former).collect()
}
