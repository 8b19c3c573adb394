//! An organization with its first admin, made by an operator.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use time::OffsetDateTime;

use super::{User, ensured, invitations};
use crate::actor::{Actor, Permission, Role};
use crate::error::Result;
use crate::orgs::{self, Organization};
use crate::schema::users;
use crate::secret::PlainToken;

/// What was made.
#[derive(Debug)]
pub struct Founded {
    /// The organization.
    pub organization: Organization,
    /// Its first admin.
    pub admin: User,
    /// The one-time link of an admin who has no password yet. Who has one signs in with it, and nobody else is shown a way in.
    pub invitation: Option<PlainToken>,
}

/// Makes an organization, grants its first credits and makes the person of this address its admin, with an account when there is none;
/// audited.
///
/// # Errors
/// `Invalid` for `name`, `slug`, `credits` or `email`; `Forbidden`, `NotFound` for an actor that may not.
pub fn found(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, name: &str, slug: Option<&str>, credits: Option<i64>, email: &str,
) -> Result<Founded> {
    conn.transaction(|conn| {
        let organization = orgs::create(conn, actor, now, name, slug, credits)?;
        actor.require(organization.id, Permission::Operate)?;
        let (admin, _) = ensured(conn, actor, now, email, None)?;
        orgs::add_member(conn, actor, now, organization.id, admin.id, Role::Admin)?;
        let has_password: bool = users::table.find(admin.id).select(users::password_hash.is_not_null()).first(conn)?;
        let invitation = if has_password { None } else { Some(invitations::invited(conn, actor, now, admin.id)?) };
        Ok(Founded { organization, admin, invitation })
    })
}
