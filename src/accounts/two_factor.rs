//! Two-factor sign-in: time-based one-time codes (RFC 6238), and recovery codes for a lost device.

use diesel::pg::PgConnection;
use diesel::prelude::*;

use crate::error::Result;
use crate::ids::UserId;
use crate::schema::totp_seeds;

/// Whether a person signs in with a second factor.
///
/// # Errors
/// Those of the database.
pub fn is_on(conn: &mut PgConnection, user: UserId) -> Result<bool> {
    let confirmed = totp_seeds::table.find(user).filter(totp_seeds::confirmed_at.is_not_null());
    Ok(diesel::select(diesel::dsl::exists(confirmed)).get_result(conn)?)
}
