//! The charts of a period, as the template wants them.

mod busiest;
mod heat;

use askama::Template;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Duration, OffsetDateTime};

use crate::ids::KeyId;
use crate::usage::{Bin, By, Consumption, Counts, Durations};
use crate::web::charts::{Plot, Scale, Timeline, bin_words, compact, duration, per_cent, range_words};
use crate::web::filters::grouped;
pub use busiest::KeyLabel;
use busiest::{Busy, busiest, route_words};
use heat::Heat;

type Format = &'static [BorrowedFormatItem<'static>];
const DAY: Format = format_description!("[day padding:none] [month repr:short]");
const DAY_AND_YEAR: Format = format_description!("[day padding:none] [month repr:short] [year]");
const HOUR: Format = format_description!(", [hour]:[minute]");

/// Where the axis of a share ends at the least, in hundredths of a per cent: a mountain of three failures in a million would alarm.
const ONE_PER_CENT: i64 = 100;

/// The charts alone, for htmx.
#[derive(Template)]
#[template(path = "usage/_consumption.html")]
pub struct Section {
    pub charts: Charts,
}

/// The charts.
pub struct Charts {
    /// Address of the page with its filters, and more to come.
    pub link: String,
    pub by: By,
    /// `48,212 in 7 days, by 2 h`.
    pub note: String,
    /// When there is nothing to draw, a sentence that says so.
    pub nothing: Option<String>,
    pub outcomes: [OutcomeItem; 4],
    pub timeline: Timeline,
    pub requests: Plot,
    pub multiples: [Multiple; 3],
    /// The bins that had requests.
    pub lines: Vec<Line>,
    /// Whether there are others.
    pub is_sparse: bool,
    pub together: Line,
    pub busiest: Vec<Busy>,
    pub heat: Heat,
}

/// One outcome of the legend.
pub struct OutcomeItem {
    pub class: &'static str,
    pub name: &'static str,
    pub total: String,
}

/// A small chart.
pub struct Multiple {
    pub heading: &'static str,
    /// After the heading.
    pub aside: &'static str,
    pub figure: String,
    /// After the figure.
    pub second: String,
    pub plot: Plot,
}

/// A line of the table: when, by outcome, shares and durations.
pub struct Line {
    pub name: String,
    pub cells: [String; 8],
}

impl Charts {
    /// Of `consumption`, whose page is at `link` (up to its `?` and more); `key` says what a key is known by.
    pub fn of(consumption: &Consumption, now: OffsetDateTime, by: By, link: String, key: impl Fn(KeyId) -> KeyLabel) -> Self {
        let Consumption { from, to, bin, ref bins, total, durations, .. } = *consumption;
        let (period, step) = (period_words(from, to, now), bin_words(bin));
        let nothing = (total.requests() == 0).then(|| format!("No requests {}.", range_words(from, to, now)));
        let names = ["Accepted", "Refused", "Rate limited", "Failed"];
        let classes = ["c1", "c2", "c3", "c4"];
        let item = |at: usize| OutcomeItem { class: classes[at], name: names[at], total: grouped(parts(&total)[at]) };
        let when = |at| moment(at, bin, now);
        let bars: Vec<[i64; 4]> = bins.iter().map(|bin| parts(&bin.counts)).collect();
        // The first and the last bin may reach over the period's ends.
        let start = bins.first().map_or(from, |bin| bin.starts_at);
        let note = format!("{} {period}, by {step}", grouped(total.requests()));
        let peak = bins.iter().max_by_key(|bin| bin.counts.requests()).filter(|_| nothing.is_none());
        let peak = peak.map(|bin| format!(" Most by {step}: {}, {}.", grouped(bin.counts.requests()), when(bin.starts_at)));
        let label = format!("Requests, {note}.{} Their table is below.", peak.unwrap_or_default());
        let busy = bins.iter().filter(|bin| bin.counts.requests() > 0);
        let lines: Vec<Line> = busy.map(|bin| Line::new(when(bin.starts_at), &bin.counts, &bin.durations)).collect();
        let busiest = match by {
            By::Route => busiest(&consumption.routes, &total, |route| route_words(route)),
            By::Key => busiest(&consumption.keys, &total, |id| {
                let KeyLabel { prefix, name } = key(*id);
                (String::new(), format!("{prefix}…"), name)
            }),
        };
        Self {
            link,
            by,
            nothing,
            outcomes: std::array::from_fn(item),
            timeline: Timeline::of(start, start + bin * bins.len() as i32, bin),
            requests: Plot::of_bars(&bars, classes, compact, label),
            multiples: multiples(bins, &total, &durations, &step),
            is_sparse: lines.len() < bins.len(),
            lines,
            together: Line::new("Together".into(), &total, &durations),
            busiest,
            heat: Heat::of(consumption, now),
            note,
        }
    }
}

