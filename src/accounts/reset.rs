//! A link for who lost the password, sent to the account's own address. Whether there is such an account is told to that mailbox alone.

use std::net::IpAddr;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::invitations::put_link;
use super::throttle::{Subject, count};
use super::{User, normalize_email, record};
use crate::actor::Actor;
use crate::audit;
use crate::error::Result;
use crate::ids::OrgId;
use crate::schema::{invitations, users};
use crate::secret::PlainToken;

/// How long the link works; also what the most links are counted in.
const LIFE: Duration = Duration::hours(1);
/// Links of one account in that time, whoever asks: nobody's mailbox is flooded.
const MOST: i64 = 3;

/// Counts a question of this address of the network, whatever it asks for.
///
/// # Errors
/// `Limited` while it is blocked; those of the database.
pub fn count_reset(conn: &mut PgConnection, now: OffsetDateTime, address: IpAddr) -> Result<()> {
    count(conn, now, &Subject::reset(address)).map(drop)
}

/// Counts a letter that an organization has sent, to people of its own choice: after fifty in a day each further one waits.
///
/// # Errors
/// `Limited` while it is blocked; those of the database.
pub fn count_letter(conn: &mut PgConnection, now: OffsetDateTime, organization: OrgId) -> Result<()> {
    count(conn, now, &Subject::letters(organization)).map(drop)
}

/// A link for the account of what was typed; none where there is no such account, or enough links are on their way to it. Other
/// links stay as they are: who asks is nobody in particular. Audited.
///
/// # Errors
/// Those of the database.
pub fn reset_link(
    conn: &mut PgConnection, now: OffsetDateTime, typed: &str, address: &str, user_agent: &str,
) -> Result<Option<(User, PlainToken)>> {
    let Ok(email) = normalize_email(typed) else { return Ok(None) };
    conn.transaction(|conn| {
        let account = users::table.filter(users::email.eq(email)).select(User::as_select()).for_update();
        let Some(user) = account.first(conn).optional()? else { return Ok(None) };
        let lately = invitations::table.filter(invitations::user_id.eq(user.id).and(invitations::created_at.gt(now - LIFE)));
        if lately.count().get_result::<i64>(conn)? >= MOST {
            return Ok(None);
        }
        let token = put_link(conn, now, user.id, LIFE, None)?;
        let actor = Actor::person(None, user.email.clone(), address.into(), user_agent.into());
        let after = json!({"expires_at": audit::moment(Some(now + LIFE))});
        record(conn, &actor, now, "account.reset_asked", &user, Value::Null, after)?;
        Ok(Some((user, token)))
    })
}
