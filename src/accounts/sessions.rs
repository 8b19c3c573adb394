//! Sessions: rows that can be ended. The cookie carries a random token, the row its digest.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use serde_json::Value;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{Stamp, User, record};
use crate::actor::Actor;
use crate::error::{Error, Result};
use crate::ids::{self, UserId};
use crate::schema::{sessions, users};
use crate::secret::SecretDigest;

/// Ends after so long without a request.
pub const IDLE: Duration = Duration::hours(12);
/// Ends after so long in any case.
pub const ABSOLUTE: Duration = Duration::days(7);
/// A busy session is written at most this often.
const TOUCH: Duration = Duration::minutes(1);

/// A session that lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// What names it to its person; not what the cookie carries.
    pub id: Uuid,
    /// Whose it is.
    pub user: UserId,
    /// When the password was last proved in it.
    pub proved_at: OffsetDateTime,
}

/// Starts a session of a person that has just proved who it is; audited.
///
/// # Errors
/// `Unauthenticated` when the password, or the second factor, is another one by now, or the account is gone; those of the database.
pub fn create(
    conn: &mut PgConnection, now: OffsetDateTime, token: SecretDigest, user: UserId, proved: &Stamp, address: &str, user_agent: &str,
) -> Result<()> {
    conn.transaction(|conn| {
        proved.require(conn, user)?;
        let user: User = users::table.find(user).select(User::as_select()).first(conn)?;
        diesel::insert_into(sessions::table)
            .values((
                sessions::token_digest.eq(token),
                sessions::user_id.eq(user.id),
                sessions::address.eq(address),
                sessions::user_agent.eq(user_agent),
                sessions::created_at.eq(now),
                sessions::seen_at.eq(now),
                sessions::id.eq(ids::new_uuid(now)),
                sessions::proved_at.eq(now),
            ))
            .execute(conn)?;
        let actor = Actor::person(Some(user.id), user.label().into(), address.into(), user_agent.into());
        record(conn, &actor, now, "session.started", &user, Value::Null, Value::Null)
    })
}

/// The session of this token, while it lasts; notes that it was seen.
///
/// # Errors
/// Those of the database.
pub fn load(conn: &mut PgConnection, now: OffsetDateTime, token: SecretDigest) -> Result<Option<Session>> {
    let found = find(conn, now, token)?;
    if found.is_some_and(|(_, seen_at)| seen_at <= now - TOUCH) {
        diesel::update(sessions::table.find(token).filter(sessions::seen_at.le(now - TOUCH)))
            .set(sessions::seen_at.eq(now))
            .execute(conn)?;
    }
    Ok(found.map(|(session, _)| session))
}

/// The same for what a page asks by itself: nobody was seen, or an open page would keep its session from ever being idle.
///
/// # Errors
/// Those of the database.
pub fn peek(conn: &mut PgConnection, now: OffsetDateTime, token: SecretDigest) -> Result<Option<Session>> {
    Ok(find(conn, now, token)?.map(|(session, _)| session))
}

fn find(conn: &mut PgConnection, now: OffsetDateTime, token: SecretDigest) -> Result<Option<(Session, OffsetDateTime)>> {
    type Row = (Uuid, UserId, OffsetDateTime, OffsetDateTime);
    let found: Option<Row> = sessions::table
        .find(token)
        .filter(sessions::seen_at.gt(now - IDLE).and(sessions::created_at.gt(now - ABSOLUTE)))
        .select((sessions::id, sessions::user_id, sessions::proved_at, sessions::seen_at))
        .first(conn)
        .optional()?;
    Ok(found.map(|(id, user, proved_at, seen_at)| (Session { id, user, proved_at }, seen_at)))
}

/// Ends one session; audited, with where it began. One that has ended already is left alone.
///
/// # Errors
/// Those of the database.
pub fn delete(conn: &mut PgConnection, now: OffsetDateTime, token: SecretDigest) -> Result<()> {
    conn.transaction(|conn| {
        let ended: Option<(UserId, String, String)> = diesel::delete(sessions::table.find(token))
            .returning((sessions::user_id, sessions::address, sessions::user_agent))
            .get_result(conn)
            .optional()?;
        let Some((user, address, user_agent)) = ended else { return Ok(()) };
        let user: User = users::table.find(user).select(User::as_select()).first(conn)?;
        let actor = Actor::person(Some(user.id), user.label().into(), address, user_agent);
        record(conn, &actor, now, "session.ended", &user, Value::Null, Value::Null)
    })
}

/// Ends every session of the acting person, this one too; audited. Returns how many there were.
///
/// # Errors
/// `Unauthenticated` when the actor is no person; those of the database.
pub fn end_everywhere(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime) -> Result<usize> {
    let id = actor.user_id().ok_or(Error::Unauthenticated)?;
    conn.transaction(|conn| {
        let user: User = users::table.find(id).select(User::as_select()).first(conn)?;
        let ended = delete_all_of(conn, id)?;
        record(conn, actor, now, "session.ended_everywhere", &user, Value::Null, serde_json::json!({"sessions": ended}))?;
        Ok(ended)
    })
}

/// A session as its person sees it.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = sessions, check_for_backend(diesel::pg::Pg))]
pub struct SessionView {
    /// What names it.
    pub id: Uuid,
    /// Where it began.
    pub address: String,
    /// With which program.
    pub user_agent: String,
    /// When.
    pub created_at: OffsetDateTime,
    /// When it was last used, to the minute.
    pub seen_at: OffsetDateTime,
}

/// The sessions of a person that last, the one used last first.
///
/// # Errors
/// Those of the database.
pub fn list(conn: &mut PgConnection, user: UserId, now: OffsetDateTime) -> Result<Vec<SessionView>> {
    Ok(sessions::table
        .filter(sessions::user_id.eq(user))
        .filter(sessions::seen_at.gt(now - IDLE).and(sessions::created_at.gt(now - ABSOLUTE)))
        .order((sessions::seen_at.desc(), sessions::id))
        .select(SessionView::as_select())
        .load(conn)?)
}

/// Ends one session of the acting person; audited, with where it began.
///
/// # Errors
/// `NotFound` for one that has ended, or is somebody else's; `Unauthenticated` when the actor is no person; those of the database.
pub fn end(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, id: Uuid) -> Result<()> {
    let owner = actor.user_id().ok_or(Error::Unauthenticated)?;
    conn.transaction(|conn| {
        let user: User = users::table.find(owner).select(User::as_select()).first(conn)?;
        let own = sessions::table.filter(sessions::id.eq(id).and(sessions::user_id.eq(owner)));
        let (address, user_agent): (String, String) =
            diesel::delete(own).returning((sessions::address, sessions::user_agent)).get_result(conn)?;
        let before = serde_json::json!({"address": address, "user_agent": user_agent});
        record(conn, actor, now, "session.ended", &user, before, Value::Null)
    })
}

/// Removes every session of a person but this one, as part of what ends them. Returns how many there were.
pub(super) fn delete_others_of(conn: &mut PgConnection, user: UserId, kept: Uuid) -> Result<usize> {
    Ok(diesel::delete(sessions::table.filter(sessions::user_id.eq(user).and(sessions::id.ne(kept)))).execute(conn)?)
}

/// Removes every session of a person, as part of what ends them.
pub(super) fn delete_all_of(conn: &mut PgConnection, user: UserId) -> Result<usize> {
    Ok(diesel::delete(sessions::table.filter(sessions::user_id.eq(user))).execute(conn)?)
}
