//! The endpoint and its deliveries as the templates want them.

use actix_web::http::StatusCode;
use time::{Duration, OffsetDateTime};

use super::laps::{Laps, millis};
use crate::error::{Error, Result};
use crate::profile::Profile;
use crate::site::WebhookRules;
use crate::web::filters::grouped;
use crate::webhooks::list::{AttemptRow, Delivery, Facts, Filter, History, State};
use crate::webhooks::{Off, Webhook};

/// Attempts whose request and answer are shown.
const MOST_BOXES: usize = 8;
/// Filters of the list: as the URL has them, and as people read them.
pub(super) const STATES: [(&str, &str); 5] =
    [("delivered", "Delivered"), ("retrying", "Retrying"), ("waiting", "Waiting"), ("gave_up", "Gave up"), ("overtaken", "Overtaken")];

/// What the query asks for.
pub(super) fn filter(state: &str, event: &str, types: &[String]) -> Result<Filter> {
    let (state, is_retried) = match state {
        "" => (None, None),
        "delivered" => (Some(State::Delivered), None),
        "retrying" => (Some(State::Pending), Some(true)),
        "waiting" => (Some(State::Pending), Some(false)),
        "gave_up" => (Some(State::GaveUp), None),
        "overtaken" => (Some(State::Overtaken), None),
        other => return Err(Error::field("state", format!("{other:?} is no state of a delivery."))),
    };
    if !event.is_empty() && !types.iter().any(|known| known == event) {
        return Err(Error::field("event", format!("{event:?} is no event of this API.")));
    }
    Ok(Filter { state, is_retried, event_type: (!event.is_empty()).then(|| event.to_owned()) })
}

/// The webhook with its figures.
pub(super) struct Endpoint {
    pub(super) webhook: Webhook,
    pub(super) facts: Facts,
}

impl Endpoint {
    pub(super) fn status_class(&self) -> &'static str {
        match (&self.webhook.off, self.webhook.failing_since) {
            (Some(_), _) => "ring",
            (None, Some(_)) => "fail",
            (None, None) if self.facts.last_at.is_none() => "ring",
            (None, None) => "ok",
        }
    }

    /// The word beside the heading; the template adds since when it fails.
    pub(super) fn status_word(&self) -> &'static str {
        match (&self.webhook.off, self.webhook.failing_since) {
            (Some(_), _) => "Off",
            (None, Some(_)) => "Failing since",
            (None, None) if self.facts.last_at.is_none() => "Nothing sent yet",
            (None, None) => "Delivering",
        }
    }

    /// What the switch does next, as its address has it.
    pub(super) fn switch_noun(&self) -> &'static str {
        if self.webhook.is_enabled() { "deactivation" } else { "activation" }
    }

    /// When Latchkey switched it off, and why.
    pub(super) fn stopped(&self) -> Option<(OffsetDateTime, &'static str)> {
        self.webhook.off.and_then(|(since, off)| match off {
            Off::SwitchedOff => None,
            Off::Gone => Some((since, "Its endpoint answered 410 Gone, which asks for no more deliveries.")),
            Off::Failing => Some((since, "For five days every delivery failed.")),
        })
    }

    /// `HTTP 200 · 118 ms`, when that is known.
    pub(super) fn last(&self) -> Option<String> {
        let (status, micros) = self.facts.last_status.zip(self.facts.last_duration_us)?;
        Some(format!("HTTP {status} · {}", millis(micros.into())))
    }

    /// `8,412 of 8,419`.
    pub(super) fn delivered(&self) -> String {
        let Facts { delivered, gave_up, .. } = self.facts;
        format!("{} of {}", grouped(delivered), grouped(delivered + gave_up))
    }

    /// `99.92%`; none of nothing. Rounded down: all but one of a million is not all.
    pub(super) fn share(&self) -> Option<String> {
        let Facts { delivered, gave_up, .. } = self.facts;
        let all = delivered + gave_up;
        let hundredths = (all > 0).then(|| delivered * 10_000 / all)?;
        Some(format!("{}.{:02}%", hundredths / 100, hundredths % 100))
    }

    /// `3 events`.
    pub(super) fn waiting(&self) -> String {
        match self.facts.waiting {
            1 => "1 event".into(),
            n if self.facts.is_capped() => format!("{}+ events", grouped(n - 1)),
            n => format!("{} events", grouped(n)),
        }
    }

    /// `2 jobs behind a retry`.
    pub(super) fn behind(&self) -> Option<String> {
        match (self.facts.retrying, self.webhook.is_enabled()) {
            _ if self.facts.waiting == 0 => None,
            (_, false) => Some("until it is switched on".into()),
            (0, true) => None,
            (1, true) => Some("1 job behind a retry".into()),
            (n, true) => Some(format!("{} jobs behind a retry", grouped(n))),
        }
    }
}

/// What rows are shown by.
pub(super) struct Shown<'a> {
    pub(super) profile: &'a Profile,
    pub(super) rules: &'a WebhookRules,
    pub(super) endpoint: Option<&'a Endpoint>,
    pub(super) now: OffsetDateTime,
}

/// One row.
pub(super) struct Item {
    pub(super) delivery: Delivery,
    /// The job's public id.
    pub(super) job: Option<String>,
    pub(super) class: &'static str,
    pub(super) state: String,
    /// When the row is open.
    pub(super) opened: Option<Opened>,
    /// Whether it can be sent again, or sooner.
    pub(super) can_resend: bool,
}

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
            (None, Some(status)) => format!("The endpoint answered {}", reason(status as u16)),
            (None, None) => "No answer".into(),
        }
    }
}

