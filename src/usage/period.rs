//! Periods that people look at. All are whole hours or whole days (UTC), so that charts, history and a plain `SELECT` count the same.

use time::{Date, Duration, OffsetDateTime, UtcOffset};

use crate::clock::hour;

/// A period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// This hour and the 23 before it.
    Day,
    /// Today and so many days less one before it.
    Days(i64),
    /// From the first day to the last one.
    Custom(Date, Date),
}

/// A period at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Where it begins.
    pub from: OffsetDateTime,
    /// Where it ends, exclusive; after now where its last hour or day is not over.
    pub to: OffsetDateTime,
    /// What a chart of it shows as one.
    pub bin: Duration,
}

impl Period {
    /// The periods that can be chosen by name.
    pub const NAMED: [(&'static str, Self); 4] =
        [("24h", Self::Day), ("7d", Self::Days(7)), ("30d", Self::Days(30)), ("90d", Self::Days(90))];

    /// Where it begins and ends at `now`.
    pub fn span(self, now: OffsetDateTime) -> Span {
        let today = now.to_offset(UtcOffset::UTC).replace_time(time::Time::MIDNIGHT);
        match self {
            Self::Day => {
                let to = hour(now) + Duration::HOUR;
                Span { from: to - Duration::DAY, to, bin: Duration::HOUR }
            }
            Self::Days(days) => Span::of_days(today - Duration::days(days - 1), today + Duration::DAY),
            Self::Custom(first, last) => Span::of_days(first.midnight().assume_utc(), last.midnight().assume_utc() + Duration::DAY),
        }
    }
}

impl Span {
    fn of_days(from: OffsetDateTime, to: OffsetDateTime) -> Self {
        let bin = match (to - from).whole_days() {
            ..=2 => Duration::HOUR,
            3..=8 => Duration::hours(2),
            9..=100 => Duration::DAY,
            _ => Duration::WEEK,
        };
        Self { from, to, bin }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::{date, datetime};

    use super::*;

    #[test]
    fn periods_are_whole_and_hold_now() {
        let now = datetime!(2026-11-20 23:59:59.9 UTC);
        let of = |period: Period| {
            let span = period.span(now);
            (span.from, span.to, span.bin.whole_hours())
        };
        let end = datetime!(2026-11-21 00:00 UTC);
        assert_eq!(of(Period::Day), (datetime!(2026-11-20 00:00 UTC), end, 1));
        assert_eq!(of(Period::Days(7)), (datetime!(2026-11-14 00:00 UTC), end, 2));
        assert_eq!(of(Period::Days(90)), (datetime!(2026-08-23 00:00 UTC), end, 24));
        assert_eq!(of(Period::Custom(date!(2026 - 02 - 01), date!(2026 - 02 - 01))).2, 1);
        assert_eq!(Period::Day.span(end).from, datetime!(2026-11-20 01:00 UTC), "midnight begins an hour");
    }
}
