//! One-time links into an organization. The link's token is shown once; the row has its digest, and is gone once the link was used,
//! withdrawn or replaced: deleting it is the use.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::Organization;
use super::members::{enter, lock, read_role, record, with_article};
use crate::actor::{Actor, ActorKind, Permission, Role};
use crate::audit;
use crate::email::{self, normalize};
use crate::error::{Error, Result};
use crate::ids::{InvitationId, OrgId, UserId};
use crate::schema::{membership_invitations, memberships, organizations, users};
use crate::secret::{PlainToken, SecretDigest};

const LIFE: Duration = Duration::days(7);
/// How long one that has expired stays in the list, for who wonders what became of it.
const AFTERLIFE: Duration = Duration::days(7);
/// Bounds the list, and the mail that one organization can have sent.
const MOST: i64 = 100;

/// A link as the list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Its id.
    pub id: InvitationId,
    /// For whoever has this address.
    pub email: String,
    /// As what it will belong.
    pub role: Role,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// By whom, as named then.
    pub created_by: String,
    /// Until when it works.
    pub expires_at: OffsetDateTime,
}

/// What the link's page shows.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The link.
    pub invitation: Invitation,
    /// Where it leads.
    pub organization: Organization,
}

type Row = (InvitationId, String, String, OffsetDateTime, String, OffsetDateTime);
type Columns = (
    membership_invitations::id,
    membership_invitations::email,
    membership_invitations::role,
    membership_invitations::created_at,
    membership_invitations::created_by,
    membership_invitations::expires_at,
);
const COLUMNS: Columns = (
    membership_invitations::id,
    membership_invitations::email,
    membership_invitations::role,
    membership_invitations::created_at,
    membership_invitations::created_by,
    membership_invitations::expires_at,
);

fn read((id, email, role, created_at, created_by, expires_at): Row) -> Result<Invitation> {
    Ok(Invitation { id, email, role: read_role(&role)?, created_at, created_by, expires_at })
}

/// Makes a link for whoever has this address; audited. It takes the place of the one made before for it.
///
/// # Errors
/// `Invalid` for `email`: its form, or that its person belongs to the organization; `Conflict` when too many are open; `NotFound`,
/// `Forbidden`, `ProofNeeded` for an actor that may not.
pub fn invite(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, email: &str, role: Role,
) -> Result<(Invitation, PlainToken)> {
    actor.require(organization, Permission::ManageMembers)?;
    put(conn, actor, now, organization, email, role)
}

/// Makes an organization, grants its first credits, and makes the link with which its first admin comes in; audited.
///
/// # Errors
/// `Invalid` for `name`, `slug`, `credits` or `email`; `NotFound`, `Forbidden`, `ProofNeeded` for an actor that may not.
pub fn found(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, name: &str, slug: Option<&str>, credits: Option<i64>, email: &str,
) -> Result<(Organization, Invitation, PlainToken)> {
    conn.transaction(|conn| {
        let organization = super::create(conn, actor, now, name, slug, credits)?;
        let (invitation, token) = put(conn, actor, now, organization.id, email, Role::Admin)?;
        Ok((organization, invitation, token))
    })
}

fn put(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, email: &str, role: Role,
) -> Result<(Invitation, PlainToken)> {
    actor.require_proof(now)?;
    let email = normalize(email)?;
    let token = PlainToken::generate("lkm")?;
    conn.transaction(|conn| {
        lock(conn, organization)?;
        refuse_member(conn, organization, &email)?;
        let same = of(organization).filter(membership_invitations::email.eq(&email));
        let replaced: Option<String> = diesel::delete(same).returning(membership_invitations::role).get_result(conn).optional()?;
        if of(organization).count().get_result::<i64>(conn)? >= MOST {
            return Err(Error::Conflict(format!("{MOST} invitations are listed. Withdraw one first.")));
        }
        let (id, created_by, expires_at) = (InvitationId::new(now), actor.label().to_owned(), now + LIFE);
        diesel::insert_into(membership_invitations::table)
            .values((
                membership_invitations::organization_id.eq(organization),
                membership_invitations::id.eq(id),
                membership_invitations::email.eq(&email),
                membership_invitations::role.eq(role.as_str()),
                membership_invitations::token_digest.eq(token.digest()),
                membership_invitations::created_at.eq(now),
                membership_invitations::created_by.eq(&created_by),
                membership_invitations::expires_at.eq(expires_at),
                membership_invitations::created_by_user_id.eq(actor.user_id().filter(|_| actor.kind() == ActorKind::User)),
            ))
            .execute(conn)
            .map_err(|e| Error::from(e).on_constraint("membership_invitations_email_check", email::no_address))?;
        let invitation = Invitation { id, email, role, created_at: now, created_by, expires_at };
        let before = replaced.map_or(Value::Null, |role| json!({"role": role}));
        let after = json!({"role": role.as_str(), "expires_at": audit::moment(Some(expires_at))});
        told(conn, actor, now, organization, "member.invited", &invitation, before, after)?;
        Ok((invitation, token))
    })
}

