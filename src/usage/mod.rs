//! The request history: one row for every answered request of a known key.
//!
//! A row is written once, in the transaction that makes its answer final, and never changed. The id carries the moment of
//! arrival, so the primary key (organization, id) is the order of the Usage tab, its cursor and its periods at once.

mod consumption;
mod record;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use time::OffsetDateTime;

pub use consumption::{Bin, Consumption, Counts, Durations, Share};
pub use record::{Record, insert};

use crate::error::Result;
use crate::ids::{JobId, KeyId, OrgId, RequestId, uuid_floor};
use crate::schema::{api_key_secrets, requests};

/// A row of the history.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = requests, check_for_backend(diesel::pg::Pg))]
pub struct Request {
    /// Its id.
    pub id: RequestId,
    /// When it arrived.
    pub at: OffsetDateTime,
    /// With which key.
    pub key_id: KeyId,
    /// With which of the key's texts.
    pub generation: i32,
    /// The key's environment.
    pub environment: String,
    /// HTTP method.
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// HTTP status of the answer.
    pub status: i16,
    /// See [`crate::outcome::Outcome`].
    pub outcome: String,
    /// Microseconds from arrival to the answer being ready.
    pub duration_us: i32,
    /// Credits that it cost.
    pub credits: i64,
    /// Where it came from.
    pub address: String,
    /// With which program.
    pub user_agent: String,
    /// The job that it made.
    pub job_id: Option<JobId>,
    /// Why it was refused: the rule and its value then.
    pub detail: Option<serde_json::Value>,
}

/// Statuses that the history can be narrowed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Exactly this one.
    Exactly(u16),
    /// A hundred: 2 is 200 to 299.
    Class(u8),
}

impl Status {
    /// `429` or `4xx`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_suffix("xx") {
            Some(class) => class.parse().ok().filter(|class| (1..=5).contains(class)).map(Self::Class),
            None => text.parse().ok().filter(|status| (100..=599).contains(status)).map(Self::Exactly),
        }
    }

    fn bounds(self) -> (i16, i16) {
        match self {
            Self::Exactly(status) => (status as i16, status as i16),
            Self::Class(class) => (i16::from(class) * 100, i16::from(class) * 100 + 99),
        }
    }
}

/// What to look for; all of it must hold.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Made with this key.
    pub key: Option<KeyId>,
    /// Answered with this status.
    pub status: Option<Status>,
    /// Arrived at this moment or later.
    pub from: Option<OffsetDateTime>,
    /// Arrived before this moment.
    pub to: Option<OffsetDateTime>,
}

/// Where a page starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// With the newest row that is older than this one.
    Before(RequestId),
    /// With the oldest row that is newer than this one; the page is still newest first.
    After(RequestId),
}

/// A page, newest first.
#[derive(Debug, Clone)]
pub struct Page {
    /// At most as many as asked for.
    pub requests: Vec<Request>,
    /// Whether there are newer ones.
    pub newer: bool,
    /// Whether there are older ones.
    pub older: bool,
}

/// A page of the history.
///
/// # Errors
/// Those of the database.
pub fn history(conn: &mut PgConnection, organization: OrgId, filter: &Filter, cursor: Option<Cursor>, limit: usize) -> Result<Page> {
    let mut query = requests::table.filter(requests::organization_id.eq(organization)).select(Request::as_select()).into_boxed();
    if let Some(key) = filter.key {
        query = query.filter(requests::key_id.eq(key));
    }
    if let Some(status) = filter.status {
        let (least, most) = status.bounds();
        query = query.filter(requests::status.between(least, most));
    }
    if let Some(from) = filter.from {
        query = query.filter(requests::id.ge(RequestId(uuid_floor(from))));
    }
    if let Some(to) = filter.to {
        query = query.filter(requests::id.lt(RequestId(uuid_floor(to))));
    }
    // One more than asked tells whether there are more in that direction; the cursor's own row proves the other.
    query = match cursor {
        None => query.order(requests::id.desc()),
        Some(Cursor::Before(id)) => query.filter(requests::id.lt(id)).order(requests::id.desc()),
        Some(Cursor::After(id)) => query.filter(requests::id.gt(id)).order(requests::id.asc()),
    };
    let mut found: Vec<Request> = query.limit(limit as i64 + 1).load(conn)?;
    let more = found.len() > limit;
    found.truncate(limit);
    Ok(match cursor {
        None => Page { requests: found, newer: false, older: more },
        Some(Cursor::Before(_)) => Page { requests: found, newer: true, older: more },
        Some(Cursor::After(_)) => {
            found.reverse();
            Page { requests: found, newer: more, older: true }
        }
    })
}

/// One request of this organization.
///
/// # Errors
/// `NotFound`; those of the database.
pub fn request(conn: &mut PgConnection, organization: OrgId, id: RequestId) -> Result<Request> {
    Ok(requests::table.find((organization, id)).select(Request::as_select()).first(conn)?)
}

/// The visible prefix of every text that the organization's keys ever had, for showing which one a request used.
///
/// # Errors
/// Those of the database.
pub fn key_prefixes(conn: &mut PgConnection, organization: OrgId) -> Result<std::collections::HashMap<(KeyId, i32), String>> {
    let rows: Vec<(KeyId, i32, String)> = api_key_secrets::table
        .filter(api_key_secrets::organization_id.eq(organization))
        .select((api_key_secrets::key_id, api_key_secrets::generation, api_key_secrets::prefix))
        .load(conn)?;
    Ok(rows.into_iter().map(|(key, generation, prefix)| ((key, generation), prefix)).collect())
}
