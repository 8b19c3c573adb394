//! Signing in with e-mail and password.
//!
//! ```text
//! begin_sign_in    counts the attempt, or refuses it while its account or its address is blocked
//! Attempt::verify  hashes, without a connection; as long for an account that does not exist
//! finish_sign_in   takes the count back on success; audited either way
//! ```
//! An attempt is counted before its password is looked at: of a thousand sent at once no more get through than one after
//! the other. What is refused while blocked does not prolong the block, and the block always ends. From a [`Device`] in which the
//! owner has signed in before, attempts are counted by themselves: however many guess, and from wherever, the owner gets in.

use std::net::IpAddr;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use serde_json::Value;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::password::verify;
use super::throttle::{Subject, count, forget, take_back};
use super::{HashedPassword, Stamp, User, normalize_email, record};
use crate::actor::Actor;
use crate::audit;
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::schema::{invitations, sessions, sign_in_challenges, sign_in_throttles, totp_seeds, users};

/// A browser that proves to be one in which a person has signed in before. For the edge that keeps such proofs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// Who has.
    pub user: UserId,
    /// Which browser.
    pub id: Uuid,
}

/// A sign-in under way.
#[derive(Debug)]
pub struct Attempt {
    email: String,
    user: Option<(User, Option<HashedPassword>)>,
    /// What a success clears: the account's count, or the device's.
    own: Subject,
    /// What the password is looked at against.
    stamp: Stamp,
    /// The address, with its failures and this attempt: tells whether others came after it. None for a known device.
    address: Option<(Subject, i32)>,
}

/// An attempt whose password was looked at.
#[derive(Debug)]
pub struct Verified {
    attempt: Attempt,
    passed: bool,
}

impl Attempt {
    /// Looks at the password. Takes tens of milliseconds, whoever it is: call it on a thread that may block, without a connection.
    pub fn verify(self, password: &str) -> Verified {
        let hashed = self.user.as_ref().and_then(|(_, hashed)| hashed.as_ref());
        let passed = verify(password, hashed);
        Verified { attempt: self, passed }
    }
}

impl Verified {
    /// What the password was looked at against; a session is begun with it.
    pub fn stamp(&self) -> Stamp {
        self.attempt.stamp.clone()
    }
}

/// Starts a sign-in.
///
/// # Errors
/// `Limited` while the account or the address is blocked, or a known device is; those of the database.
pub fn begin_sign_in(
    conn: &mut PgConnection, now: OffsetDateTime, email: &str, address: IpAddr, device: Option<Device>,
) -> Result<Attempt> {
    // What is no address has no account, but counts like one that has none.
    let normal = normalize_email(email).ok();
    let email = normal.clone().unwrap_or_else(|| email.chars().filter(|c| !c.is_control()).take(100).collect());
    let found: Option<(User, Option<String>, Option<OffsetDateTime>)> = match normal {
        Some(normal) => users::table
            .left_join(totp_seeds::table)
            .filter(users::email.eq(normal))
            .select((User::as_select(), users::password_hash, totp_seeds::confirmed_at.nullable()))
            .first(conn)
            .optional()?,
        None => None,
    };
    let stamp = found.as_ref().map_or_else(|| Stamp::new(None, None), |(_, hashed, on)| Stamp::new(hashed.as_deref(), *on));
    let user = found.map(|(user, hashed, _)| (user, hashed.map(HashedPassword::from_database)));
    let known = device.filter(|device| user.as_ref().is_some_and(|(user, _)| user.id == device.user));
    let own = known.map_or_else(|| Subject::account(&email), |device| Subject::device(&device));
    let address = known.is_none().then(|| Subject::address(address));
    let address = conn.transaction(|conn| {
        // Always in this order, so that two attempts never wait for each other.
        count(conn, now, &own)?;
        address.map(|address| Ok::<_, Error>((count(conn, now, &address)?, address))).transpose()
    })?;
    Ok(Attempt { email, user, own, stamp, address: address.map(|(failures, address)| (address, failures)) })
}

/// Ends a sign-in: the person, when the password was right. Audits refusals; a success is audited with its session.
///
/// # Errors
/// `Unauthenticated`, the same for every reason; those of the database.
pub fn finish_sign_in(conn: &mut PgConnection, now: OffsetDateTime, verified: Verified, address: &str, user_agent: &str) -> Result<User> {
    let Verified { attempt, passed } = verified;
    conn.transaction::<_, Error, _>(|conn| match attempt.user {
        Some((user, _)) if passed => {
            forget(conn, &attempt.own)?;
            if let Some((address, failures)) = &attempt.address {
                take_back(conn, now, address, *failures)?;
            }
            Ok(Ok(user))
        }
        Some((user, _)) => {
            let actor = Actor::person(None, user.email.clone(), address.into(), user_agent.into());
            record(conn, &actor, now, "session.refused", &user, Value::Null, Value::Null)?;
            Ok(Err(Error::Unauthenticated))
        }
        None => {
            let label = unknown_account(&attempt.email);
            let actor = Actor::person(None, label.clone(), address.into(), user_agent.into());
            let event = audit::Event {
                organization: None,
                action: "session.refused",
                target_id: String::new(),
                target_label: label,
                before: Value::Null,
                after: Value::Null,
            };
            audit::record(conn, &actor, now, event)?;
            Ok(Err(Error::Unauthenticated))
        }
    })?
}

/// Removes what time has made meaningless: throttles, sessions, links and half sign-ins. For housekeeping. Returns how many rows.
///
/// # Errors
/// Those of the database.
pub fn forget_old(conn: &mut PgConnection, now: OffsetDateTime) -> Result<usize> {
    let throttles = diesel::delete(sign_in_throttles::table.filter(sign_in_throttles::failed_at.le(now - Duration::DAY))).execute(conn)?;
    let ended = sessions::seen_at.le(now - super::sessions::IDLE).or(sessions::created_at.le(now - super::sessions::ABSOLUTE));
    let sessions = diesel::delete(sessions::table.filter(ended)).execute(conn)?;
    let links = diesel::delete(invitations::table.filter(invitations::expires_at.le(now))).execute(conn)?;
    let challenges = diesel::delete(sign_in_challenges::table.filter(sign_in_challenges::expires_at.le(now))).execute(conn)?;
    Ok(throttles + sessions + links + challenges)
}

/// What the audit log, which forgets nothing, keeps of an address that has no account: a password may have been typed in its place.
fn unknown_account(typed: &str) -> String {
    let is_label = |label: &str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-');
    let is_domain = |domain: &&str| domain.contains('.') && domain.split('.').all(is_label);
    match typed.rsplit_once('@').map(|(_, domain)| domain).filter(is_domain) {
        Some(domain) => format!("unknown account at {domain}"),
        None => "unknown account".into(),
    }
}
