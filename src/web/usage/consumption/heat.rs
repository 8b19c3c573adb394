//! Requests by the hour of the week.

use time::OffsetDateTime;

use crate::usage::Consumption;
use crate::web::charts;
use crate::web::filters::grouped;

/// Days of the heat map.
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Requests of an hour, by hour of the week.
pub struct Heat {
    /// One for each shade, that of 0 first.
    pub shades: [String; charts::LEVELS + 1],
    /// `620`.
    pub most: String,
    pub label: String,
    /// The 24 hours, each with its days.
    pub rows: Vec<(String, [String; 7])>,
    /// Names of the days.
    pub days: [&'static str; 7],
}

impl Heat {
    /// Of what was consumed until `now`.
    pub fn of(consumption: &Consumption, now: OffsetDateTime) -> Self {
        let often = occurrences(consumption.from, consumption.to.min(now));
        let mean = |day: usize, hour: usize| match often[day][hour] {
            0 => None,
            times => Some(consumption.hours[day][hour] as f64 / times as f64),
        };
        let means: [[Option<f64>; 24]; 7] = std::array::from_fn(|day| std::array::from_fn(|hour| mean(day, hour)));
        let cells = (0..7).flat_map(|day| (0..24).map(move |hour| (day, hour)));
        let value = |&(day, hour): &(usize, usize)| means[day][hour].unwrap_or(0.0);
        let (day, hour) = cells.max_by(|a, b| value(a).total_cmp(&value(b))).unwrap_or_default();
        let most = an_hour(means[day][hour]);
        let label =
            format!("Requests by hour of the week, UTC. Most: {} from {hour:02}:00, {most} an hour. Their table is below.", DAYS[day]);
        let row = |hour: usize| (format!("{hour:02}:00"), std::array::from_fn(|day| an_hour(means[day][hour])));
        Self { shades: charts::shades(&charts::levels(&means)), most, label, rows: (0..24).map(row).collect(), days: DAYS }
    }
}

/// How often each hour of the week is in a period, the hours that it cuts included.
fn occurrences(from: OffsetDateTime, end: OffsetDateTime) -> [[i64; 24]; 7] {
    let start = from.unix_timestamp().div_euclid(3_600);
    let hours = (end.unix_timestamp() + 3_599).div_euclid(3_600) - start;
    let first = i64::from(from.weekday().number_days_from_monday()) * 24 + i64::from(from.hour());
    std::array::from_fn(|day| {
        std::array::from_fn(|hour| {
            let after = (day as i64 * 24 + hour as i64 - first).rem_euclid(168);
            (hours - after + 167).max(0) / 168
        })
    })
}

/// `620`; few with a tenth: `0.4`. `–` of hours that are not in the period.
fn an_hour(mean: Option<f64>) -> String {
    match mean {
        None => "–".into(),
        Some(0.0) => "0".into(),
        Some(mean) if mean < 0.1 => "<0.1".into(),
        Some(mean) if mean < 9.95 => format!("{mean:.1}").trim_end_matches(".0").into(),
        Some(mean) => grouped(mean.round() as i64),
    }
}

#[cfg(test)]
mod tests {
    use time::Duration;
    use time::macros::datetime;

    use super::*;
    use crate::usage::{Counts, Durations};

    const MONDAY: OffsetDateTime = datetime!(2026-11-16 0:00 UTC);

    #[test]
    fn hours_of_the_week_are_counted_as_often_as_they_were() {
        let fortnight = occurrences(MONDAY, MONDAY + Duration::days(14));
        assert!(fortnight.iter().flatten().all(|times| *times == 2));
        let some = occurrences(MONDAY + Duration::hours(23), MONDAY + Duration::days(7) + Duration::minutes(90));
        assert_eq!([some[0][0], some[0][1], some[0][2], some[0][22], some[0][23], some[1][0]], [1, 1, 0, 0, 1, 1]);
        assert!(occurrences(MONDAY, MONDAY).iter().flatten().all(|times| *times == 0));
        assert!(occurrences(MONDAY, MONDAY - Duration::DAY).iter().flatten().all(|times| *times == 0));
    }

    #[test]
    fn the_map_shows_a_mean_and_leaves_out_what_is_to_come() {
        let mut hours = [[0; 24]; 7];
        (hours[0][13], hours[0][14], hours[2][0]) = (1_240, 207, 300);
        let (from, total, durations) = (MONDAY, Counts::default(), Durations::default());
        let (bin, to) = (Duration::DAY, from + Duration::days(14));
        let consumption = Consumption { from, to, bin, bins: Vec::new(), total, durations, routes: Vec::new(), keys: Vec::new(), hours };
        let heat = Heat::of(&consumption, to);
        assert_eq!((heat.most.as_str(), heat.rows[14].1[0].as_str()), ("620", "104"));
        assert!(heat.label.contains("Mon from 13:00, 620 an hour"), "{}", heat.label);
        assert_eq!(heat.shades[6], "M13 1h1");
        assert_eq!(heat.shades[2], "M14 1h1M0 5h1", "104 and 150 of 620");
        let heat = Heat::of(&consumption, from + Duration::days(9));
        assert_eq!([heat.rows[0].1[2].as_str(), heat.rows[0].1[1].as_str()], ["300", "0"], "there was one Wednesday so far");
        let heat = Heat::of(&consumption, from + Duration::days(2));
        assert_eq!(heat.rows[0].1[3], "–");
        assert!(!heat.shades.concat().contains(" 7h"), "no Thursday was yet");
    }

    #[test]
    fn few_requests_are_said_with_a_tenth() {
        for (mean, text) in [(0.0, "0"), (0.04, "<0.1"), (0.4, "0.4"), (3.0, "3"), (9.96, "10"), (1_239.5, "1,240")] {
            assert_eq!(an_hour(Some(mean)), text);
        }
    }
}
