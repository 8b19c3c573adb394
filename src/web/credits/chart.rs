//! The chart of the balance: a line by the hour with grants as steps, the way on at the present rate, the threshold.
//!
//! The plot is 1000 × 200 units that the page stretches; every label is HTML around it, in as many equal parts as the plot has.

use time::{Date, Duration, OffsetDateTime};

use crate::clock;
use crate::credits::hours::{Course, End, Figures};
use crate::web::charts::{Scale, rounded, ticks};
use crate::web::filters::{day_text, grouped};

const WIDTH: f64 = 1_000.0;
const HEIGHT: f64 = 200.0;
/// How much of the past is shown, in four parts: days of a part, and hours that make one point of the line.
const SPANS: [(i64, i64); 4] = [(1, 1), (2, 1), (7, 3), (15, 6)];

/// The chart, ready to be drawn.
#[derive(Debug, Clone)]
pub(super) struct Chart {
    /// Days of the past that it shows.
    pub(super) days: i64,
    /// Path of the line.
    pub(super) line: String,
    /// Path of the ground below it.
    pub(super) area: String,
    /// Path on from now; none when nothing burns.
    pub(super) ahead: Option<String>,
    /// Height of the threshold.
    pub(super) limit: Option<String>,
    /// Path of the lines behind, the zero line left out.
    pub(super) grid: String,
    /// Labels of the lines, from the top down.
    pub(super) levels: Vec<String>,
    /// Ends of the parts, from left to right.
    pub(super) times: Vec<OffsetDateTime>,
    /// The same as numbers, the newest day first.
    pub(super) rows: Vec<Row>,
}

/// A day of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) day: OffsetDateTime,
    /// Available at its end, or now.
    pub(super) available: i64,
    pub(super) settled: i64,
    pub(super) given: i64,
}

impl Row {
    /// `2026-11-20`: a day, which has no time zone.
    pub(super) fn date(&self) -> Date {
        self.day.date()
    }

    /// `20 Nov`, with the year when it is not this one.
    pub(super) fn words(&self, now: &OffsetDateTime) -> String {
        day_text(self.day, *now)
    }
}

/// A moment and what was available then.
type Point = (OffsetDateTime, i64);

impl Chart {
    /// Draws a course up to now; none of a ledger in which nothing happened yet.
    pub(super) fn of(course: &Course, figures: &Figures, available: i64, threshold: Option<i64>, now: OffsetDateTime) -> Option<Self> {
        let began = course.began?;
        let fits = |(part, _): &&(i64, i64)| began >= now - Duration::days(4 * part);
        let (days, hours) = SPANS.iter().find(fits).copied().unwrap_or(SPANS[SPANS.len() - 1]);
        let (begin, part) = (now - Duration::days(4 * days), Duration::days(days));
        let points = points(course, begin, hours, available, now);
        let ahead = ahead(figures, available, now, part);
        let parts = 4 + ahead.map_or(0, |(end, _)| if end - now > part { 2 } else { 1 });
        let most = points.iter().map(|(_, value)| *value).chain(threshold).max().unwrap_or(0);
        // Three lines at least: a balance of nothing has a scale, too.
        let scale = Scale { ticks: ticks(most.max(3)) };
        let (top, lines) = (scale.top() as f64, scale.ticks.len().saturating_sub(1));
        let x = |at: OffsetDateTime| ((at - begin) / part * WIDTH / parts as f64).clamp(0.0, WIDTH);
        let y = |value: f64| HEIGHT - value / top * HEIGHT;
        let at = |(moment, value): &Point| format!("{} {}", rounded(x(*moment)), rounded(y(*value as f64)));
        let line = format!("M{}", points.iter().map(at).collect::<Vec<_>>().join(" "));
        let (first, now_x) = (points.first().map_or(0.0, |(moment, _)| x(*moment)), x(now));
        Some(Self {
            days: 4 * days,
            area: format!("{line}V{HEIGHT}H{}z", rounded(first)),
            line,
            ahead: ahead.map(|(end, left)| {
                format!("M{} {}L{} {}", rounded(now_x), rounded(y(available as f64)), rounded(x(end)), rounded(y(left)))
            }),
            limit: threshold.map(|threshold| rounded(y(threshold as f64))),
            grid: (0..lines).map(|n| format!("M0 {}H{WIDTH}", rounded(HEIGHT * n as f64 / lines as f64))).collect(),
            levels: scale.ticks.iter().rev().map(|value| grouped(*value)).collect(),
            times: (0..=parts).map(|n| begin + part * n).collect(),
            rows: rows(course, begin, now),
        })
    }
}

/// Where the balance goes on at the present rate: until it is used up, at most 30 days and half of what is shown of the past.
fn ahead(figures: &Figures, available: i64, now: OffsetDateTime, part: Duration) -> Option<(OffsetDateTime, f64)> {
    if matches!(figures.end, End::Never | End::Now) {
        return None;
    }
    let most = part + part;
    let furthest = now + most;
    match figures.end {
        End::At(end) if end <= furthest => Some((end, 0.0)),
        _ => Some((furthest, available as f64 - figures.per_day * most.as_seconds_f64() / 86_400.0)),
    }
}

