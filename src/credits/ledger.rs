//! The ledger as people read it: pages with filters, and stretches for a file.
//!
//! A ledger has no gaps, and time never runs backwards along it: a period is a stretch of sequences, found by halving. Kinds that
//! are few have an index; holds and settles, of which nearly all of it is made, are looked for among the entries themselves, a
//! bounded number of them at a time.

use diesel::dsl::sql;
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Timestamptz, Uuid as SqlUuid};
use time::OffsetDateTime;

use super::{Entry, EntryKind};
use crate::error::Result;
use crate::ids::OrgId;
use crate::schema::{credit_balances, credit_entries};

/// Entries that a page looks through for a kind that no index knows: a few at first, which are nearly always enough.
const LOOKED_THROUGH: [i64; 2] = [1_000, MOST_LOOKED];
/// The most of them, for whoever says so to people.
pub const MOST_LOOKED: i64 = 20_000;

/// What to look for; all of it must hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this kind.
    pub kind: Option<EntryKind>,
    /// At this moment or later.
    pub from: Option<OffsetDateTime>,
    /// Before this moment.
    pub to: Option<OffsetDateTime>,
}

/// Where a page starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// With the newest entry before this sequence.
    Before(i64),
    /// With the oldest entry after this sequence; the page is still newest first.
    After(i64),
}

/// A page, newest first.
#[derive(Debug, Clone)]
pub struct Page {
    /// At most as many as asked for.
    pub entries: Vec<Entry>,
    /// Where newer ones begin: [`Cursor::After`] this one; none: there are none.
    pub newer: Option<i64>,
    /// The same of older ones, [`Cursor::Before`] this one.
    pub older: Option<i64>,
    /// Whether looking ended at [`MOST_LOOKED`] before the page was full: more may match, beyond.
    pub is_cut: bool,
}

/// A stretch of an organization's ledger, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// Sequence of its first entry.
    pub first: i64,
    /// Sequence of its last entry; before `first` when it is empty.
    pub last: i64,
}

/// The stretch of a period, up to the newest entry there is now.
///
/// # Errors
/// `NotFound`; those of the database.
pub fn stretch(conn: &mut PgConnection, organization: OrgId, filter: &Filter) -> Result<Stretch> {
    let newest: i64 = credit_balances::table.find(organization).select(credit_balances::last_sequence).first(conn)?;
    let first = filter.from.map(|from| sequence_before(conn, organization, from)).transpose()?.map_or(1, |before| before + 1);
    let last = filter.to.map(|to| sequence_before(conn, organization, to)).transpose()?;
    Ok(Stretch { first, last: last.map_or(newest, |last| last.min(newest)) })
}

/// The sequence of the last entry before a moment; 0: there is none.
fn sequence_before(conn: &mut PgConnection, organization: OrgId, moment: OffsetDateTime) -> Result<i64> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = BigInt)]
        sequence: i64,
    }
    let find = diesel::sql_query(include_str!("sequence_before.sql")).bind::<SqlUuid, _>(organization).bind::<Timestamptz, _>(moment);
    Ok(find.get_result::<Found>(conn)?.sequence)
}

