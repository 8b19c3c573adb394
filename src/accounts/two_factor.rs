//! Two-factor sign-in: time-based one-time codes (RFC 6238, SHA-1, six digits, 30 s), and recovery codes for a lost device.
//!
//! ```text
//! begin     a seed is made and shown; it asks for nothing yet        (the same one until it is confirmed)
//! confirm   the person shows a first code: from now on signing in asks for one; recovery codes are shown once
//! answer    a code of the step now, or of the one before or after; each step once. Or a recovery code, each once
//! turn_off  the person shows the factor once more, and all of it is gone
//! ```
//! A seed is encrypted with the secret key and bound to its person; of a recovery code there is a digest.

use diesel::connection::SimpleConnection as _;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use totp_rs::{Builder, Totp};
use uuid::Uuid;

use super::throttle::{Subject, count, forget as forget_count};
use super::{Device, User, lock_person, record, sessions};
use crate::actor::{Actor, ActorKind};
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::schema::{recovery_codes, totp_seeds, users};
use crate::sealed::Keyring;
use crate::secret::{SecretDigest, random_32};

const RECOVERY_CODES: usize = 10;
/// How long a seed may wait for its first code.
const PENDING: Duration = Duration::minutes(15);
/// 160 bits, as RFC 4226 recommends.
const SEED: usize = 20;
/// What reads well and can't be taken for something else; 32 of them: five bits each.
const LETTERS: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";

/// What a person takes over into the device that makes the codes.
#[derive(Debug)]
pub struct Setup {
    /// For typing: base32 (RFC 4648).
    pub secret: String,
    /// For a picture: an `otpauth` URL.
    pub url: String,
}

/// Whether a person signs in with a second factor.
///
/// # Errors
/// Those of the database.
pub fn is_on(conn: &mut PgConnection, user: UserId) -> Result<bool> {
    let confirmed = totp_seeds::table.find(user).filter(totp_seeds::confirmed_at.is_not_null());
    Ok(diesel::select(diesel::dsl::exists(confirmed)).get_result(conn)?)
}

/// How many recovery codes are left.
///
/// # Errors
/// Those of the database.
pub fn recovery_codes_left(conn: &mut PgConnection, user: UserId) -> Result<i64> {
    Ok(recovery_codes::table.filter(recovery_codes::user_id.eq(user).and(recovery_codes::used_at.is_null())).count().get_result(conn)?)
}

/// A seed for the acting person: in one session the same one for a quarter of an hour, until it is confirmed. `issuer` names this
/// console on the device. Nobody who has seen another one has the one that is confirmed.
///
/// # Errors
/// `Conflict` when it is on already; `Internal` without randomness; those of the database.
pub fn begin(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, keyring: &Keyring, session: Uuid, issuer: &str) -> Result<Setup> {
    let user = own(conn, actor)?;
    conn.transaction(|conn| {
        lock_seeds(conn)?;
        let stale = totp_seeds::session_id.ne(session).or(totp_seeds::created_at.le(now - PENDING));
        diesel::delete(totp_seeds::table.find(user.id).filter(totp_seeds::confirmed_at.is_null().and(stale))).execute(conn)?;
        let fresh = random_32()?[..SEED].to_vec();
        diesel::insert_into(totp_seeds::table)
            .values((
                totp_seeds::user_id.eq(user.id),
                totp_seeds::sealed.eq(keyring.seal(&context(user.id), &fresh)?),
                totp_seeds::created_at.eq(now),
                totp_seeds::last_step.eq(0),
                totp_seeds::session_id.eq(session),
            ))
            .on_conflict_do_nothing()
            .execute(conn)?;
        let (sealed, confirmed_at): (Vec<u8>, Option<OffsetDateTime>) =
            totp_seeds::table.find(user.id).select((totp_seeds::sealed, totp_seeds::confirmed_at)).for_update().first(conn)?;
        if confirmed_at.is_some() {
            return Err(Error::Conflict("Two-factor sign-in is on already.".into()));
        }
        let seed = match keyring.open(&context(user.id), &sealed) {
            Ok(seed) => seed,
            // Of a secret key that is lost: nobody uses it yet, so another will do.
            Err(_) => {
                let sealed = keyring.seal(&context(user.id), &fresh)?;
                diesel::update(totp_seeds::table.find(user.id)).set(totp_seeds::sealed.eq(sealed)).execute(conn)?;
                fresh
            }
        };
        // A colon would end the name of the console in the URL (Key Uri Format).
        let plain = |text: &str| text.replace(':', " ");
        let totp = builder(seed).with_issuer(Some(plain(issuer))).with_account_name(plain(&user.email)).build();
        let totp = totp.map_err(|e| Error::internal("a seed", e))?;
        let url = totp.to_url().map_err(|e| Error::internal("an otpauth URL", e))?;
        Ok(Setup { secret: totp.secret().to_base32(), url })
    })
}

