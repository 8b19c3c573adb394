//! What a proof of identity was a proof against: the password and the second factor as they were then. A session is begun only while
//! they still are so, however long the hashing of a password waited: a new password, or a second factor that was turned on meanwhile,
//! shuts out whoever was on the way in.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::schema::{totp_seeds, users};

/// A digest of how a person gets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp(String);

impl Stamp {
    pub(super) fn new(hashed: Option<&str>, two_factor_on: Option<OffsetDateTime>) -> Self {
        let text = format!("{} {}", hashed.unwrap_or_default(), two_factor_on.map_or(0, OffsetDateTime::unix_timestamp_nanos));
        Self(Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// For the edge that keeps it until the session is begun.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The inverse of [`Stamp::as_str`].
    pub fn from_text(text: String) -> Self {
        Self(text)
    }

    /// Refuses unless the person gets in as then, and keeps it so until the transaction ends.
    ///
    /// # Errors
    /// `Unauthenticated`; those of the database.
    pub(super) fn require(&self, conn: &mut PgConnection, user: UserId) -> Result<()> {
        let _kept: Option<UserId> = users::table.find(user).select(users::id).for_share().first(conn).optional()?;
        if stamp(conn, user)? == *self { Ok(()) } else { Err(Error::Unauthenticated) }
    }
}

/// How a person gets in now.
///
/// # Errors
/// `Unauthenticated` when the account is gone; those of the database.
pub fn stamp(conn: &mut PgConnection, user: UserId) -> Result<Stamp> {
    let (hashed, on): (Option<String>, Option<OffsetDateTime>) = users::table
        .left_join(totp_seeds::table)
        .filter(users::id.eq(user))
        .select((users::password_hash, totp_seeds::confirmed_at.nullable()))
        .first(conn)
        .optional()?
        .ok_or(Error::Unauthenticated)?;
    Ok(Stamp::new(hashed.as_deref(), on))
}