impl Line {
    fn new(name: String, counts: &Counts, durations: &Durations) -> Self {
        let [accepted, refused, rate_limited, failed] = parts(counts).map(grouped);
        let all = counts.requests();
        let (errors, limited) = (per_cent(counts.failed, all), per_cent(counts.rate_limited, all));
        let cells = [accepted, refused, rate_limited, failed, errors, limited, took(durations.p50), took(durations.p95)];
        Self { name, cells }
    }
}

/// In the order in which they are stacked.
fn parts(counts: &Counts) -> [i64; 4] {
    [counts.accepted, counts.refused, counts.rate_limited, counts.failed]
}

/// `in 7 days` of one that reaches until now, else its ends.
fn period_words(from: OffsetDateTime, to: OffsetDateTime, now: OffsetDateTime) -> String {
    let hours = (to - from).whole_hours();
    let is_until_now = to >= now && to - now <= Duration::DAY;
    // In the last hour of a day the last 24 are that day too.
    let is_one_day = hours == 24 && to - now > Duration::HOUR && range_words(from, to, now).starts_with("on");
    match hours {
        _ if !is_until_now || is_one_day => range_words(from, to, now),
        1 => "in 1 hour".into(),
        2..=48 => format!("in {hours} hours"),
        _ if hours % 24 == 0 => format!("in {} days", hours / 24),
        _ => range_words(from, to, now),
    }
}

/// When a bin begins: `14 Nov, 02:00`, of whole days without the time.
fn moment(at: OffsetDateTime, bin: Duration, now: OffsetDateTime) -> String {
    let day = at.format(if at.year() == now.year() { DAY } else { DAY_AND_YEAR }).unwrap_or_default();
    if bin < Duration::DAY { day + &at.format(HOUR).unwrap_or_default() } else { day }
}

fn took(micros: Option<i64>) -> String {
    micros.map_or_else(|| "–".into(), duration)
}

/// The three small charts. Where there were no requests they have no value, which is another thing than 0.
fn multiples(bins: &[Bin], total: &Counts, durations: &Durations, step: &str) -> [Multiple; 3] {
    let share = |heading, class, of: fn(&Counts) -> i64| {
        // In hundredths of a per cent.
        let value = |bin: &Bin| match bin.counts.requests() {
            0 => None,
            all => Some((of(&bin.counts) * 10_000 + all / 2) / all),
        };
        let values: Vec<Option<i64>> = bins.iter().map(value).collect();
        let most = values.iter().flatten().copied().max().unwrap_or(0);
        let label = format!("{heading} by {step}, at most {}.", hundredths(most));
        let plot = Plot::of_lines(&[(class, values)], &Scale::of(most.max(ONE_PER_CENT), 2), hundredths, label);
        Multiple { heading, aside: "", figure: per_cent(of(total), total.requests()), second: String::new(), plot }
    };
    let p95: Vec<Option<i64>> = bins.iter().map(|bin| bin.durations.p95).collect();
    let p50: Vec<Option<i64>> = bins.iter().map(|bin| bin.durations.p50).collect();
    let most = p95.iter().chain(&p50).flatten().copied().max().unwrap_or(0);
    // The lines of the grid are at whole milliseconds, or whole seconds.
    let unit = if most < 10_000_000 { 1_000 } else { 1_000_000 };
    let scale = Scale { ticks: Scale::of((most + unit - 1) / unit, 2).ticks.into_iter().map(|tick| tick * unit).collect() };
    let label = format!("Duration by {step}: p95 at most {}.", duration(most));
    let plot = Plot::of_lines(&[("p50", p50), ("c1", p95)], &scale, tick_of_duration, label);
    [
        share("Error share", "c4", |counts| counts.failed),
        share("429 share", "c3", |counts| counts.rate_limited),
        Multiple { heading: "Duration", aside: "p95 and p50", figure: took(durations.p95), second: took(durations.p50), plot },
    ]
}