/// Turns it on for the acting person, who shows a first code; its other sessions end. Returns recovery codes, to be shown once.
/// Audited.
///
/// # Errors
/// `Invalid` for `code`; `Conflict` when it is on already; `ProofNeeded`; those of the database.
pub fn confirm(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, keyring: &Keyring, session: Uuid, code: &str,
) -> Result<Vec<String>> {
    actor.require_proof(now)?;
    let user = own(conn, actor)?;
    conn.transaction(|conn| {
        lock_person(conn, user.id)?;
        let (seed, confirmed_at, last_step) = locked(conn, keyring, user.id)?.ok_or(Error::NotFound)?;
        if confirmed_at.is_some() {
            return Err(Error::Conflict("Two-factor sign-in is on already.".into()));
        }
        let wrong = || Error::field("code", "This is not the code of this moment. Look at the device again, and at its clock.");
        let step = step_of(seed, code, now, last_step)?.ok_or_else(wrong)?;
        diesel::update(totp_seeds::table.find(user.id))
            .set((totp_seeds::confirmed_at.eq(now), totp_seeds::last_step.eq(step)))
            .execute(conn)?;
        let codes = put_recovery_codes(conn, user.id)?;
        let ended = sessions::delete_others_of(conn, user.id, session)?;
        record(conn, actor, now, "account.two_factor_on", &user, Value::Null, json!({"sessions_ended": ended}))?;
        Ok(codes)
    })
}

/// Turns it off for the acting person, who shows the factor once more: a code of the device, or a recovery code. Where an organization
/// asks for it, that one stays closed until it is set up again, on another device for example. Audited.
///
/// # Errors
/// `Invalid` for `code`; `Limited` after too many wrong ones; `Conflict` when it is off already; `ProofNeeded`; those of the database.
pub fn turn_off(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, keyring: &Keyring, session: Uuid, code: &str) -> Result<()> {
    actor.require_proof(now)?;
    let user = own(conn, actor)?;
    if !is_on(conn, user.id)? {
        return Err(Error::Conflict("Two-factor sign-in is off already.".into()));
    }
    let subject = Subject::second_factor(user.id, Some(Device { user: user.id, id: session }));
    // Before the code is looked at, and in a transaction of its own, as with passwords.
    count(conn, now, &subject)?;
    conn.transaction(|conn| {
        lock_person(conn, user.id)?;
        if answer(conn, now, keyring, user.id, code)?.is_none() {
            return Err(Error::field("code", "This is no code of this moment, and no recovery code that is left. Each works once."));
        }
        forget_count(conn, &subject)?;
        remove(conn, actor, now, &user)
    })
}

/// Turns it off for somebody who has lost device and recovery codes; ends its sessions. For the command line. Audited.
///
/// # Errors
/// `Conflict` when it is off already; `Forbidden` for an actor that is not the command line; those of the database.
pub fn reset(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, user: &User) -> Result<()> {
    super::operate(actor)?;
    conn.transaction(|conn| {
        lock_person(conn, user.id)?;
        sessions::delete_all_of(conn, user.id)?;
        remove(conn, actor, now, user)
    })
}

fn remove(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, user: &User) -> Result<()> {
    diesel::delete(recovery_codes::table.filter(recovery_codes::user_id.eq(user.id))).execute(conn)?;
    if diesel::delete(totp_seeds::table.find(user.id).filter(totp_seeds::confirmed_at.is_not_null())).execute(conn)? == 0 {
        return Err(Error::Conflict("Two-factor sign-in is off already.".into()));
    }
    record(conn, actor, now, "account.two_factor_off", user, Value::Null, Value::Null)
}

/// New recovery codes for the acting person, to be shown once; the old ones are worth nothing any more. Audited.
///
/// # Errors
/// `Conflict` when two-factor sign-in is off; `ProofNeeded`; those of the database.
pub fn renew_recovery_codes(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime) -> Result<Vec<String>> {
    actor.require_proof(now)?;
    let user = own(conn, actor)?;
    conn.transaction(|conn| {
        // The seed's row orders those who do this at once: one set of codes is left.
        let confirmed = totp_seeds::table.find(user.id).filter(totp_seeds::confirmed_at.is_not_null());
        let on: Option<UserId> = confirmed.select(totp_seeds::user_id).for_update().first(conn).optional()?;
        on.ok_or_else(|| Error::Conflict("Two-factor sign-in is off.".into()))?;
        let codes = put_recovery_codes(conn, user.id)?;
        record(conn, actor, now, "account.recovery_codes_renewed", &user, Value::Null, json!({"codes": codes.len()}))?;
        Ok(codes)
    })
}

