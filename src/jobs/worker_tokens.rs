//! Credentials of workers. A worker serves every organization, so its token belongs to none.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::actor::{Actor, ActorKind};
use crate::audit;
use crate::error::{Error, Result};
use crate::ids::WorkerTokenId;
use crate::schema::worker_tokens;
use crate::secret::{PlainToken, SecretDigest};

/// First word of a worker token's text.
pub const PREFIX: &str = "lkw";

/// Makes a token under a name of its own; audited in the deployment's log.
///
/// # Errors
/// `Forbidden` for anybody but the command line and Latchkey itself; `Invalid` for a name that is empty, too long or taken;
/// those of the database.
pub fn create_token(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, name: &str) -> Result<PlainToken> {
    if !matches!(actor.kind(), ActorKind::CommandLine | ActorKind::System) {
        return Err(Error::Forbidden);
    }
    let name = name.trim();
    if !(1..=100).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        return Err(Error::field("name", "A name has 1 to 100 characters, none of them a control character."));
    }
    let token = PlainToken::generate(PREFIX)?;
    let id = WorkerTokenId::new(now);
    conn.transaction(|conn| {
        diesel::insert_into(worker_tokens::table)
            .values((
                worker_tokens::id.eq(id),
                worker_tokens::name.eq(name),
                worker_tokens::digest.eq(token.digest()),
                worker_tokens::created_at.eq(now),
            ))
            .execute(conn)
            .map_err(|e| {
                let taken = || Error::field("name", format!("There already is a worker token named {name:?}."));
                Error::from(e).on_constraint("worker_tokens_name_key", taken)
            })?;
        audit::record(
            conn,
            actor,
            now,
            audit::Event {
                organization: None,
                action: "worker_token.created",
                target_id: id.to_string(),
                target_label: name.into(),
                before: Value::Null,
                after: json!({"name": name}),
            },
        )
    })?;
    Ok(token)
}

/// Whose token this is the digest of. Looking a digest up tells an attacker's clock nothing about the secret.
///
/// # Errors
/// Those of the database.
pub fn authenticate(conn: &mut PgConnection, digest: SecretDigest) -> Result<Option<WorkerTokenId>> {
    Ok(worker_tokens::table.filter(worker_tokens::digest.eq(digest)).select(worker_tokens::id).first(conn).optional()?)
}
