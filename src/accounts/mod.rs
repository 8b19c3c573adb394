//! People: their accounts, passwords, one-time links, sign-in and sessions. What an organization lets them do is in `orgs`.

mod first_admin;
mod invitations;
mod password;
mod proof;
pub mod sessions;
mod sign_in;
pub mod two_factor;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use serde_json::{Value, json};
use time::OffsetDateTime;

pub use first_admin::{Founded, found};
pub use invitations::{Invitation, accept_invitation, invitation, invite};
pub use password::{HashedPassword, Password};
pub use proof::{begin_proof, finish_proof};
pub use sign_in::{Attempt, Verified, begin_sign_in, finish_sign_in, forget_old};

use crate::actor::{Actor, ActorKind, Role, StaffRole};
use crate::audit;
use crate::error::{Error, Result};
use crate::ids::{OrgId, UserId};
use crate::orgs::{self, Organization};
use crate::schema::users;
use crate::support;

const EMAIL_MOST: usize = 254;
const NAME_MOST: usize = 100;

/// A person.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = users, check_for_backend(diesel::pg::Pg))]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// In lower case; what the person signs in with.
    pub email: String,
    /// Empty when none was given.
    pub name: String,
    /// `support` or `operator`, for staff; see [`User::staff`].
    pub staff_role: Option<String>,
    /// Where it was last.
    pub last_organization_id: Option<OrgId>,
}

impl User {
    /// What people see of it: the name, or the address for want of one.
    pub fn label(&self) -> &str {
        if self.name.is_empty() { &self.email } else { &self.name }
    }

    /// What it may do in every organization, for staff.
    pub fn staff(&self) -> Option<StaffRole> {
        self.staff_role.as_deref().and_then(StaffRole::parse)
    }
}

/// An address in the one form that is kept and compared: trimmed, lower case.
///
/// # Errors
/// `Invalid` for `email`.
pub fn normalize_email(text: &str) -> Result<String> {
    let email = text.trim().to_lowercase();
    let odd = |c: char| c.is_whitespace() || c.is_control();
    let parts = email.rsplit_once('@').filter(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.starts_with('.'));
    if parts.is_none() || email.chars().any(odd) || email.chars().count() > EMAIL_MOST {
        return Err(no_address());
    }
    Ok(email)
}

fn no_address() -> Error {
    Error::field("email", "This is no e-mail address. Write it like name@example.com.")
}

/// Makes an account without a password; audited on the deployment's chain.
///
/// # Errors
/// `Invalid` for `email` (its form, or that it has an account) or `name`; `Forbidden` for an actor that is not the command line.
pub fn create(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, email: &str, name: Option<&str>) -> Result<User> {
    match ensure(conn, actor, now, email, name)? {
        (user, true) => Ok(user),
        (user, false) => Err(Error::field("email", format!("{} has an account already.", user.email))),
    }
}

/// The account of this address, made when there is none; true when it was made now. A person who exists joins another
/// organization with the account it has.
///
/// # Errors
/// As [`create`], but for an address that has an account.
pub fn ensure(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, email: &str, name: Option<&str>) -> Result<(User, bool)> {
    operate(actor)?;
    ensured(conn, actor, now, email, name)
}

/// [`ensure`], for who has the right to it.
fn ensured(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, email: &str, name: Option<&str>) -> Result<(User, bool)> {
    let email = normalize_email(email)?;
    let name = name.unwrap_or_default().trim();
    if name.chars().count() > NAME_MOST || name.chars().any(char::is_control) {
        return Err(Error::field("name", format!("Use at most {NAME_MOST} characters on one line.")));
    }
    conn.transaction(|conn| {
        let made: Option<User> = diesel::insert_into(users::table)
            .values((users::id.eq(UserId::new(now)), users::email.eq(&email), users::name.eq(name), users::created_at.eq(now)))
            .on_conflict(users::email)
            .do_nothing()
            .returning(User::as_returning())
            .get_result(conn)
            .optional()
            .map_err(|e| Error::from(e).on_constraint("users_email_check", no_address))?;
        match made {
            Some(user) => {
                let after = json!({"email": user.email, "name": user.name});
                record(conn, actor, now, "account.created", &user, Value::Null, after)?;
                Ok((user, true))
            }
            None => Ok((users::table.filter(users::email.eq(&email)).select(User::as_select()).first(conn)?, false)),
        }
    })
}