/// `503 Service Unavailable`.
pub(super) fn reason(status: u16) -> String {
    let words = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    words.map_or_else(|| status.to_string(), |words| format!("{status} {words}"))
}

/// A status, or the class of a failure, in its colour.
pub(super) struct Chip {
    pub(super) class: &'static str,
    pub(super) text: String,
}

impl Chip {
    fn of(status: Option<i16>, failure: Option<&str>) -> Option<Self> {
        let fail = " fail";
        match (failure, status) {
            (Some(class), _) => Some(Self { class: fail, text: class.to_owned() }),
            (None, Some(status)) => {
                let class = match status {
                    200..=299 => " ok",
                    429 => " wait",
                    500.. => fail,
                    _ => "",
                };
                Some(Self { class, text: status.to_string() })
            }
            (None, None) => None,
        }
    }
}

impl Item {
    pub(super) fn chip(&self) -> Option<Chip> {
        Chip::of(self.delivery.last_status, self.delivery.last_failure.as_deref())
    }

    /// The event's type in its words, between which a narrow column may break it.
    pub(super) fn event_words(&self) -> impl Iterator<Item = &str> {
        self.delivery.event_type.split_inclusive('.')
    }

    pub(super) fn duration(&self) -> String {
        self.delivery.last_duration_us.map_or_else(|| "–".into(), |micros| millis(micros.into()))
    }

    /// What the row's link is called; it has to have the time in it, which is what it shows.
    pub(super) fn name(&self, now: &OffsetDateTime) -> String {
        let at = crate::web::filters::instant_text(self.delivery.at, *now);
        format!("Attempts of {} at {at}, {}", self.delivery.event_type, self.state)
    }
}

impl Shown<'_> {
    pub(super) fn item(&self, delivery: Delivery, history: Option<History>) -> Item {
        let (class, state) = self.state(&delivery);
        let can_resend = self.endpoint.is_some()
            && (delivery.state != State::Pending || (state == "Retrying" && delivery.turn.is_some_and(|turn| turn.due_at > self.now)));
        let opened = history.map(|history| self.opened(&delivery, history));
        let job = delivery.job.map(|job| self.profile.public_job_id(job));
        Item { job, class, state, opened, can_resend, delivery }
    }

    fn is_off(&self) -> bool {
        self.endpoint.is_some_and(|endpoint| !endpoint.webhook.is_enabled())
    }

    fn state(&self, delivery: &Delivery) -> (&'static str, String) {
        let (class, word) = match (delivery.state, delivery.turn) {
            (State::Delivered, _) => ("ok", "Delivered"),
            (State::GaveUp, _) => ("fail", "Gave up"),
            (State::Overtaken, _) => ("dash", "Overtaken"),
            (State::Pending, Some(turn)) if turn.head < delivery.sequence => return ("ring", format!("Waiting for #{}", turn.head)),
            (State::Pending, _) if self.is_off() => ("ring", "Waiting (off)"),
            (State::Pending, _) if delivery.failures > 0 => ("wait", "Retrying"),
            (State::Pending, Some(turn)) if turn.is_claimed => ("ring", "Sending"),
            (State::Pending, _) => ("ring", "Waiting"),
        };
        (class, word.into())
    }

    fn opened(&self, delivery: &Delivery, history: History) -> Opened {
        let tries = match delivery.attempts {
            0 => String::new(),
            1 => ", after one attempt".into(),
            n => format!(", after {} attempts", grouped(n)),
        };
        let (sentence, time, rest) = match (delivery.state, delivery.turn) {
            (State::Delivered, _) => ("delivered on ".to_owned(), delivery.finished_at, format!("{tries}.")),
            (State::GaveUp, _) => ("given up on ".to_owned(), delivery.finished_at, format!("{tries}.")),
            (State::Overtaken, _) => {
                ("dropped on ".to_owned(), delivery.finished_at, ": it waited, and newer progress was there to be sent.".into())
            }
            (State::Pending, Some(turn)) if turn.head < delivery.sequence => {
                (format!("leaves when #{} of the same job is delivered or given up.", turn.head), None, String::new())
            }
            (State::Pending, _) if self.is_off() => ("leaves when the webhook is switched on.".to_owned(), None, String::new()),
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
        let pauses: Vec<String> = pauses.map(|pause| span(Duration::try_from(*pause).unwrap_or(Duration::MAX))).collect();
        match pauses.as_slice() {
            [] => "; it is the last".into(),
            [only] => format!(", then after {only}"),
            [most @ .., last] => format!(", then after {} and {last}", most.join(", ")),
        }
    }
}

/// The two largest units of a duration: `2 min 31 s`.
fn span(duration: Duration) -> String {
    let seconds = duration.whole_seconds().max(0);
    let parts = match seconds {
        ..60 => return format!("{} s", seconds.max(1)),
        60..3_600 => [(seconds / 60, "min"), (seconds % 60, "s")],
        3_600..86_400 => [(seconds / 3_600, "h"), (seconds % 3_600 / 60, "min")],
        _ => [(seconds / 86_400, "d"), (seconds % 86_400 / 3_600, "h")],
    };
    parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n} {unit}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units() {
        for (seconds, text) in [(0, "1 s"), (5, "5 s"), (151, "2 min 31 s"), (1_800, "30 min"), (18_000, "5 h"), (90_000, "1 d 1 h")] {
            assert_eq!(span(Duration::seconds(seconds)), text);
        }
    }

    #[test]
    fn statuses_have_their_words() {
        assert_eq!((reason(503).as_str(), reason(599).as_str()), ("503 Service Unavailable", "599"));
    }
}
