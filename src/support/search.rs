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
use crate::schema::organizations;
use crate::statement::{literal, statement};

/// Organizations that are shown at most.
pub const PAGE: usize = 50;
/// Reasons that are told of each at most.
const REASONS: usize = 3;
/// Keys, and members, that are looked at for them. One organization may have many that begin alike: the others are found beside it.
const LOOKED_AT: i64 = 20_000;

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
    /// At least one and at most three, but none in lists of all.
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
    let keys = "SELECT organization_id, prefix AS whole FROM api_key_secrets WHERE prefix LIKE $1 ORDER BY prefix USING ~<~";
    let (rows, is_more) = beginning(conn, keys, text)?;
    hits.extend(rows.into_iter().map(|row| (row.organization_id, Why::Key(row.whole))));
    Ok(is_more)
}

fn with_member(conn: &mut PgConnection, text: &str, hits: &mut Vec<(OrgId, Why)>) -> Result<bool> {
    let start = text.to_lowercase();
    let members = "SELECT m.organization_id, u.email AS whole FROM users u JOIN memberships m ON m.user_id = u.id
                   WHERE u.email LIKE $1 ORDER BY u.email USING ~<~";
    let (rows, is_more) = beginning(conn, members, &start)?;
    let shown = |email: String| if email == start { email } else { format!("{start}…") };
    hits.extend(rows.into_iter().map(|row| (row.organization_id, Why::Member(shown(row.whole)))));
    Ok(is_more)
}

/// What begins so, and whose it is.
#[derive(QueryableByName)]
struct Beginning {
    #[diesel(sql_type = sql::Uuid)]
    organization_id: OrgId,
    #[diesel(sql_type = sql::Text)]
    whole: String,
    /// How many were looked at for all of these.
    #[diesel(sql_type = sql::Int8)]
    looked_at: i64,
}

/// Of each organization the first [`REASONS`] of these rows, as many as a page may need; and whether not all rows were looked at.
/// The rows are in the order of their index, which is then the way to the first of them however many there are; and what is asked is
/// planned with the text at hand, without which no index serves a LIKE.
fn beginning(conn: &mut PgConnection, rows: &str, text: &str) -> Result<(Vec<Beginning>, bool)> {
    let most = (PAGE + 1) * REASONS;
    let found: Vec<Beginning> = diesel::sql_query(format!(
        "SELECT organization_id, whole, looked_at
         FROM (
             SELECT organization_id, whole, count(*) OVER () AS looked_at,
                 row_number() OVER (PARTITION BY organization_id ORDER BY whole USING ~<~) AS place
             FROM ({rows} LIMIT {LOOKED_AT}) AS begun
         ) AS placed
         WHERE place <= {REASONS}
         ORDER BY whole USING ~<~, organization_id
         LIMIT {most}"
    ))
    .bind::<sql::Text, _>(format!("{}%", literal(text)))
    .load(conn)?;
    let is_more = found.first().is_some_and(|row| row.looked_at == LOOKED_AT);
    Ok((found, is_more))
}

/// One of each organization, in the order of the first hit, with every reason once, but no more than [`REASONS`].
fn gathered(conn: &mut PgConnection, hits: Vec<(OrgId, Why)>) -> Result<Results> {
    let mut order: Vec<(OrgId, Vec<Why>)> = Vec::new();
    for (id, why) in hits {
        match order.iter_mut().find(|(known, _)| *known == id) {
            Some((_, whys)) if whys.len() == REASONS || whys.contains(&why) => {}
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