/// How a second factor was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Factor {
    /// A code of the device.
    Code,
    /// A recovery code, used up now; so many are left.
    Recovery(i64),
}

/// Whether what somebody typed is this person's second factor; it is used up by this. Within a transaction.
pub(super) fn answer(conn: &mut PgConnection, now: OffsetDateTime, keyring: &Keyring, user: UserId, typed: &str) -> Result<Option<Factor>> {
    let Some((seed, Some(_), last_step)) = locked(conn, keyring, user)? else { return Ok(None) };
    if let Some(step) = step_of(seed, typed, now, last_step)? {
        diesel::update(totp_seeds::table.find(user)).set(totp_seeds::last_step.eq(step)).execute(conn)?;
        return Ok(Some(Factor::Code));
    }
    let row = recovery_codes::table.find((user, digest(user, typed)));
    let used = diesel::update(row.filter(recovery_codes::used_at.is_null())).set(recovery_codes::used_at.eq(now)).execute(conn)?;
    if used == 0 { Ok(None) } else { Ok(Some(Factor::Recovery(recovery_codes_left(conn, user)?))) }
}

type Seed = (Vec<u8>, Option<OffsetDateTime>, i64);

/// Takes everything away, as part of what ends the trust in an account.
pub(super) fn forget(conn: &mut PgConnection, user: UserId) -> Result<()> {
    diesel::delete(recovery_codes::table.filter(recovery_codes::user_id.eq(user))).execute(conn)?;
    diesel::delete(totp_seeds::table.find(user)).execute(conn)?;
    Ok(())
}

/// Ends a setting up that somebody has begun, as part of a new password.
pub(super) fn forget_unconfirmed(conn: &mut PgConnection, user: UserId) -> Result<()> {
    diesel::delete(totp_seeds::table.find(user).filter(totp_seeds::confirmed_at.is_null())).execute(conn)?;
    Ok(())
}

/// A person's seed, whose row is locked: of two who show one code at once, one is first.
fn locked(conn: &mut PgConnection, keyring: &Keyring, user: UserId) -> Result<Option<Seed>> {
    lock_seeds(conn)?;
    let row: Option<Seed> = totp_seeds::table
        .find(user)
        .select((totp_seeds::sealed, totp_seeds::confirmed_at, totp_seeds::last_step))
        .for_update()
        .first(conn)
        .optional()?;
    row.map(|(sealed, confirmed_at, last_step)| Ok((keyring.open(&context(user), &sealed)?, confirmed_at, last_step))).transpose()
}

/// The step whose code this is, when it is near and later than the last one that was used.
fn step_of(seed: Vec<u8>, typed: &str, now: OffsetDateTime, last_step: i64) -> Result<Option<i64>> {
    let code: String = typed.chars().filter(|c| !c.is_whitespace()).collect();
    let totp: Totp = builder(seed).build().map_err(|e| Error::internal("a seed", e))?;
    let step = totp.check(&code, now.unix_timestamp().max(0) as u64);
    Ok(step.and_then(|step| i64::try_from(step).ok()).filter(|step| *step > last_step))
}

fn builder(seed: Vec<u8>) -> Builder {
    Builder::new().with_secret(seed).with_skew(1)
}

fn put_recovery_codes(conn: &mut PgConnection, user: UserId) -> Result<Vec<String>> {
    let codes = (0..RECOVERY_CODES).map(|_| recovery_code()).collect::<Result<Vec<_>>>()?;
    diesel::delete(recovery_codes::table.filter(recovery_codes::user_id.eq(user))).execute(conn)?;
    let rows: Vec<_> = codes.iter().map(|code| (recovery_codes::user_id.eq(user), recovery_codes::digest.eq(digest(user, code)))).collect();
    diesel::insert_into(recovery_codes::table).values(rows).execute(conn)?;
    Ok(codes)
}

/// 80 bits as `ABCD-EFGH-JKLM-NPQR`.
fn recovery_code() -> Result<String> {
    let letter = |byte: &u8| char::from(LETTERS[usize::from(byte % 32)]);
    let letters: Vec<char> = random_32()?[..16].iter().map(letter).collect();
    Ok(letters.chunks(4).map(|four| four.iter().collect::<String>()).collect::<Vec<_>>().join("-"))
}

