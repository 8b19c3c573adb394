//! The log as people read it: pages with filters, newest first, of one chain or of all.
//!
//! A page starts at an entry, not after a number of them: entries that are added meanwhile move nothing. Entries of one chain stand
//! in the order of their sequence, those of all in the order of their time. For what no index knows a bounded number of entries
//! is looked through, and the page says so.

use std::collections::HashMap;

use diesel::expression::BoxableExpression;
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use diesel::sql_types::Bool;
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::entry::Row;
use crate::actor::{Actor, ActorKind, Permission, StaffRole};
use crate::error::{Error, Result};
use crate::ids::OrgId;
use crate::schema::{audit_entries, organizations};
use crate::statement::literal;

/// The most entries that a page looks through for what no index knows.
pub const MOST_LOOKED: i64 = 20_000;

/// What to look for; all of it must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Done by one of this kind.
    pub kind: Option<ActorKind>,
    /// Part of the name of who did it, in any case.
    pub actor: Option<String>,
    /// An action, or the noun of several: `key.rotated`, `key`.
    pub action: Option<String>,
    /// Part of the name or of the id of what it was done to, in any case.
    pub target: Option<String>,
    /// At this moment or later.
    pub from: Option<OffsetDateTime>,
    /// Before this moment.
    pub to: Option<OffsetDateTime>,
}

impl Filter {
    /// Whether it asks for what no index knows.
    fn is_narrow(&self) -> bool {
        self.kind.is_some() || self.actor.is_some() || self.action.is_some() || self.target.is_some()
    }
}

/// What names an entry: its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryId {
    /// The organization, or [`DEPLOYMENT`](super::DEPLOYMENT).
    pub chain: Uuid,
    /// From 1.
    pub sequence: i64,
}

/// Where a page starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// With the newest entry before this one.
    Before(EntryId),
    /// With this one, if the filters let it through.
    From(EntryId),
    /// With the oldest entry after this one; the page is still newest first.
    After(EntryId),
}

/// What was done by whom.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its place.
    pub id: EntryId,
    /// Slug and name of the organization whose chain it is in.
    pub organization: Option<(String, String)>,
    /// When.
    pub at: OffsetDateTime,
    /// What the actor is; none for a kind of another version.
    pub actor_kind: Option<ActorKind>,
    /// The actor's name then.
    pub actor: String,
    /// `noun.verb`.
    pub action: String,
    /// Public id of what it was done to.
    pub target_id: String,
    /// Its name then.
    pub target: String,
    /// Where the actor called from.
    pub address: Option<String>,
    /// With which program.
    pub user_agent: Option<String>,
    /// The fields that changed, as they were.
    pub before: Value,
    /// The same fields as they were then.
    pub after: Value,
    /// Of the entry before it.
    pub previous_hash: Vec<u8>,
    /// Its own.
    pub hash: Vec<u8>,
}

/// A page, newest first.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// At most as many as asked for.
    pub entries: Vec<Entry>,
    /// [`Cursor::After`] which newer ones begin, if there may be any.
    pub newer: Option<EntryId>,
    /// [`Cursor::Before`] which older ones begin, if there may be any.
    pub older: Option<EntryId>,
    /// Looking ended at [`MOST_LOOKED`] before the page was full: more may match, beyond.
    pub is_cut: bool,
}

/// A page of an organization's log.
///
/// # Errors
/// Those of [`Actor::require`] with [`Permission::ReadAudit`]; `NotFound` for a cursor in another chain; those of the database.
pub fn entries(
    conn: &mut PgConnection, actor: &Actor, organization: OrgId, filter: &Filter, cursor: Option<Cursor>, limit: usize,
) -> Result<Page> {
    actor.require(organization, Permission::ReadAudit)?;
    page(conn, Log::Chain(organization.0), filter, cursor, limit)
}

/// A page of all logs, or of one organization's, for the staff.
///
/// # Errors
/// Those of [`Actor::require_staff`]; `NotFound` for a cursor at no entry of these; those of the database.
pub fn all_entries(
    conn: &mut PgConnection, actor: &Actor, only: Option<Uuid>, filter: &Filter, cursor: Option<Cursor>, limit: usize,
) -> Result<Page> {
    actor.require_staff(StaffRole::Support)?;
    page(conn, only.map_or(Log::All, Log::Chain), filter, cursor, limit)
}

