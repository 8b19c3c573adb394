//! The query of the tab: filters, period and place live in the URL, so that a view can be kept and sent.

use actix_web::HttpRequest;
use actix_web::web::Query;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Date, Duration, OffsetDateTime};
use url::form_urlencoded::Serializer;

use crate::error::{Error, FieldError, Result};
use crate::ids::{KeyId, RequestId};
use crate::profile::Profile;
use crate::usage::{self, Address, By, Cursor, Filter, Period, Span, Status};
use crate::web::Frame;

const DAY: &[BorrowedFormatItem<'static>] = format_description!("[year]-[month]-[day]");
/// Without one in the URL.
const PERIOD: &str = "7d";
/// Days of the longest period.
const LONGEST: i64 = 800;
/// Years that a period may be of: times far from here can't be reckoned with.
const YEARS: std::ops::RangeInclusive<i32> = 1970..=9000;
/// Characters of the longest path, as its field has it.
const PATH: usize = 200;

/// The query of the page.
#[derive(Clone, Default)]
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
    /// Of a request; of a name that comes twice, the last.
    pub fn of(request: &HttpRequest) -> Self {
        let pairs = Query::<Vec<(String, String)>>::from_query(request.query_string()).map(Query::into_inner).unwrap_or_default();
        let mut asked = Self::default();
        for (name, value) in pairs {
            // No text of the database holds one.
            let value = value.replace('\0', "");
            match name.as_str() {
                "period" => asked.period = value,
                "from" => asked.from = value,
                "to" => asked.to = value,
                "key" => asked.key = value,
                "status" => asked.status = value,
                "path" => asked.path = value,
                "environment" => asked.environment = value,
                "by" => asked.by = value,
                "before" => asked.before = Some(value),
                "after" => asked.after = Some(value),
                "open" => asked.open = Some(value),
                "row" => asked.row = Some(value),
                "top" => asked.top = Some(value),
                _ => {}
            }
        }
        asked
    }

    /// What to look for at `now`, and in which span. Whatever is wrong is told at once.
    pub fn filter(&self, profile: &Profile, now: OffsetDateTime) -> Result<(Filter, Span)> {
        let mut wrong = Vec::new();
        let mut note = |field: &'static str, message: String| wrong.push(FieldError { field: field.into(), message });
        let given = |text: &str| (!text.trim().is_empty()).then(|| text.trim().to_owned());
        let key = given(&self.key).map(|text| KeyId::parse(&text).filter(|key| !key.0.is_nil()).ok_or(Error::NotFound)).transpose()?;
        let status = given(&self.status).and_then(|text| {
            let status = Status::parse(&text);
            if status.is_none() {
                note("status", format!("{text:?} is no status. Ask for 429, or for a class as 4xx."));
            }
            status
        });
        let environment = given(&self.environment);
        if let Some(environment) = environment.as_ref().filter(|environment| !profile.has_environment(environment)) {
            note("environment", format!("There is no environment {environment:?}."));
        }
        if self.path.chars().count() > PATH {
            note("path", format!("A path has at most {PATH} characters."));
        }
        let period = self.chosen(now).map_err(|(field, message)| note(field, message));
        match period {
            Ok(period) if wrong.is_empty() => {
                let span = period.span(now);
                let address = Address::parse(profile, &self.path);
                Ok((Filter { key, status, environment, address, from: Some(span.from), to: Some(span.to) }, span))
            }
            _ => Err(Error::Invalid(wrong)),
        }
    }

    /// Name of the period in the URL.
    pub fn period(&self) -> &str {
        if self.period.is_empty() { PERIOD } else { &self.period }
    }

    pub fn is_custom(&self) -> bool {
        self.period == "custom"
    }

    /// What the fields of a custom period say: what was typed, else its ends.
    pub fn days(&self, now: &OffsetDateTime) -> [(&'static str, &'static str, String); 2] {
        let ends = self.chosen(*now).map(|period| period.span(*now));
        let day = |at: OffsetDateTime| usage::day(at).format(DAY).unwrap_or_default();
        let ends = ends.map_or_else(|_| (String::new(), String::new()), |span| (day(span.from), day(span.to - Duration::MILLISECOND)));
        let typed = |typed: &String, end: String| if typed.is_empty() { end } else { typed.clone() };
        [("from", "From", typed(&self.from, ends.0)), ("to", "To", typed(&self.to, ends.1))]
    }

    fn chosen(&self, now: OffsetDateTime) -> Result<Period, (&'static str, String)> {
        if !self.is_custom() {
            let named = Period::NAMED.iter().find(|(name, _)| *name == self.period());
            return named.map(|(_, period)| *period).ok_or_else(|| ("period", "Ask for 24h, 7d, 30d, 90d or custom.".into()));
        }
        let read = |field: &'static str, text: &str, otherwise: Date| match text.trim() {
            "" => Ok(otherwise),
            text => Date::parse(text, DAY)
                .ok()
                .filter(|date| YEARS.contains(&date.year()))
                .ok_or_else(|| (field, format!("{text:?} is not a day. Write it like 2026-11-20."))),
        };
        let last = read("to", &self.to, usage::day(now))?;
        let first = read("from", &self.from, last.saturating_sub(Duration::days(6)))?;
        match (last - first).whole_days() {
            ..0 => Err(("to", format!("{last} is before {first}. Choose a last day that is not before the first."))),
            LONGEST.. => Err(("from", format!("A period has at most {LONGEST} days."))),
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
