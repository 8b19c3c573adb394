//! Who belongs to an organization, and as what.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{Organization, is_slug};
use crate::actor::{Actor, ActorKind, Permission, Role};
use crate::audit;
use crate::error::{Error, Result};
use crate::ids::{OrgId, UserId};
use crate::keys;
use crate::schema::{invitations, membership_invitations, memberships, organizations, users};

/// An organization's name and slug, and its admins' e-mail addresses: for messages to all of them.
///
/// # Errors
/// `NotFound`; those of the database.
pub fn admins(conn: &mut PgConnection, organization: OrgId) -> Result<(Organization, Vec<String>)> {
    let found = organizations::table.find(organization).select(Organization::as_select()).first(conn)?;
    let addresses = memberships::table
        .inner_join(users::table)
        .filter(memberships::organization_id.eq(organization).and(memberships::role.eq(Role::Admin.as_str())))
        .order(users::email)
        .select(users::email)
        .load(conn)?;
    Ok((found, addresses))
}

/// Makes a person a member; audited. An invitation of its address is used up by this.
///
/// # Errors
/// `Conflict` when the person belongs to it already; `NotFound` for an unknown organization or person, or an actor that may not.
pub fn add_member(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, user: UserId, role: Role,
) -> Result<()> {
    actor.require(organization, Permission::ManageMembers)?;
    conn.transaction(|conn| {
        lock(conn, organization)?;
        let email = enter(conn, now, organization, user, role)?;
        let invited = membership_invitations::organization_id.eq(organization).and(membership_invitations::email.eq(&email));
        diesel::delete(membership_invitations::table.filter(invited)).execute(conn)?;
        record(conn, actor, now, organization, "member.added", user, email, Value::Null, json!({"role": role.as_str()}))
    })
}

/// The row of a membership, and the address of who has it now. The caller audits it.
pub(super) fn enter(conn: &mut PgConnection, now: OffsetDateTime, organization: OrgId, user: UserId, role: Role) -> Result<String> {
    diesel::insert_into(memberships::table)
        .values((
            memberships::organization_id.eq(organization),
            memberships::user_id.eq(user),
            memberships::role.eq(role.as_str()),
            memberships::created_at.eq(now),
        ))
        .execute(conn)
        .map_err(|e| {
            Error::from(e)
                .on_constraint("memberships_pkey", || Error::Conflict("This person belongs to the organization already.".into()))
                .on_constraint("memberships_organization_id_fkey", || Error::NotFound)
                .on_constraint("memberships_user_id_fkey", || Error::NotFound)
        })?;
    Ok(users::table.find(user).select(users::email).first(conn)?)
}

/// Gives a member another role. What its inheriting keys may do follows at once. Audited.
///
/// # Errors
/// `Conflict` for the last admin, and for the role that the person has; `NotFound` for somebody else; `Forbidden`, `ProofNeeded`; those
/// of the database.
pub fn set_role(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, user: UserId, role: Role) -> Result<()> {
    actor.require(organization, Permission::ManageMembers)?;
    actor.require_proof(now)?;
    conn.transaction(|conn| {
        let (before, email) = locked(conn, organization, user)?;
        if before == role {
            return Err(Error::Conflict(format!("{email} is {} already.", with_article(role))));
        }
        require_another_admin(conn, organization, before)?;
        diesel::update(memberships::table.find((organization, user))).set(memberships::role.eq(role.as_str())).execute(conn)?;
        end_links(conn, organization, user)?;
        let (before, after) = (json!({"role": before.as_str()}), json!({"role": role.as_str()}));
        record(conn, actor, now, organization, "member.role_changed", user, email, before, after)
    })
}

/// Ends a person's membership, and for ever the keys that inherit from it. Admins end anybody's, everybody else their own. Audited.
///
/// # Errors
/// `Conflict` for the last admin; `NotFound` for somebody else; `Forbidden`, `ProofNeeded`; those of the database.
pub fn remove_member(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, user: UserId) -> Result<()> {
    let leaves = actor.kind() == ActorKind::User && actor.user_id() == Some(user);
    actor.require(organization, if leaves { Permission::Read } else { Permission::ManageMembers })?;
    actor.require_proof(now)?;
    conn.transaction(|conn| {
        let (role, email) = locked(conn, organization, user)?;
        require_another_admin(conn, organization, role)?;
        keys::end_inherited(conn, actor, now, organization, user)?;
        diesel::delete(memberships::table.find((organization, user))).execute(conn)?;
        end_links(conn, organization, user)?;
        record(conn, actor, now, organization, "member.removed", user, email, json!({"role": role.as_str()}), Value::Null)
    })
}

