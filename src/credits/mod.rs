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
//! ids, so that writers of one organization queue and never deadlock; `available_after` is therefore exact, and `at` never runs backwards along `sequence`.

use std::collections::BTreeMap;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::actor::{Actor, Permission};
use crate::audit;
use crate::error::{Error, Result};
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
        format!("{ENTRY_PREFIX}{}", self.sequence)
    }
}

const ENTRY_PREFIX: &str = "cre_";

/// The inverse of [`Entry::id`]: the entry's sequence in its organization's ledger.
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

/// Balances locked for the length of a transaction, and the entries that are to be written to them.
///
/// Take it with [`Books::open`], move credits, then [`Books::close`] in the same transaction.
pub struct Books {
    now: OffsetDateTime,
    open: BTreeMap<OrgId, Account>,
    entries: Vec<Entry>,
}

/// One locked balance.
struct Account {
    balance: Balance,
    sequence: i64,
    /// Of its last entry.
    last_at: Option<OffsetDateTime>,
}

impl Books {
    /// Locks the balances of these organizations until the transaction ends.
    ///
    /// # Errors
    /// `NotFound` when one has none; those of the database.
    pub fn open(conn: &mut PgConnection, now: OffsetDateTime, organizations: impl IntoIterator<Item = OrgId>) -> Result<Self> {
        let ids: std::collections::BTreeSet<OrgId> = organizations.into_iter().collect();
        let rows: Vec<(OrgId, Balance, i64)> = credit_balances::table
            .filter(credit_balances::organization_id.eq_any(ids.iter().copied().collect::<Vec<_>>()))
            .order(credit_balances::organization_id)
            .select((credit_balances::organization_id, Balance::as_select(), credit_balances::last_sequence))
            .for_no_key_update()
            .load(conn)?;
        if rows.len() != ids.len() {
            return Err(Error::NotFound);
        }
        // Asked under the lock: whoever had it before may have looked at the clock later.
        let mut last: BTreeMap<OrgId, OffsetDateTime> = credit_balances::table
            .inner_join(
                credit_entries::table.on(credit_entries::organization_id
                    .eq(credit_balances::organization_id)
                    .and(credit_entries::sequence.eq(credit_balances::last_sequence))),
            )
            .filter(credit_balances::organization_id.eq_any(ids.iter().copied().collect::<Vec<_>>()))
            .select((credit_balances::organization_id, credit_entries::at))
            .load::<(OrgId, OffsetDateTime)>(conn)?
            .into_iter()
            .collect();
        let open = rows.into_iter().map(|(id, balance, sequence)| (id, Account { balance, sequence, last_at: last.remove(&id) })).collect();
        Ok(Self { now, open, entries: Vec::new() })
    }

    /// The balance as it stands now, entries of these books included.
    pub fn balance(&self, organization: OrgId) -> Balance {
        self.open.get(&organization).map_or(Balance { available: 0, held: 0, settled: 0 }, |account| account.balance)
    }

    /// Sets `amount` aside; false, and nothing changed, when less is available.
    pub fn hold(&mut self, organization: OrgId, amount: i64, purpose: &Purpose) -> bool {
        if self.balance(organization).available < amount {
            return false;
        }
        self.post(organization, EntryKind::Hold, -amount, amount, Some(purpose), &purpose.actor, &purpose.note);
        true
    }

    /// Spends what was held. That it was held, and not ended before, is the database's to check at [`Books::close`].
    pub fn settle(&mut self, organization: OrgId, amount: i64, purpose: &Purpose) {
        self.post(organization, EntryKind::Settle, 0, -amount, Some(purpose), &purpose.actor, &purpose.note);
    }

    /// Gives back what was held.
    pub fn release(&mut self, organization: OrgId, amount: i64, purpose: &Purpose) {
        self.post(organization, EntryKind::Release, amount, -amount, Some(purpose), &purpose.actor, &purpose.note);
    }

    #[allow(clippy::too_many_arguments)]
    fn post(
        &mut self, organization: OrgId, kind: EntryKind, amount: i64, held_amount: i64, purpose: Option<&Purpose>, actor: &str, note: &str,
    ) {
        let Some(Account { balance, sequence, last_at }) = self.open.get_mut(&organization) else { return };
        balance.available += amount;
        balance.held += held_amount;
        if kind == EntryKind::Settle {
            balance.settled -= held_amount;
        }
        *sequence += 1;
        self.entries.push(Entry {
            organization_id: organization,
            sequence: *sequence,
            at: last_at.map_or(self.now, |last| last.max(self.now)),
            kind: kind.as_str().into(),
            amount,
            held_amount,
            available_after: balance.available,
            held_after: balance.held,
            hold_id: purpose.map(|purpose| purpose.hold_id),
            request_id: purpose.and_then(|purpose| purpose.request_id),
            job_id: purpose.and_then(|purpose| purpose.job_id),
            actor: actor.into(),
            note: note.into(),
        });
    }

