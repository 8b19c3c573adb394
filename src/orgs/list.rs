//! The list of an organization's people.

use diesel::dsl::{exists, max};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use time::OffsetDateTime;

use super::members::read_role;
use crate::actor::Role;
use crate::error::{Error, Result};
use crate::ids::{OrgId, UserId};
use crate::schema::{memberships, sessions, totp_seeds, users};

/// Members of one page of the list.
const PAGE: usize = 50;

/// Somebody who belongs to an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Who.
    pub user: UserId,
    /// Empty when none was given.
    pub name: String,
    /// What it signs in with.
    pub email: String,
    /// As what it belongs.
    pub role: Role,
    /// Since when.
    pub since: OffsetDateTime,
    /// Whether it signs in with a second factor.
    pub has_two_factor: bool,
    /// When one of its sessions that last was seen; none for who is signed in nowhere.
    pub last_seen: Option<OffsetDateTime>,
}

/// A page of the list, and where the next one begins.
#[derive(Debug, Clone)]
pub struct Members {
    /// By address.
    pub rows: Vec<Membership>,
    /// What to ask with for what comes after these.
    pub next: Option<UserId>,
    /// Admins of the whole organization.
    pub admins: i64,
    /// All its people.
    pub people: i64,
    /// Those among them who sign in without a second factor.
    pub without_two_factor: i64,
}

type Row = (UserId, String, String, String, OffsetDateTime, bool, Option<OffsetDateTime>);

#[diesel::dsl::auto_type(no_type_alias)]
fn of(organization: OrgId) -> _ {
    memberships::table.inner_join(users::table).filter(memberships::organization_id.eq(organization))
}

fn load(conn: &mut PgConnection, organization: OrgId, user: Option<UserId>, after: &str, most: usize) -> Result<Vec<Membership>> {
    let confirmed = totp_seeds::table.filter(totp_seeds::user_id.eq(users::id)).filter(totp_seeds::confirmed_at.is_not_null());
    let seen = sessions::table.filter(sessions::user_id.eq(users::id)).select(max(sessions::seen_at)).single_value();
    let mut query = of(organization)
        .filter(users::email.gt(after.to_owned()))
        .order(users::email)
        .limit(most as i64)
        .select((users::id, users::name, users::email, memberships::role, memberships::created_at, exists(confirmed), seen))
        .into_boxed();
    if let Some(user) = user {
        query = query.filter(users::id.eq(user));
    }
    let rows: Vec<Row> = query.load(conn)?;
    let read = |(user, name, email, role, since, has_two_factor, last_seen): Row| {
        Ok(Membership { user, name, email, role: read_role(&role)?, since, has_two_factor, last_seen })
    };
    rows.into_iter().map(read).collect()
}

/// Who belongs to an organization, by address, a page at a time.
///
/// # Errors
/// `NotFound` when `after` is no member; those of the database.
pub fn members(conn: &mut PgConnection, organization: OrgId, after: Option<UserId>) -> Result<Members> {
    let after = match after {
        Some(user) => of(organization).filter(users::id.eq(user)).select(users::email).first(conn)?,
        None => String::new(),
    };
    let mut rows = load(conn, organization, None, &after, PAGE + 1)?;
    let is_cut = rows.len() > PAGE;
    rows.truncate(PAGE);
    let next = rows.last().filter(|_| is_cut).map(|row| row.user);
    let admins = of(organization).filter(memberships::role.eq(Role::Admin.as_str())).count().get_result(conn)?;
    let people = of(organization).count().get_result(conn)?;
    let with = exists(totp_seeds::table.filter(totp_seeds::user_id.eq(users::id)).filter(totp_seeds::confirmed_at.is_not_null()));
    let with: i64 = of(organization).filter(with).count().get_result(conn)?;
    Ok(Members { rows, next, admins, people, without_two_factor: people - with })
}

/// One of an organization's people.
///
/// # Errors
/// `NotFound` for somebody else; those of the database.
pub fn member(conn: &mut PgConnection, organization: OrgId, user: UserId) -> Result<Membership> {
    load(conn, organization, Some(user), "", 1)?.into_iter().next().ok_or(Error::NotFound)
}
