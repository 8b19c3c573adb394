//! What an attempt means for its delivery: done, tried again, or given up.

use std::time::Duration;

use crate::courier::Attempt;
use crate::site::WebhookRules;

/// Longest wait that an endpoint may ask for with `Retry-After`.
pub const LONGEST: Duration = Duration::from_secs(24 * 3_600);
/// Up to this part of a pause is added to it, so that what failed together does not come back together.
const JITTER: f64 = 0.1;

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// 2xx.
    Delivered,
    /// To be tried again after this pause.
    Retry(Duration),
    /// That was the last try.
    GaveUp,
    /// 410: the webhook is switched off (Standard Webhooks 1.0.0), and its events wait, this one too.
    Gone,
}

/// Decides after an attempt. `failures` counts those before it, `random` is in 0..1.
pub fn verdict(rules: &WebhookRules, attempt: &Attempt, failures: u32, random: f64) -> Verdict {
    if attempt.is_success() {
        return Verdict::Delivered;
    }
    if attempt.status() == Some(410) && attempt.failure.is_none() {
        return Verdict::Gone;
    }
    let Some(pause) = rules.retries.get(failures as usize) else { return Verdict::GaveUp };
    // Later than the schedule if the endpoint asks for it, never sooner: eight tries within eight seconds help nobody.
    let asked = attempt.answer.as_ref().and_then(|answer| answer.retry_after).unwrap_or_default().min(LONGEST);
    let apart = 1.0 + JITTER * random;
    Verdict::Retry(pause.mul_f64(apart).max(asked.mul_f64(apart).min(LONGEST)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::courier::{Answer, Failure, FailureClass, Laps};

    fn answered(status: Option<u16>, retry_after_s: Option<u64>) -> Attempt {
        let retry_after = retry_after_s.map(Duration::from_secs);
        let answer = status.map(|status| Answer { status, head: String::new(), body: String::new(), is_cut: false, retry_after });
        let failure = match status {
            None => Some(Failure { class: FailureClass::Timeout, message: String::new() }),
            Some(300..400) => Some(Failure { class: FailureClass::Redirect, message: String::new() }),
            Some(_) => None,
        };
        Attempt { at: crate::clock::now(), request: String::new(), address: None, laps: Laps::default(), answer, failure }
    }

    #[test]
    fn the_schedule_is_kept_and_retry_after_is_never_undercut() {
        let rules = WebhookRules::default();
        let after = |status, retry_after, failures, random| verdict(&rules, &answered(status, retry_after), failures, random);
        let seconds = Duration::from_secs;
        for status in [200, 204, 299] {
            assert_eq!(after(Some(status), None, 7, 0.0), Verdict::Delivered);
        }
        let waits: Vec<Verdict> = (0..8).map(|failures| after(Some(500), None, failures, 0.0)).collect();
        let expected = [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000].map(|wait| Verdict::Retry(seconds(wait)));
        assert_eq!(waits[..7], expected);
        assert_eq!(waits[7], Verdict::GaveUp);
        assert_eq!(after(None, None, 0, 0.5), Verdict::Retry(Duration::from_millis(5_250)));
        assert_eq!(after(Some(429), Some(60), 0, 0.0), Verdict::Retry(seconds(60)));
        assert_eq!(after(Some(503), Some(3), 0, 0.0), Verdict::Retry(seconds(5)));
        assert_eq!(after(Some(503), Some(u64::MAX), 0, 0.9), Verdict::Retry(LONGEST));
        assert_eq!(after(Some(429), Some(60), 0, 0.5), Verdict::Retry(seconds(63)));
        assert_eq!(after(Some(302), None, 7, 0.0), Verdict::GaveUp);
        assert_eq!(after(Some(410), None, 0, 0.0), Verdict::Gone);
    }
}
