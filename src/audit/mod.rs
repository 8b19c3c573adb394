//! The audit log: who did what, written in the transaction that did it, append-only and hash-chained.
//!
//! There is one chain an organization and one, under the nil id, for what belongs to none. A writer locks its chain's
//! head, so entries of one chain stand in the order of their commits; chains do not wait for each other, and admission
//! writes none. An entry's hash covers the previous hash and every column, so a changed byte breaks the chain from there
//! on; the head tells when the tail was cut off. [`record`] writes, [`read`] is what people see, [`verify`] proves it.

mod entry;
pub mod read;
pub mod verify;
pub mod words;

use diesel::connection::{AnsiTransactionManager, TransactionManager as _};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types as sql;
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::actor::Actor;
use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::ids::OrgId;
use crate::schema::audit_heads;
use crate::statement::statement;
use entry::{Content, Micros};

pub use verify::{Break, Verification, verify};

/// What was done, to what.
pub struct Event {
    /// Whose log it belongs to; none for the deployment's own.
    pub organization: Option<OrgId>,
    /// `noun.verb`, past tense: `key.rotated`. Its words for people are in [`words`].
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

/// The chain of what belongs to no organization.
pub const DEPLOYMENT: Uuid = Uuid::nil();

statement! {
    /// The entry and its chain's head in one go.
    Append<'a> -> ()
        = "WITH head AS (UPDATE audit_heads SET sequence = {}, hash = {} WHERE chain = {} RETURNING chain, sequence, hash)
           INSERT INTO audit_entries (chain, sequence, hash, at, actor_kind, actor_id, actor_label, action, target_id,
               target_label, address, user_agent, changes, previous_hash)
           SELECT chain, sequence, hash, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {} FROM head";
    sequence: i64 as sql::BigInt,
    hash: &'a [u8] as sql::Binary,
    chain: Uuid as sql::Uuid,
    at: OffsetDateTime as sql::Timestamptz,
    actor_kind: &'a str as sql::Text,
    actor_id: Option<Uuid> as sql::Nullable<sql::Uuid>,
    actor_label: &'a str as sql::Text,
    action: &'a str as sql::Text,
    target_id: &'a str as sql::Text,
    target_label: &'a str as sql::Text,
    address: Option<&'a str> as sql::Nullable<sql::Text>,
    user_agent: Option<&'a str> as sql::Nullable<sql::Text>,
    changes: &'a Value as sql::Jsonb,
    previous_hash: &'a [u8] as sql::Binary,
}

/// Appends an entry. Call it inside the transaction of the change itself, as its last statement: the chain's lock is held from
/// here to the commit.
///
/// # Errors
/// Those of the database.
pub fn record(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, event: Event) -> Result<()> {
    // Within a transaction, as it nearly always is, a savepoint would be two round trips for nothing: it fails as a whole.
    match AnsiTransactionManager::transaction_manager_status_mut(conn).transaction_depth() {
        Ok(Some(_)) => append(conn, actor, now, &event),
        _ => conn.transaction(|conn| append(conn, actor, now, &event)),
    }
}

fn append(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, event: &Event) -> Result<()> {
    let chain = event.organization.map_or(DEPLOYMENT, |organization| organization.0);
    let (sequence, previous_hash) = match lock_head(conn, chain)? {
        Some(head) => head,
        None => {
            diesel::insert_into(audit_heads::table)
                .values((audit_heads::chain.eq(chain), audit_heads::sequence.eq(0), audit_heads::hash.eq(vec![0u8; 32])))
                .on_conflict_do_nothing()
                .execute(conn)?;
            lock_head(conn, chain)?.ok_or(Error::NotFound)?
        }
    };
    let changes = json!({"before": event.before, "after": event.after});
    let content = Content {
        chain,
        sequence: sequence + 1,
        at: Micros::of(now),
        actor_kind: actor.kind().as_str(),
        actor_id: actor.id(),
        actor_label: actor.label(),
        action: event.action,
        target_id: &event.target_id,
        target_label: &event.target_label,
        address: actor.address(),
        user_agent: actor.user_agent(),
        changes: &changes,
    };
    let hash = content.digest(&previous_hash);
    let entry = Append {
        sequence: content.sequence,
        hash: &hash,
        chain,
        at: now,
        actor_kind: content.actor_kind,
        actor_id: content.actor_id,
        actor_label: content.actor_label,
        action: content.action,
        target_id: content.target_id,
        target_label: content.target_label,
        address: content.address,
        user_agent: content.user_agent,
        changes: &changes,
        previous_hash: &previous_hash,
        _life: std::marker::PhantomData,
    };
    match entry.execute(conn)? {
        1 => Ok(()),
        _ => Err(Error::Internal("the head of an audit chain went away under its lock".into())),
    }
}

/// The newest entry's place and hash. Other writers of the chain wait until this transaction ends.
fn lock_head(conn: &mut PgConnection, chain: Uuid) -> Result<Option<(i64, Vec<u8>)>> {
    let head = audit_heads::table.find(chain).select((audit_heads::sequence, audit_heads::hash));
    Ok(head.for_update().first(conn).optional()?)
}

/// RFC 3339 or null, for `before` and `after`.
pub fn moment(at: Option<OffsetDateTime>) -> Value {
    at.map(rfc3339).into()
}