/// Hundredths of a per cent: `7%`, `0.25%`.
fn hundredths(n: i64) -> String {
    if n == 0 {
        return "0".into();
    }
    let text = format!("{}.{:02}", n / 100, n % 100);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

fn tick_of_duration(micros: i64) -> String {
    match micros {
        0 => "0".into(),
        ..10_000_000 => format!("{} ms", grouped(micros / 1_000)),
        _ => format!("{} s", micros / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::usage::Share;

    const NOW: OffsetDateTime = datetime!(2026-11-20 14:03:40 UTC);

    /// A week by two hours, of which each bin is as `of` says until now.
    pub fn week(of: impl Fn(i64) -> Counts) -> Consumption {
        let (from, bin) = (datetime!(2026-11-14 0:00 UTC), Duration::hours(2));
        let (mut total, mut hours) = (Counts::default(), [[0; 24]; 7]);
        let mut bins = Vec::new();
        for place in 0..84 {
            let starts_at = from + bin * place as i32;
            let counts = if starts_at < NOW { of(place) } else { Counts::default() };
            let [accepted, refused, rate_limited, failed] = parts(&counts);
            total.accepted += accepted;
            total.refused += refused;
            total.rate_limited += rate_limited;
            total.failed += failed;
            hours[usize::from(starts_at.weekday().number_days_from_monday())][usize::from(starts_at.hour())] += counts.requests();
            let durations =
                if counts.requests() > 0 { Durations { p50: Some(41_000 + place), p95: Some(123_000) } } else { Durations::default() };
            bins.push(Bin { starts_at, counts, durations });
        }
        let durations = if total.requests() > 0 { Durations { p50: Some(41_000), p95: Some(123_000) } } else { Durations::default() };
        let routes = vec![Share { of: "GET /analyses/{id}".to_owned(), counts: total, durations }];
        Consumption { from, to: from + bin * 84, bin, bins, total, durations, routes, keys: Vec::new(), hours }
    }

    fn busy(place: i64) -> Counts {
        Counts { accepted: 900 + place * 7 % 640, refused: place % 5, rate_limited: place / 60 * 40, failed: i64::from(place % 9 == 0) }
    }

    fn charts(consumption: &Consumption, by: By) -> Charts {
        let key = |_| KeyLabel { prefix: "lk_live_a1b2".into(), name: String::new() };
        Charts::of(consumption, NOW, by, "/orgs/acme/usage?status=4xx".into(), key)
    }

    fn html(consumption: &Consumption, by: By) -> String {
        Section { charts: charts(consumption, by) }.render().unwrap()
    }

    #[test]
    fn the_table_adds_up_to_what_is_said_above_it() {
        let week = week(busy);
        let charts = charts(&week, By::Route);
        let figure = |text: &String| text.replace(',', "").parse::<i64>().unwrap();
        for (place, outcome) in charts.outcomes.iter().enumerate() {
            let sum: i64 = charts.lines.iter().map(|line| figure(&line.cells[place])).sum();
            assert!(sum > 0, "{}", outcome.name);
            assert_eq!((sum, &charts.together.cells[place]), (figure(&outcome.total), &outcome.total), "{}", outcome.name);
        }
        assert_eq!(charts.lines.len(), 80, "until now: the last bin began at 14:00");
        assert_eq!(charts.lines[79].name, "20 Nov, 14:00");
        assert!(charts.note.ends_with(" in 7 days, by 2 h"), "{}", charts.note);
        assert!(charts.is_sparse);
    }

    #[test]
    fn where_nobody_asked_there_is_a_gap_and_not_a_zero() {
        let [errors, _, duration] =
            charts(&week(|place| if (20..30).contains(&place) { Counts::default() } else { busy(place) }), By::Route).multiples;
        for mark in errors.plot.marks.iter().chain(&duration.plot.marks) {
            assert_eq!(mark.path.matches('M').count(), 2, "{}", mark.path);
            assert!(mark.path.contains("M61 "), "goes on with bin 30: {}", mark.path);
        }
        assert_eq!(duration.plot.ticks, ["200 ms", "100 ms", "0"]);
    }

    #[test]
    fn shares_are_of_all_requests() {
        let week = week(|_| Counts { accepted: 90, refused: 5, rate_limited: 4, failed: 1 });
        let charts = charts(&week, By::Route);
        let [errors, limited, duration] = &charts.multiples;
        assert_eq!([&errors.figure, &limited.figure, &duration.figure, &duration.second], ["1.00%", "4.00%", "123 ms", "41 ms"]);
        assert_eq!(charts.lines[0].cells, ["90", "5", "4", "1", "1.00%", "4.00%", "41 ms", "123 ms"]);
        assert_eq!(errors.plot.ticks, ["1%", "0.5%", "0"]);
        assert_eq!(limited.plot.ticks, ["4%", "2%", "0"]);
    }

    #[test]
    fn a_period_without_requests_says_so_instead_of_drawing_nothing() {
        let html = html(&week(|_| Counts::default()), By::Route);
        assert!(html.contains("No requests from 14 Nov to 20 Nov."), "{html}");
        assert!(!html.contains("<svg") && !html.contains("<table"), "{html}");
        assert_eq!(html.matches("<section").count(), html.matches("</section>").count());
    }

    #[test]
    fn the_section_is_whole_and_lean() {
        let html = html(&week(busy), By::Key);
        for element in ["section", "div", "svg", "table", "details", "tr"] {
            assert_eq!(html.matches(&format!("<{element}")).count(), html.matches(&format!("</{element}>")).count(), "{element}");
        }
        assert!(!html.contains(" style="), "the content policy forbids it");
        assert!(html.len() < 36_000, "{}", html.len());
        let current = html.split("<a ").find(|link| link.contains("aria-current")).unwrap();
        assert!(current.contains("href=\"/orgs/acme/usage?status=4xx&amp;by=key#consumption\"") && current.contains(">Key<"), "{current}");
    }

    #[test]
    fn a_period_until_now_is_said_by_its_length() {
        let midnight = datetime!(2026-11-20 0:00 UTC);
        for (from, to, words) in [
            (midnight - Duration::days(6), midnight + Duration::DAY, "in 7 days"),
            (midnight - Duration::hours(9), midnight + Duration::hours(15), "in 24 hours"),
            (midnight, midnight + Duration::DAY, "on 20 Nov"),
            (midnight - Duration::days(9), midnight - Duration::days(2), "from 11 Nov to 17 Nov"),
            (midnight - Duration::days(9), midnight + Duration::days(20), "from 11 Nov to 20 Nov"),
        ] {
            assert_eq!(period_words(from, to, NOW), words);
        }
        assert_eq!(period_words(midnight, midnight + Duration::DAY, midnight + Duration::hours(23)), "in 24 hours");
    }
}
