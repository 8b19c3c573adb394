//! Usage: the request history, and what was consumed in it.
//!
//! ```text
//! requests      a row for every answered request of a known key, by days      90 days
//! rollups       counts and durations by the hour and by the day               2 years
//! ```
//! A row of the history is written once, in the transaction that makes its answer final, and never changed but once by a service that
//! reports what became of a request that it asked about ([`complete`]). Its id carries the moment
//! of arrival, so the primary key (organization, id) is the order of the Usage tab, its cursor and its periods at once, and the
//! partition that a row is in. [`rollups`] tells how the counts are kept so that all agree, [`history`](mod@history) how pages stay fast.

mod around;
mod by_status;
mod consume;
mod consumption;
mod days;
mod filter;
mod histogram;
mod history;
mod look;
mod period;
mod record;
mod report;
pub mod rollups;
mod uses;
mod walk;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use time::OffsetDateTime;

pub use around::history_with;
pub use consume::{BUSIEST, By, consumption};
pub use consumption::{Bin, Consumption, Counts, Durations, Share};
pub use days::{day, drop_days, ensure, make_days, oldest_day};
pub use filter::{Address, Cursor, Filter, Status, verify_route, verify_routes};
pub use history::{Page, history, request};
pub use period::{Period, Span};
pub use record::{Record, insert};
pub use report::{Awaited, Completion, complete, lock_awaited, stop_awaiting};
pub use uses::{Uses, uses};
pub use walk::LOOK;

use crate::error::Result;
use crate::ids::{JobId, KeyId, OrgId, RequestId};
use crate::schema::{api_key_secrets, requests};

/// A row of the history.
#[derive(Debug, Clone, Queryable, QueryableByName, Selectable)]
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
    /// Of the profile, with its method; empty for an address that is nobody's.
    pub route: String,
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
