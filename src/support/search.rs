//! Finding the organization that a question is about, by whatever the person who asks has at hand.

use std::marker::PhantomData;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types as sql;

use super::Wanted;
use crate::actor::{Actor, StaffRole};
use crate::error::Result;
use crate::ids::{OrgId, RequestId};
use crate::orgs::Organization;
use crate::schema::{api_key_secrets, memberships, organizations, users};
use crate::statement::statement;

/// Organizations that are shown at most.
pub const PAGE: usize = 50;
/// Keys, and members, that are looked at for them.
const LOOKED_AT: i64 = 500;

/// Why an organization was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// Its name has it.
    Name,
    /// Its slug has it.
    Slug,
    /// A key of its begins so: what people see of the key.
    Key(String),
    /// A member's address begins so. No more of it than was typed: who looks has not said yet why.
    Member(String),
    /// It made this request.
    Request(RequestId),
}

/// One organization.
#[derive(Debug, Clone)]
pub struct Found {
    /// It.
    pub organization: Organization,
    /// At least one, but for lists of all.
    pub why: Vec<Why>,
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Results {
    /// At most [`PAGE`].
    pub found: Vec<Found>,
    /// There are more than these.
    pub is_more: bool,
}

/// Looks for organizations by part of the name or the slug, the start of a key, the start of a member's address, or a request's id.
/// What was typed means itself: no character stands for others.
///
/// # Errors
/// `NotFound` for an actor that is not staff; those of the database.
pub fn search(conn: &mut PgConnection, actor: &Actor, wanted: &Wanted) -> Result<Results> {
    actor.require_staff(StaffRole::Support)?;
    let text = wanted.text();
    let mut hits: Vec<(OrgId, Why)> = Vec::new();
    if text.is_empty() {
        return Ok(Results::default());
    }
    if let Some(id) = RequestId::parse(text) {
        hits.extend(whose(conn, id)?.map(|organization| (organization, Why::Request(id))));
    }
    let mut is_more = named(conn, text, &mut hits)?;
    if !text.contains(char::is_whitespace) {
        is_more |= with_key(conn, text, &mut hits)?;
        is_more |= with_member(conn, text, &mut hits)?;
    }
    let mut results = gathered(conn, hits)?;
    results.is_more |= is_more;
    Ok(results)
}

/// Every organization, the newest first, from before one on; and before which there are more.
///
/// # Errors
/// `NotFound` for an actor that is not staff; those of the database.
pub fn newest(conn: &mut PgConnection, actor: &Actor, before: Option<OrgId>) -> Result<(Vec<Found>, Option<OrgId>)> {
    actor.require_staff(StaffRole::Support)?;
    let before = before.unwrap_or(OrgId(uuid::Uuid::max()));
    let mut all: Vec<Organization> = organizations::table
        .filter(organizations::id.lt(before))
        .order(organizations::id.desc())
        .limit(PAGE as i64 + 1)
        .select(Organization::as_select())
        .load(conn)?;
    let is_more = all.len() > PAGE;
    all.truncate(PAGE);
    let older = all.last().filter(|_| is_more).map(|organization| organization.id);
    Ok((all.into_iter().map(|organization| Found { organization, why: Vec::new() }).collect(), older))
}

statement! {
    Whose<'a> -> (sql::Uuid,) = include_str!("whose.sql");
    id: RequestId as sql::Uuid,
}

fn whose(conn: &mut PgConnection, id: RequestId) -> Result<Option<OrgId>> {
    Ok(Whose { id, _life: PhantomData }.get_result::<(OrgId,)>(conn).optional()?.map(|(organization,)| organization))
}

/// For LIKE, whose characters that stand for others are told to stand for themselves.
fn literal(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

fn named(conn: &mut PgConnection, text: &str, hits: &mut Vec<(OrgId, Why)>) -> Result<bool> {
    let pattern = format!("%{}%", literal(text));
    let rows: Vec<(OrgId, bool)> = organizations::table
        .filter(organizations::name.ilike(&pattern).or(organizations::slug.ilike(&pattern)))
        .order((organizations::slug.eq(text.to_lowercase()).desc(), organizations::name, organizations::id))
        .limit(PAGE as i64 + 1)
        .select((organizations::id, organizations::name.ilike(&pattern)))
        .load(conn)?;
    let is_more = rows.len() > PAGE;
    hits.extend(rows.into_iter().map(|(id, by_name)| (id, if by_name { Why::Name } else { Why::Slug })));
    Ok(is_more)
}

fn with_key(conn: &mut PgConnection, text: &str, hits: &mut Vec<(OrgId, Why)>) -> Result<bool> {
    let rows: Vec<(OrgId, String)> = api_key_secrets::table
        .filter(api_key_secrets::prefix.like(format!("{}%", literal(text))))
        // In the order of the index, which is then the way to the first of them however many there are.
        .order(diesel::dsl::sql::<sql::Text>("prefix USING ~<~"))
        .limit(LOOKED_AT)
        .select((api_key_secrets::organization_id, api_key_secrets::prefix))
        .load(conn)?;
    let is_more = rows.len() as i64 == LOOKED_AT;
    hits.extend(rows.into_iter().map(|(id, prefix)| (id, Why::Key(prefix))));
    Ok(is_more)
}

fn with_member(conn: &mut PgConnection, text: &str, hits: &mut Vec<(OrgId, Why)>) -> Result<bool> {
    let start = text.to_lowercase();
    let rows: Vec<(OrgId, String)> = users::table
        .inner_join(memberships::table)
        .filter(users::email.like(format!("{}%", literal(&start))))
        .order(diesel::dsl::sql::<sql::Text>("users.email USING ~<~"))
        .limit(LOOKED_AT)
        .select((memberships::organization_id, users::email))
        .load(conn)?;
    let is_more = rows.len() as i64 == LOOKED_AT;
    let shown = |email: String| if email == start { email } else { format!("{start}…") };
    hits.extend(rows.into_iter().map(|(id, email)| (id, Why::Member(shown(email)))));
    Ok(is_more)
}

/// One of each organization, in the order of the first hit, with every reason once.
fn gathered(conn: &mut PgConnection, hits: Vec<(OrgId, Why)>) -> Result<Results> {
    let mut order: Vec<(OrgId, Vec<Why>)> = Vec::new();
    for (id, why) in hits {
        match order.iter_mut().find(|(known, _)| *known == id) {
            Some((_, whys)) if whys.contains(&why) => {}
            Some((_, whys)) => whys.push(why),
            None => order.push((id, vec![why])),
        }
    }
    let is_more = order.len() > PAGE;
    order.truncate(PAGE);
    let ids: Vec<OrgId> = order.iter().map(|(id, _)| *id).collect();
    let mut all: Vec<Organization> =
        organizations::table.filter(organizations::id.eq_any(ids)).select(Organization::as_select()).load(conn)?;
    let mut take = |id: OrgId| all.iter().position(|one| one.id == id).map(|at| all.swap_remove(at));
    let found = order.into_iter().filter_map(|(id, why)| Some(Found { organization: take(id)?, why })).collect();
    Ok(Results { found, is_more })
}
