//! Organizations: the tenants. Active or suspended; a suspended one keeps its data and is refused at admission.

mod invitations;
mod list;
mod members;
mod two_factor;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use serde_json::{Value, json};
use time::OffsetDateTime;

pub use invitations::{Invitation, Opened, enter_by, forget_old_invitations, found, invitations, invite, open_invitation, take, withdraw};
pub use list::{Members, Membership, member, members};
pub use members::{add_member, admins, membership, organizations_of, remove_member, set_role};
pub use two_factor::require_two_factor;

use crate::actor::{Actor, Permission};
use crate::audit;
use crate::credits;
use crate::error::{Error, Result};
use crate::ids::OrgId;
use crate::schema::organizations;

const NAME_MOST: usize = 100;
const SLUG_MOST: usize = 63;
const REASON_MOST: usize = 200;

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = organizations, check_for_backend(diesel::pg::Pg))]
pub struct Organization {
    /// Its id.
    pub id: OrgId,
    /// Its name in URLs; it never changes.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// Requests a minute in place of the profile's quota; none leaves the profile's.
    pub requests_per_minute: Option<i32>,
    /// Since when its keys are refused.
    pub suspended_at: Option<OffsetDateTime>,
    /// Why, for people.
    pub suspended_reason: Option<String>,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// Since when its members need a second factor.
    pub two_factor_required_at: Option<OffsetDateTime>,
}

/// Makes an organization with empty books, and grants its first credits when there are some; audited. Without a slug one
/// is made of the name.
///
/// # Errors
/// `Invalid` for the name, the slug (its form, or that it is taken) or the credits; `NotFound` for an actor that may not.
pub fn create(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, name: &str, slug: Option<&str>, credits: Option<i64>,
) -> Result<Organization> {
    let name = text_field("name", name, NAME_MOST, "Name the organization")?;
    let slug = slug.map_or_else(|| slug_of(&name), ToOwned::to_owned);
    if !is_slug(&slug) {
        return Err(Error::field(
            "slug",
            format!("{slug:?} is no slug. Use 1 to {SLUG_MOST} of a-z, 0-9 and single hyphens between them."),
        ));
    }
    let organization = Organization {
        id: OrgId::new(now),
        slug,
        name,
        requests_per_minute: None,
        suspended_at: None,
        suspended_reason: None,
        created_at: now,
        two_factor_required_at: None,
    };
    actor.require(organization.id, Permission::Operate)?;
    conn.transaction(|conn| {
        diesel::insert_into(organizations::table).values(&organization).execute(conn).map_err(|e| {
            Error::from(e).on_constraint("organizations_slug_key", || {
                Error::field("slug", format!("{} is taken. Choose another slug.", organization.slug))
            })
        })?;
        credits::open_account(conn, organization.id)?;
        let after = json!({"name": organization.name, "slug": organization.slug});
        record(conn, actor, now, &organization, "organization.created", Value::Null, after)?;
        if let Some(amount) = credits.filter(|amount| *amount != 0) {
            credits::grant(conn, actor, now, organization.id, amount, "First credits").map_err(|e| e.on_field("amount", "credits"))?;
        }
        Ok(organization)
    })
}

/// Every organization, by slug. For the command line.
///
/// # Errors
/// Those of the database.
pub fn list(conn: &mut PgConnection) -> Result<Vec<Organization>> {
    Ok(organizations::table.order(organizations::slug).select(Organization::as_select()).load(conn)?)
}

/// An organization by its slug, whoever asks. For the command line and staff; a person's way is [`membership`].
///
/// # Errors
/// `NotFound`; those of the database.
pub fn by_slug(conn: &mut PgConnection, slug: &str) -> Result<Organization> {
    if !is_slug(slug) {
        return Err(Error::NotFound);
    }
    Ok(organizations::table.filter(organizations::slug.eq(slug)).select(Organization::as_select()).first(conn)?)
}

/// Refuses its keys from the next admission on; audited. Its people still get in.
///
/// # Errors
/// `Invalid` for the reason; `Conflict` when it is suspended already; `NotFound`, `Forbidden` for an actor that may not.
pub fn suspend(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, reason: &str) -> Result<Organization> {
    actor.require(organization, Permission::Operate)?;
    let reason = text_field("reason", reason, REASON_MOST, "Say why")?;
    conn.transaction(|conn| {
        let before = locked(conn, organization)?;
        if before.suspended_at.is_some() {
            return Err(Error::Conflict(format!("{} is suspended already.", before.name)));
        }
        let after: Organization = diesel::update(organizations::table.find(organization))
            .set((organizations::suspended_at.eq(now), organizations::suspended_reason.eq(&reason)))
            .returning(Organization::as_returning())
            .get_result(conn)?;
        let change = json!({"suspended_at": audit::moment(Some(now)), "reason": reason});
        record(conn, actor, now, &after, "organization.suspended", json!({"suspended_at": null}), change)?;
        Ok(after)
    })
}

