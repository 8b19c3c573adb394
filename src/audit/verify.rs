//! The proof: every chain is recomputed from its first entry and held against its head, and the first entry that does not fit
//! is named.
//!
//! Whoever may write to the tables may write a whole chain anew, with its head; from within that can't be told. A head that was
//! noted elsewhere tells it: while its hash is still in the chain, everything up to there is as it was then.

use std::collections::HashMap;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::DEPLOYMENT;
use super::entry::Row;
use crate::error::{Error, Result};
use crate::ids::OrgId;
use crate::schema::{audit_entries, audit_heads, organizations};

/// Entries that are read at a time.
const PAGE: i64 = 1_000;

/// What to prove.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The chain of this organization alone, and those of the noted heads; none: all there are.
    pub only: Option<OrgId>,
    /// Heads that were noted earlier.
    pub noted: Vec<Noted>,
}

/// A head that was noted earlier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Noted {
    /// Whose chain; none for the deployment's own.
    pub organization: Option<OrgId>,
    /// Its hash then.
    #[serde(serialize_with = "hex")]
    pub hash: Vec<u8>,
}

impl Noted {
    fn chain(&self) -> Uuid {
        self.organization.map_or(DEPLOYMENT, |organization| organization.0)
    }
}

/// The first entry that does not fit its chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Break {
    /// The organization, or the nil id of the deployment's own chain.
    pub chain: Uuid,
    /// The slug of that organization, where there is one.
    pub organization: Option<String>,
    /// Place in the chain, from 1.
    pub sequence: i64,
    /// What is wrong with it.
    pub reason: String,
}

/// The newest entry of a chain, as it was proved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Head {
    /// The organization, or the nil id of the deployment's own chain.
    pub chain: Uuid,
    /// The slug of that organization, where there is one.
    pub organization: Option<String>,
    /// How many entries there are.
    pub entries: i64,
    /// The newest one's hash.
    #[serde(serialize_with = "hex")]
    pub hash: Vec<u8>,
}

/// What [`verify`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Entries that were read.
    pub entries: u64,
    /// Chains that were to be read.
    pub chains: u64,
    /// None: every chain is as it was written, as far as can be told from within.
    pub first_break: Option<Break>,
    /// Noted heads that are in their chain no more: it was written anew, or cut off.
    pub lost_heads: Vec<Noted>,
    /// Where the chains end that were proved.
    pub heads: Vec<Head>,
}

impl Verification {
    /// Whether nothing was found.
    pub fn is_whole(&self) -> bool {
        self.first_break.is_none() && self.lost_heads.is_empty()
    }
}

/// Recomputes every chain from its first entry.
///
/// # Errors
/// Those of the database.
pub fn verify(conn: &mut PgConnection) -> Result<Verification> {
    prove(conn, &Wanted::default())
}

/// Recomputes the chains that are wanted, and looks for the noted heads in them.
///
/// # Errors
/// Those of the database.
pub fn prove(conn: &mut PgConnection, wanted: &Wanted) -> Result<Verification> {
    // One snapshot for heads and entries: a writer in between would look like a break.
    conn.build_transaction().read_only().repeatable_read().run(|conn| {
        let chains = chains(conn, wanted)?;
        let slugs: Vec<(OrgId, String)> = organizations::table.select((organizations::id, organizations::slug)).load(conn)?;
        let slugs: HashMap<Uuid, String> = slugs.into_iter().map(|(id, slug)| (id.0, slug)).collect();
        let mut found = Verification { chains: chains.len() as u64, ..Verification::default() };
        for (chain, head) in chains {
            let (entries, hash, broken) = follow(conn, chain, head.as_ref())?;
            found.entries += entries;
            let organization = slugs.get(&chain).cloned();
            if let Some((sequence, reason)) = broken {
                found.first_break = Some(Break { chain, organization, sequence, reason: reason.into() });
                return Ok(found);
            }
            found.heads.push(Head { chain, organization, entries: entries as i64, hash });
        }
        for noted in &wanted.noted {
            if !is_in_chain(conn, noted)? {
                found.lost_heads.push(noted.clone());
            }
        }
        Ok::<_, Error>(found)
    })
}

type StoredHead = (i64, Vec<u8>);

