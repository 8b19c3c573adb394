//! The filters of the ledger as the URL has them.

use serde::Deserialize;
use time::macros::format_description;
use time::{Date, Duration, OffsetDateTime, Time};

use crate::credits::EntryKind;
use crate::credits::hours::begin_of;
use crate::credits::ledger::{Cursor, Filter};
use crate::error::{Error, FieldError, Result};

/// Periods that end now: as the URL has them, as people read them, and their days.
pub(super) const PERIODS: [(&str, &str, i64); 4] =
    [("24h", "Last 24 h", 1), ("7d", "Last 7 d", 7), ("30d", "Last 30 d", 30), ("90d", "Last 90 d", 90)];
/// Days of the reader's own choice.
pub(super) const CUSTOM: &str = "custom";

/// The query of the page and of its file.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Asked {
    #[serde(default)]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) period: String,
    /// `2026-11-20`: the first day of [`CUSTOM`], or empty.
    #[serde(default)]
    pub(super) from: String,
    /// Its last day.
    #[serde(default)]
    pub(super) to: String,
    before: Option<String>,
    after: Option<String>,
}

impl Asked {
    /// What it asks for. Whatever is wrong is told at once.
    pub(super) fn filter(&self, now: OffsetDateTime) -> Result<Filter> {
        let mut wrong = Vec::new();
        let mut note = |field: &'static str, message: String| wrong.push(FieldError { field: field.into(), message });
        let kind = EntryKind::parse(&self.kind);
        if kind.is_none() && !self.kind.is_empty() {
            let kinds = EntryKind::ALL.map(EntryKind::as_str).join(", ");
            note("kind", format!("{:?} is no kind of entry. There are: {kinds}.", self.kind));
        }
        let (mut from, mut to) = (None, None);
        match (self.period.as_str(), PERIODS.iter().find(|(name, ..)| *name == self.period)) {
            (_, Some((.., days))) => from = Some(begin_of(now, *days)),
            ("", _) => {}
            (CUSTOM, _) => {
                for (field, text, begin) in [("from", &self.from, &mut from), ("to", &self.to, &mut to)] {
                    match day(text) {
                        Ok(found) => *begin = found,
                        Err(message) => note(field, message),
                    }
                }
                if from.zip(to).is_some_and(|(from, to)| from > to) {
                    note("to", format!("{} is before {}. Choose a last day that is not before the first.", self.to, self.from));
                }
                // The last day is in it whole.
                to = to.and_then(|to: OffsetDateTime| to.checked_add(Duration::DAY));
            }
            (other, None) => {
                let names = PERIODS.map(|(name, ..)| name).join(", ");
                note("period", format!("{other:?} is no period. There are: {names}, {CUSTOM}."));
            }
        }
        if wrong.is_empty() { Ok(Filter { kind, from, to }) } else { Err(Error::Invalid(wrong)) }
    }

    pub(super) fn cursor(&self) -> Result<Option<Cursor>> {
        let place = |text: &String| text.parse::<i64>().ok().filter(|sequence| *sequence > 0).ok_or(Error::NotFound);
        Ok(match (&self.before, &self.after) {
            (Some(sequence), _) => Some(Cursor::Before(place(sequence)?)),
            (None, Some(sequence)) => Some(Cursor::After(place(sequence)?)),
            (None, None) => None,
        })
    }

    /// The fields of [`CUSTOM`]: name, label, what stands in them.
    pub(super) fn days(&self) -> [(&'static str, &'static str, &str); 2] {
        [("from", "From", &self.from), ("to", "to", &self.to)]
    }

    pub(super) fn is_filtered(&self) -> bool {
        !self.kind.is_empty() || !self.period.is_empty()
    }

    /// These filters as a query, with room for a place behind it. Only for those that [`Asked::filter`] has let pass.
    pub(super) fn query(&self) -> String {
        let custom = self.period == CUSTOM;
        let (from, to) = if custom { (self.from.trim(), self.to.trim()) } else { ("", "") };
        let given = [("kind", self.kind.as_str()), ("period", &self.period), ("from", from), ("to", to)];
        let given = given.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name}={value}&"));
        format!("?{}", given.collect::<String>())
    }
}

/// The beginning of a day in UTC; none of an empty text.
fn day(text: &str) -> std::result::Result<Option<OffsetDateTime>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let date = Date::parse(text, format_description!("[year]-[month]-[day]"));
    // PostgreSQL's times end where five digits of a year begin.
    let date = date.ok().filter(|date| (1970..=9998).contains(&date.year()));
    date.map(|date| Some(date.with_time(Time::MIDNIGHT).assume_utc()))
        .ok_or_else(|| format!("{text:?} is not a day. Write it like 2026-11-20."))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-20 14:03:41 UTC);

    fn asked(period: &str, from: &str, to: &str) -> Asked {
        Asked { period: period.into(), from: from.into(), to: to.into(), ..Asked::default() }
    }

    #[test]
    fn periods_begin_at_a_full_hour_and_days_are_whole() {
        let filter = asked("24h", "", "").filter(NOW).expect("a filter");
        assert_eq!((filter.from, filter.to), (Some(datetime!(2026-11-19 14:00:00 UTC)), None));
        let filter = asked("custom", "2026-11-01", "2026-11-01").filter(NOW).expect("a filter");
        assert_eq!((filter.from, filter.to), (Some(datetime!(2026-11-01 0:00 UTC)), Some(datetime!(2026-11-02 0:00 UTC))));
        let filter = asked("custom", "", "").filter(NOW).expect("a filter");
        assert_eq!((filter.from, filter.to), (None, None));
        assert_eq!(asked("7d", "rubbish", "").filter(NOW).expect("days are not looked at").to, None);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let fields = |asked: Asked| match asked.filter(NOW) {
            Err(Error::Invalid(fields)) => fields.into_iter().map(|field| field.field.into_owned()).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        assert_eq!(fields(Asked { kind: "gift".into(), ..asked("2d", "", "") }), ["kind", "period"]);
        assert_eq!(fields(asked("custom", "20.11.2026", "2026-02-30")), ["from", "to"]);
        assert_eq!(fields(asked("custom", "2026-11-02", "2026-11-01")), ["to"]);
        assert_eq!(fields(asked("custom", "99999-01-01", "0001-01-01")), ["from", "to"]);
    }
}
