//! What a window of a limit holds now, for people who ask why a request was refused.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::Result;
use crate::ids::{KeyId, OrgId};
use crate::profile::{Limit, Scope};
use crate::schema::{api_keys, rate_windows};

/// A window that has begun and is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Current {
    /// Requests that were counted in it, those beyond the limit too.
    pub used: i64,
    /// When it ends.
    pub ends_at: OffsetDateTime,
}

/// The window of `key` in a profile's limit with its number; none when the next request begins one.
///
/// # Errors
/// Those of the database.
pub fn current_window(
    conn: &mut PgConnection, organization: OrgId, key: KeyId, (number, limit): (i16, &Limit), now: OffsetDateTime,
) -> Result<Option<Current>> {
    let scope: Uuid = if limit.scope == Scope::Organization { organization.0 } else { key.0 };
    let is_theirs = api_keys::organization_id.eq(organization).and(api_keys::id.eq(key));
    let window: Option<(i64, OffsetDateTime)> = rate_windows::table
        .find((scope, number))
        .filter(rate_windows::ends_at.gt(now))
        .filter(diesel::dsl::exists(api_keys::table.filter(is_theirs)))
        .select((rate_windows::used, rate_windows::ends_at))
        .first(conn)
        .optional()?;
    Ok(window.map(|(used, ends_at)| Current { used, ends_at }))
}
