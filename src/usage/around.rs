//! A page that has a certain row.

use diesel::pg::PgConnection;
use uuid::Uuid;

use super::{Cursor, Filter, Page, history};
use crate::error::Result;
use crate::ids::{OrgId, RequestId};
use crate::profile::Profile;

/// A page of the history, and where it starts: at `cursor`, or with the row `open` where that is not on it any more, since newer ones came
/// or somebody else opens an address. A row that the filter does not let through is none.
///
/// # Errors
/// Those of the database.
pub fn history_with(
    conn: &mut PgConnection, organization: OrgId, profile: &Profile, filter: &Filter, (cursor, open): (Option<Cursor>, Option<RequestId>),
    limit: usize,
) -> Result<(Page, Option<Cursor>)> {
    let page = history(conn, organization, profile, filter, cursor, limit)?;
    let Some(open) = open.filter(|id| page.requests.iter().all(|request| request.id != *id)) else { return Ok((page, cursor)) };
    let from = Cursor::Before(RequestId(Uuid::from_u128(open.0.as_u128().saturating_add(1))));
    let other = history(conn, organization, profile, filter, Some(from), limit)?;
    let is_there = other.requests.first().is_some_and(|request| request.id == open);
    Ok(if is_there { (other, Some(from)) } else { (page, cursor) })
}
