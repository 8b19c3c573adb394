//! What the screens say about keys.

use std::collections::HashMap;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use time::{Duration, OffsetDateTime};

use super::calls::calls;
use super::key::{KeyRow, Secret};
use super::{Call, CutOver, Former, Key, Leak, Status, cut_over, former};
use crate::clock;
use crate::error::{Error, Result};
use crate::ids::{KeyId, OrgId, RequestId, uuid_time};
use crate::schema::{api_key_secrets, api_keys, organizations};
use crate::usage::uses;

/// A key as people see it.
#[derive(Debug, Clone)]
pub struct KeyView {
    /// The key itself.
    pub key: Key,
    /// Its state.
    pub status: Status,
    /// Where it inherits, what the person who made it is now: `admin` or `member`.
    pub maker_role: Option<String>,
    /// Who made its current secret.
    pub secret_created_by: String,
    /// That its current secret was found in public.
    pub leak: Option<Leak>,
    /// The old secret that still works beside the current one.
    pub grace: Option<Grace>,
    /// The newest request that its state did not refuse, with whichever of its secrets.
    pub last_use: Option<LastUse>,
    /// Requests ever, refused ones too.
    pub requests: i64,
    /// Requests in each of the last 24 hours, oldest first, refused ones too.
    pub by_hour: Vec<i64>,
}

impl KeyView {
    /// Requests in the last 24 hours, refused ones too.
    pub fn requests_24h(&self) -> i64 {
        self.by_hour.iter().sum()
    }

    /// Expired or revoked: listed, but never again of use.
    pub fn is_ended(&self) -> bool {
        self.status.is_ended()
    }
}

/// An old secret on its way out.
#[derive(Debug, Clone)]
pub struct Grace {
    /// Of the old secret.
    pub generation: i32,
    /// Of the old secret, without `…`.
    pub prefix: String,
    /// When it stops.
    pub ends_at: OffsetDateTime,
    /// That it was found in public.
    pub leak: Option<Leak>,
}

/// One request with a key.
#[derive(Debug, Clone)]
pub struct LastUse {
    /// When.
    pub at: OffsetDateTime,
    /// Of the secret that was used.
    pub generation: i32,
    /// What was asked; none where its day of the history was dropped.
    pub call: Option<Call>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(embed)]
    key: KeyRow,
    #[diesel(sql_type = Integer)]
    generation: i32,
    #[diesel(sql_type = Text)]
    prefix: String,
    #[diesel(sql_type = Timestamptz)]
    secret_created_at: OffsetDateTime,
    #[diesel(sql_type = Text)]
    secret_created_by: String,
    #[diesel(sql_type = Nullable<Integer>)]
    grace_generation: Option<i32>,
    #[diesel(sql_type = Nullable<Text>)]
    grace_prefix: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    grace_ends_at: Option<OffsetDateTime>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    leaked_at: Option<OffsetDateTime>,
    #[diesel(sql_type = Nullable<Text>)]
    leaked_where: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    grace_leaked_at: Option<OffsetDateTime>,
    #[diesel(sql_type = Nullable<Text>)]
    grace_leaked_where: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    maker_role: Option<String>,
    #[diesel(sql_type = Array<BigInt>)]
    by_hour: Vec<i64>,
}

impl Row {
    fn into_view(self, now: OffsetDateTime, requests: i64, last_use: Option<LastUse>) -> KeyView {
        let grace = match (self.grace_generation, self.grace_prefix, self.grace_ends_at) {
            (Some(generation), Some(prefix), Some(ends_at)) => {
                Some(Grace { generation, prefix, ends_at, leak: Leak::of(self.grace_leaked_at, self.grace_leaked_where) })
            }
            _ => None,
        };
        let key = self.key.with_secret((self.generation, self.prefix, self.secret_created_at));
        let status = match key.status(now) {
            // Refused like a revoked one: there is nobody whose permissions it could have.
            Status::Active | Status::Inactive if key.inherits && self.maker_role.is_none() => Status::Revoked,
            status => status,
        };
        // The end of the key is the end of every secret, whatever its own says.
        let grace = grace.filter(|_| !status.is_ended());
        KeyView {
            key,
            status,
            maker_role: self.maker_role,
            secret_created_by: self.secret_created_by,
            leak: Leak::of(self.leaked_at, self.leaked_where),
            grace,
            last_use,
            requests,
            by_hour: self.by_hour,
        }
    }
}

/// All keys of an organization, ended ones last, each group in the order of their making.
///
/// # Errors
/// Those of the database.
pub fn list(conn: &mut PgConnection, organization: OrgId, now: OffsetDateTime) -> Result<Vec<KeyView>> {
    load(conn, organization, now, None)
}