/// Chains with their heads; then those that have entries and no head.
fn chains(conn: &mut PgConnection, wanted: &Wanted) -> Result<Vec<(Uuid, Option<StoredHead>)>> {
    let mut heads = audit_heads::table.select((audit_heads::chain, audit_heads::sequence, audit_heads::hash)).into_boxed();
    let headless = diesel::dsl::not(audit_entries::chain.eq_any(audit_heads::table.select(audit_heads::chain)));
    let mut orphans = audit_entries::table.filter(headless).select(audit_entries::chain).distinct().into_boxed();
    if let Some(only) = wanted.only {
        // A hash in a chain that was not proved would prove nothing.
        let these: Vec<Uuid> = wanted.noted.iter().map(Noted::chain).chain([only.0]).collect();
        heads = heads.filter(audit_heads::chain.eq_any(these.clone()));
        orphans = orphans.filter(audit_entries::chain.eq_any(these));
    }
    let heads: Vec<(Uuid, i64, Vec<u8>)> = heads.order(audit_heads::chain).load(conn)?;
    let orphans: Vec<Uuid> = orphans.order(audit_entries::chain).load(conn)?;
    let heads = heads.into_iter().map(|(chain, sequence, hash)| (chain, Some((sequence, hash))));
    Ok(heads.chain(orphans.into_iter().map(|chain| (chain, None))).collect())
}

/// How many entries were read, the last one's hash, and where it broke.
type Followed = (u64, Vec<u8>, Option<(i64, &'static str)>);

fn follow(conn: &mut PgConnection, chain: Uuid, head: Option<&StoredHead>) -> Result<Followed> {
    let (mut entries, mut hash, mut last) = (0, vec![0u8; 32], None);
    loop {
        // From below the first: what stands there was put in.
        let beyond = last.unwrap_or(i64::MIN);
        let rows: Vec<Row> = audit_entries::table
            .filter(audit_entries::chain.eq(chain).and(audit_entries::sequence.gt(beyond)))
            .order(audit_entries::sequence)
            .limit(PAGE)
            .select(Row::as_select())
            .load(conn)?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            let expected = last.unwrap_or(0) + 1;
            if let Some(broken) = misfit(&row, expected, &hash, head.map(|head| head.0)) {
                return Ok((entries, hash, Some(broken)));
            }
            entries += 1;
            last = Some(row.sequence);
            hash = row.hash;
        }
    }
    let (last, broken) = (last.unwrap_or(0), |sequence, reason| Some((sequence, reason)));
    let broken = match head {
        Some((sequence, _)) if last == 0 && *sequence > 0 => broken(1, "all entries are missing, and there is a head"),
        Some((sequence, _)) if last != *sequence => broken(last + 1, "the entry is missing at the end"),
        Some((_, expected)) if *expected != hash => broken(last, "the head does not match the last entry"),
        _ => None,
    };
    Ok((entries, hash, broken))
}

/// Why an entry does not follow the one before it, which was `expected - 1` with this hash.
fn misfit(row: &Row, expected: i64, hash: &[u8], head: Option<i64>) -> Option<(i64, &'static str)> {
    let Some(head) = head else { return Some((row.sequence, "its chain has no head")) };
    if row.sequence < expected {
        return Some((row.sequence, "the entry was put in before the first"));
    }
    if expected > head {
        return Some((row.sequence, "the entry stands behind the head"));
    }
    if row.sequence > expected {
        return Some((expected, "the entry is missing"));
    }
    if row.digest() != row.hash {
        return Some((row.sequence, "the entry does not match its hash"));
    }
    (row.previous_hash != hash).then_some((row.sequence, "the entry does not follow the one before it"))
}

fn is_in_chain(conn: &mut PgConnection, noted: &Noted) -> Result<bool> {
    // Of a chain without entries it is the hash that the first one would have followed.
    if noted.hash == [0; 32] {
        return Ok(true);
    }
    let there = audit_entries::table.filter(audit_entries::chain.eq(noted.chain()).and(audit_entries::hash.eq(&noted.hash)));
    Ok(diesel::select(diesel::dsl::exists(there)).get_result(conn)?)
}

/// Lower-case hexadecimal digits.
pub fn hex_text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hex<S: Serializer>(bytes: &[u8], serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex_text(bytes))
}
