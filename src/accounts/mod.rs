//! People: their accounts, passwords, one-time links, sign-in and sessions. What an organization lets them do is in `orgs`.

mod challenge;
mod invitations;
mod joining;
mod password;
mod proof;
mod reset;
pub mod sessions;
mod sign_in;
mod stamp;
mod throttle;
pub mod two_factor;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

pub use crate::email::normalize as normalize_email;
pub use challenge::{Answered, answer_challenge, challenge};
pub use invitations::{Invitation, accept_invitation, invitation, invite, invite_member};
pub use joining::{Way, join, join_as, way_in};
pub use password::{HashedPassword, Password};
pub use proof::{begin_proof, finish_proof};
pub use reset::{count_letter, count_reset, reset_link};
pub use sign_in::{Attempt, Device, Verified, begin_sign_in, finish_sign_in, forget_old};
pub use stamp::{Stamp, stamp};

use crate::actor::{Actor, ActorKind, Role, StaffRole};
use crate::audit;
use crate::email;
use crate::error::{Error, Result};
use crate::ids::{OrgId, UserId};
use crate::orgs::{self, Organization};
use crate::schema::users;
use crate::support;

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
    put_account(conn, actor, now, UserId::new(now), email, name)
}

/// The account of this address, made under this id when there is none; true when it was made now. Audited then.
fn put_account(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, id: UserId, email: &str, name: Option<&str>,
) -> Result<(User, bool)> {
    let email = normalize_email(email)?;
    let name = check_name(name.unwrap_or_default())?;
    conn.transaction(|conn| {
        let made: Option<User> = diesel::insert_into(users::table)
            .values((users::id.eq(id), users::email.eq(&email), users::name.eq(name), users::created_at.eq(now)))
            .on_conflict(users::email)
            .do_nothing()
            .returning(User::as_returning())
            .get_result(conn)
            .optional()
            .map_err(|e| Error::from(e).on_constraint("users_email_check", email::no_address))?;
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
        let (was, is) = (json!({"staff_role": before.staff_role}), json!({"staff_role": role}));
        // The deployment's chain first, as whoever writes both does.
        record(conn, actor, now, "account.staff_role_set", &before, was, is)?;
        if role.is_none() {
            // Else they would go on if the person came back within the hour.
            support::end_all(conn, actor, now, user)?;
        }
        Ok(())
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

/// A new password that a person chose in its session: every other session and every open link ends. Audited.
///
/// # Errors
/// `ProofNeeded`; `Unauthenticated` when the actor is no person; those of the database.
pub fn change_password(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, session: Uuid, password: &HashedPassword,
) -> Result<usize> {
    actor.require_proof(now)?;
    let id = actor.user_id().ok_or(Error::Unauthenticated)?;
    conn.transaction(|conn| {
        lock_person(conn, id)?;
        let ended = sessions::delete_others_of(conn, id, session)?;
        write_password(conn, actor, now, id, password, json!({"sessions_ended": ended}))?;
        Ok(ended)
    })
}

/// Takes a person's password, second factor and sessions away: whoever chose them may not be whom this address belongs to. A fresh link
/// lets the person choose anew. For the command line, before an account becomes staff. Audited.
///
/// # Errors
/// `NotFound`; `Forbidden` for an actor that is not the command line.
pub fn distrust(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, user: UserId) -> Result<()> {
    operate(actor)?;
    conn.transaction(|conn| {
        lock_person(conn, user)?;
        sessions::delete_all_of(conn, user)?;
        challenge::forget_challenges(conn, user)?;
        two_factor::forget(conn, user)?;
        let user: User = diesel::update(users::table.find(user))
            .set(users::password_hash.eq(None::<String>))
            .returning(User::as_returning())
            .get_result(conn)?;
        record(conn, actor, now, "account.password_cleared", &user, Value::Null, Value::Null)
    })
}

/// What people see of the acting person from now on. Audited.
///
/// # Errors
/// `Invalid` for `name`; `Unauthenticated` when the actor is no person; those of the database.
pub fn rename(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, name: &str) -> Result<()> {
    let id = actor.user_id().ok_or(Error::Unauthenticated)?;
    let name = check_name(name)?;
    conn.transaction(|conn| {
        let before: User = users::table.find(id).select(User::as_select()).for_no_key_update().first(conn)?;
        if before.name == name {
            return Ok(());
        }
        diesel::update(users::table.find(id)).set(users::name.eq(&name)).execute(conn)?;
        record(conn, actor, now, "account.renamed", &before, json!({"name": before.name}), json!({"name": name}))
    })
}

fn check_name(name: &str) -> Result<String> {
    let name = name.trim();
    if name.chars().count() > NAME_MOST || name.chars().any(char::is_control) {
        return Err(Error::field("name", format!("Use at most {NAME_MOST} characters on one line.")));
    }
    Ok(name.to_owned())
}

fn put_password(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, user: UserId, password: &HashedPassword) -> Result<User> {
    lock_person(conn, user)?;
    sessions::delete_all_of(conn, user)?;
    write_password(conn, actor, now, user, password, Value::Null)
}

/// Orders those who change how a person gets in, and those who are just getting in: always the first lock.
fn lock_person(conn: &mut PgConnection, user: UserId) -> Result<()> {
    let _locked: UserId = users::table.find(user).select(users::id).for_no_key_update().first(conn)?;
    Ok(())
}

fn write_password(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, user: UserId, password: &HashedPassword, after: Value,
) -> Result<User> {
    let user: User = diesel::update(users::table.find(user))
        .set(users::password_hash.eq(password.as_str()))
        .returning(User::as_returning())
        .get_result(conn)?;
    invitations::forget_open(conn, user.id)?;
    challenge::forget_challenges(conn, user.id)?;
    two_factor::forget_unconfirmed(conn, user.id)?;
    record(conn, actor, now, "account.password_set", &user, Value::Null, after)?;
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
