//! The travel log of one attempt. It goes with the task: awc connects, writes and reads in the task that asked, so
//! the connector and the [`super::line::Line`] find the log of the attempt that they work for without awc knowing of it.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::courier::{Failure, FailureClass, KEPT_ANSWER, Laps};

tokio::task_local! {
    /// The log of the attempt that this task makes.
    pub(super) static TRIP: Rc<RefCell<Trip>>;
}

/// Most of a head that is kept, in bytes, of the request and of the answer each.
const KEPT_HEAD: usize = 8_192;

/// How far it has come: what a timeout is blamed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Phase {
    #[default]
    LookingUp,
    Connecting,
    Securing,
    Asking,
}

/// The travel log of one attempt.
#[derive(Default)]
pub(super) struct Trip {
    pub(super) phase: Phase,
    pub(super) laps: Laps,
    pub(super) address: Option<IpAddr>,
    /// Why the connector gave up.
    pub(super) failure: Option<Failure>,
    /// The start of what was written.
    sent: Vec<u8>,
    /// The start of what was read.
    pub(super) received: Vec<u8>,
    sent_at: Option<Instant>,
    /// Whether a connection that was kept will not do.
    pub(super) afresh: bool,
    /// Of the connection in use: whether it may not be kept.
    spent: Option<Rc<Cell<bool>>>,
}

impl Trip {
    /// The log after a kept connection turned out to be dead: as if nothing had happened, but for that.
    pub(super) fn afresh() -> Self {
        Self { afresh: true, ..Self::default() }
    }

    /// Bytes that a line wrote, from this moment on.
    pub(super) fn wrote(&mut self, begun: Instant, address: IpAddr, spent: &Rc<Cell<bool>>, bytes: &[u8]) {
        if self.sent_at.is_none() {
            self.sent_at = Some(begun);
            self.phase = Phase::Asking;
            self.address = Some(address);
            self.spent = Some(Rc::clone(spent));
        }
        keep(&mut self.sent, bytes, KEPT_HEAD);
    }

    /// Bytes that a line read.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        if let Some(at) = self.sent_at.filter(|_| self.received.is_empty()) {
            self.laps.first_byte = Some(at.elapsed());
        }
        keep(&mut self.received, bytes, KEPT_HEAD + KEPT_ANSWER + 1);
    }

    /// Whether anything was written: before that a line only listens whether it is still alive.
    pub(super) fn is_asking(&self) -> bool {
        self.sent_at.is_some()
    }

    /// Whether it went over a connection that was kept, and ended without a byte of an answer.
    pub(super) fn was_stale(&self) -> bool {
        self.is_asking() && self.laps.connect.is_none() && self.received.is_empty()
    }

    /// Closes the connection after this answer.
    pub(super) fn spend(&self) {
        if let Some(spent) = &self.spent {
            spent.set(true);
        }
    }

    /// Request line and headers, in the order of their names: the one on the wire means nothing, and changes.
    pub(super) fn request(&self) -> String {
        let head = text_of_head(&self.sent);
        let mut lines: Vec<&str> = head.lines().collect();
        if let Some(headers) = lines.get_mut(1..) {
            headers.sort_unstable_by_key(|line| line.split(':').next());
        }
        lines.join("\n")
    }

    /// Status line and headers of the answer.
    pub(super) fn head(&self) -> String {
        text_of_head(&self.received)
    }

    /// What came with the head and was no part of it.
    pub(super) fn beyond_head(&self) -> &[u8] {
        head_end(&self.received).map_or(&[], |end| &self.received[end..])
    }

    /// What the deadline cut off.
    pub(super) fn timeout(&self, host: &str, limit: Duration) -> Failure {
        let limit = format!("within {} s", limit.as_secs_f64());
        let message = match (self.phase, self.address) {
            (Phase::LookingUp, _) => format!("The address of {host} was not found {limit}."),
            (Phase::Connecting, Some(address)) => format!("No connection to {address} {limit}."),
            (Phase::Connecting, None) => format!("No connection to {host} {limit}."),
            (Phase::Securing, _) => format!("No secure connection to {host} {limit}."),
            (Phase::Asking, _) if self.received.is_empty() => format!("No first byte {limit}."),
            (Phase::Asking, _) => format!("The answer's head was not complete {limit}."),
        };
        Failure { class: FailureClass::Timeout, message }
    }
}

/// Does something to the log of this task's attempt, if it makes one.
pub(super) fn note<T>(change: impl FnOnce(&mut Trip) -> T) -> Option<T> {
    TRIP.try_with(|trip| change(&mut trip.borrow_mut())).ok()
}

fn keep(kept: &mut Vec<u8>, bytes: &[u8], most: usize) {
    let room = most.saturating_sub(kept.len());
    kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

/// Where the head ends: after its empty line.
fn head_end(bytes: &[u8]) -> Option<usize> {
    let after = |end: &[u8]| bytes.windows(end.len()).position(|window| window == end).map(|at| at + end.len());
    [after(b"\r\n\r\n"), after(b"\n\n"), after(b"\n\r\n")].into_iter().flatten().min()
}

fn text_of_head(bytes: &[u8]) -> String {
    let end = head_end(bytes).unwrap_or(bytes.len()).min(KEPT_HEAD);
    let lines: Vec<String> =
        String::from_utf8_lossy(&bytes[..end]).split('\n').map(|line| printable(line.trim_end_matches('\r'))).collect();
    lines.join("\n").trim_end().to_owned()
}

/// One line without anything that could make it look like two, or that PostgreSQL does not keep.
fn printable(line: &str) -> String {
    line.chars().map(|c| if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_text_whatever_came() {
        let trip = Trip { received: b"HTTP/1.1 200 OK\r\nA: b\0c\rd\x1b[1m\xff\r\n\r\nbody".to_vec(), ..Trip::default() };
        assert_eq!(trip.head(), "HTTP/1.1 200 OK\nA: b\u{fffd}c\u{fffd}d\u{fffd}[1m\u{fffd}");
        assert_eq!(trip.beyond_head(), b"body");
        let endless = Trip { received: vec![b'a'; 12_289], ..Trip::default() };
        assert_eq!(endless.head().len(), KEPT_HEAD);
        assert_eq!(endless.beyond_head(), b"");
    }
}
