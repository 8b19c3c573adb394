//! Labels below a plot, and a period in words.

use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Duration, OffsetDateTime, Time};

type Format = &'static [BorrowedFormatItem<'static>];
const HOUR: Format = format_description!("[hour]:00");
const WEEKDAY: Format = format_description!("[weekday repr:short]");
const DAY_OF_MONTH: Format = format_description!(" [day padding:none]");
const DATE: Format = format_description!("[day padding:none] [month repr:short]");
const MONTH: Format = format_description!("[month repr:short] [year]");
const DATE_AND_YEAR: Format = format_description!("[day padding:none] [month repr:short] [year]");
const DATE_AND_TIME: Format = format_description!("[day padding:none] [month repr:short], [hour]:[minute]");
const DATE_YEAR_AND_TIME: Format = format_description!("[day padding:none] [month repr:short] [year], [hour]:[minute]");

/// Most labels side by side.
const LABELS: i64 = 8;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Its middle, in per cent of the width: `7.1`.
    pub x: String,
    /// What it says.
    pub text: String,
    /// What it adds where there is room.
    pub more: String,
}

/// Labels below a plot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline {
    /// Oldest first.
    pub labels: Vec<Label>,
    /// Whether they are days of a week, which can do without their date in little room; of others every second one can go.
    pub is_week: bool,
}

impl Timeline {
    /// Of a period of bins as long as `bin`: hours, or days of the week, or dates, whichever are six to eight. Each is below the middle of
    /// the bin, or the day, that it names.
    pub fn of(from: OffsetDateTime, to: OffsetDateTime, bin: Duration) -> Self {
        let span = to - from;
        let is_week = span > Duration::hours(48) && span <= Duration::days(8);
        let (unit, steps): (Duration, &[i64]) = match span.whole_hours() {
            ..=48 => (Duration::HOUR, &[1, 2, 3, 4, 6]),
            _ if is_week => (Duration::DAY, &[1]),
            _ => (Duration::DAY, &[1, 2, 5, 7, 10, 14, 30, 60, 90, 120, 365]),
        };
        let units = (span.whole_seconds() / unit.whole_seconds()).max(1);
        let step = steps.iter().copied().find(|step| units <= step * LABELS).unwrap_or(units / LABELS + 1);
        let format = if unit == Duration::HOUR {
            HOUR
        } else if is_week {
            WEEKDAY
        } else if span > Duration::days(366) {
            MONTH
        } else {
            DATE
        };
        let width = if unit == Duration::DAY { unit } else { bin };
        let mut labels = Vec::new();
        let mut at = first(from, unit, if unit == Duration::HOUR { step } else { 1 });
        while at < to {
            let (start, end): (OffsetDateTime, OffsetDateTime) = (at.max(from), (at + width).min(to));
            // A label that names less than half of what it stands below would push its neighbour.
            if (end - start) * 2 >= width {
                let middle: Duration = start - from + (end - start) / 2;
                let x = format!("{:.1}", middle.as_seconds_f64() * 100.0 / span.as_seconds_f64());
                let x = x.trim_end_matches(".0").to_owned();
                let more = if is_week { words(at, DAY_OF_MONTH) } else { String::new() };
                labels.push(Label { x, text: words(at, format), more });
            }
            at += unit * step as i32;
        }
        Self { labels, is_week }
    }
}

/// The first label: the day of `from` with all of its hours, or the first hour that is a multiple of `step`.
fn first(from: OffsetDateTime, unit: Duration, step: i64) -> OffsetDateTime {
    let midnight = from.replace_time(Time::MIDNIGHT);
    if unit == Duration::DAY {
        return midnight;
    }
    let long = unit * step as i32;
    let passed = (from - midnight).whole_seconds();
    midnight + long * (passed as u64).div_ceil(long.whole_seconds().max(1) as u64) as i32
}

fn words(at: OffsetDateTime, format: Format) -> String {
    at.format(format).unwrap_or_default()
}

/// How long a bin is: `hour`, `2 h`, `day`, `7 days`.
pub fn bin_words(bin: Duration) -> String {
    match bin.whole_hours() {
        1 => "hour".into(),
        24 => "day".into(),
        hours if hours % 24 == 0 => format!("{} days", hours / 24),
        hours => format!("{hours} h"),
    }
}

