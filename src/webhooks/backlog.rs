//! What waits to be delivered in the whole deployment, for those who watch it.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double};

use crate::error::Result;

/// Lanes that are counted; past that nobody asks how many exactly, and each look would cost more.
const MOST_COUNTED: i64 = 100_000;

/// What waits to be delivered.
#[derive(Debug, Clone, Copy, PartialEq, QueryableByName)]
pub struct Backlog {
    /// Jobs, and events of organizations, with anything pending; also those that wait for their next try or for a webhook
    /// that is off. Counted to 100,000.
    #[diesel(sql_type = BigInt)]
    pub lanes: i64,
    /// Seconds for which the one that waits longest has been due. Near zero as long as Latchkey keeps up, whatever endpoints do.
    #[diesel(sql_type = Double)]
    pub lag_s: f64,
}

/// What waits at this moment.
///
/// # Errors
/// Those of the database.
pub fn backlog(conn: &mut PgConnection) -> Result<Backlog> {
    Ok(diesel::sql_query(include_str!("backlog.sql")).bind::<BigInt, _>(MOST_COUNTED).get_result(conn)?)
}