/// One entry of an organization's log.
///
/// # Errors
/// Those of [`Actor::require`] with [`Permission::ReadAudit`]; `NotFound`; those of the database.
pub fn entry(conn: &mut PgConnection, actor: &Actor, organization: OrgId, sequence: i64) -> Result<Entry> {
    actor.require(organization, Permission::ReadAudit)?;
    find(conn, EntryId { chain: organization.0, sequence })
}

/// One entry of any log, for the staff.
///
/// # Errors
/// Those of [`Actor::require_staff`]; `NotFound`; those of the database.
pub fn any_entry(conn: &mut PgConnection, actor: &Actor, id: EntryId) -> Result<Entry> {
    actor.require_staff(StaffRole::Support)?;
    find(conn, id)
}

fn find(conn: &mut PgConnection, id: EntryId) -> Result<Entry> {
    let row: Row = audit_entries::table.find((id.chain, id.sequence)).select(Row::as_select()).first(conn)?;
    named(conn, vec![row])?.pop().ok_or(Error::NotFound)
}

/// Which entries, and in which order.
#[derive(Clone, Copy)]
enum Log {
    /// Those of one chain, by sequence.
    Chain(Uuid),
    /// All, by time; those of one moment by chain and sequence.
    All,
}

/// An entry's place in the order of a [`Log`].
#[derive(Clone, Copy)]
struct Place {
    at: OffsetDateTime,
    id: EntryId,
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Older,
    Same,
    Newer,
}

type Condition = Box<dyn BoxableExpression<audit_entries::table, Pg, SqlType = Bool>>;
type Query = audit_entries::BoxedQuery<'static, Pg>;

impl Log {
    /// All that is on one of these sides of a place.
    fn beside(self, Place { at, id }: Place, sides: [Side; 2]) -> Condition {
        use audit_entries::{at as time, chain, sequence};
        let own: Condition = match sides {
            [Side::Older, Side::Same] => Box::new(sequence.le(id.sequence)),
            [Side::Same, Side::Newer] => Box::new(sequence.ge(id.sequence)),
            [Side::Newer, _] => Box::new(sequence.gt(id.sequence)),
            _ => Box::new(sequence.lt(id.sequence)),
        };
        match self {
            Self::Chain(_) => own,
            // The first condition is for the index on times.
            Self::All if sides.contains(&Side::Newer) => {
                Box::new(time.ge(at).and(time.gt(at).or(chain.gt(id.chain)).or(chain.eq(id.chain).and(own))))
            }
            Self::All => Box::new(time.le(at).and(time.lt(at).or(chain.lt(id.chain)).or(chain.eq(id.chain).and(own)))),
        }
    }

    fn all(self) -> Query {
        let all = audit_entries::table.into_boxed();
        match self {
            Self::Chain(chain) => all.filter(audit_entries::chain.eq(chain)),
            Self::All => all,
        }
    }

    fn ordered(self, query: Query, way: Side) -> Query {
        use audit_entries::{at, chain, sequence};
        match (self, way) {
            (Self::Chain(_), Side::Newer) => query.order(sequence.asc()),
            (Self::Chain(_), _) => query.order(sequence.desc()),
            (Self::All, Side::Newer) => query.order((at.asc(), chain.asc(), sequence.asc())),
            (Self::All, _) => query.order((at.desc(), chain.desc(), sequence.desc())),
        }
    }

    /// The place of an entry of this log.
    fn place(self, conn: &mut PgConnection, id: EntryId) -> Result<Place> {
        let is_elsewhere = matches!(self, Self::Chain(chain) if chain != id.chain);
        if is_elsewhere {
            return Err(Error::NotFound);
        }
        match self {
            // The sequence says it all; there need not be such an entry.
            Self::Chain(_) => Ok(Place { at: OffsetDateTime::UNIX_EPOCH, id }),
            Self::All => Ok(Place { at: find(conn, id)?.at, id }),
        }
    }
}

