//! A key and its state.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use time::OffsetDateTime;

use crate::error::{Error, Result};
use crate::ids::{KeyId, OrgId};
use crate::schema::{api_key_secrets, api_keys};

/// State of a key at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Its requests pass.
    Active,
    /// Paused; can come back.
    Inactive,
    /// Past its expiry, for ever.
    Expired,
    /// Ended by somebody, for ever.
    Revoked,
}

impl Status {
    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    /// Expired or revoked.
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Expired | Self::Revoked)
    }
}

/// A key, with its current secret's public side.
#[derive(Debug, Clone)]
pub struct Key {
    /// The same over its rotations.
    pub id: KeyId,
    /// Whose it is.
    pub organization: OrgId,
    /// For people.
    pub name: String,
    /// Part of its text.
    pub environment: String,
    /// What it may do; empty where every key may do everything, and where it inherits.
    pub permissions: Vec<String>,
    /// Whether it may do what the person who made it may do, as long as that person belongs to the organization.
    pub inherits: bool,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// By whom, as known then.
    pub created_by: String,
    /// When it stops by itself.
    pub expires_at: Option<OffsetDateTime>,
    /// Since when it is paused.
    pub deactivated_at: Option<OffsetDateTime>,
    /// When it was revoked.
    pub revoked_at: Option<OffsetDateTime>,
    /// By whom, as known then.
    pub revoked_by: Option<String>,
    /// Of its current secret, from 1.
    pub generation: i32,
    /// Of its current secret, such as `lk_live_a1b2`; screens add `…`.
    pub prefix: String,
    /// When its current secret was made.
    pub secret_created_at: OffsetDateTime,
}

impl Key {
    /// Its state at `now`.
    pub fn status(&self, now: OffsetDateTime) -> Status {
        if self.revoked_at.is_some() {
            Status::Revoked
        } else if self.expires_at.is_some_and(|at| at <= now) {
            Status::Expired
        } else if self.deactivated_at.is_some() {
            Status::Inactive
        } else {
            Status::Active
        }
    }

    /// Refuses to change what is over.
    pub(super) fn require_not_ended(&self, now: OffsetDateTime) -> Result<()> {
        match self.status(now) {
            Status::Revoked => Err(Error::Conflict("This key is revoked, for ever. Make a new one instead.".into())),
            Status::Expired => Err(Error::Conflict("This key has expired and is refused already. Make a new one instead.".into())),
            Status::Active | Status::Inactive => Ok(()),
        }
    }
}

/// Generation, visible prefix and making of a secret.
pub(super) type Secret = (i32, String, OffsetDateTime);

#[derive(Queryable, QueryableByName, Selectable)]
#[diesel(table_name = api_keys, check_for_backend(diesel::pg::Pg))]
pub(super) struct KeyRow {
    pub(super) id: KeyId,
    organization_id: OrgId,
    name: String,
    environment: String,
    permissions: Vec<String>,
    inherits: bool,
    created_at: OffsetDateTime,
    created_by: String,
    expires_at: Option<OffsetDateTime>,
    deactivated_at: Option<OffsetDateTime>,
    revoked_at: Option<OffsetDateTime>,
    revoked_by: Option<String>,
}

impl KeyRow {
    pub(super) fn with_secret(self, (generation, prefix, secret_created_at): Secret) -> Key {
        Key {
            id: self.id,
            organization: self.organization_id,
            name: self.name,
            environment: self.environment,
            permissions: self.permissions,
            inherits: self.inherits,
            created_at: self.created_at,
            created_by: self.created_by,
            expires_at: self.expires_at,
            deactivated_at: self.deactivated_at,
            revoked_at: self.revoked_at,
            revoked_by: self.revoked_by,
            generation,
            prefix,
            secret_created_at,
        }
    }
}

/// Locks a key's row until the transaction ends, so that changes of one key queue. A stranger's is not found.
pub(super) fn lock(conn: &mut PgConnection, organization: OrgId, key: KeyId) -> Result<Key> {
    let row: KeyRow = api_keys::table
        .filter(api_keys::organization_id.eq(organization).and(api_keys::id.eq(key)))
        .select(KeyRow::as_select())
        .for_no_key_update()
        .first(conn)?;
    let secret = api_key_secrets::table
        .filter(api_key_secrets::key_id.eq(key))
        .order(api_key_secrets::generation.desc())
        .select((api_key_secrets::generation, api_key_secrets::prefix, api_key_secrets::created_at))
        .first(conn)?;
    Ok(row.with_secret(secret))
}
