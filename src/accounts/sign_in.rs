//! Signing in with e-mail and password.
//!
//! ```text
//! begin_sign_in    counts the attempt, or refuses it while its account or its address is blocked
//! Attempt::verify  hashes, without a connection; as long for an account that does not exist
//! finish_sign_in   takes the count back on success; audited either way
//! ```
//! An attempt is counted before its password is looked at: of a thousand sent at once no more get through than one after
//! the other. What is refused while blocked does not prolong the block, and the block always ends, so the owner of an
//! account is never kept out for good.

use std::net::IpAddr;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Int4, Text, Timestamptz};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use time::{Duration, OffsetDateTime};

use super::password::verify;
use super::{HashedPassword, User, normalize_email, record};
use crate::actor::Actor;
use crate::audit;
use crate::error::{Error, Result};
use crate::schema::{invitations, sessions, sign_in_throttles, users};

/// Failures of one account that cost no wait; the next waits 1 s, then 2 s, doubling up to 15 minutes.
const FREE_OF_ACCOUNT: i32 = 5;
/// The same of one address, which many people may share.
const FREE_OF_ADDRESS: i32 = 20;

/// A sign-in under way.
#[derive(Debug)]
pub struct Attempt {
    email: String,
    user: Option<(User, Option<HashedPassword>)>,
    account: String,
    address: String,
    /// Failures of the address with this attempt: tells whether others came after it.
    address_failures: i32,
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

/// Starts a sign-in.
///
/// # Errors
/// `Limited` while the account or the address is blocked; those of the database.
pub fn begin_sign_in(conn: &mut PgConnection, now: OffsetDateTime, email: &str, address: IpAddr) -> Result<Attempt> {
    // What is no address has no account, but counts like one that has none.
    let normal = normalize_email(email).ok();
    let email = normal.clone().unwrap_or_else(|| email.chars().filter(|c| !c.is_control()).take(100).collect());
    let account = format!("account {}", hex(&Sha256::digest(email.to_lowercase().as_bytes())));
    let address = address_subject(address);
    let address_failures = conn.transaction(|conn| {
        // Always in this order, so that two attempts never wait for each other.
        count(conn, now, &account, FREE_OF_ACCOUNT)?;
        count(conn, now, &address, FREE_OF_ADDRESS)
    })?;
    let found: Option<(User, Option<String>)> = match normal {
        Some(normal) => {
            users::table.filter(users::email.eq(normal)).select((User::as_select(), users::password_hash)).first(conn).optional()?
        }
        None => None,
    };
    let user = found.map(|(user, hashed)| (user, hashed.map(HashedPassword::from_database)));
    Ok(Attempt { email, user, account, address, address_failures })
}

/// Ends a sign-in: the person, when the password was right. Audits refusals; a success is audited with its session.
///
/// # Errors
/// `Unauthenticated`, the same for every reason; those of the database.
pub fn finish_sign_in(conn: &mut PgConnection, now: OffsetDateTime, verified: Verified, address: &str, user_agent: &str) -> Result<User> {
    let Verified { attempt, passed } = verified;
    conn.transaction::<_, Error, _>(|conn| match attempt.user {
        Some((user, _)) if passed => {
            diesel::delete(sign_in_throttles::table.find(&attempt.account)).execute(conn)?;
            take_back(conn, now, &attempt.address, attempt.address_failures)?;
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

/// Removes what time has made meaningless: throttles, sessions and links. For housekeeping. Returns how many rows.
///
/// # Errors
/// Those of the database.
pub fn forget_old(conn: &mut PgConnection, now: OffsetDateTime) -> Result<usize> {
    let throttles = diesel::delete(sign_in_throttles::table.filter(sign_in_throttles::failed_at.le(now - Duration::DAY))).execute(conn)?;
    let ended = sessions::seen_at.le(now - super::sessions::IDLE).or(sessions::created_at.le(now - super::sessions::ABSOLUTE));
    let sessions = diesel::delete(sessions::table.filter(ended)).execute(conn)?;
    let links = diesel::delete(invitations::table.filter(invitations::expires_at.le(now))).execute(conn)?;
    Ok(throttles + sessions + links)
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

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = Int4)]
    failures: i32,
}

pub(super) fn count(conn: &mut PgConnection, now: OffsetDateTime, subject: &str, free: i32) -> Result<i32> {
    let counted: Option<Counted> = diesel::sql_query(include_str!("throttle.sql"))
        .bind::<Text, _>(subject)
        .bind::<Timestamptz, _>(now)
        .bind::<Int4, _>(free)
        .get_result(conn)
        .optional()?;
    if let Some(counted) = counted {
        return Ok(counted.failures);
    }
    let until: Option<OffsetDateTime> =
        sign_in_throttles::table.find(subject).select(sign_in_throttles::blocked_until).first(conn).optional()?;
    let left = until.map_or(Duration::SECOND, |until| until - now);
    Err(Error::Limited { retry_after_s: (left.whole_milliseconds().max(1) as u64).div_ceil(1_000) })
}

/// An attempt that succeeded was no failure. Where others have been counted since, their block stands.
fn take_back(conn: &mut PgConnection, now: OffsetDateTime, subject: &str, failures: i32) -> Result<()> {
    let row = || sign_in_throttles::table.find(subject);
    diesel::update(row().filter(sign_in_throttles::failures.eq(failures))).set(sign_in_throttles::blocked_until.eq(now)).execute(conn)?;
    diesel::delete(row().filter(sign_in_throttles::failures.eq(1))).execute(conn)?;
    diesel::update(row().filter(sign_in_throttles::failures.gt(1)))
        .set(sign_in_throttles::failures.eq(sign_in_throttles::failures - 1))
        .execute(conn)?;
    Ok(())
}

/// One home or office has a whole /64 of IPv6: counting single addresses would count nothing.
pub(super) fn address_subject(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => format!("address {address}"),
        IpAddr::V6(address) => {
            let network = std::net::Ipv6Addr::from(u128::from(address) & !u128::from(u64::MAX));
            format!("address {network}/64")
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_ipv6_is_one_subject() {
        let of = |text: &str| address_subject(text.parse().expect("an address"));
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "address 2001:db8:1:2::/64");
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::"));
        assert_eq!(of("::ffff:192.0.2.7"), "address 192.0.2.7");
    }
}