/// However it was typed: in lower case, without hyphens.
fn digest(user: UserId, typed: &str) -> SecretDigest {
    let code: String = typed.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).take(100).collect();
    SecretDigest::of(&format!("recovery code of {user} {code}"))
}

fn own(conn: &mut PgConnection, actor: &Actor) -> Result<User> {
    match (actor.kind(), actor.user_id()) {
        (ActorKind::User, Some(id)) => Ok(users::table.find(id).select(User::as_select()).first(conn)?),
        _ => Err(Error::Unauthenticated),
    }
}

fn context(user: UserId) -> String {
    format!("seed of {user}")
}

/// Before the key that seals is chosen: whoever turns the secret key over waits for this, or this sees the key that was put in front.
fn lock_seeds(conn: &mut PgConnection) -> Result<()> {
    Ok(conn.batch_execute("LOCK TABLE totp_seeds IN ROW EXCLUSIVE MODE")?)
}

/// Does `work` while nobody can write a seed. Within a transaction.
///
/// # Errors
/// Those of the database.
pub fn hold_seeds(conn: &mut PgConnection) -> Result<()> {
    Ok(conn.batch_execute("LOCK TABLE totp_seeds IN SHARE ROW EXCLUSIVE MODE")?)
}

/// Seals every seed again that the newest key did not seal. Returns how many there were. Within a transaction, after [`hold_seeds`].
///
/// # Errors
/// `Internal` when one does not open; those of the database.
pub fn reseal(conn: &mut PgConnection, keyring: &Keyring) -> Result<usize> {
    let all: Vec<(UserId, Vec<u8>)> =
        totp_seeds::table.order(totp_seeds::user_id).select((totp_seeds::user_id, totp_seeds::sealed)).for_update().load(conn)?;
    let mut done = 0;
    for (user, sealed) in all.into_iter().filter(|(_, sealed)| !keyring.is_fresh(sealed)) {
        let sealed = keyring.seal(&context(user), &keyring.open(&context(user), &sealed)?)?;
        done += diesel::update(totp_seeds::table.find(user)).set(totp_seeds::sealed.eq(sealed)).execute(conn)?;
    }
    Ok(done)
}

/// How many seeds there are, and how many of them this keyring does not open. For `latchkey doctor`.
///
/// # Errors
/// Those of the database.
pub fn check_seeds(conn: &mut PgConnection, keyring: &Keyring) -> Result<(usize, usize)> {
    let all: Vec<(UserId, Vec<u8>)> = totp_seeds::table.select((totp_seeds::user_id, totp_seeds::sealed)).load(conn)?;
    let shut = all.iter().filter(|(user, sealed)| keyring.open(&context(*user), sealed).is_err()).count();
    Ok((all.len(), shut))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_rfc_6238_near_their_moment_and_once() {
        // RFC 6238, appendix B, SHA-1, the last six of its eight digits.
        let seed = || b"12345678901234567890".to_vec();
        let at = |seconds: i64| OffsetDateTime::from_unix_timestamp(seconds).expect("a moment");
        for (seconds, code) in [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (2_000_000_000, "279037")] {
            let step = seconds / 30;
            let found = |now: i64, last: i64| step_of(seed(), code, at(now), last).expect("a seed");
            assert_eq!(found(seconds, 0), Some(step));
            assert_eq!((found(seconds + 30, 0), found(seconds - 30, 0)), (Some(step), Some(step)), "one step off");
            assert_eq!((found(seconds + 60, 0), found(seconds, step)), (None, None), "two steps off; used before");
        }
        for odd in ["", "28708", "2870820", "28708a", "２８７０８２", &"9".repeat(10_000)] {
            assert_eq!(step_of(seed(), odd, at(59), 0).expect("a seed"), None, "{odd:?}");
        }
        assert_eq!(step_of(seed(), " 287 082 ", at(59), 0).expect("a seed"), Some(1), "as devices show it");
    }

    #[test]
    fn recovery_codes_are_known_however_they_are_typed() {
        let (user, other) = (UserId::new(crate::clock::now()), UserId::new(crate::clock::now()));
        let code = recovery_code().expect("randomness");
        assert_eq!(code.len(), 19);
        assert_eq!(digest(user, &code), digest(user, &code.replace('-', " ").to_lowercase()));
        assert_ne!(digest(user, &code), digest(other, &code));
        assert_ne!(code, recovery_code().expect("randomness"));
    }
}
