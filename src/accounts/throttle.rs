//! Counting what somebody guesses, by account, by address, by browser. The first few cost no wait; then the next waits 1 s, 2 s,
//! doubling up to 15 minutes. What is refused while blocked does not prolong the block, and the block always ends.

use std::net::IpAddr;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Int4, Text, Timestamptz};
use sha2::{Digest as _, Sha256};
use time::{Duration, OffsetDateTime};

use super::Device;
use crate::error::{Error, Result};
use crate::ids::{OrgId, UserId};
use crate::schema::sign_in_throttles;

/// Whose guesses are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subject {
    name: String,
    /// So many failures cost no wait.
    free: i32,
}

impl Subject {
    /// An account, whoever tries; also one that does not exist.
    pub fn account(email: &str) -> Self {
        let digest: String = Sha256::digest(email.to_lowercase().as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { name: format!("account {digest}"), free: 5 }
    }

    /// An address, which many people may share. One home or office has a whole /64 of IPv6: counting single addresses would
    /// count nothing.
    pub fn address(address: IpAddr) -> Self {
        let name = match address.to_canonical() {
            IpAddr::V4(address) => format!("address {address}"),
            IpAddr::V6(address) => {
                let network = std::net::Ipv6Addr::from(u128::from(address) & !u128::from(u64::MAX));
                format!("address {network}/64")
            }
        };
        Self { name, free: 20 }
    }

    /// An address that asks for links of lost passwords.
    pub fn reset(address: IpAddr) -> Self {
        Self { name: format!("reset by {}", Self::address(address).name), free: 10 }
    }

    /// An organization that has letters sent to people of its choice.
    pub fn letters(organization: OrgId) -> Self {
        Self { name: format!("letters of {organization}"), free: 50 }
    }

    /// A browser in which an account's owner has signed in before.
    pub fn device(device: &Device) -> Self {
        Self { name: format!("device {} {}", device.user, device.id), free: 5 }
    }

    /// The second factor of an account; in a browser where its owner has signed in before, by itself.
    pub fn second_factor(user: UserId, device: Option<Device>) -> Self {
        let known = device.filter(|device| device.user == user);
        Self { name: known.map_or_else(|| format!("code {user}"), |device| format!("code {user} {}", device.id)), free: 5 }
    }
}

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = Int4)]
    failures: i32,
}

/// Counts one attempt. Returns how many there are, as [`take_back`] wants it.
///
/// # Errors
/// `Limited` while the subject is blocked; those of the database.
pub(super) fn count(conn: &mut PgConnection, now: OffsetDateTime, subject: &Subject) -> Result<i32> {
    let Subject { name: subject, free } = subject;
    let counted: Option<Counted> = diesel::sql_query(include_str!("throttle.sql"))
        .bind::<Text, _>(subject)
        .bind::<Timestamptz, _>(now)
        .bind::<Int4, _>(*free)
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
pub(super) fn take_back(conn: &mut PgConnection, now: OffsetDateTime, subject: &Subject, failures: i32) -> Result<()> {
    let row = || sign_in_throttles::table.find(&subject.name);
    diesel::update(row().filter(sign_in_throttles::failures.eq(failures))).set(sign_in_throttles::blocked_until.eq(now)).execute(conn)?;
    diesel::delete(row().filter(sign_in_throttles::failures.eq(1))).execute(conn)?;
    diesel::update(row().filter(sign_in_throttles::failures.gt(1)))
        .set(sign_in_throttles::failures.eq(sign_in_throttles::failures - 1))
        .execute(conn)?;
    Ok(())
}

/// Who got in is counted no longer.
pub(super) fn forget(conn: &mut PgConnection, subject: &Subject) -> Result<()> {
    diesel::delete(sign_in_throttles::table.find(&subject.name)).execute(conn)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_ipv6_is_one_subject() {
        let of = |text: &str| Subject::address(text.parse().expect("an address")).name;
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "address 2001:db8:1:2::/64");
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::"));
        assert_eq!(of("::ffff:192.0.2.7"), "address 192.0.2.7");
    }
}