/// A page of the ledger.
///
/// # Errors
/// Those of the database.
pub fn page(conn: &mut PgConnection, organization: OrgId, filter: &Filter, cursor: Option<Cursor>, limit: usize) -> Result<Page> {
    let whole = stretch(conn, organization, filter)?;
    let is_up = matches!(cursor, Some(Cursor::After(_)));
    let there = match cursor {
        None => whole,
        Some(Cursor::Before(sequence)) => Stretch { last: whole.last.min(sequence - 1), ..whole },
        Some(Cursor::After(sequence)) => Stretch { first: whole.first.max(sequence.saturating_add(1)), ..whole },
    };
    // One more than asked tells whether there are more in that direction.
    let (mut entries, edge) = look(conn, organization, filter.kind, there, is_up, limit as i64 + 1)?;
    let more = entries.len() > limit;
    entries.truncate(limit);
    if is_up {
        entries.reverse();
    }
    let (first, last) = (entries.first().map(|entry| entry.sequence), entries.last().map(|entry| entry.sequence));
    let (newer, older) = match cursor {
        None => (None, last.filter(|_| more).or(edge)),
        Some(Cursor::Before(sequence)) => {
            let newer = first.unwrap_or(there.last.max(0));
            (Some(newer).filter(|_| sequence <= whole.last), last.filter(|_| more).or(edge))
        }
        Some(Cursor::After(sequence)) => {
            let older = last.unwrap_or(there.first);
            (first.filter(|_| more).or(edge), Some(older).filter(|_| sequence >= whole.first))
        }
    };
    Ok(Page { entries, newer, older, is_cut: edge.is_some() })
}

/// Up to `count` entries of a stretch, from its end or its beginning on; and where looking ended if that was before there were so many.
fn look(
    conn: &mut PgConnection, organization: OrgId, kind: Option<EntryKind>, there: Stretch, is_up: bool, count: i64,
) -> Result<(Vec<Entry>, Option<i64>)> {
    let within = |Stretch { first, last }: Stretch| {
        let query = of_kind(organization, kind).filter(credit_entries::sequence.between(first, last));
        if is_up { query.order(credit_entries::sequence.asc()) } else { query.order(credit_entries::sequence.desc()) }
    };
    for most in LOOKED_THROUGH {
        let near = match is_up {
            _ if kind.is_none_or(EntryKind::is_few) => there,
            true => Stretch { last: there.last.min(there.first.saturating_add(most - 1)), ..there },
            false => Stretch { first: there.first.max(there.last.saturating_sub(most - 1)), ..there },
        };
        let entries: Vec<Entry> = within(near).limit(count).select(Entry::as_select()).load(conn)?;
        let is_full = entries.len() as i64 == count;
        if is_full || near == there || most == MOST_LOOKED {
            let edge = if is_up { near.last } else { near.first };
            return Ok((entries, Some(edge).filter(|_| !is_full && near != there)));
        }
    }
    Ok((Vec::new(), None))
}

/// Entries of a stretch in the order of the ledger, at most `limit` of them, and what is left of the stretch. A kind that no index
/// knows is looked for among `limit` entries: there may be none while much is left.
///
/// # Errors
/// Those of the database.
pub fn next_entries(
    conn: &mut PgConnection, organization: OrgId, kind: Option<EntryKind>, of: Stretch, limit: i64,
) -> Result<(Vec<Entry>, Option<Stretch>)> {
    let is_indexed = kind.is_some_and(EntryKind::is_few);
    let last = if is_indexed { of.last } else { of.last.min(of.first.saturating_add(limit - 1)) };
    let query = of_kind(organization, kind).filter(credit_entries::sequence.between(of.first, last));
    let entries: Vec<Entry> = query.order(credit_entries::sequence).limit(limit).select(Entry::as_select()).load(conn)?;
    let done = match entries.last() {
        Some(entry) if is_indexed && entries.len() as i64 == limit => entry.sequence,
        _ => last,
    };
    Ok((entries, (done < of.last).then_some(Stretch { first: done + 1, ..of })))
}

fn of_kind(organization: OrgId, kind: Option<EntryKind>) -> credit_entries::BoxedQuery<'static, Pg> {
    let mut query = credit_entries::table.filter(credit_entries::organization_id.eq(organization)).into_boxed();
    if let Some(kind) = kind {
        query = query.filter(credit_entries::kind.eq(kind.as_str()));
        if kind.is_few() {
            // Said as the index has it: of a bind PostgreSQL would not know.
            query = query.filter(sql::<Bool>("credit_entries.kind NOT IN ('hold', 'settle')"));
        }
    }
    query
}
