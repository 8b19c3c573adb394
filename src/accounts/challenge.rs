//! The second half of a sign-in, for those who have a second factor. The first half leaves a token, which the form brings back with
//! the code: it is worth nothing by itself, works once, and only for ten minutes.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::throttle::{Subject, count, forget};
use super::two_factor::{self, Factor};
use super::{Device, Stamp, User, record, stamp};
use crate::actor::Actor;
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::schema::{sign_in_challenges, users};
use crate::sealed::Keyring;
use crate::secret::{PlainToken, SecretDigest};

const LIFE: Duration = Duration::minutes(10);

/// Who got in, and how.
#[derive(Debug)]
pub struct Answered {
    /// The person.
    pub user: User,
    /// How many recovery codes are left, when one was used.
    pub recovery_codes_left: Option<i64>,
    /// What its session is begun with.
    pub stamp: Stamp,
}

/// Asks for the second factor of a person whose password was right; none: it has none.
///
/// # Errors
/// `Unauthenticated` when the password, or the second factor, is another one by now; `Internal` without randomness; those of the
/// database.
pub fn challenge(conn: &mut PgConnection, now: OffsetDateTime, user: UserId, proved: &Stamp) -> Result<Option<PlainToken>> {
    conn.transaction(|conn| {
        proved.require(conn, user)?;
        if !two_factor::is_on(conn, user)? {
            return Ok(None);
        }
        let token = PlainToken::generate("lkc")?;
        diesel::insert_into(sign_in_challenges::table)
            .values((
                sign_in_challenges::token_digest.eq(token.digest()),
                sign_in_challenges::user_id.eq(user),
                sign_in_challenges::expires_at.eq(now + LIFE),
            ))
            .execute(conn)?;
        Ok(Some(token))
    })
}

/// Takes the second factor: the person, when it is right. Audits refusals.
///
/// # Errors
/// `NotFound` when the first half is over ten minutes ago, or was used; `Limited` after too many wrong codes; `Unauthenticated` for
/// a wrong one; those of the database.
#[allow(clippy::too_many_arguments)]
pub fn answer_challenge(
    conn: &mut PgConnection, now: OffsetDateTime, keyring: &Keyring, token: &str, typed: &str, device: Option<Device>, address: &str,
    user_agent: &str,
) -> Result<Answered> {
    let open = || sign_in_challenges::table.find(SecretDigest::of(token)).filter(sign_in_challenges::expires_at.gt(now));
    let user: UserId = open().select(sign_in_challenges::user_id).first(conn)?;
    let subject = Subject::second_factor(user, device);
    // Before the code is looked at, and in a transaction of its own, as with passwords.
    count(conn, now, &subject)?;
    conn.transaction::<_, Error, _>(|conn| {
        let user: User = users::table.find(user).select(User::as_select()).first(conn)?;
        let Some(factor) = two_factor::answer(conn, now, keyring, user.id, typed)? else {
            let actor = Actor::person(None, user.email.clone(), address.into(), user_agent.into());
            record(conn, &actor, now, "session.refused", &user, Value::Null, json!({"second_factor": "wrong"}))?;
            return Ok(Err(Error::Unauthenticated));
        };
        // Of two that answer at once one finds it.
        if diesel::delete(open()).execute(conn)? == 0 {
            return Err(Error::NotFound);
        }
        forget(conn, &subject)?;
        let recovery_codes_left = match factor {
            Factor::Code => None,
            Factor::Recovery(left) => {
                let actor = Actor::person(Some(user.id), user.label().into(), address.into(), user_agent.into());
                record(conn, &actor, now, "account.recovery_code_used", &user, Value::Null, json!({"left": left}))?;
                Some(left)
            }
        };
        let stamp = stamp(conn, user.id)?;
        Ok(Ok(Answered { user, recovery_codes_left, stamp }))
    })?
}

/// Ends what a person has begun, as part of a new password.
pub(super) fn forget_challenges(conn: &mut PgConnection, user: UserId) -> Result<()> {
    diesel::delete(sign_in_challenges::table.filter(sign_in_challenges::user_id.eq(user))).execute(conn)?;
    Ok(())
}
