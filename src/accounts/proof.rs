//! A person who is signed in proves its password once more. Counted and slowed like a sign-in, by session: whoever found an open
//! browser guesses no faster than anybody else, and shuts nobody out elsewhere.

use std::net::IpAddr;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use time::OffsetDateTime;
use uuid::Uuid;

use super::sessions::Session;
use super::sign_in::{Attempt, Device, Verified, begin_sign_in, finish_sign_in};
use crate::error::Result;
use crate::schema::{sessions, users};

/// Starts it.
///
/// # Errors
/// `Limited` while the session is blocked; `NotFound` when the account is gone; those of the database.
pub fn begin_proof(conn: &mut PgConnection, now: OffsetDateTime, session: &Session, address: IpAddr) -> Result<Attempt> {
    let email: String = users::table.find(session.user).select(users::email).first(conn)?;
    begin_sign_in(conn, now, &email, address, Some(Device { user: session.user, id: session.id }))
}

/// Ends it: the session knows when the password was proved. A wrong one is audited.
///
/// # Errors
/// `Unauthenticated` for a wrong password; those of the database.
pub fn finish_proof(
    conn: &mut PgConnection, now: OffsetDateTime, verified: Verified, session: Uuid, address: &str, user_agent: &str,
) -> Result<()> {
    finish_sign_in(conn, now, verified, address, user_agent)?;
    diesel::update(sessions::table.filter(sessions::id.eq(session))).set(sessions::proved_at.eq(now)).execute(conn)?;
    Ok(())
}
