//! Joining an organization by its one-time link. The link alone never opens an account that leads anywhere else: whoever made it
//! may hold it too.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use time::OffsetDateTime;

use super::{HashedPassword, User, put_account, put_password};
use crate::actor::Actor;
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::orgs::{self, Organization};
use crate::schema::{memberships, users};

/// What somebody with a link into an organization does to join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Chooses a password: the address has no account, or one without a password that leads nowhere yet.
    ChoosePassword,
    /// Signs in as that address.
    SignIn,
    /// Chooses a password by the link that the account was made with: it leads somewhere already.
    OtherLink,
}

/// The way in for an address.
///
/// # Errors
/// Those of the database.
pub fn way_in(conn: &mut PgConnection, email: &str) -> Result<Way> {
    let account = users::table.filter(users::email.eq(email)).select((users::id, users::password_hash.is_not_null(), users::staff_role));
    let Some((user, has_password, staff)) = account.first::<(UserId, bool, Option<String>)>(conn).optional()? else {
        return Ok(Way::ChoosePassword);
    };
    let belongs = diesel::dsl::exists(memberships::table.filter(memberships::user_id.eq(user)));
    let leads_somewhere = staff.is_some() || diesel::select(belongs).get_result(conn)?;
    Ok(match (has_password, leads_somewhere) {
        (true, _) => Way::SignIn,
        (false, true) => Way::OtherLink,
        (false, false) => Way::ChoosePassword,
    })
}

/// Uses a link up: its address has an account with this password from now on, made when there was none, and is a member. Audited, in
/// the deployment's log first and then in the organization's, as whoever writes both does.
///
/// # Errors
/// `NotFound` for a link that does not work, also for all but one of several at once; `Conflict` when [`way_in`] is another by now.
pub fn join(
    conn: &mut PgConnection, now: OffsetDateTime, token: &str, password: &HashedPassword, address: &str, user_agent: &str,
) -> Result<(User, Organization)> {
    conn.transaction(|conn| {
        let taken = orgs::take(conn, now, token)?;
        let email = taken.invitation.email.as_str();
        let person = |id: UserId| Actor::person(Some(id), email.to_owned(), address.into(), user_agent.into());
        let id = UserId::new(now);
        let (user, _) = put_account(conn, &person(id), now, id, email, None)?;
        // From here on nobody gives this account a password or a membership but this transaction.
        let _locked: UserId = users::table.find(user.id).select(users::id).for_update().first(conn)?;
        if way_in(conn, email)? != Way::ChoosePassword {
            return Err(Error::Conflict(format!("{email} has an account that is in use. Open the link again.")));
        }
        let actor = person(user.id);
        let user = put_password(conn, &actor, now, user.id, password)?;
        orgs::enter_by(conn, &actor, now, &taken, user.id)?;
        Ok((user, taken.organization))
    })
}

/// Uses a link up for the acting person, whose address it is for. Audited in the organization's log.
///
/// # Errors
/// `NotFound` for a link that does not work, or is for another address; `Conflict` for who belongs to the organization already;
/// `Unauthenticated` when the actor is no person.
pub fn join_as(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, token: &str) -> Result<Organization> {
    let user = actor.user_id().ok_or(Error::Unauthenticated)?;
    conn.transaction(|conn| {
        let taken = orgs::take(conn, now, token)?;
        let email: String = users::table.find(user).select(users::email).first(conn)?;
        if email != taken.invitation.email {
            return Err(Error::NotFound);
        }
        orgs::enter_by(conn, actor, now, &taken, user)?;
        Ok(taken.organization)
    })
}