/// Makes a person staff, or takes it away with the visits that are open; audited.
///
/// # Errors
/// `NotFound`; `Forbidden` for an actor that is not the command line.
pub fn set_staff_role(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, user: UserId, role: Option<StaffRole>) -> Result<()> {
    operate(actor)?;
    conn.transaction(|conn| {
        let before: User = users::table.find(user).select(User::as_select()).for_no_key_update().first(conn)?;
        let role = role.map(StaffRole::as_str);
        diesel::update(users::table.find(user)).set(users::staff_role.eq(role)).execute(conn)?;
        if role.is_none() {
            // Else they would go on if the person came back within the hour.
            support::end_all(conn, actor, now, user)?;
        }
        let (was, is) = (json!({"staff_role": before.staff_role}), json!({"staff_role": role}));
        record(conn, actor, now, "account.staff_role_set", &before, was, is)
    })
}

/// Everybody of the staff, by address. For the command line.
///
/// # Errors
/// `Forbidden` for an actor that is not the command line; those of the database.
pub fn staff(conn: &mut PgConnection, actor: &Actor) -> Result<Vec<User>> {
    operate(actor)?;
    Ok(users::table.filter(users::staff_role.is_not_null()).order(users::email).select(User::as_select()).load(conn)?)
}

/// The person with this address, in any case; and whether it has a password.
///
/// # Errors
/// `Invalid` for `email`; `NotFound`; `Forbidden` for an actor that is not the command line.
pub fn by_email(conn: &mut PgConnection, actor: &Actor, email: &str) -> Result<(User, bool)> {
    operate(actor)?;
    let email = normalize_email(email)?;
    Ok(users::table.filter(users::email.eq(email)).select((User::as_select(), users::password_hash.is_not_null())).first(conn)?)
}

/// Sets a password and ends every session and every open invitation of the person; audited. For the command line: people use an invitation.
///
/// # Errors
/// `NotFound`; `Forbidden` for an actor that is not the command line.
pub fn set_password(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, user: UserId, password: &HashedPassword) -> Result<()> {
    operate(actor)?;
    conn.transaction(|conn| put_password(conn, actor, now, user, password).map(drop))
}

fn put_password(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, user: UserId, password: &HashedPassword) -> Result<User> {
    let user: User = diesel::update(users::table.find(user))
        .set(users::password_hash.eq(password.as_str()))
        .returning(User::as_returning())
        .get_result(conn)?;
    sessions::delete_all_of(conn, user.id)?;
    invitations::forget_open(conn, user.id)?;
    record(conn, actor, now, "account.password_set", &user, Value::Null, Value::Null)?;
    Ok(user)
}

/// Who a session belongs to, and where the person may go.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The person.
    pub user: User,
    /// All its organizations, by name.
    pub organizations: Vec<(Organization, Role)>,
    /// Whether it signs in with a second factor.
    pub has_two_factor: bool,
}

/// What a page needs to know of a signed-in person who opens `slug`; remembers that organization as the last one.
///
/// # Errors
/// `Unauthenticated` when the account is gone; those of the database.
pub fn visit(conn: &mut PgConnection, user: UserId, slug: Option<&str>) -> Result<Visit> {
    let user: User = users::table.find(user).select(User::as_select()).first(conn).optional()?.ok_or(Error::Unauthenticated)?;
    let organizations = orgs::organizations_of(conn, user.id)?;
    let opened = slug.and_then(|slug| organizations.iter().find(|(organization, _)| organization.slug == slug));
    if let Some((organization, _)) = opened.filter(|(organization, _)| user.last_organization_id != Some(organization.id)) {
        diesel::update(users::table.find(user.id)).set(users::last_organization_id.eq(organization.id)).execute(conn)?;
    }
    let has_two_factor = two_factor::is_on(conn, user.id)?;
    Ok(Visit { user, organizations, has_two_factor })
}

fn operate(actor: &Actor) -> Result<()> {
    match actor.kind() {
        ActorKind::CommandLine | ActorKind::System => Ok(()),
        ActorKind::User | ActorKind::Staff | ActorKind::Key => Err(Error::Forbidden),
    }
}

fn record(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, action: &'static str, user: &User, before: Value, after: Value,
) -> Result<()> {
    let event =
        audit::Event { organization: None, action, target_id: user.id.to_string(), target_label: user.email.clone(), before, after };
    audit::record(conn, actor, now, event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_one_form() {
        assert_eq!(normalize_email("  Dana@Acme.Example ").expect("an address"), "dana@acme.example");
        for bad in ["", "dana", "@acme", "dana@", "da na@acme", "dana@acme\0", &format!("{}@acme.example", "a".repeat(250))] {
            assert!(matches!(normalize_email(bad), Err(Error::Invalid(_))), "{bad:?}");
        }
    }
}