fn page(conn: &mut PgConnection, log: Log, filter: &Filter, cursor: Option<Cursor>, limit: usize) -> Result<Page> {
    let (start, sides, way) = match cursor {
        None => (None, [Side::Older; 2], Side::Older),
        Some(Cursor::Before(id)) => (Some(id), [Side::Older; 2], Side::Older),
        Some(Cursor::From(id)) => (Some(id), [Side::Older, Side::Same], Side::Older),
        Some(Cursor::After(id)) => (Some(id), [Side::Newer; 2], Side::Newer),
    };
    let start = start.map(|id| log.place(conn, id)).transpose()?;
    let beyond = || match start {
        Some(place) => within(log.all(), filter).filter(log.beside(place, sides)),
        None => within(log.all(), filter),
    };
    let edge = if filter.is_narrow() { edge(conn, log, beyond(), way)? } else { None };
    let mut query = matching(beyond(), filter);
    if let Some(edge) = edge {
        query = query.filter(log.beside(edge, if way == Side::Newer { [Side::Older, Side::Same] } else { [Side::Same, Side::Newer] }));
    }
    // One more than asked tells whether there are more in that direction.
    let query = log.ordered(query, way).limit(limit as i64 + 1);
    let rows = query.select(Row::as_select()).load(conn)?;
    let mut entries = named(conn, rows)?;
    let is_full = entries.len() > limit;
    entries.truncate(limit);
    let edge = edge.map(|place| place.id).filter(|_| !is_full);
    let further = entries.last().map(|entry| entry.id).filter(|_| is_full).or(edge);
    // Whoever started somewhere came from the other direction.
    let back = entries.first().map(|entry| entry.id).filter(|_| start.is_some());
    let is_cut = edge.is_some();
    if way == Side::Newer {
        entries.reverse();
        return Ok(Page { entries, newer: further, older: back, is_cut });
    }
    Ok(Page { entries, newer: back, older: further, is_cut })
}

/// The last entry that is looked through from here on; none where there are not so many.
fn edge(conn: &mut PgConnection, log: Log, beyond: Query, way: Side) -> Result<Option<Place>> {
    let last = log.ordered(beyond, way).offset(MOST_LOOKED - 1).limit(1).select(Row::as_select());
    let last: Option<Row> = last.first(conn).optional()?;
    Ok(last.map(|row| Place { at: row.at.moment(), id: EntryId { chain: row.chain, sequence: row.sequence } }))
}

fn within(mut query: Query, filter: &Filter) -> Query {
    if let Some(from) = filter.from {
        query = query.filter(audit_entries::at.ge(from));
    }
    if let Some(to) = filter.to {
        query = query.filter(audit_entries::at.lt(to));
    }
    query
}

fn matching(mut query: Query, filter: &Filter) -> Query {
    use audit_entries::{action, actor_kind, actor_label, target_id, target_label};
    if let Some(kind) = filter.kind {
        query = query.filter(actor_kind.eq(kind.as_str()));
    }
    if let Some(part) = &filter.actor {
        query = query.filter(actor_label.ilike(containing(part)));
    }
    if let Some(asked) = &filter.action {
        query = match asked.contains('.') {
            true => query.filter(action.eq(asked.clone())),
            false => query.filter(action.like(format!("{}.%", literal(asked)))),
        };
    }
    if let Some(part) = &filter.target {
        query = query.filter(target_label.ilike(containing(part)).or(target_id.ilike(containing(part))));
    }
    query
}

/// A pattern for what has this in it, taken literally.
fn containing(part: &str) -> String {
    format!("%{}%", literal(part))
}

/// Rows with the organizations that they belong to.
fn named(conn: &mut PgConnection, rows: Vec<Row>) -> Result<Vec<Entry>> {
    let mut chains: Vec<Uuid> = rows.iter().map(|row| row.chain).collect();
    chains.sort_unstable();
    chains.dedup();
    let names: Vec<(OrgId, String, String)> = organizations::table
        .filter(organizations::id.eq_any(chains))
        .select((organizations::id, organizations::slug, organizations::name))
        .load(conn)?;
    let names: HashMap<Uuid, (String, String)> = names.into_iter().map(|(id, slug, name)| (id.0, (slug, name))).collect();
    Ok(rows.into_iter().map(|row| Entry::new(row, &names)).collect())
}

impl Entry {
    fn new(mut row: Row, names: &HashMap<Uuid, (String, String)>) -> Self {
        let mut change = |name: &str| row.changes.0.get_mut(name).map_or(Value::Null, Value::take);
        let (before, after) = (change("before"), change("after"));
        Self {
            id: EntryId { chain: row.chain, sequence: row.sequence },
            organization: names.get(&row.chain).cloned(),
            at: row.at.moment(),
            actor_kind: ActorKind::parse(&row.actor_kind),
            actor: row.actor_label,
            action: row.action,
            target_id: row.target_id,
            target: row.target_label,
            address: row.address,
            user_agent: row.user_agent,
            before,
            after,
            previous_hash: row.previous_hash,
            hash: row.hash,
        }
    }
}
