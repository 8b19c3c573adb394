//! The figures above the ledger, in words.

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::credits::hours::{End, Figures};
use crate::web::filters::grouped;

const NEAR: &[BorrowedFormatItem<'static>] = format_description!("[weekday repr:short] [day padding:none] [month repr:short]");
const OTHER_YEAR: &[BorrowedFormatItem<'static>] = format_description!("[day padding:none] [month repr:short] [year]");

/// A figure and the line below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) value: String,
    pub(super) note: String,
}

fn words(value: impl Into<String>, note: impl Into<String>) -> Words {
    Words { value: value.into(), note: note.into() }
}

/// Settled in 30 days.
pub(super) fn settled(figures: &Figures) -> Words {
    words(grouped(figures.settled), format!("{} in the 30 d before", grouped(figures.settled_before)))
}

/// The burn rate.
pub(super) fn rate(figures: &Figures) -> Words {
    let value = format!("{} a day", amount(figures.per_day));
    let note = match figures.per_day_before {
        _ if figures.per_day <= 0.0 => "nothing settled in 7 d".into(),
        // No week to compare with.
        None if figures.days < 7.0 => match figures.days.floor() as i64 {
            1 => "over the first day".into(),
            days => format!("over the first {days} days"),
        },
        None => "in the first full week".into(),
        Some(before) if before <= 0.0 => "nothing the week before".into(),
        Some(before) => match ((figures.per_day / before - 1.0) * 100.0).round() as i64 {
            0 => "same as last week".into(),
            more @ 1.. => format!("{}% more than last week", grouped(more)),
            less => format!("{}% less than last week", grouped(-less)),
        },
    };
    words(value, note)
}

/// Whole credits, with one decimal where they are few.
fn amount(rate: f64) -> String {
    if rate <= 0.0 {
        return "0".into();
    }
    if rate < 0.05 {
        return "< 0.1".into();
    }
    let tenths = (rate * 10.0).round() as i64;
    if tenths >= 100 || tenths % 10 == 0 { grouped(rate.round() as i64) } else { format!("{}.{}", tenths / 10, tenths % 10) }
}

/// The day they run out.
pub(super) fn end(figures: &Figures, now: OffsetDateTime) -> Words {
    match figures.end {
        End::Never => words("–", "nothing is burning"),
        End::Now => words("Now", "none are available"),
        End::Far => words("Not soon", "in more than a year"),
        End::At(at) => {
            let day = at.format(if at.year() == now.year() { NEAR } else { OTHER_YEAR }).unwrap_or_default();
            let note = match (at - now).whole_days() {
                0 => "within a day at this rate".into(),
                1 => "in 1 day at this rate".into(),
                days => format!("in {days} days at this rate"),
            };
            words(day, note)
        }
    }
}

#[cfg(test)]
mod tests {
    use time::Duration;
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-20 14:03:41 UTC);

    fn figures(per_day: f64, per_day_before: Option<f64>, days: f64, end: End) -> Figures {
        Figures { settled: 3_258, settled_before: 3_301, per_day, per_day_before, days, end }
    }

    #[test]
    fn rates_are_compared_with_the_week_before() {
        for (per_day, before, days, value, note) in [
            (131.2, Some(121.5), 7.0, "131 a day", "8% more than last week"),
            (9.04, Some(10.0), 7.0, "9 a day", "10% less than last week"),
            (1.44, Some(1.44), 7.0, "1.4 a day", "same as last week"),
            (0.04, Some(0.0), 7.0, "< 0.1 a day", "nothing the week before"),
            (0.0, Some(3.0), 7.0, "0 a day", "nothing settled in 7 d"),
            (12.0, None, 1.0, "12 a day", "over the first day"),
            (12.0, None, 3.4, "12 a day", "over the first 3 days"),
            (1_284.0, None, 7.0, "1,284 a day", "in the first full week"),
        ] {
            assert_eq!(rate(&figures(per_day, before, days, End::Never)), words(value, note));
        }
    }

    #[test]
    fn the_end_is_a_day_or_words() {
        for (at, value, note) in [
            (End::At(NOW + Duration::hours(319)), "Thu 3 Dec", "in 13 days at this rate"),
            (End::At(NOW + Duration::hours(3)), "Fri 20 Nov", "within a day at this rate"),
            (End::At(NOW + Duration::hours(47)), "Sun 22 Nov", "in 1 day at this rate"),
            (End::At(NOW + Duration::days(200)), "8 Jun 2027", "in 200 days at this rate"),
            (End::Far, "Not soon", "in more than a year"),
            (End::Never, "–", "nothing is burning"),
            (End::Now, "Now", "none are available"),
        ] {
            assert_eq!(end(&figures(1.0, None, 7.0, at), NOW), words(value, note));
        }
        assert_eq!(settled(&figures(1.0, None, 7.0, End::Never)), words("3,258", "3,301 in the 30 d before"));
    }
}
