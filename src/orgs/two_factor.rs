//! That an organization's people sign in with a second factor.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use serde_json::json;
use time::OffsetDateTime;

use super::{Organization, locked, record};
use crate::actor::{Actor, Permission};
use crate::audit;
use crate::error::{Error, Result};
use crate::ids::OrgId;
use crate::schema::{organizations, totp_seeds};

/// Asks the people of an organization for a second factor, or does so no more; audited. Who has none opens it again once it is set up.
///
/// # Errors
/// `Conflict` when it is so already, and for a person who has no second factor itself: it would be the first to be kept out;
/// `NotFound`, `Forbidden`, `ProofNeeded` for an actor that may not.
pub fn require_two_factor(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, required: bool,
) -> Result<Organization> {
    actor.require(organization, Permission::ManageMembers)?;
    actor.require_proof(now)?;
    conn.transaction(|conn| {
        let before = locked(conn, organization)?;
        if before.two_factor_required_at.is_some() == required {
            let word = if required { "is required already" } else { "is not required" };
            return Err(Error::Conflict(format!("Two-factor sign-in {word} in {}.", before.name)));
        }
        if required {
            refuse_without(conn, actor)?;
        }
        let at = required.then_some(now);
        let after: Organization = diesel::update(organizations::table.find(organization))
            .set(organizations::two_factor_required_at.eq(at))
            .returning(Organization::as_returning())
            .get_result(conn)?;
        let was = json!({"two_factor_required_at": audit::moment(before.two_factor_required_at)});
        let is = json!({"two_factor_required_at": audit::moment(at)});
        record(conn, actor, now, &after, "organization.two_factor_set", was, is)?;
        Ok(after)
    })
}

fn refuse_without(conn: &mut PgConnection, actor: &Actor) -> Result<()> {
    let Some(user) = actor.user_id() else { return Ok(()) };
    let own = totp_seeds::table.find(user).filter(totp_seeds::confirmed_at.is_not_null());
    if diesel::select(diesel::dsl::exists(own)).get_result(conn)? {
        return Ok(());
    }
    Err(Error::Conflict("Set up two-factor sign-in for yourself first, on your account page. Then ask it of the others.".into()))
}
