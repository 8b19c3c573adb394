//! Moving credits: balances locked for the length of a transaction, and the entries that are to be written to them.

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types as sql;
use time::OffsetDateTime;

use super::{Balance, Entry, EntryKind, Purpose, low};
use crate::clock;
use crate::error::{Error, Result};
use crate::ids::OrgId;
use crate::schema::{credit_balances, credit_entries};
use crate::statement::{column, statement};

statement! {
    Close<'a> -> () = include_str!("close.sql");
    organizations: Vec<OrgId> as sql::Array<sql::Uuid>,
    available: Vec<i64> as sql::Array<sql::BigInt>,
    held: Vec<i64> as sql::Array<sql::BigInt>,
    settled: Vec<i64> as sql::Array<sql::BigInt>,
    sequences: Vec<i64> as sql::Array<sql::BigInt>,
    hours: Vec<OffsetDateTime> as sql::Array<sql::Timestamptz>,
    settled_now: Vec<i64> as sql::Array<sql::BigInt>,
    given_now: Vec<i64> as sql::Array<sql::BigInt>,
}

/// Balances locked for the length of a transaction, and the entries that are to be written to them.
///
/// Take it with [`Books::open`], move credits, then [`Books::close`] in the same transaction.
pub struct Books {
    open: BTreeMap<OrgId, Account>,
    entries: Vec<Entry>,
}

/// One locked balance.
struct Account {
    /// As it was.
    before: Balance,
    /// As it is with the entries of these books.
    balance: Balance,
    sequence: i64,
    /// When its new entries are: now, and not before its last one.
    at: OffsetDateTime,
    /// What its new entries grant and correct.
    given: i64,
    low_threshold: Option<i64>,
}

impl Books {
    /// Locks the balances of these organizations until the transaction ends.
    ///
    /// # Errors
    /// `NotFound` when one has none; those of the database.
    pub fn open(conn: &mut PgConnection, now: OffsetDateTime, organizations: impl IntoIterator<Item = OrgId>) -> Result<Self> {
        let ids: BTreeSet<OrgId> = organizations.into_iter().collect();
        let rows: Vec<(OrgId, Balance, i64, Option<i64>)> = credit_balances::table
            .filter(credit_balances::organization_id.eq_any(ids.iter().copied().collect::<Vec<_>>()))
            .order(credit_balances::organization_id)
            .select((
                credit_balances::organization_id,
                Balance::as_select(),
                credit_balances::last_sequence,
                credit_balances::low_threshold,
            ))
            .for_no_key_update()
            .load(conn)?;
        if rows.len() != ids.len() {
            return Err(Error::NotFound);
        }
        // Asked under the lock: whoever had it before may have looked at the clock later.
        let last: BTreeMap<OrgId, OffsetDateTime> = credit_balances::table
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
        let account = |(id, balance, sequence, low_threshold)| {
            let at = last.get(&id).map_or(now, |last| now.max(*last));
            (id, Account { before: balance, balance, sequence, at, given: 0, low_threshold })
        };
        let open = rows.into_iter().map(account).collect();
        Ok(Self { open, entries: Vec::new() })
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
    pub(super) fn post(
        &mut self, organization: OrgId, kind: EntryKind, amount: i64, held_amount: i64, purpose: Option<&Purpose>, actor: &str, note: &str,
    ) {
        let Some(Account { balance, sequence, at, given, .. }) = self.open.get_mut(&organization) else { return };
        balance.available += amount;
        balance.held += held_amount;
        match kind {
            EntryKind::Settle => balance.settled -= held_amount,
            EntryKind::Grant | EntryKind::Adjust => *given += amount,
            EntryKind::Hold | EntryKind::Release => {}
        }
        *sequence += 1;
        self.entries.push(Entry {
            organization_id: organization,
            sequence: *sequence,
            at: *at,
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

    /// Writes entries, balances and hours, and tells of those that fell below their threshold.
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
        let touched: BTreeSet<OrgId> = self.entries.iter().map(|entry| entry.organization_id).collect();
        let accounts: Vec<(OrgId, &Account)> = touched.iter().filter_map(|id| Some((*id, self.open.get(id)?))).collect();
        let close = Close {
            organizations: touched.iter().copied().collect(),
            available: column(&accounts, |(_, account)| account.balance.available),
            held: column(&accounts, |(_, account)| account.balance.held),
            settled: column(&accounts, |(_, account)| account.balance.settled),
            sequences: column(&accounts, |(_, account)| account.sequence),
            hours: column(&accounts, |(_, account)| clock::hour(account.at)),
            settled_now: column(&accounts, |(_, account)| account.balance.settled - account.before.settled),
            given_now: column(&accounts, |(_, account)| account.given),
            _life: PhantomData,
        };
        close.execute(conn)?;
        // Last, since it holds what senders of webhooks need.
        for (organization, account) in accounts {
            low::tell(conn, account.at, organization, account.low_threshold, account.before.available, account.balance.available)?;
        }
        Ok(())
    }
}
