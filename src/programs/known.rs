//! Looking tokens up in batches: services ask on every request of their customers.

use std::collections::HashSet;

use diesel::pg::PgConnection;
use diesel::prelude::*;

use super::Kind;
use crate::batch::Decide;
use crate::error::Result;
use crate::schema::{service_tokens, worker_tokens};
use crate::secret::SecretDigest;

/// Tells of each digest whether it is that of a token of this kind. Nothing is remembered: a token whose row is gone is unknown to the
/// very next batch.
pub struct Known(pub Kind);

impl Decide for Known {
    type Ask = SecretDigest;
    type Answer = bool;
    const FORGETTABLE: bool = true;

    fn decide(&self, conn: &mut PgConnection, asks: &[SecretDigest]) -> Result<Vec<bool>> {
        let distinct: HashSet<SecretDigest> = asks.iter().copied().collect();
        let known = among(conn, self.0, &distinct.into_iter().collect::<Vec<_>>())?;
        Ok(asks.iter().map(|ask| known.contains(ask)).collect())
    }
}

/// Those of the digests that there are.
pub(super) fn among(conn: &mut PgConnection, kind: Kind, digests: &[SecretDigest]) -> Result<HashSet<SecretDigest>> {
    let found: Vec<SecretDigest> = match kind {
        Kind::Worker => worker_tokens::table.filter(worker_tokens::digest.eq_any(digests)).select(worker_tokens::digest).load(conn)?,
        Kind::Service => service_tokens::table.filter(service_tokens::digest.eq_any(digests)).select(service_tokens::digest).load(conn)?,
    };
    Ok(found.into_iter().collect())
}
