//! Who belongs to an organization, and as what.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{Organization, is_slug};
use crate::actor::{Actor, Permission, Role};
use crate::audit;
use crate::error::{Error, Result};
use crate::ids::{OrgId, UserId};
use crate::schema::{memberships, organizations, users};

/// Makes a person a member; audited.
///
/// # Errors
/// `Conflict` when the person belongs to it already; `NotFound` for an unknown organization or person, or an actor that may not.
pub fn add_member(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, user: UserId, role: Role,
) -> Result<()> {
    actor.require(organization, Permission::Operate)?;
    conn.transaction(|conn| {
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
        let email: String = users::table.find(user).select(users::email).first(conn)?;
        let event = audit::Event {
            organization: Some(organization),
            action: "member.added",
            target_id: user.to_string(),
            target_label: email,
            before: Value::Null,
            after: json!({"role": role.as_str()}),
        };
        audit::record(conn, actor, now, event)
    })
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
    let read = |(organization, role): (Organization, String)| {
        let role = Role::parse(&role).ok_or_else(|| Error::internal("reading a membership", format!("role {role}")))?;
        Ok((organization, role))
    };
    rows.into_iter().map(read).collect()
}
