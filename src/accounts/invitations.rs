//! One-time links that let a person choose a password. The link's token is shown once; the row has its digest.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::{HashedPassword, User, operate, put_password, record};
use crate::actor::Actor;
use crate::audit;
use crate::error::{Error, Result};
use crate::ids::{self, UserId};
use crate::orgs;
use crate::schema::{invitations, users};
use crate::secret::{PlainToken, SecretDigest};

const LIFE: Duration = Duration::days(7);

/// What the link's page shows.
#[derive(Debug, Clone)]
pub struct Invitation {
    /// For whom it was made.
    pub email: String,
    /// The first organization the person will find, if any.
    pub organization: Option<String>,
    /// Until when it works.
    pub expires_at: OffsetDateTime,
}

/// Makes a link for a person; audited. It takes the place of those made before it.
///
/// # Errors
/// `NotFound`; `Forbidden` for an actor that is not the command line.
pub fn invite(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, user: UserId) -> Result<PlainToken> {
    operate(actor)?;
    invited(conn, actor, now, user)
}

/// [`invite`], for who has the right to it.
pub(super) fn invited(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, user: UserId) -> Result<PlainToken> {
    let token = PlainToken::generate("lki")?;
    conn.transaction(|conn| {
        // The person's row orders those who invite it at once: one link is left.
        let user: User = users::table.find(user).select(User::as_select()).for_update().first(conn)?;
        forget_open(conn, user.id)?;
        diesel::insert_into(invitations::table)
            .values((
                invitations::id.eq(ids::new_uuid(now)),
                invitations::user_id.eq(user.id),
                invitations::token_digest.eq(token.digest()),
                invitations::created_at.eq(now),
                invitations::expires_at.eq(now + LIFE),
            ))
            .execute(conn)?;
        let after = json!({"expires_at": audit::moment(Some(now + LIFE))});
        record(conn, actor, now, "account.invited", &user, Value::Null, after)
    })?;
    Ok(token)
}

/// An invitation that still works.
///
/// # Errors
/// `NotFound` for one that does not exist, was used or has expired: a stranger can't tell which.
pub fn invitation(conn: &mut PgConnection, now: OffsetDateTime, token: &str) -> Result<Invitation> {
    let (user, email, expires_at): (UserId, String, OffsetDateTime) = invitations::table
        .inner_join(users::table)
        .filter(invitations::token_digest.eq(SecretDigest::of(token)))
        .filter(invitations::accepted_at.is_null().and(invitations::expires_at.gt(now)))
        .select((users::id, users::email, invitations::expires_at))
        .first(conn)?;
    let organization = orgs::organizations_of(conn, user)?.into_iter().next().map(|(organization, _)| organization.name);
    Ok(Invitation { email, organization, expires_at })
}

/// Uses a link up: the person has this password from now on, its other links and sessions end; audited.
///
/// # Errors
/// `NotFound` as [`invitation`]; of several at once one gets through.
pub fn accept_invitation(
    conn: &mut PgConnection, now: OffsetDateTime, token: &str, password: &HashedPassword, address: &str, user_agent: &str,
) -> Result<User> {
    conn.transaction(|conn| {
        let works = || {
            invitations::table
                .filter(invitations::token_digest.eq(SecretDigest::of(token)))
                .filter(invitations::accepted_at.is_null().and(invitations::expires_at.gt(now)))
        };
        let user: UserId = works().select(invitations::user_id).first(conn)?;
        // The person's row orders all that race for its links; the update then looks again.
        let label: String = users::table.find(user).select(users::email).for_update().first(conn)?;
        if diesel::update(works()).set(invitations::accepted_at.eq(now)).execute(conn)? == 0 {
            return Err(Error::NotFound);
        }
        let actor = Actor::person(Some(user), label, address.into(), user_agent.into());
        put_password(conn, &actor, now, user, password)
    })
}

/// Ends the links of a person that still work.
pub(super) fn forget_open(conn: &mut PgConnection, user: UserId) -> Result<()> {
    diesel::delete(invitations::table.filter(invitations::user_id.eq(user).and(invitations::accepted_at.is_null()))).execute(conn)?;
    Ok(())
}
