//! Staff looking at organizations. A visit is asked for with a reason, lasts an hour, and stands in the organization's own
//! audit log; while it lasts its person reads what members read, and changes nothing. [`search`] finds the organization to look at,
//! [`console`] is what staff see of one.

mod operate;
mod search;
mod wanted;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

pub use operate::{adjust, grant};
pub use search::{Found, PAGE, Results, Why, newest, search};
pub use wanted::Wanted;

use crate::actor::{Actor, Permission, StaffRole};
use crate::audit;
use crate::credits;
use crate::error::{Error, Result};
use crate::ids::{OrgId, UserId, new_uuid};
use crate::orgs::{self, Organization};
use crate::schema::{memberships, organizations, support_visits};

/// How long a visit lasts.
pub const VISIT: Duration = Duration::hours(1);
const REASON_MOST: usize = 200;

/// A visit that lasts.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = support_visits, check_for_backend(diesel::pg::Pg))]
pub struct Visit {
    /// Its id.
    pub id: Uuid,
    /// The ticket, or whatever was said.
    pub reason: String,
    /// When it began.
    pub opened_at: OffsetDateTime,
    /// When it is over.
    pub ends_at: OffsetDateTime,
}

/// The visit of this person to an organization, while it lasts.
///
/// # Errors
/// Those of the database.
pub fn visit(conn: &mut PgConnection, organization: OrgId, user: UserId, now: OffsetDateTime) -> Result<Option<Visit>> {
    Ok(lasting(organization, user, now).order(support_visits::ends_at.desc()).select(Visit::as_select()).first(conn).optional()?)
}

#[diesel::dsl::auto_type(no_type_alias)]
fn lasting(organization: OrgId, user: UserId, now: OffsetDateTime) -> _ {
    let own = support_visits::organization_id.eq(organization).and(support_visits::user_id.eq(user));
    support_visits::table.filter(own).filter(support_visits::ends_at.gt(now))
}

/// Opens an organization for the acting person of the staff, for an hour. One that is open goes on under the new reason, and
/// lasts an hour from now. Audited in the organization's own log.
///
/// # Errors
/// `Invalid` for `reason`; `NotFound`, also for an actor that is not staff; those of the database.
pub fn open(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, slug: &str, reason: &str) -> Result<Organization> {
    actor.require_staff(StaffRole::Support)?;
    let user = actor.user_id().ok_or(Error::Forbidden)?;
    let reason = reason.trim();
    if !(1..=REASON_MOST).contains(&reason.chars().count()) || reason.chars().any(char::is_control) {
        return Err(Error::field("reason", format!("Say why in 1 to {REASON_MOST} characters on one line: a ticket will do.")));
    }
    conn.transaction(|conn| {
        let organization = orgs::by_slug(conn, slug)?;
        diesel::update(lasting(organization.id, user, now)).set(support_visits::ends_at.eq(now)).execute(conn)?;
        diesel::insert_into(support_visits::table)
            .values((
                support_visits::organization_id.eq(organization.id),
                support_visits::id.eq(new_uuid(now)),
                support_visits::user_id.eq(user),
                support_visits::reason.eq(reason),
                support_visits::opened_at.eq(now),
                support_visits::ends_at.eq(now + VISIT),
            ))
            .execute(conn)?;
        let after = json!({"reason": reason, "ends_at": audit::moment(Some(now + VISIT))});
        record(conn, actor, now, &organization, "support.opened", Value::Null, after)?;
        Ok(organization)
    })
}

/// Ends the acting person's visit before its hour is over. Audited; nothing happens where none is open.
///
/// # Errors
/// `NotFound`, also for an actor that is not staff; those of the database.
pub fn end(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId) -> Result<()> {
    actor.require_staff(StaffRole::Support)?;
    let user = actor.user_id().ok_or(Error::Forbidden)?;
    conn.transaction(|conn| {
        let organization: Organization = organizations::table.find(organization).select(Organization::as_select()).first(conn)?;
        // Two that were opened at one instant are both open; each stands in the log by itself.
        let ended: Vec<(OffsetDateTime, String)> = diesel::update(lasting(organization.id, user, now))
            .set(support_visits::ends_at.eq(now))
            .returning((support_visits::opened_at, support_visits::reason))
            .get_results(conn)?;
        for (opened_at, reason) in ended {
            let before = json!({"opened_at": audit::moment(Some(opened_at)), "reason": reason});
            record(conn, actor, now, &organization, "support.ended", before, Value::Null)?;
        }
        Ok(())
    })
}

