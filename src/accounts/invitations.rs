//! One-time links that let a person choose a password. The link's token is shown once; the row has its digest.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::{HashedPassword, User, operate, put_password, record};
use crate::actor::{Actor, Permission};
use crate::audit;
use crate::error::{Error, Result};
use crate::ids::{self, OrgId, UserId};
use crate::orgs;
use crate::schema::{invitations, memberships, users};
use crate::secret::{PlainToken, SecretDigest};

const LIFE: Duration = Duration::days(7);
/// The person asked for it just now, and somebody else has it in hand.
const LIFE_BY_ADMIN: Duration = Duration::hours(24);

/// What the link's page shows.
#[derive(Debug, Clone)]
pub struct Invitation {
    /// For whom it was made.
    pub email: String,
    /// The first organization the person will find, if any.
    pub organization: Option<String>,
    /// The person has chosen a password before: this is a new one.
    pub has_password: bool,
    /// Until when it works.
    pub expires_at: OffsetDateTime,
}

/// Makes a link for a person; audited. It takes the place of those made before it.
///
/// # Errors
/// `NotFound`; `Forbidden` for an actor that is not the command line.
pub fn invite(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, user: UserId) -> Result<PlainToken> {
    operate(actor)?;
    conn.transaction(|conn| {
        // The person's row orders those who invite it at once: one link is left.
        let user: User = users::table.find(user).select(User::as_select()).for_update().first(conn)?;
        forget_open(conn, user.id)?;
        let token = put_link(conn, now, user.id, LIFE, None)?;
        let after = json!({"expires_at": audit::moment(Some(now + LIFE))});
        record(conn, actor, now, "account.invited", &user, Value::Null, after)?;
        Ok(token)
    })
}

/// The same by an admin of an organization, for a member who lost the password. Audited in the organization's log too. An admin of
/// one organization must not get into another: such a link is for people who belong to this one alone, and works only while
/// that is so.
///
/// # Errors
/// `Conflict` for who can get anywhere else, or is staff; `NotFound` for who is no member; `Forbidden`, `ProofNeeded` for an actor that
/// may not.
pub fn invite_member(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, user: UserId,
) -> Result<(User, PlainToken)> {
    actor.require(organization, Permission::ManageMembers)?;
    actor.require_proof(now)?;
    conn.transaction(|conn| {
        let membership = memberships::table.find((organization, user)).select(memberships::user_id);
        let user: UserId = membership.first(conn)?;
        let user: User = users::table.find(user).select(User::as_select()).for_update().first(conn)?;
        if !belongs_here_alone(conn, user.id, organization)? {
            return Err(Error::Conflict(format!(
                "{} can get further than this organization. Ask whoever runs this deployment for a link: latchkey user invite.",
                user.email
            )));
        }
        forget_open(conn, user.id)?;
        let token = put_link(conn, now, user.id, LIFE_BY_ADMIN, actor.user_id().map(|admin| (organization, admin)))?;
        let after = json!({"expires_at": audit::moment(Some(now + LIFE_BY_ADMIN))});
        record(conn, actor, now, "account.invited", &user, Value::Null, after.clone())?;
        let (target_id, target_label, action) = (user.id.to_string(), user.email.clone(), "member.password_link_made");
        let event = audit::Event { organization: Some(organization), action, target_id, target_label, before: Value::Null, after };
        audit::record(conn, actor, now, event)?;
        Ok((user, token))
    })
}

/// Whether this organization is all that the person can get to.
fn belongs_here_alone(conn: &mut PgConnection, user: UserId, organization: OrgId) -> Result<bool> {
    let is_staff: bool = users::table.find(user).select(users::staff_role.is_not_null()).first(conn)?;
    let all: Vec<OrgId> = memberships::table.filter(memberships::user_id.eq(user)).select(memberships::organization_id).load(conn)?;
    Ok(!is_staff && all == [organization])
}

/// The row of a fresh link.
pub(super) fn put_link(
    conn: &mut PgConnection, now: OffsetDateTime, user: UserId, life: Duration, by: Option<(OrgId, UserId)>,
) -> Result<PlainToken> {
    let token = PlainToken::generate("lki")?;
    diesel::insert_into(invitations::table)
        .values((
            invitations::id.eq(ids::new_uuid(now)),
            invitations::user_id.eq(user),
            invitations::token_digest.eq(token.digest()),
            invitations::created_at.eq(now),
            invitations::expires_at.eq(now + life),
            invitations::for_organization_id.eq(by.map(|(organization, _)| organization)),
            invitations::created_by_user_id.eq(by.map(|(_, admin)| admin)),
        ))
        .execute(conn)?;
    Ok(token)
}

#[diesel::dsl::auto_type(no_type_alias)]
fn works(token: SecretDigest, now: OffsetDateTime) -> _ {
    let is_open = invitations::accepted_at.is_null().and(invitations::expires_at.gt(now));
    invitations::table.filter(invitations::token_digest.eq(token)).filter(is_open)
}

/// An invitation that still works.
///
/// # Errors
/// `NotFound` for one that does not exist, was used or has expired: a stranger can't tell which.
pub fn invitation(conn: &mut PgConnection, now: OffsetDateTime, token: &str) -> Result<Invitation> {
    let (user, email, expires_at, made_in): (UserId, String, OffsetDateTime, Option<OrgId>) = works(SecretDigest::of(token), now)
        .inner_join(users::table)
        .select((users::id, users::email, invitations::expires_at, invitations::for_organization_id))
        .first(conn)?;
    refuse_further(conn, user, made_in)?;
    let organization = orgs::organizations_of(conn, user)?.into_iter().next().map(|(organization, _)| organization.name);
    let has_password = users::table.find(user).select(users::password_hash.is_not_null()).first(conn)?;
    Ok(Invitation { email, organization, has_password, expires_at })
}

/// A link that an admin made works only while the person can get nowhere else.
fn refuse_further(conn: &mut PgConnection, user: UserId, made_in: Option<OrgId>) -> Result<()> {
    match made_in {
        Some(organization) if !belongs_here_alone(conn, user, organization)? => Err(Error::NotFound),
        _ => Ok(()),
    }
}

/// Uses a link up: the person has this password from now on, its other links and sessions end; audited. A second factor stays.
///
/// # Errors
/// `NotFound` as [`invitation`]; of several at once one gets through.
pub fn accept_invitation(
    conn: &mut PgConnection, now: OffsetDateTime, token: &str, password: &HashedPassword, address: &str, user_agent: &str,
) -> Result<User> {
    conn.transaction(|conn| {
        let digest = SecretDigest::of(token);
        let (user, made_in) = works(digest, now).select((invitations::user_id, invitations::for_organization_id)).first(conn)?;
        // The person's row orders all that race for its links; the update then looks again.
        let label: String = users::table.find::<UserId>(user).select(users::email).for_update().first(conn)?;
        refuse_further(conn, user, made_in)?;
        if diesel::update(works(digest, now)).set(invitations::accepted_at.eq(now)).execute(conn)? == 0 {
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
