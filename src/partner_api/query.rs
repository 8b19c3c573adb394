//! Query parameters of lists: cursor, limit, period, status.

use actix_web::{HttpRequest, web};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use super::body::field;
use crate::error::{Error, FieldError, Result};

/// Rows of a page unless asked otherwise.
const PAGE: usize = 50;
/// Most rows of a page.
const MOST: usize = 100;

/// The parameters of one request. Each is taken at most once; what is wrong is told all at once by [`Parameters::check`].
pub(super) struct Parameters {
    pairs: Vec<(String, String)>,
    wrong: Vec<FieldError>,
}

impl Parameters {
    pub fn of(request: &HttpRequest) -> Self {
        let pairs = web::Query::<Vec<(String, String)>>::from_query(request.query_string()).map(web::Query::into_inner).unwrap_or_default();
        Self { pairs, wrong: Vec::new() }
    }

    /// A parameter read by `parse`; empty counts as absent.
    pub fn take<T>(&mut self, name: &'static str, hint: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let mut values = self.pairs.iter().filter(|(given, value)| given == name && !value.is_empty());
        let (_, value) = values.next()?;
        // No text of the database holds a zero byte.
        let parsed = if values.next().is_some() || value.contains('\0') { None } else { parse(value) };
        if parsed.is_none() {
            self.wrong.push(field(name, hint));
        }
        parsed
    }

    pub fn moment(&mut self, name: &'static str) -> Option<OffsetDateTime> {
        // In UTC at once: near the ends of time there is none.
        let moment = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok()?.checked_to_offset(UtcOffset::UTC);
        self.take(name, "Send a moment as 2026-11-20T14:02:00Z.", moment)
    }

    pub fn limit(&mut self) -> usize {
        let hint = format!("Send a number from 1 to {MOST}.");
        self.take("limit", &hint, |text| text.parse().ok().filter(|limit| (1..=MOST).contains(limit))).unwrap_or(PAGE)
    }

    pub fn check(self) -> Result<()> {
        if self.wrong.is_empty() { Ok(()) } else { Err(Error::Invalid(self.wrong)) }
    }
}
