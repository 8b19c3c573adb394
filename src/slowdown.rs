//! Makes guessing of keys slow.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// After [`FREE`] requests without a known key in a minute, each further one from that address waits. A clone counts in the same place.
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
}
