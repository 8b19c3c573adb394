//! What is kept for a time and no longer.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use time::{Duration, OffsetDateTime};

use crate::error::Result;
use crate::schema::idempotency_keys;

/// Forgets the answers of `Idempotency-Key`s that are older than 24 hours; how many there were.
///
/// # Errors
/// Those of the database.
pub fn forget_old_answers(conn: &mut PgConnection, now: OffsetDateTime) -> Result<usize> {
    Ok(diesel::delete(idempotency_keys::table.filter(idempotency_keys::created_at.le(now - Duration::DAY))).execute(conn)?)
}
