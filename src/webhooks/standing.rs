//! How the webhook stands: what its card says, and whether it can send at all.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable, SmallInt, Timestamptz, Uuid as SqlUuid};
use time::OffsetDateTime;

use super::secrets;
use super::settings::{self, Off, Webhook};
use crate::error::Result;
use crate::ids::OrgId;
use crate::schema::webhooks;
use crate::sealed::Keyring;

/// Waiting deliveries that are counted; past that nobody asks how many exactly.
const MOST_COUNTED: i64 = 10_000;

/// A webhook, and how it does.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The webhook itself.
    pub webhook: Webhook,
    /// Its figures.
    pub facts: Facts,
    /// Whether what should sign can't be opened: nothing is sent then.
    pub is_shut: bool,
}

/// The organization's webhook and how it does, if it has one.
///
/// # Errors
/// Those of the database.
pub fn standing(conn: &mut PgConnection, organization: OrgId, now: OffsetDateTime, keyring: &Keyring) -> Result<Option<Standing>> {
    let Some(webhook) = settings::read(conn, organization, now)? else { return Ok(None) };
    let is_shut = secrets::are_shut(conn, organization, now, keyring)?;
    Ok(Some(Standing { webhook, facts: facts(conn, organization, now)?, is_shut }))
}

/// What the endpoint's card says.
#[derive(Debug, Clone, QueryableByName)]
pub struct Facts {
    /// When something arrived last; to the minute when that is long ago.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub last_at: Option<OffsetDateTime>,
    /// The status that it was answered, when that is known.
    #[diesel(sql_type = Nullable<SmallInt>)]
    pub last_status: Option<i16>,
    /// How long that took, in microseconds.
    #[diesel(sql_type = Nullable<Integer>)]
    pub last_duration_us: Option<i32>,
    /// Delivered in 24 hours.
    #[diesel(sql_type = BigInt)]
    pub delivered: i64,
    /// Given up in 24 hours.
    #[diesel(sql_type = BigInt)]
    pub gave_up: i64,
    /// Waiting now, see [`Facts::is_capped`].
    #[diesel(sql_type = BigInt)]
    pub waiting: i64,
    /// Lanes among them whose head has failed.
    #[diesel(sql_type = BigInt)]
    pub retrying: i64,
}

impl Facts {
    /// Whether more are waiting than were counted.
    pub fn is_capped(&self) -> bool {
        self.waiting > MOST_COUNTED
    }
}

/// What the endpoint's card says.
///
/// # Errors
/// Those of the database.
pub fn facts(conn: &mut PgConnection, organization: OrgId, now: OffsetDateTime) -> Result<Facts> {
    let query = diesel::sql_query(include_str!("facts.sql"));
    Ok(query.bind::<SqlUuid, _>(organization).bind::<Timestamptz, _>(now).bind::<BigInt, _>(MOST_COUNTED + 1).get_result(conn)?)
}

/// Since when the webhook is off, and why, when it was not a person who switched it off.
///
/// # Errors
/// Those of the database.
pub fn stopped(conn: &mut PgConnection, organization: OrgId) -> Result<Option<(OffsetDateTime, Off)>> {
    let row: Option<(Option<OffsetDateTime>, Option<String>)> =
        webhooks::table.find(organization).select((webhooks::disabled_at, webhooks::disabled_reason)).first(conn).optional()?;
    let off = row.and_then(|(at, reason)| at.zip(reason.as_deref().and_then(Off::parse)));
    Ok(off.filter(|(_, reason)| *reason != Off::SwitchedOff))
}
