//! The audit log: who did what, written in the transaction that did it, append-only and hash-chained.
//!
//! There is one chain an organization and one, under the nil id, for what belongs to none. A writer locks its chain's
//! head, so entries of one chain stand in the order of their commits; chains do not wait for each other, and admission
//! writes none. An entry's hash covers the previous hash and every column, so a changed byte breaks the chain from there
//! on; the head tells when the tail was cut off.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::actor::Actor;
use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::ids::OrgId;
use crate::schema::{audit_entries, audit_heads};

/// What was done, to what.
pub struct Event {
    /// Whose log it belongs to; none for the deployment's own.
    pub organization: Option<OrgId>,
    /// `noun.verb`, past tense: `key.rotated`.
    pub action: &'static str,
    /// Public id of what it was done to.
    pub target_id: String,
    /// Its name then.
    pub target_label: String,
    /// The fields that changed, as they were; null when it is new. Never a secret.
    pub before: Value,
    /// The same fields as they are now; null when it is gone.
    pub after: Value,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = audit_entries, check_for_backend(diesel::pg::Pg))]
struct Row {
    chain: Uuid,
    sequence: i64,
    at: OffsetDateTime,
    actor_kind: String,
    actor_id: Option<Uuid>,
    actor_label: String,
    action: String,
    target_id: String,
    target_label: String,
    address: Option<String>,
    user_agent: Option<String>,
    changes: Value,
    previous_hash: Vec<u8>,
    hash: Vec<u8>,
}

impl Row {
    /// SHA-256 of the previous hash and all other columns. `serde_json` keeps an object's names sorted, so that the text
    /// does not depend on the order in which PostgreSQL gives them back.
    fn digest(&self) -> Vec<u8> {
        let text = json!([
            self.chain,
            self.sequence,
            self.at.unix_timestamp_nanos() / 1_000,
            self.actor_kind,
            self.actor_id,
            self.actor_label,
            self.action,
            self.target_id,
            self.target_label,
            self.address,
            self.user_agent,
            self.changes,
        ]);
        Sha256::new().chain_update(&self.previous_hash).chain_update(text.to_string()).finalize().to_vec()
    }
}

/// Appends an entry. Call it inside the transaction of the change itself, as its last statement: the chain's lock is held from
/// here to the commit.
///
/// # Errors
/// Those of the database.
pub fn record(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, event: Event) -> Result<()> {
    let chain = event.organization.map_or(Uuid::nil(), |organization| organization.0);
    conn.transaction(|conn| {
        diesel::insert_into(audit_heads::table)
            .values((audit_heads::chain.eq(chain), audit_heads::sequence.eq(0), audit_heads::hash.eq(vec![0u8; 32])))
            .on_conflict_do_nothing()
            .execute(conn)?;
        let (sequence, previous_hash): (i64, Vec<u8>) =
            audit_heads::table.find(chain).select((audit_heads::sequence, audit_heads::hash)).for_update().first(conn)?;
        let mut row = Row {
            chain,
            sequence: sequence + 1,
            at: now,
            actor_kind: actor.kind().as_str().into(),
            actor_id: actor.id(),
            actor_label: actor.label().into(),
            action: event.action.into(),
            target_id: event.target_id,
            target_label: event.target_label,
            address: actor.address().map(Into::into),
            user_agent: actor.user_agent().map(Into::into),
            changes: json!({"before": event.before, "after": event.after}),
            previous_hash,
            hash: Vec::new(),
        };
        row.hash = row.digest();
        diesel::update(audit_heads::table.find(chain))
            .set((audit_heads::sequence.eq(row.sequence), audit_heads::hash.eq(row.hash.clone())))
            .execute(conn)?;
        diesel::insert_into(audit_entries::table).values(row).execute(conn)?;
        Ok(())
    })
}

/// The first entry that does not fit its chain.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Break {
    /// The organization, or the nil id of the deployment's own chain.
    pub chain: Uuid,
    /// Place in the chain, from 1.
    pub sequence: i64,
    /// What is wrong with it.
    pub reason: String,
}

/// What [`verify`] found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Verification {
    /// Entries that were read.
    pub entries: u64,
    /// Chains that were read.
    pub chains: u64,
    /// None: the whole log is as it was written.
    pub first_break: Option<Break>,
}

/// Recomputes every chain from its first entry.
///
/// # Errors
/// Those of the database.
pub fn verify(conn: &mut PgConnection) -> Result<Verification> {
    // One snapshot for heads and entries: a writer in between would look like a break.
    conn.build_transaction().read_only().repeatable_read().run(|conn| {
        let heads: Vec<(Uuid, i64, Vec<u8>)> = audit_heads::table
            .select((audit_heads::chain, audit_heads::sequence, audit_heads::hash))
            .order(audit_heads::chain)
            .load(conn)?;
        let orphan: Option<Uuid> = audit_entries::table
            .filter(diesel::dsl::not(audit_entries::chain.eq_any(audit_heads::table.select(audit_heads::chain))))
            .select(audit_entries::chain)
            .first(conn)
            .optional()?;
        let mut found = Verification { entries: 0, chains: heads.len() as u64, first_break: None };
        if let Some(chain) = orphan {
            found.first_break = Some(Break { chain, sequence: 1, reason: "the chain has entries but no head".into() });
            return Ok(found);
        }
        for (chain, head_sequence, head_hash) in heads {
            let broken = verify_chain(conn, chain, head_sequence, &head_hash, &mut found.entries)?;
            if let Some((sequence, reason)) = broken {
                found.first_break = Some(Break { chain, sequence, reason: reason.into() });
                break;
            }
        }
        Ok::<_, Error>(found)
    })
}

const PAGE: i64 = 1_000;

fn verify_chain(
    conn: &mut PgConnection, chain: Uuid, head_sequence: i64, head_hash: &[u8], entries: &mut u64,
) -> Result<Option<(i64, &'static str)>> {
    let mut sequence = 0;
    let mut hash = vec![0u8; 32];
    loop {
        let rows: Vec<Row> = audit_entries::table
            .filter(audit_entries::chain.eq(chain).and(audit_entries::sequence.gt(sequence)))
            .order(audit_entries::sequence)
            .limit(PAGE)
            .select(Row::as_select())
            .load(conn)?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            *entries += 1;
            if row.sequence != sequence + 1 {
                return Ok(Some((sequence + 1, "the entry is missing")));
            }
            if row.previous_hash != hash || row.digest() != row.hash {
                return Ok(Some((row.sequence, "the entry does not match its hash")));
            }
            sequence = row.sequence;
            hash = row.hash;
        }
    }
    Ok(if sequence != head_sequence {
        Some((sequence + 1, "the entry is missing at the end"))
    } else if hash != head_hash {
        Some((sequence, "the head does not match the last entry"))
    } else {
        None
    })
}

/// RFC 3339 or null, for `before` and `after`.
pub fn moment(at: Option<OffsetDateTime>) -> Value {
    at.map(rfc3339).into()
}