/// Ends every visit of a person who is staff no longer. Audited in each organization's own log, in the name of who took the role away.
///
/// # Errors
/// Those of the database.
pub fn end_all(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, user: UserId) -> Result<()> {
    conn.transaction(|conn| {
        let own = support_visits::user_id.eq(user).and(support_visits::ends_at.gt(now));
        let mut ended: Vec<(OrgId, OffsetDateTime, String)> = diesel::update(support_visits::table.filter(own))
            .set(support_visits::ends_at.eq(now))
            .returning((support_visits::organization_id, support_visits::opened_at, support_visits::reason))
            .get_results(conn)?;
        // The heads of several chains are locked in one order, whoever does it.
        ended.sort();
        for (organization, opened_at, reason) in ended {
            let organization: Organization = organizations::table.find(organization).select(Organization::as_select()).first(conn)?;
            let before = json!({"opened_at": audit::moment(Some(opened_at)), "reason": reason});
            record(conn, actor, now, &organization, "support.ended", before, Value::Null)?;
        }
        Ok(())
    })
}

/// Notes in the organization's own log that somebody of the staff took a file of it away, before it is handed out.
///
/// # Errors
/// `VisitNeeded` where no visit is open; those of the database.
pub fn exported(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, file: &str) -> Result<()> {
    actor.require(organization, Permission::Read)?;
    let organization: Organization = organizations::table.find(organization).select(Organization::as_select()).first(conn)?;
    record(conn, actor, now, &organization, "support.exported", Value::Null, json!({"file": file}))
}

/// The same of all organizations' logs, in the deployment's own.
///
/// # Errors
/// `NotFound` for who is not staff; those of the database.
pub fn exported_all(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, file: &str) -> Result<()> {
    actor.require_staff(StaffRole::Support)?;
    let event = audit::Event {
        organization: None,
        action: "support.exported",
        target_id: String::new(),
        target_label: "All organizations".into(),
        before: Value::Null,
        after: json!({"file": file}),
    };
    audit::record(conn, actor, now, event)
}

/// How large an organization is, in two words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// People who belong to it.
    pub members: i64,
    /// Credits that it may spend.
    pub available: i64,
}

/// That of an organization.
///
/// # Errors
/// `NotFound`; those of the database.
pub fn facts(conn: &mut PgConnection, organization: OrgId) -> Result<Facts> {
    let members = memberships::table.filter(memberships::organization_id.eq(organization)).count().get_result(conn)?;
    Ok(Facts { members, available: credits::balance(conn, organization)?.available })
}

/// What staff see of an organization in the console.
#[derive(Debug, Clone)]
pub struct Console {
    /// Its name, and whether it is suspended.
    pub organization: Organization,
    /// The acting person's own, while it lasts.
    pub visit: Option<Visit>,
    /// For operators, and while a visit lasts.
    pub facts: Option<Facts>,
}

/// An organization as the acting person of the staff may see it.
///
/// # Errors
/// `NotFound`, also for an actor that is not staff; those of the database.
pub fn console(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, slug: &str) -> Result<Console> {
    actor.require_staff(StaffRole::Support)?;
    let user = actor.user_id().ok_or(Error::Forbidden)?;
    let organization = orgs::by_slug(conn, slug)?;
    let visit = visit(conn, organization.id, user, now)?;
    let knows = visit.is_some() || actor.require_staff(StaffRole::Operator).is_ok();
    let facts = if knows { Some(facts(conn, organization.id)?) } else { None };
    Ok(Console { organization, visit, facts })
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