/// All keys of an organization, newest first, without what the history says of them.
///
/// # Errors
/// Those of the database.
pub fn all(conn: &mut PgConnection, organization: OrgId) -> Result<Vec<Key>> {
    let rows: Vec<KeyRow> = api_keys::table
        .filter(api_keys::organization_id.eq(organization))
        .order(api_keys::id.desc())
        .select(KeyRow::as_select())
        .load(conn)?;
    let secrets: Vec<(KeyId, Secret)> = api_key_secrets::table
        .filter(api_key_secrets::key_id.eq_any(rows.iter().map(|row| row.id).collect::<Vec<_>>()))
        .distinct_on(api_key_secrets::key_id)
        .order((api_key_secrets::key_id, api_key_secrets::generation.desc()))
        .select((api_key_secrets::key_id, (api_key_secrets::generation, api_key_secrets::prefix, api_key_secrets::created_at)))
        .load(conn)?;
    let mut secrets: HashMap<KeyId, Secret> = secrets.into_iter().collect();
    Ok(rows.into_iter().filter_map(|row| secrets.remove(&row.id).map(|secret| row.with_secret(secret))).collect())
}

/// One key of an organization.
///
/// # Errors
/// `NotFound`, for another organization's too; those of the database.
pub fn find(conn: &mut PgConnection, organization: OrgId, key: KeyId, now: OffsetDateTime) -> Result<KeyView> {
    load(conn, organization, now, Some(key))?.pop().ok_or(Error::NotFound)
}

/// Refuses a key that is not of this organization.
///
/// # Errors
/// `NotFound`; those of the database.
pub fn require(conn: &mut PgConnection, organization: OrgId, key: KeyId) -> Result<()> {
    let _found: KeyId =
        api_keys::table.filter(api_keys::organization_id.eq(organization).and(api_keys::id.eq(key))).select(api_keys::id).first(conn)?;
    Ok(())
}

fn load(conn: &mut PgConnection, organization: OrgId, now: OffsetDateTime, key: Option<KeyId>) -> Result<Vec<KeyView>> {
    let rows: Vec<Row> = diesel::sql_query(include_str!("list.sql"))
        .bind::<SqlUuid, _>(organization)
        .bind::<Timestamptz, _>(now)
        .bind::<Timestamptz, _>(clock::hour(now) - Duration::hours(23))
        .bind::<Nullable<SqlUuid>, _>(key)
        .load(conn)?;
    // The newest use of whichever secret.
    let mut last: HashMap<KeyId, (RequestId, i32)> = HashMap::new();
    let mut requests: HashMap<KeyId, i64> = HashMap::new();
    for uses in uses(conn, organization, key)?.into_values() {
        *requests.entry(uses.key_id).or_default() += uses.requests;
        if let Some(id) = uses.last {
            let newest = last.entry(uses.key_id).or_insert((id, uses.generation));
            *newest = (*newest).max((id, uses.generation));
        }
    }
    let mut calls = calls(conn, organization, last.values().map(|(id, _)| *id).collect())?;
    let mut last_use = |(id, generation): (RequestId, i32)| Some(LastUse { at: uuid_time(id.0)?, generation, call: calls.remove(&id) });
    let view = |row: Row| {
        let used = last.get(&row.key.id).copied().and_then(&mut last_use);
        let requests = requests.get(&row.key.id).copied().unwrap_or_default();
        row.into_view(now, requests, used)
    };
    Ok(rows.into_iter().map(view).collect())
}

/// All that the tab shows, as of one moment.
#[derive(Debug, Clone, Default)]
pub struct Overview {
    /// See [`list`].
    pub keys: Vec<KeyView>,
    /// The meter of each key in grace.
    pub cut_overs: Vec<CutOver>,
    /// See [`former`].
    pub former: Vec<Former>,
    /// In place of the profile's quota, where somebody set it.
    pub requests_per_minute: Option<i32>,
}

/// What the tab shows of one key alone, from one snapshot.
///
/// # Errors
/// `NotFound`, for another organization's too; those of the database.
pub fn overview_of(conn: &mut PgConnection, organization: OrgId, key: KeyId, now: OffsetDateTime) -> Result<Overview> {
    conn.build_transaction().read_only().repeatable_read().run(|conn| {
        let view = find(conn, organization, key, now)?;
        let cut_overs = cut_over::of(conn, &view, now)?.into_iter().collect();
        Ok(Overview { keys: vec![view], cut_overs, ..Overview::default() })
    })
}

/// All that the tab shows, from one snapshot.
///
/// # Errors
/// `NotFound`; those of the database.
pub fn overview(conn: &mut PgConnection, organization: OrgId, now: OffsetDateTime) -> Result<Overview> {
    conn.build_transaction().read_only().repeatable_read().run(|conn| {
        let requests_per_minute =
            organizations::table.find(organization).select(organizations::requests_per_minute).first::<Option<i32>>(conn)?;
        let keys = list(conn, organization, now)?;
        let mut cut_overs = Vec::new();
        for view in keys.iter().filter(|view| view.grace.is_some()) {
            cut_overs.extend(cut_over::of(conn, view, now)?);
        }
        let former = former(conn, organization, now)?;
        Ok(Overview { keys, cut_overs, former, requests_per_minute })
    })
}