/// Ends the links that somebody made as an admin here: nobody comes back, or sends somebody else, by one that was put aside.
fn end_links(conn: &mut PgConnection, organization: OrgId, admin: UserId) -> Result<()> {
    let invited = membership_invitations::organization_id.eq(organization).and(membership_invitations::created_by_user_id.eq(admin));
    diesel::delete(membership_invitations::table.filter(invited)).execute(conn)?;
    let made = invitations::for_organization_id.eq(organization).and(invitations::created_by_user_id.eq(admin));
    diesel::delete(invitations::table.filter(made.and(invitations::accepted_at.is_null()))).execute(conn)?;
    Ok(())
}

pub(super) fn with_article(role: Role) -> &'static str {
    match role {
        Role::Admin => "an admin",
        Role::Member => "a member",
    }
}

/// Orders those who change who belongs to an organization.
pub(super) fn lock(conn: &mut PgConnection, organization: OrgId) -> Result<()> {
    let _locked: OrgId = organizations::table.find(organization).select(organizations::id).for_no_key_update().first(conn)?;
    Ok(())
}

/// A member's role and address. Locks the organization's row, so that two admins can't each end the other.
fn locked(conn: &mut PgConnection, organization: OrgId, user: UserId) -> Result<(Role, String)> {
    lock(conn, organization)?;
    let (role, email): (String, String) = memberships::table
        .inner_join(users::table)
        .filter(memberships::organization_id.eq(organization).and(memberships::user_id.eq(user)))
        .select((memberships::role, users::email))
        .first(conn)?;
    Ok((read_role(&role)?, email))
}

/// Refuses when who had `role` was the only admin.
fn require_another_admin(conn: &mut PgConnection, organization: OrgId, role: Role) -> Result<()> {
    let admins: i64 = memberships::table
        .filter(memberships::organization_id.eq(organization).and(memberships::role.eq(Role::Admin.as_str())))
        .count()
        .get_result(conn)?;
    match role {
        Role::Admin if admins == 1 => Err(Error::Conflict("An organization keeps one admin. Make somebody else an admin first.".into())),
        _ => Ok(()),
    }
}

pub(super) fn read_role(role: &str) -> Result<Role> {
    Role::parse(role).ok_or_else(|| Error::internal("reading a membership", format!("role {role}")))
}

#[allow(clippy::too_many_arguments)]
pub(super) fn record(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, action: &'static str, user: UserId, email: String,
    before: Value, after: Value,
) -> Result<()> {
    let event = audit::Event { organization: Some(organization), action, target_id: user.to_string(), target_label: email, before, after };
    audit::record(conn, actor, now, event)
}

/// The organization with this slug and the person's role there; none when it does not exist or is not the person's own.
///
/// # Errors
/// Those of the database.
pub fn membership(conn: &mut PgConnection, user: UserId, slug: &str) -> Result<Option<(Organization, Role)>> {
    if !is_slug(slug) {
        return Ok(None);
    }
    let found = rows(conn, user, Some(slug))?;
    Ok(found.into_iter().next())
}

/// The organizations a person belongs to, by name.
///
/// # Errors
/// Those of the database.
pub fn organizations_of(conn: &mut PgConnection, user: UserId) -> Result<Vec<(Organization, Role)>> {
    rows(conn, user, None)
}

fn rows(conn: &mut PgConnection, user: UserId, slug: Option<&str>) -> Result<Vec<(Organization, Role)>> {
    let mut query = memberships::table
        .inner_join(organizations::table)
        .filter(memberships::user_id.eq(user))
        .order((organizations::name, organizations::id))
        .select((Organization::as_select(), memberships::role))
        .into_boxed();
    if let Some(slug) = slug {
        query = query.filter(organizations::slug.eq(slug.to_owned()));
    }
    let rows: Vec<(Organization, String)> = query.load(conn)?;
    let read = |(organization, role): (Organization, String)| Ok((organization, read_role(&role)?));
    rows.into_iter().map(read).collect()
}