fn refuse_member(conn: &mut PgConnection, organization: OrgId, email: &str) -> Result<()> {
    let own = memberships::table
        .inner_join(users::table)
        .filter(memberships::organization_id.eq(organization).and(users::email.eq(email)))
        .select(memberships::role);
    match own.first::<String>(conn).optional()? {
        Some(role) => Err(Error::field("email", format!("{email} belongs to it already, as {}.", with_article(read_role(&role)?)))),
        None => Ok(()),
    }
}

#[diesel::dsl::auto_type(no_type_alias)]
fn of(organization: OrgId) -> _ {
    membership_invitations::table.filter(membership_invitations::organization_id.eq(organization))
}

/// Takes a link back: it opens nothing any more. Audited.
///
/// # Errors
/// `NotFound` for one that was used or replaced meanwhile, or is another's; `Forbidden`; those of the database.
pub fn withdraw(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, invitation: InvitationId,
) -> Result<Invitation> {
    actor.require(organization, Permission::ManageMembers)?;
    conn.transaction(|conn| {
        lock(conn, organization)?;
        let row = diesel::delete(membership_invitations::table.find((organization, invitation))).returning(COLUMNS).get_result(conn)?;
        let invitation = read(row)?;
        let before = json!({"role": invitation.role.as_str()});
        told(conn, actor, now, organization, "member.invitation_withdrawn", &invitation, before, Value::Null)?;
        Ok(invitation)
    })
}

/// The links of an organization, by address; also those that have expired lately.
///
/// # Errors
/// Those of the database.
pub fn invitations(conn: &mut PgConnection, organization: OrgId) -> Result<Vec<Invitation>> {
    let rows: Vec<Row> = of(organization).order(membership_invitations::email).select(COLUMNS).load(conn)?;
    rows.into_iter().map(read).collect()
}

/// A link that still works.
///
/// # Errors
/// `NotFound` for one that does not exist, was used, withdrawn or replaced, or has expired: a stranger can't tell which.
pub fn open_invitation(conn: &mut PgConnection, now: OffsetDateTime, token: &str) -> Result<Opened> {
    let (row, organization) = membership_invitations::table
        .inner_join(organizations::table)
        .filter(membership_invitations::token_digest.eq(SecretDigest::of(token)).and(membership_invitations::expires_at.gt(now)))
        .select((COLUMNS, Organization::as_select()))
        .first(conn)?;
    Ok(Opened { invitation: read(row)?, organization })
}

/// Uses a link up, inside the caller's transaction, which makes somebody a member by [`enter_by`] or fails as a whole: of several at
/// once one gets through.
///
/// # Errors
/// `NotFound` as [`open_invitation`].
pub fn take(conn: &mut PgConnection, now: OffsetDateTime, token: &str) -> Result<Opened> {
    let opened = open_invitation(conn, now, token)?;
    // First the organization, as everybody who changes its people.
    lock(conn, opened.organization.id)?;
    let works = membership_invitations::token_digest.eq(SecretDigest::of(token)).and(membership_invitations::expires_at.gt(now));
    let used = diesel::delete(membership_invitations::table.filter(works)).execute(conn)?;
    if used == 0 { Err(Error::NotFound) } else { Ok(opened) }
}

/// Makes a person a member by a link that was [taken](take); audited in the organization's own log.
///
/// # Errors
/// `Conflict` when the person belongs to it already; those of the database.
pub fn enter_by(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, taken: &Opened, user: UserId) -> Result<()> {
    let Opened { invitation, organization } = taken;
    let email = enter(conn, now, organization.id, user, invitation.role)?;
    let after = json!({"role": invitation.role.as_str(), "invited_by": invitation.created_by});
    record(conn, actor, now, organization.id, "member.joined", user, email, Value::Null, after)
}

/// Removes what has expired long ago. For housekeeping. Returns how many rows.
///
/// # Errors
/// Those of the database.
pub fn forget_old_invitations(conn: &mut PgConnection, now: OffsetDateTime) -> Result<usize> {
    let old = membership_invitations::expires_at.le(now - AFTERLIFE);
    Ok(diesel::delete(membership_invitations::table.filter(old)).execute(conn)?)
}

#[allow(clippy::too_many_arguments)]
fn told(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, action: &'static str, invitation: &Invitation,
    before: Value, after: Value,
) -> Result<()> {
    let (target_id, target_label) = (invitation.id.to_string(), invitation.email.clone());
    audit::record(conn, actor, now, audit::Event { organization: Some(organization), action, target_id, target_label, before, after })
}
