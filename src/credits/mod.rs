//! Credits: an append-only ledger and the balance that it sums to.
//!
//! ```text
//! grant, adjust                available ±
//! hold          available → held          once per hold id
//! settle             held → settled       ends the hold, or
//! release            held → available     ends the hold
//! ```
//! Invariants, each kept by a constraint: nothing is below zero; an entry's amounts fit its kind; a hold is made once
//! and ended once; no entry changes. A balance's row is locked before its entries are written, in the order of organization
//! ids, so that writers of one organization queue and never deadlock; `available_after` is therefore exact, and `at` never runs
//! backwards along `sequence`. The hours ([`hours`]) are kept in the same transaction, so that they are the sums of their entries.

mod books;
mod grants;
pub mod hours;
pub mod ledger;
mod low;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use time::OffsetDateTime;
use uuid::Uuid;

pub use books::Books;
pub use grants::{adjust, grant};
pub use low::{Low, balance_and_threshold, low, set_threshold};

use crate::error::Result;
use crate::ids::{JobId, OrgId, RequestId};
use crate::schema::{credit_balances, credit_entries};

/// Most credits that one grant or adjustment may move; far from the edge of 64 bits.
pub const MOST: i64 = 1_000_000_000_000;

/// What an organization has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Queryable, Selectable, serde::Serialize)]
#[diesel(table_name = credit_balances, check_for_backend(diesel::pg::Pg))]
pub struct Balance {
    /// Free to be held.
    pub available: i64,
    /// Set aside for work under way.
    pub held: i64,
    /// Spent since the beginning.
    pub settled: i64,
}

/// Kind of a ledger entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// Given by an operator.
    Grant,
    /// Corrected by an operator.
    Adjust,
    /// Set aside.
    Hold,
    /// Spent.
    Settle,
    /// Given back.
    Release,
}

impl EntryKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Grant, Self::Hold, Self::Settle, Self::Release, Self::Adjust];

    /// The inverse of [`EntryKind::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// Whether entries of this kind are few among the others, and have an index.
    fn is_few(self) -> bool {
        !matches!(self, Self::Hold | Self::Settle)
    }

    /// As the database and the API write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Adjust => "adjust",
            Self::Hold => "hold",
            Self::Settle => "settle",
            Self::Release => "release",
        }
    }
}

/// One line of the ledger.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = credit_entries, check_for_backend(diesel::pg::Pg))]
pub struct Entry {
    /// The organization.
    pub organization_id: OrgId,
    /// Place in its ledger, from 1, without gaps.
    pub sequence: i64,
    /// When.
    pub at: OffsetDateTime,
    /// See [`EntryKind`].
    pub kind: String,
    /// Effect on what is available.
    pub amount: i64,
    /// Effect on what is held.
    pub held_amount: i64,
    /// Available after it.
    pub available_after: i64,
    /// Held after it.
    pub held_after: i64,
    /// Ties a hold to its end.
    pub hold_id: Option<Uuid>,
    /// The request that caused it.
    pub request_id: Option<RequestId>,
    /// The job that it pays.
    pub job_id: Option<JobId>,
    /// Who, as known then.
    pub actor: String,
    /// Why, for people.
    pub note: String,
}

impl Entry {
    /// Its id as the API and the pages show it.
    pub fn id(&self) -> String {
        entry_id(self.sequence)
    }
}

/// The id of the entry with this sequence in its organization's ledger.
pub fn entry_id(sequence: i64) -> String {
    format!("{ENTRY_PREFIX}{sequence}")
}

const ENTRY_PREFIX: &str = "cre_";

/// The inverse of [`entry_id`].
pub fn parse_entry_id(text: &str) -> Option<i64> {
    text.strip_prefix(ENTRY_PREFIX)?.parse().ok().filter(|sequence| *sequence > 0)
}

/// What a hold is for; its settle and release name the same.
#[derive(Debug, Clone)]
pub struct Purpose {
    /// The hold's own id: the job's, or the request's.
    pub hold_id: Uuid,
    /// The request that caused it.
    pub request_id: Option<RequestId>,
    /// The job that it pays.
    pub job_id: Option<JobId>,
    /// Who, as known now.
    pub actor: String,
    /// Why, for people; empty when the rest says it.
    pub note: String,
}

/// Opens the books of a new organization, empty.
///
/// # Errors
/// Those of the database.
pub fn open_account(conn: &mut PgConnection, organization: OrgId) -> Result<()> {
    diesel::insert_into(credit_balances::table)
        .values((
            credit_balances::organization_id.eq(organization),
            credit_balances::available.eq(0),
            credit_balances::held.eq(0),
            credit_balances::settled.eq(0),
            credit_balances::last_sequence.eq(0),
        ))
        .execute(conn)?;
    Ok(())
}

/// An organization's balance.
///
/// # Errors
/// `NotFound`; those of the database.
pub fn balance(conn: &mut PgConnection, organization: OrgId) -> Result<Balance> {
    Ok(credit_balances::table.find(organization).select(Balance::as_select()).first(conn)?)
}

/// An organization whose balance is not the sum of its entries.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName, serde::Serialize)]
pub struct Imbalance {
    /// Its slug.
    #[diesel(sql_type = diesel::sql_types::Text)]
    pub slug: String,
}

/// Organizations whose balance, sequence or running totals or hours differ from their entries: none, unless something is broken.
///
/// # Errors
/// Those of the database.
pub fn imbalances(conn: &mut PgConnection) -> Result<Vec<Imbalance>> {
    Ok(diesel::sql_query(include_str!("imbalances.sql")).load(conn)?)
}
