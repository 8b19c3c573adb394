//! The endpoint and its deliveries as the templates want them.

use actix_web::http::StatusCode;
use time::OffsetDateTime;

use super::laps::millis;
use super::opened::Opened;
use crate::error::{Error, Result};
use crate::profile::Profile;
use crate::site::WebhookRules;
use crate::web::filters::grouped;
use crate::webhooks::list::{Delivery, Filter, History, State};
use crate::webhooks::{Facts, Off, Standing, Webhook};

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

/// The webhook as its card has it.
pub(super) struct Endpoint {
    pub(super) webhook: Webhook,
    pub(super) facts: Facts,
    /// Its secret can't be opened: nothing can be signed, so nothing is sent.
    pub(super) is_shut: bool,
}

impl From<Standing> for Endpoint {
    fn from(Standing { webhook, facts, is_shut }: Standing) -> Self {
        Self { webhook, facts, is_shut }
    }
}

impl Endpoint {
    /// Class and word of the status beside the heading.
    pub(super) fn status(&self) -> (&'static str, &'static str) {
        match (&self.webhook.off, self.webhook.failing_since) {
            (Some(_), _) => ("ring", "Off"),
            (None, _) if self.is_shut => ("fail", "Can’t sign"),
            (None, Some(_)) => ("fail", "Failing since"),
            (None, None) if self.facts.last_at.is_none() => ("ring", "Nothing sent yet"),
            (None, None) => ("ok", "Delivering"),
        }
    }

    /// Since when it fails, where the word before it leads there.
    pub(super) fn failing_since(&self) -> Option<OffsetDateTime> {
        self.webhook.failing_since.filter(|_| self.webhook.is_enabled() && !self.is_shut)
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
            n => format!("{} events", capped(n, self.facts.is_capped())),
        }
    }

    /// `2 jobs behind a retry`.
    pub(super) fn behind(&self) -> Option<String> {
        match (self.facts.retrying, self.webhook.is_enabled()) {
            _ if self.facts.waiting == 0 => None,
            (_, false) => Some("until it is switched on".into()),
            _ if self.is_shut => Some("until they can be signed".into()),
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

/// `1,284`, or `10,000+` of what was counted to one more than that.
pub(super) fn capped(n: i64, is_capped: bool) -> String {
    if is_capped { format!("{}+", grouped(n - 1)) } else { grouped(n) }
}

/// `503 Service Unavailable`.
pub(super) fn reason(status: u16) -> String {
    let words = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    words.map_or_else(|| status.to_string(), |words| format!("{status} {words}"))
}

/// A status, the class of a failure, or both, in its colour.
pub(super) struct Chip {
    pub(super) class: &'static str,
    pub(super) text: String,
}

impl Chip {
    pub(super) fn of(status: Option<i16>, failure: Option<&str>) -> Option<Self> {
        let fail = " fail";
        match (failure, status) {
            (Some(class), Some(status)) => Some(Self { class: fail, text: format!("{status} {class}") }),
            (Some(class), None) => Some(Self { class: fail, text: class.to_owned() }),
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

    pub(super) fn is_off(&self) -> bool {
        self.endpoint.is_some_and(|endpoint| !endpoint.webhook.is_enabled())
    }

    pub(super) fn is_shut(&self) -> bool {
        self.endpoint.is_some_and(|endpoint| endpoint.is_shut)
    }

    fn state(&self, delivery: &Delivery) -> (&'static str, String) {
        let (class, word) = match (delivery.state, delivery.turn) {
            (State::Delivered, _) => ("ok", "Delivered"),
            (State::GaveUp, _) => ("fail", "Gave up"),
            (State::Overtaken, _) => ("dash", "Overtaken"),
            (State::Pending, Some(turn)) if turn.head < delivery.sequence => return ("ring", format!("Waiting for #{}", turn.head)),
            (State::Pending, _) if self.is_off() => ("ring", "Waiting (off)"),
            (State::Pending, _) if self.is_shut() => ("ring", "Waiting (can’t sign)"),
            (State::Pending, _) if delivery.failures > 0 => ("wait", "Retrying"),
            (State::Pending, Some(turn)) if turn.is_claimed => ("ring", "Sending"),
            (State::Pending, _) => ("ring", "Waiting"),
        };
        (class, word.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_their_words() {
        assert_eq!((reason(503).as_str(), reason(599).as_str()), ("503 Service Unavailable", "599"));
    }
}
