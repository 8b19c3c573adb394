//! Query parameters of lists: cursor, limit, period, status.

use actix_web::web;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, UtcOffset};

use super::Call;
use super::body::field;
use crate::error::{Error, FieldError, Result};
use crate::openapi::bounds::{PAGE, PAGE_MOST};
use crate::profile::Route;

/// The parameters of one request, by the names that Latchkey has for them: the route may call them otherwise. Each is taken at most
/// once; what is wrong is told all at once by [`Parameters::check`].
pub(super) struct Parameters<'a> {
    route: &'a Route,
    pairs: Vec<(String, String)>,
    wrong: Vec<FieldError>,
}

impl<'a> Parameters<'a> {
    pub fn of(call: &'a Call<'_>) -> Self {
        let query = web::Query::<Vec<(String, String)>>::from_query(call.request.query_string());
        Self { route: &call.way.route, pairs: query.map(web::Query::into_inner).unwrap_or_default(), wrong: Vec::new() }
    }

    /// A parameter read by `parse`; empty counts as absent.
    pub fn take<T>(&mut self, word: &'static str, hint: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let name = self.route.name(word);
        let mut values = self.pairs.iter().filter(|(given, value)| given == name && !value.is_empty());
        let (_, value) = values.next()?;
        // No text of the database holds a zero byte.
        let parsed = if values.next().is_some() || value.contains('\0') { None } else { parse(value) };
        if parsed.is_none() {
            self.wrong.push(field(name.to_owned(), hint));
        }
        parsed
    }

    pub fn moment(&mut self, name: &'static str) -> Option<OffsetDateTime> {
        let day = |text: &str| Some(Date::parse(text, format_description!("[year]-[month]-[day]")).ok()?.midnight().assume_utc());
        // In UTC at once: near the ends of time there is none.
        let moment = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok()?.checked_to_offset(UtcOffset::UTC);
        self.take(name, "Send a moment as 2026-11-20T14:02:00Z, or a day as 2026-11-20.", |text| moment(text).or_else(|| day(text)))
    }

    pub fn limit(&mut self) -> usize {
        let hint = format!("Send a number from 1 to {PAGE_MOST}.");
        self.take("limit", &hint, |text| text.parse().ok().filter(|limit| (1..=PAGE_MOST).contains(limit))).unwrap_or(PAGE)
    }

    pub fn check(self) -> Result<()> {
        if self.wrong.is_empty() { Ok(()) } else { Err(Error::Invalid(self.wrong)) }
    }
}
