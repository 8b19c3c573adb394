//! What a receiver does with a request.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::log::Request;

/// What to do with a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    Status(u16),
    /// The status after a pause.
    After(Duration, u16),
    /// The status with `Retry-After` in seconds.
    RetryAfter(u16, u32),
    /// 302 to another path of this receiver.
    Redirect,
    /// Nothing, until the sender goes.
    Hang,
    /// RST.
    Reset,
    /// FIN.
    Close,
    /// 200 with a body of 10 MB.
    Huge,
    /// 200, in single bytes over this time.
    Trickle(Duration),
    /// Bytes that are no HTTP.
    Garbage,
}

impl Reply {
    /// Whether it holds a sender for as long as that is patient.
    fn is_expensive(&self) -> bool {
        matches!(self, Self::Hang) || matches!(self, Self::Trickle(over) if *over > Duration::from_secs(5))
    }
}

pub type Policy = Box<dyn FnMut(&Request) -> Reply + Send>;

/// The same for every request.
pub fn always(reply: Reply) -> Policy {
    Box::new(move |_| reply.clone())
}

/// At random by weight, the same for the same seed and order of requests. Expensive ones at most `budget` times, then 200.
pub fn chaos(seed: u64, weights: &'static [(u32, Reply)], mut budget: usize) -> Policy {
    let (mut random, total) = (StdRng::seed_from_u64(seed), weights.iter().map(|(weight, _)| weight).sum::<u32>());
    Box::new(move |_| {
        let mut at = random.random_range(0..total);
        let drawn = weights.iter().find(|(weight, _)| at.checked_sub(*weight).map(|rest| at = rest).is_none());
        let reply = drawn.expect("weights that sum up").1.clone();
        match reply.is_expensive() {
            false => reply,
            true if budget == 0 => Reply::Status(200),
            true => {
                budget -= 1;
                reply
            }
        }
    })
}
