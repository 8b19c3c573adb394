//! The query of the tab: filters, period and place live in the URL, so that a view can be kept and sent.

use serde::Deserialize;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Date, Duration, OffsetDateTime};
use url::form_urlencoded::Serializer;

use crate::error::{Error, Result};
use crate::ids::{KeyId, RequestId};
use crate::profile::Profile;
use crate::usage::{self, Address, By, Cursor, Filter, Period, Span, Status};
use crate::web::Frame;

const DAY: &[BorrowedFormatItem<'static>] = format_description!("[year]-[month]-[day]");
/// Without one in the URL.
const PERIOD: &str = "7d";
/// Days of the longest period.
const LONGEST: i64 = 800;

/// The query of the page.
#[derive(Deserialize, Clone, Default)]
#[serde(default)]
pub struct Asked {
    pub period: String,
    /// First and last day of a custom period.
    pub from: String,
    pub to: String,
    pub key: String,
    pub status: String,
    pub path: String,
    pub environment: String,
    pub by: String,
    pub before: Option<String>,
    pub after: Option<String>,
    /// The row that is open.
    pub open: Option<String>,
    /// The row that htmx wants closed again.
    pub row: Option<String>,
    /// The newest row that a page has which follows the live ones.
    pub top: Option<String>,
}

impl Asked {
    /// What to look for at `now`, and in which span.
    pub fn filter(&self, profile: &Profile, now: OffsetDateTime) -> Result<(Filter, Span)> {
        let given = |text: &str| (!text.trim().is_empty()).then(|| text.trim().to_owned());
        let key = given(&self.key).map(|text| KeyId::parse(&text).ok_or(Error::NotFound)).transpose()?;
        let unknown = |text: String| Error::field("status", format!("{text:?} is no status. Ask for 429, or for a class as 4xx."));
        let status = given(&self.status).map(|text| Status::parse(&text).ok_or_else(|| unknown(text))).transpose()?;
        let environment = given(&self.environment);
        if let Some(environment) = environment.as_ref().filter(|environment| !profile.has_environment(environment)) {
            return Err(Error::field("environment", format!("There is no environment {environment:?}.")));
        }
        let span = self.chosen(now)?.span(now);
        let address = Address::parse(profile, &self.path);
        Ok((Filter { key, status, environment, address, from: Some(span.from), to: Some(span.to) }, span))
    }

    /// Name of the period in the URL.
    pub fn period(&self) -> &str {
        if self.period.is_empty() { PERIOD } else { &self.period }
    }

    pub fn is_custom(&self) -> bool {
        self.period == "custom"
    }

    /// First and last day of the period, as a date field has them.
    pub fn days(&self, span: &Span) -> (String, String) {
        let day = |at: OffsetDateTime| usage::day(at).format(DAY).unwrap_or_default();
        (day(span.from), day(span.to - Duration::MILLISECOND))
    }

    fn chosen(&self, now: OffsetDateTime) -> Result<Period> {
        if !self.is_custom() {
            let named = Period::NAMED.iter().find(|(name, _)| *name == self.period());
            return named.map(|(_, period)| *period).ok_or_else(|| Error::field("period", "Ask for 24h, 7d, 30d, 90d or custom."));
        }
        let today = usage::day(now);
        let read = |field: &'static str, text: &str, otherwise: Date| match text {
            "" => Ok(otherwise),
            text => Date::parse(text, DAY).map_err(|_| Error::field(field, format!("{text:?} is no day as 2026-11-20."))),
        };
        let last = read("to", &self.to, today)?;
        let first = read("from", &self.from, last.saturating_sub(Duration::days(6)))?;
        match (last - first).whole_days() {
            ..0 => Err(Error::field("to", format!("{last} is before {first}."))),
            LONGEST.. => Err(Error::field("from", format!("A period has at most {LONGEST} days."))),
            _ => Ok(Period::Custom(first, last)),
        }
    }

    pub fn by(&self) -> By {
        By::parse(&self.by)
    }

    pub fn cursor(&self) -> Result<Option<Cursor>> {
        let place = |text: &String| RequestId::parse(text).ok_or(Error::NotFound);
        Ok(match (&self.before, &self.after) {
            (Some(id), _) => Some(Cursor::Before(place(id)?)),
            (None, Some(id)) => Some(Cursor::After(place(id)?)),
            (None, None) => None,
        })
    }

    /// Whether anything but the period narrows the view.
    pub fn is_filtered(&self) -> bool {
        [&self.key, &self.status, &self.path, &self.environment].iter().any(|text| !text.trim().is_empty())
    }

    pub fn is_first_page(&self) -> bool {
        self.before.is_none() && self.after.is_none()
    }

    /// `?period=7d&status=429`: this view without its place, for more to be added.
    pub fn query(&self) -> String {
        self.query_with(self.period())
    }

    /// The same in another period.
    pub fn query_with(&self, period: &str) -> String {
        let mut query = Serializer::for_suffix("?".to_owned(), 1);
        query.append_pair("period", period);
        let days: [(&str, &str); 2] =
            if period == "custom" { [("from", &self.from), ("to", &self.to)] } else { [("from", ""), ("to", "")] };
        let rest: [(&str, &str); 5] =
            [("key", &self.key), ("status", &self.status), ("path", &self.path), ("environment", &self.environment), ("by", &self.by)];
        for (name, value) in days.into_iter().chain(rest).filter(|(_, value)| !value.is_empty()) {
            query.append_pair(name, value);
        }
        query.finish()
    }

    /// Address of this view, for more to be added.
    pub fn link(&self, frame: &Frame) -> String {
        frame.path("usage") + &self.query()
    }

    /// Address of this view at this place.
    pub fn here(&self, frame: &Frame) -> String {
        let place = match (&self.before, &self.after) {
            (Some(id), _) => format!("&before={id}"),
            (None, Some(id)) => format!("&after={id}"),
            (None, None) => String::new(),
        };
        self.link(frame) + &place
    }
}