/// Both ends of a period: `from 3 Oct to 9 Oct` of whole days, the last one included, else with the time; `on 3 Oct` of one day. Of what
/// is to come nothing is said.
pub fn range_words(from: OffsetDateTime, to: OffsetDateTime, now: OffsetDateTime) -> String {
    let year = from.year() != now.year() || to.year() != now.year();
    let day = if year { DATE_AND_YEAR } else { DATE };
    let last = (to - Duration::SECOND).min(now.max(from));
    if from.time() != Time::MIDNIGHT || to.time() != Time::MIDNIGHT {
        let minute = if year { DATE_YEAR_AND_TIME } else { DATE_AND_TIME };
        return format!("from {} to {}", words(from, minute), words(to.min(now.max(from)), minute));
    }
    if last.date() == from.date() {
        return format!("on {}", words(from, day));
    }
    format!("from {} to {}", words(from, day), words(last, day))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-20 14:03:40 UTC);

    fn texts(from: OffsetDateTime, to: OffsetDateTime, bin: Duration) -> Vec<String> {
        Timeline::of(from, to, bin).labels.into_iter().map(|label| label.text + &label.more).collect()
    }

    #[test]
    fn labels_are_days_hours_or_dates_as_fits() {
        let (start, end) = (datetime!(2026-11-14 0:00 UTC), datetime!(2026-11-21 0:00 UTC));
        let week = Timeline::of(start, end, Duration::hours(2));
        assert_eq!(week.labels[0], Label { x: "7.1".into(), text: "Sat".into(), more: " 14".into() });
        assert_eq!(texts(start, end, Duration::hours(2)).last().unwrap(), "Fri 20");
        let day = texts(datetime!(2026-11-19 15:00 UTC), datetime!(2026-11-20 15:00 UTC), Duration::HOUR);
        assert_eq!(day, ["15:00", "18:00", "21:00", "00:00", "03:00", "06:00", "09:00", "12:00"]);
        let day = texts(datetime!(2026-11-19 14:00 UTC), datetime!(2026-11-20 14:00 UTC), Duration::HOUR);
        assert_eq!(day.first().unwrap(), "15:00", "hours are round, wherever the period starts");
        let quarter = texts(datetime!(2026-08-23 0:00 UTC), end, Duration::DAY);
        assert_eq!(quarter, ["23 Aug", "6 Sep", "20 Sep", "4 Oct", "18 Oct", "1 Nov", "15 Nov"]);
        assert_eq!(texts(datetime!(2025-01-01 0:00 UTC), datetime!(2027-01-01 0:00 UTC), Duration::days(7))[1], "May 2025");
    }

    #[test]
    fn every_period_has_few_labels_inside_of_it() {
        for hours in (1..100).chain((100..17_520).step_by(97)) {
            let from = datetime!(2024-12-30 7:00 UTC);
            let labels = Timeline::of(from, from + Duration::hours(hours), Duration::HOUR).labels;
            assert!((1..=9).contains(&labels.len()), "{hours} h: {}", labels.len());
            assert!(labels.iter().all(|label| (0.0..=100.0).contains(&label.x.parse::<f64>().unwrap())), "{hours} h");
        }
    }

    #[test]
    fn a_period_is_said_with_its_last_day() {
        let (from, to) = (datetime!(2026-10-03 0:00 UTC), datetime!(2026-10-10 0:00 UTC));
        assert_eq!(range_words(from, to, NOW), "from 3 Oct to 9 Oct");
        assert_eq!(range_words(from, from + Duration::DAY, NOW), "on 3 Oct");
        assert_eq!(range_words(from, from + Duration::hours(14), NOW), "from 3 Oct, 00:00 to 3 Oct, 14:00");
        assert_eq!(range_words(datetime!(2025-12-30 0:00 UTC), to, NOW), "from 30 Dec 2025 to 9 Oct 2026");
        assert_eq!(range_words(from, datetime!(2026-12-01 0:00 UTC), NOW), "from 3 Oct to 20 Nov", "what is to come is not in it");
    }

    #[test]
    fn bins_are_said_in_their_unit() {
        for (bin, text) in [(Duration::HOUR, "hour"), (Duration::hours(2), "2 h"), (Duration::DAY, "day"), (Duration::days(7), "7 days")] {
            assert_eq!(bin_words(bin), text);
        }
    }
}