/// The line: the balance at the end of every few hours in which something happened, level in between, and both ends of every step.
fn points(course: &Course, begin: OffsetDateTime, hours: i64, available: i64, now: OffsetDateTime) -> Vec<Point> {
    let width = Duration::hours(hours);
    let bucket = |hour: OffsetDateTime| {
        let since = (hour - clock::hour(begin)).whole_hours();
        clock::hour(begin) + Duration::hours(since - since.rem_euclid(hours))
    };
    let earlier =
        course.hours.iter().rfind(|hour| hour.hour < clock::hour(begin)).map_or(course.available_before, |hour| hour.available_after);
    let has_past = course.began.is_some_and(|began| began < clock::hour(begin));
    let mut points: Vec<Point> = if has_past { vec![(begin, earlier)] } else { Vec::new() };
    let mut last = (begin, earlier);
    for hour in course.hours.iter().filter(|hour| hour.hour >= clock::hour(begin)) {
        let (from, to) = (bucket(hour.hour).max(begin), (bucket(hour.hour) + width).min(now));
        if points.last().is_some_and(|(moment, _)| *moment == to) {
            points.pop();
        } else {
            if from > last.0 || points.is_empty() {
                points.push((from, last.1));
            }
            last.0 = to;
        }
        last.1 = hour.available_after;
        points.push((to, last.1));
    }
    for step in course.steps.iter().filter(|step| step.at >= begin) {
        let place = points.partition_point(|(moment, _)| *moment <= step.at);
        points.splice(place..place, [(step.at, step.available_after - step.amount), (step.at, step.available_after)]);
    }
    points.push((now, available));
    points.dedup();
    points
}

/// Each day of the chart that the ledger has, the newest first.
fn rows(course: &Course, begin: OffsetDateTime, now: OffsetDateTime) -> Vec<Row> {
    let mut rows = Vec::new();
    let first = course.began.map_or(begin, |began| began.max(begin)).date();
    let mut hours = course.hours.iter().rev().peekable();
    let mut day = now.date();
    while day >= first {
        let mut row = Row { day: day.midnight().assume_utc(), available: 0, settled: 0, given: 0 };
        let mut at_end = None;
        while let Some(hour) = hours.next_if(|hour| hour.hour.date() >= day) {
            at_end = at_end.or(Some(hour.available_after));
            row.settled += hour.settled;
            row.given += hour.given;
        }
        // A day on which nothing happened ends as the one before it did.
        row.available = at_end.unwrap_or_else(|| hours.peek().map_or(course.available_before, |hour| hour.available_after));
        rows.push(row);
        let Some(previous) = day.previous_day() else { break };
        day = previous;
    }
    rows
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::credits::hours::{Hour, Step};

    const NOW: OffsetDateTime = datetime!(2026-11-20 14:00:00 UTC);

    fn figures(per_day: f64, end: End) -> Figures {
        Figures { settled: 0, settled_before: 0, per_day, per_day_before: None, days: 7.0, end }
    }

    fn hour(at: OffsetDateTime, available_after: i64, settled: i64, given: i64) -> Hour {
        Hour { hour: clock::hour(at), available_after, settled, given }
    }

    #[test]
    fn a_grant_is_a_step_and_the_quiet_is_level() {
        let granted = NOW - Duration::hours(50);
        let course = Course {
            began: Some(clock::hour(granted)),
            hours: vec![hour(granted, 8, 0, 8), hour(NOW - Duration::hours(2), 4, 4, 0)],
            // Two at one moment, in their order.
            steps: [(5, 5), (3, 8)].map(|(amount, available_after)| Step { at: granted, amount, available_after }).into(),
            ..Course::default()
        };
        let chart = Chart::of(&course, &figures(2.0, End::At(NOW + Duration::days(2))), 4, Some(2), NOW).expect("a chart");
        // Four days of the past and two ahead; lines at 0, 2, 4, 6 and 8.
        assert_eq!((chart.days, chart.times.len(), chart.levels.len()), (4, 7, 5));
        assert_eq!(chart.ahead.as_deref(), Some("M666.7 100L1000 200"));
        assert_eq!(chart.limit.as_deref(), Some("150"));
        // From nothing up at once, level to the hour of the next settle, then down.
        assert!(chart.line.starts_with("M319.4 200 319.4 75 319.4 0 "), "{}", chart.line);
        assert!(chart.line.ends_with(" 652.8 0 659.7 100 666.7 100"), "{}", chart.line);
        let numbers: Vec<_> = chart.rows.iter().map(|row| (row.date().day(), row.available, row.settled, row.given)).collect();
        assert_eq!(numbers, [(20, 4, 4, 0), (19, 8, 0, 0), (18, 8, 0, 8)]);
    }

    #[test]
    fn an_old_ledger_comes_in_from_the_left() {
        let course = Course { began: Some(NOW - Duration::days(400)), available_before: 7, ..Course::default() };
        let chart = Chart::of(&course, &figures(0.0, End::Never), 7, None, NOW).expect("a chart");
        assert_eq!((chart.days, chart.ahead, chart.line.as_str()), (60, None, "M0 25 1000 25"));
        assert!(chart.rows.len() == 61 && chart.rows.iter().all(|row| row.available == 7));
        assert!(Chart::of(&Course::default(), &figures(0.0, End::Never), 0, None, NOW).is_none());
    }
}
