//! What an opened row tells: what comes next or how it ended, and every attempt.

use time::{Duration, OffsetDateTime};

use super::laps::{Laps, millis};
use super::views::{Chip, Shown, reason};
use super::words::{listed, span};
use crate::web::filters::grouped;
use crate::webhooks::OFF_PATIENCE;
use crate::webhooks::list::{AttemptRow, Delivery, History, State};

/// Attempts whose request and answer are shown.
const MOST_BOXES: usize = 8;

/// What an opened row tells.
pub(super) struct Opened {
    /// What comes next, or how it ended.
    pub(super) sentence: String,
    /// The time in it: the next try, or the end.
    pub(super) time: Option<OffsetDateTime>,
    /// What follows the time.
    pub(super) rest: String,
    pub(super) attempts: Vec<AttemptItem>,
    pub(super) payload: String,
}

impl Opened {
    /// The newest ones, newest first: their request and answer are shown.
    pub(super) fn boxes(&self) -> impl Iterator<Item = &AttemptItem> {
        self.attempts.iter().rev().take(MOST_BOXES)
    }
}

/// One attempt.
pub(super) struct AttemptItem {
    pub(super) row: AttemptRow,
    pub(super) laps: Laps,
}

impl AttemptItem {
    fn new(row: AttemptRow) -> Self {
        let micros = |lap: Option<i32>| lap.map(i64::from);
        let laps = [row.dns_us, row.connect_us, row.tls_us, row.first_byte_us].map(micros);
        Self { laps: Laps::of(laps, row.total_us.into(), row.status.is_some()), row }
    }

    pub(super) fn chip(&self) -> Option<Chip> {
        Chip::of(self.row.status, self.row.failure.as_deref())
    }

    pub(super) fn duration(&self) -> String {
        millis(self.row.total_us.into())
    }

    pub(super) fn happened(&self) -> String {
        match (&self.row.failure_message, self.row.status) {
            (Some(message), _) => message.clone(),
            (None, Some(status @ 200..=299)) => format!("Delivered: {}", reason(status as u16)),
            (None, Some(410)) => format!("The endpoint answered {}, which switches the webhook off", reason(410)),
            (None, Some(status)) => format!("The endpoint answered {}", reason(status as u16)),
            (None, None) => "No answer".into(),
        }
    }
}

impl Shown<'_> {
    pub(super) fn opened(&self, delivery: &Delivery, history: History) -> Opened {
        let tries = match delivery.attempts {
            0 => String::new(),
            1 => ", after one attempt".into(),
            n => format!(", after {} attempts", grouped(n)),
        };
        // As the time after it is written: of today without its day.
        let ended = |how: &str| {
            let is_today = delivery.finished_at.is_some_and(|end| end.date() == self.now.date());
            format!("{how} {} ", if is_today { "at" } else { "on" })
        };
        let (sentence, time, rest) = match (delivery.state, delivery.turn) {
            (State::Delivered, _) => (ended("delivered"), delivery.finished_at, format!("{tries}.")),
            (State::GaveUp, _) => (ended("given up"), delivery.finished_at, format!("{tries}{}", self.why_given_up(delivery))),
            (State::Overtaken, _) => {
                (ended("dropped"), delivery.finished_at, ": it waited, and newer progress was there to be sent.".into())
            }
            (State::Pending, Some(turn)) if turn.head < delivery.sequence => {
                (format!("leaves when #{} of the same job is delivered or given up.", turn.head), None, String::new())
            }
            (State::Pending, _) if self.is_off() => {
                ("leaves when the webhook is switched on; off for seven days, it is given up.".to_owned(), None, String::new())
            }
            (State::Pending, _) if self.is_shut() => {
                ("leaves when there is a signing secret that can be opened.".to_owned(), None, String::new())
            }
            (State::Pending, Some(turn)) if turn.is_claimed => ("is being sent at this moment.".to_owned(), None, String::new()),
            (State::Pending, Some(turn)) if turn.due_at > self.now => (
                "the next try is at ".to_owned(),
                Some(turn.due_at),
                format!(", in {}{}.", span(turn.due_at - self.now), self.later(delivery)),
            ),
            (State::Pending, _) => ("the next try is due now.".to_owned(), None, String::new()),
        };
        let attempts: Vec<AttemptItem> = history.attempts.into_iter().map(AttemptItem::new).collect();
        Opened { sentence, time, rest, attempts, payload: history.payload.as_str().to_owned() }
    }

    /// `, then after 30 min, 2 h and 5 h`: the pauses after the next try.
    fn later(&self, delivery: &Delivery) -> String {
        let pauses = self.rules.retries.iter().skip(usize::try_from(delivery.failures).unwrap_or(0));
        match listed(pauses.map(|pause| span(Duration::try_from(*pause).unwrap_or(Duration::MAX)))) {
            none if none.is_empty() => "; it is the last".into(),
            pauses => format!(", then after {pauses}"),
        }
    }

    /// Why it was given up. Nobody wrote that down, but all there is to it can be seen: whether its tries were used up, whether
    /// the webhook has been the same since, and how old it was.
    fn why_given_up(&self, delivery: &Delivery) -> &'static str {
        let tries = self.rules.retries.len() + 1;
        if usize::try_from(delivery.failures).unwrap_or(0) >= tries {
            return ": that was the last try.";
        }
        let Some(end) = delivery.finished_at else { return "." };
        let stayed = self.endpoint.is_some_and(|endpoint| endpoint.webhook.created_at <= end);
        match (stayed, end - delivery.at >= OFF_PATIENCE) {
            (true, true) => ": the webhook had been off for seven days.",
            (false, false) => ": the webhook was removed.",
            (false, true) => ": the webhook was removed, or had been off for seven days.",
            // By the schedule of then, it was the last try.
            (true, false) => ".",
        }
    }
}
