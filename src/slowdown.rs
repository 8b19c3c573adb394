//! Makes guessing of keys slow.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// After [`FREE`] requests without a known key in a minute, each further one from that address waits. An IPv6 address counts as its /64,
/// all of which is mostly one subscriber's. A clone counts in the same place.
#[derive(Debug, Clone, Default)]
pub struct Slowdown {
    minutes: Arc<Mutex<HashMap<IpAddr, (Instant, u32)>>>,
}

/// Requests without a known key that an address may make in a minute before it is slowed.
pub const FREE: u32 = 60;
/// Addresses remembered; past it, all are forgotten, which only ever helps the callers.
const ADDRESSES: usize = 10_000;
/// Longest wait.
const SLOWEST: Duration = Duration::from_secs(2);

impl Slowdown {
    /// Counts one such request, and tells how long its answer is to wait.
    pub fn delay(&self, ip: IpAddr, now: Instant) -> Duration {
        let ip = counted(ip);
        let mut minutes = self.minutes.lock().unwrap_or_else(PoisonError::into_inner);
        if minutes.len() >= ADDRESSES && !minutes.contains_key(&ip) {
            minutes.clear();
        }
        let (since, count) = minutes.entry(ip).or_insert((now, 0));
        if now.duration_since(*since) >= Duration::from_secs(60) {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        (Duration::from_millis(20) * count.saturating_sub(FREE)).min(SLOWEST)
    }
}

/// What an address counts as.
fn counted(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from(u128::from(ip) & !u128::from(u64::MAX))),
        ip @ IpAddr::V4(_) => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessing_gets_slower_and_is_forgiven_after_a_minute() {
        let (slowdown, start) = (Slowdown::default(), Instant::now());
        let ip = IpAddr::from([203, 0, 113, 24]);
        for _ in 0..FREE {
            assert_eq!(slowdown.delay(ip, start), Duration::ZERO);
        }
        assert!(slowdown.delay(ip, start) > Duration::ZERO);
        for _ in 0..1_000 {
            slowdown.delay(ip, start);
        }
        assert_eq!(slowdown.delay(ip, start), SLOWEST);
        assert_eq!(slowdown.delay(IpAddr::from([203, 0, 113, 25]), start), Duration::ZERO);
        assert_eq!(slowdown.delay(ip, start + Duration::from_secs(61)), Duration::ZERO);
    }

    #[test]
    fn an_ipv6_address_counts_as_its_64_and_a_mapped_one_as_its_ipv4() {
        let (slowdown, start) = (Slowdown::default(), Instant::now());
        let delay = |ip: &str| slowdown.delay(ip.parse().expect("an address"), start);
        for n in 0..FREE {
            assert_eq!(delay(&format!("2001:db8:0:1::{n:x}")), Duration::ZERO);
        }
        assert!(delay("2001:db8:0:1:ffff::1") > Duration::ZERO);
        assert_eq!(delay("2001:db8:0:2::1"), Duration::ZERO);
        for _ in 0..FREE {
            assert_eq!(delay("::ffff:203.0.113.24"), Duration::ZERO);
        }
        assert!(delay("203.0.113.24") > Duration::ZERO);
        assert_eq!(delay("::ffff:203.0.113.25"), Duration::ZERO);
    }
}
