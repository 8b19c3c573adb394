//! What was consumed in a period: how often, with what answer, how fast, by whom and when in the week.

use time::{Duration, OffsetDateTime};

use crate::ids::KeyId;

/// Requests by what they were answered. Of a status below 400 is *accepted*, 429 *rate limited*, 500 and above *failed*, and the rest of the 400s *refused*.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Below 400.
    pub accepted: i64,
    /// 400 to 499, but 429.
    pub refused: i64,
    /// 429.
    pub rate_limited: i64,
    /// 500 and above.
    pub failed: i64,
}

impl Counts {
    /// All of them.
    pub fn requests(&self) -> i64 {
        self.accepted + self.refused + self.rate_limited + self.failed
    }
}

/// How long answers took, in microseconds; within five hundredths of the true value. None where there were no requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Durations {
    /// Half of them were as fast as this, or faster.
    pub p50: Option<i64>,
    /// Nineteen of twenty were.
    pub p95: Option<i64>,
}

/// A span of the period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bin {
    /// Where it begins.
    pub starts_at: OffsetDateTime,
    /// Its requests.
    pub counts: Counts,
    /// How long they took.
    pub durations: Durations,
}

/// One route, or one key, of the period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share<T> {
    /// Which.
    pub of: T,
    /// Its requests.
    pub counts: Counts,
    /// How long they took; told of the busiest alone, see [`super::BUSIEST`].
    pub durations: Durations,
}

/// What was consumed in a period.
#[derive(Debug, Clone)]
pub struct Consumption {
    /// Where it begins.
    pub from: OffsetDateTime,
    /// Where it ends, exclusive; after now, where the day or the hour is not over.
    pub to: OffsetDateTime,
    /// How long a bin is: whole hours, or whole days.
    pub bin: Duration,
    /// The whole period, oldest first, without gaps.
    pub bins: Vec<Bin>,
    /// All of it together.
    pub total: Counts,
    /// All of it together.
    pub durations: Durations,
    /// The busiest routes, such as `GET /analyses/{id}`, the busiest first.
    pub routes: Vec<Share<String>>,
    /// The busiest keys, the busiest first.
    pub keys: Vec<Share<KeyId>>,
    /// Requests by the hour of the week, UTC: Monday first, 24 hours each.
    pub hours: [[i64; 24]; 7],
}