/// Lets its keys pass again; audited.
///
/// # Errors
/// As [`suspend`].
pub fn reinstate(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, reason: &str) -> Result<Organization> {
    actor.require(organization, Permission::Operate)?;
    let reason = text_field("reason", reason, REASON_MOST, "Say why")?;
    conn.transaction(|conn| {
        let before = locked(conn, organization)?;
        if before.suspended_at.is_none() {
            return Err(Error::Conflict(format!("{} is not suspended.", before.name)));
        }
        let after: Organization = diesel::update(organizations::table.find(organization))
            .set((organizations::suspended_at.eq(None::<OffsetDateTime>), organizations::suspended_reason.eq(None::<String>)))
            .returning(Organization::as_returning())
            .get_result(conn)?;
        let was = json!({"suspended_at": audit::moment(before.suspended_at), "reason": before.suspended_reason});
        record(conn, actor, now, &after, "organization.reinstated", was, json!({"suspended_at": null, "reason": reason}))?;
        Ok(after)
    })
}

/// Sets how many requests a minute it may make in place of the profile's quota, or gives it the profile's back; audited.
///
/// # Errors
/// `Invalid` for a quota below 1; `NotFound`, `Forbidden` for an actor that may not.
pub fn set_requests_per_minute(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, quota: Option<i32>,
) -> Result<Organization> {
    actor.require(organization, Permission::Operate)?;
    if let Some(quota) = quota.filter(|quota| *quota < 1) {
        return Err(Error::field("requests_per_minute", format!("{quota} is too few. Use 1 or more.")));
    }
    conn.transaction(|conn| {
        let before = locked(conn, organization)?;
        let after: Organization = diesel::update(organizations::table.find(organization))
            .set(organizations::requests_per_minute.eq(quota))
            .returning(Organization::as_returning())
            .get_result(conn)?;
        let was = json!({"requests_per_minute": before.requests_per_minute});
        record(conn, actor, now, &after, "organization.limit_set", was, json!({"requests_per_minute": quota}))?;
        Ok(after)
    })
}

fn locked(conn: &mut PgConnection, organization: OrgId) -> Result<Organization> {
    Ok(organizations::table.find(organization).select(Organization::as_select()).for_no_key_update().first(conn)?)
}

fn record(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: &Organization, action: &'static str, before: Value,
    after: Value,
) -> Result<()> {
    let event = audit::Event {
        organization: Some(organization.id),
        action,
        target_id: organization.id.to_string(),
        target_label: organization.name.clone(),
        before,
        after,
    };
    audit::record(conn, actor, now, event)
}

fn text_field(field: &'static str, text: &str, most: usize, ask: &str) -> Result<String> {
    let text = text.trim();
    let fits = (1..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if fits { Ok(text.to_owned()) } else { Err(Error::field(field, format!("{ask} in 1 to {most} characters on one line."))) }
}

/// Whether a text could be a slug: what is not needs no question to the database.
pub fn is_slug(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= SLUG_MOST && text.split('-').all(|word| !word.is_empty() && word.bytes().all(plain))
}

/// Letters and digits of the name in lower case, hyphens for the rest; empty when nothing of it is left.
fn slug_of(name: &str) -> String {
    let lower = name.to_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut slug = words.collect::<Vec<_>>().join("-");
    slug.truncate(SLUG_MOST);
    slug.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_made_of_the_name() {
        for (name, slug) in [("Acme Motion", "acme-motion"), ("  O'Neil & Söhne 24 ", "o-neil-s-hne-24"), ("株式会社", "")] {
            assert_eq!(slug_of(name), slug);
        }
        assert!(is_slug(&slug_of(&"long name ".repeat(30))));
    }

    #[test]
    fn only_slugs_reach_the_database() {
        assert!(is_slug("a") && is_slug("acme-motion-2"));
        for bad in ["", "-a", "a-", "a--b", "A", "a b", "a\0", "é", &"a".repeat(64)] {
            assert!(!is_slug(bad), "{bad:?}");
        }
    }
}
