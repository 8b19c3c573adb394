//! Filters of the templates: times, numbers, icons, assets.

use askama::filters::Safe;
use askama::{Result, Values, filter_fn};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Duration, OffsetDateTime};

use super::assets;
use crate::clock::rfc3339;

const DAY_AND_TIME: &[BorrowedFormatItem<'static>] = format_description!("[day padding:none] [month repr:short], [hour]:[minute]");
const DAY_YEAR_AND_TIME: &[BorrowedFormatItem<'static>] =
    format_description!("[day padding:none] [month repr:short] [year], [hour]:[minute]");
const DAY: &[BorrowedFormatItem<'static>] = format_description!("[day padding:none] [month repr:short]");
const DAY_AND_YEAR: &[BorrowedFormatItem<'static>] = format_description!("[day padding:none] [month repr:short] [year]");
const SECOND: &[BorrowedFormatItem<'static>] = format_description!("[hour]:[minute]:[second]");
const CLOCK: &[BorrowedFormatItem<'static>] = format_description!("[hour]:[minute]:[second].[subsecond digits:3]");

/// A moment, however many references a template puts before it.
pub trait Moment {
    /// The moment itself.
    fn moment(&self) -> OffsetDateTime;
}

impl Moment for OffsetDateTime {
    fn moment(&self) -> OffsetDateTime {
        *self
    }
}

impl<T: Moment + ?Sized> Moment for &T {
    fn moment(&self) -> OffsetDateTime {
        (**self).moment()
    }
}

/// A whole number, however many references a template puts before it.
pub trait Whole {
    /// The number itself.
    fn whole(&self) -> i128;
}

impl<T: Whole + ?Sized> Whole for &T {
    fn whole(&self) -> i128 {
        (**self).whole()
    }
}

macro_rules! whole {
    ($($integer:ty)*) => {
        $(impl Whole for $integer {
            fn whole(&self) -> i128 {
                *self as i128
            }
        })*
    };
}
whole!(i16 i32 i64 u16 u32 u64 usize);

/// `2 minutes ago` within a day, else [`moment`]. The script keeps it current.
#[filter_fn]
pub fn ago<M: Moment, N: Moment>(at: M, _: &dyn Values, now: N) -> Result<Safe<String>> {
    Ok(relative(at.moment(), now.moment(), " data-relative=\"long\"", |n, _, long| {
        format!("{n} {long}{} ago", if n == 1 { "" } else { "s" })
    }))
}

/// The same in little room: `2 min ago`.
#[filter_fn]
pub fn ago_short<M: Moment, N: Moment>(at: M, _: &dyn Values, now: N) -> Result<Safe<String>> {
    Ok(relative(at.moment(), now.moment(), " data-relative", |n, short, _| format!("{n} {short} ago")))
}

/// `20 Nov, 14:02`, with the year when it is not this one.
#[filter_fn]
pub fn moment<M: Moment, N: Moment>(at: M, _: &dyn Values, now: N) -> Result<Safe<String>> {
    Ok(element(at.moment(), "", &absolute(at.moment(), now.moment())))
}

/// `20 Nov, 14:02:09`.
#[filter_fn]
pub fn moment_second(at: &OffsetDateTime, _: &dyn Values, now: &OffsetDateTime) -> Result<Safe<String>> {
    let day = if at.year() == now.year() { DAY } else { DAY_AND_YEAR };
    let (day, second) = (at.format(day).unwrap_or_default(), at.format(SECOND).unwrap_or_default());
    Ok(element(*at, "", &format!("{day}, {second}")))
}

/// [`moment`], after which the script adds the reader's own time.
#[filter_fn]
pub fn moment_local<M: Moment, N: Moment>(at: M, _: &dyn Values, now: N) -> Result<Safe<String>> {
    Ok(element(at.moment(), " data-local", &format!("{} UTC", absolute(at.moment(), now.moment()))))
}

/// `20 Nov`, with the year when it is not this one.
#[filter_fn]
pub fn day<M: Moment, N: Moment>(at: M, _: &dyn Values, now: N) -> Result<Safe<String>> {
    Ok(element(at.moment(), "", &day_text(at.moment(), now.moment())))
}

/// The words of [`day`] alone.
pub fn day_text(at: OffsetDateTime, now: OffsetDateTime) -> String {
    at.format(if at.year() == now.year() { DAY } else { DAY_AND_YEAR }).unwrap_or_default()
}

/// `14:02:09` on the same day, else [`moment`].
#[filter_fn]
pub fn instant(at: &OffsetDateTime, _: &dyn Values, now: &OffsetDateTime) -> Result<Safe<String>> {
    Ok(element(*at, "", &instant_text(*at, *now)))
}

/// The words of [`instant`] alone, for names.
pub fn instant_text(at: OffsetDateTime, now: OffsetDateTime) -> String {
    if at.date() == now.date() { at.format(SECOND).unwrap_or_default() } else { absolute(at, now) }
}

/// `14:02:09.412`.
#[filter_fn]
pub fn clock<M: Moment>(at: M, _: &dyn Values) -> Result<Safe<String>> {
    Ok(element(at.moment(), "", &clock_text(at.moment())))
}

/// The words of [`clock`] alone.
pub fn clock_text(at: OffsetDateTime) -> String {
    at.format(CLOCK).unwrap_or_default()
}

/// `14:02:09`.
pub fn second_text(at: OffsetDateTime) -> String {
    at.format(SECOND).unwrap_or_default()
}

/// `1,284`; a real minus before what is below zero.
#[filter_fn]
pub fn number<N: Whole>(n: N, _: &dyn Values) -> Result<String> {
    Ok(grouped(n.whole()))
}

/// [`number`] with its sign: `+5`, `−1`, `0`.
#[filter_fn]
pub fn signed<N: Whole>(n: N, _: &dyn Values) -> Result<String> {
    let n = n.whole();
    Ok(if n > 0 { format!("+{}", grouped(n)) } else { grouped(n) })
}

/// A noun of an action as people read it: `Service token` of `service_token`.
#[filter_fn]
pub fn noun(noun: &str, _: &dyn Values) -> Result<String> {
    let words = noun.replace('_', " ");
    let mut letters = words.chars();
    Ok(letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default())
}

/// The URL of a file of `static/`, changing with its content.
#[filter_fn]
pub fn asset(name: &str, _: &dyn Values) -> Result<String> {
    Ok(assets::url(name))
}

/// One of `static/icons.svg`, for the eye alone.
#[filter_fn]
pub fn icon(name: &str, _: &dyn Values) -> Result<Safe<String>> {
    Ok(svg(name, "icon"))
}

/// An icon at the end of a menu's line.
#[filter_fn]
pub fn icon_end(name: &str, _: &dyn Values) -> Result<Safe<String>> {
    Ok(svg(name, "icon end"))
}

fn svg(name: &str, class: &str) -> Safe<String> {
    Safe(format!("<svg class=\"{class}\" aria-hidden=\"true\"><use href=\"{}#{name}\"></use></svg>", assets::url("icons.svg")))
}

fn element(at: OffsetDateTime, attributes: &str, text: &str) -> Safe<String> {
    Safe(format!("<time datetime=\"{}\"{attributes}>{text}</time>", rfc3339(at)))
}

fn absolute(at: OffsetDateTime, now: OffsetDateTime) -> String {
    at.format(if at.year() == now.year() { DAY_AND_TIME } else { DAY_YEAR_AND_TIME }).unwrap_or_default()
}

/// Steps as in the script, which takes over from here.
fn relative(at: OffsetDateTime, now: OffsetDateTime, attribute: &str, words: impl Fn(i64, &str, &str) -> String) -> Safe<String> {
    let age = now - at;
    // A little ahead of us is a clock that differs; further ahead is the future, which was not "ago".
    if age >= Duration::DAY || age < -Duration::MINUTE {
        return element(at, "", &absolute(at, now));
    }
    let seconds = age.whole_seconds().max(0);
    let text = match seconds {
        0 => "just now".into(),
        1..60 => words(seconds, "s", "second"),
        60..3_600 => words(seconds / 60, "min", "minute"),
        _ => words(seconds / 3_600, "h", "hour"),
    };
    element(at, attribute, &text)
}

/// `1,284`; a real minus before what is below zero.
pub fn grouped(n: impl Into<i128>) -> String {
    let n = n.into();
    let digits = n.unsigned_abs().to_string();
    let mut text = String::from(if n < 0 { "−" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn numbers_are_grouped_with_a_real_minus() {
        for (n, text) in [(0, "0"), (999, "999"), (1_284, "1,284"), (-1, "−1"), (-12_345_678, "−12,345,678")] {
            assert_eq!(grouped(n), text);
        }
    }

    #[test]
    fn near_times_are_relative_and_others_say_their_year_when_it_is_not_this_one() {
        let now = datetime!(2026-11-20 14:02:00 UTC);
        let long = |at| relative(at, now, "", |n, _, long| format!("{n} {long}")).0;
        assert_eq!(long(now - Duration::seconds(119)), "<time datetime=\"2026-11-20T14:00:01.000Z\">1 minute</time>");
        assert_eq!(long(now - Duration::hours(23)), "<time datetime=\"2026-11-19T15:02:00.000Z\">23 hour</time>");
        assert!(long(now).contains(">just now<"), "and not 0 seconds ago");
        assert!(long(now - Duration::DAY).contains(">19 Nov, 14:02<"));
        assert!(long(datetime!(2025-01-02 03:04:05 UTC)).contains(">2 Jan 2025, 03:04<"));
        assert!(long(now + Duration::HOUR).contains(">20 Nov, 15:02<"), "the future is no age");
    }
}
