//! Credentials of the company's own programs: workers, which do the jobs, and services, which ask whether a key may pass. Each
//! serves every organization, so its token belongs to none.

mod known;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types as sql;
use serde_json::{Value, json};
use time::OffsetDateTime;

pub use known::Known;

use crate::actor::{Actor, ActorKind};
use crate::audit;
use crate::error::{Error, Result};
use crate::ids;
use crate::secret::{PlainToken, SecretDigest};

/// Whose token it is. No kind passes where another one is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Does the jobs.
    Worker,
    /// Asks whether a key may pass.
    Service,
}

impl Kind {
    /// What people call it.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Service => "service",
        }
    }

    /// First word of a token's text.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Worker => "lkw",
            Self::Service => "lks",
        }
    }

    fn table(self) -> &'static str {
        match self {
            Self::Worker => "worker_tokens",
            Self::Service => "service_tokens",
        }
    }

    /// The action in the audit log, the prefix of a token's id there, and the constraint on its name.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Worker => ("worker_token.created", "wkt", "worker_tokens_name_key"),
            Self::Service => ("service_token.created", "svt", "service_tokens_name_key"),
        }
    }
}

/// Makes a token under a name of its own; audited in the deployment's log.
///
/// # Errors
/// `Forbidden` for anybody but the command line and Latchkey itself; `Invalid` for a name that is empty, too long or taken;
/// those of the database.
pub fn create_token(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, kind: Kind, name: &str) -> Result<PlainToken> {
    if !matches!(actor.kind(), ActorKind::CommandLine | ActorKind::System) {
        return Err(Error::Forbidden);
    }
    let name = name.trim();
    if !(1..=100).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        return Err(Error::field("name", "A name has 1 to 100 characters, none of them a control character."));
    }
    let token = PlainToken::generate(kind.prefix())?;
    let (id, (action, id_prefix, name_key)) = (ids::new_uuid(now), kind.words());
    conn.transaction(|conn| {
        diesel::sql_query(format!("INSERT INTO {} (id, name, digest, created_at) VALUES ($1, $2, $3, $4)", kind.table()))
            .bind::<sql::Uuid, _>(id)
            .bind::<sql::Text, _>(name)
            .bind::<sql::Binary, _>(token.digest())
            .bind::<sql::Timestamptz, _>(now)
            .execute(conn)
            .map_err(|e| {
                let taken = || Error::field("name", format!("There already is a {} token named {name:?}.", kind.noun()));
                Error::from(e).on_constraint(name_key, taken)
            })?;
        let event = audit::Event {
            organization: None,
            action,
            target_id: ids::encode(id_prefix, id),
            target_label: name.into(),
            before: Value::Null,
            after: json!({"name": name}),
        };
        audit::record(conn, actor, now, event)
    })?;
    Ok(token)
}

/// The token that these values of `Authorization` carry: of this kind by its form, and the only one. Whether there is such a token,
/// tells [`is_known`].
pub fn presented<'a>(kind: Kind, mut values: impl Iterator<Item = &'a [u8]>) -> Option<SecretDigest> {
    let (first, second) = (values.next()?, values.next());
    let (scheme, token) = std::str::from_utf8(first).ok()?.split_once(' ')?;
    (second.is_none() && scheme.eq_ignore_ascii_case("bearer")).then(|| digest(kind, token))?
}

/// The digest of a token's text, if it is one of this kind by its form.
pub fn digest(kind: Kind, token: &str) -> Option<SecretDigest> {
    let token = token.trim();
    token.strip_prefix(kind.prefix())?.starts_with('_').then(|| SecretDigest::of(token))
}

/// Whether there is a token of this kind with this digest. Looking a digest up tells an attacker's clock nothing about the secret.
///
/// # Errors
/// Those of the database.
pub fn is_known(conn: &mut PgConnection, kind: Kind, digest: SecretDigest) -> Result<bool> {
    Ok(known::among(conn, kind, &[digest])?.contains(&digest))
}