    /// Writes entries and balances.
    ///
    /// # Errors
    /// `Conflict` when a hold is made or ended twice; those of the database. The transaction must then be rolled back.
    pub fn close(self, conn: &mut PgConnection) -> Result<()> {
        if self.entries.is_empty() {
            return Ok(());
        }
        let twice = || Error::Conflict("These credits were already held or already ended.".into());
        diesel::insert_into(credit_entries::table).values(&self.entries).execute(conn).map_err(|e| {
            Error::from(e).on_constraint("credit_entries_hold_key", twice).on_constraint("credit_entries_hold_end_key", twice)
        })?;
        let touched: std::collections::BTreeSet<OrgId> = self.entries.iter().map(|entry| entry.organization_id).collect();
        for organization in touched {
            if let Some(Account { balance, sequence, .. }) = self.open.get(&organization) {
                diesel::update(credit_balances::table.find(organization))
                    .set((
                        credit_balances::available.eq(balance.available),
                        credit_balances::held.eq(balance.held),
                        credit_balances::settled.eq(balance.settled),
                        credit_balances::last_sequence.eq(*sequence),
                    ))
                    .execute(conn)?;
            }
        }
        Ok(())
    }
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

/// Gives credits, with a note; audited. Returns the balance after it.
///
/// # Errors
/// `Invalid` for an amount outside 1 to [`MOST`] or an empty note; `Forbidden`; those of the database.
pub fn grant(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, amount: i64, note: &str) -> Result<Balance> {
    actor.require(organization, Permission::Operate)?;
    if !(1..=MOST).contains(&amount) {
        return Err(Error::field("amount", format!("{amount} is not between 1 and {MOST}.")));
    }
    let note = note.trim();
    if note.is_empty() || note.chars().count() > 200 {
        return Err(Error::field("note", "A note of 1 to 200 characters tells the organization why."));
    }
    conn.transaction(|conn| {
        let mut books = Books::open(conn, now, [organization])?;
        let before = books.balance(organization);
        books.post(organization, EntryKind::Grant, amount, 0, None, actor.label(), note);
        let after = books.balance(organization);
        books.close(conn)?;
        audit::record(
            conn,
            actor,
            now,
            audit::Event {
                organization: Some(organization),
                action: "credits.granted",
                target_id: organization.to_string(),
                target_label: note.into(),
                before: json!({"available": before.available}),
                after: json!({"available": after.available, "amount": amount}),
            },
        )?;
        Ok(after)
    })
}

/// An organization's balance.
///
/// # Errors
/// `NotFound`; those of the database.
pub fn balance(conn: &mut PgConnection, organization: OrgId) -> Result<Balance> {
    Ok(credit_balances::table.find(organization).select(Balance::as_select()).first(conn)?)
}

/// Ledger entries, newest first, before the entry with sequence `before`; one more than `limit` tells that there are more.
///
/// # Errors
/// Those of the database.
pub fn entries(conn: &mut PgConnection, organization: OrgId, before: Option<i64>, limit: i64) -> Result<Vec<Entry>> {
    Ok(credit_entries::table
        .filter(credit_entries::organization_id.eq(organization).and(credit_entries::sequence.lt(before.unwrap_or(i64::MAX))))
        .order(credit_entries::sequence.desc())
        .limit(limit)
        .select(Entry::as_select())
        .load(conn)?)
}

/// An organization whose balance is not the sum of its entries.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName, serde::Serialize)]
pub struct Imbalance {
    /// Its slug.
    #[diesel(sql_type = diesel::sql_types::Text)]
    pub slug: String,
}

/// Organizations whose balance, sequence or running totals differ from their entries: none, unless something is broken.
///
/// # Errors
/// Those of the database.
pub fn imbalances(conn: &mut PgConnection) -> Result<Vec<Imbalance>> {
    Ok(diesel::sql_query(include_str!("imbalances.sql")).load(conn)?)
}
