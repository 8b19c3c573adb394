//! One more secret for the same key, and the end of the one before it.

use std::time::Duration;

use diesel::dsl::sql;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Timestamptz};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Key, PlainKey, insert_secret, lock, record};
use crate::actor::{Actor, Permission};
use crate::audit;
use crate::error::{Error, Result};
use crate::ids::{KeyId, OrgId};
use crate::profile::Profile;
use crate::schema::api_key_secrets;

/// What is asked for when a key is rotated.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// How long the old secret works beside the new one, one of the profile's; none ends it at once.
    pub grace: Option<Duration>,
    /// The generation that the asker saw: a repeated or a late form makes no second secret.
    pub expected_generation: i32,
    /// Of one rendering of a form, which makes one secret however often it is sent.
    pub form_token: Option<Uuid>,
}

/// Gives a key a new secret and ends the old one, now or after a grace period that is cut at the key's expiry. Audited.
///
/// An inactive key may be rotated too and stays inactive: a leaked one should be replaced before it comes back.
///
/// # Errors
/// `Invalid` (`grace`) for a period that the profile does not offer; `Conflict` where it offers no rotation at all, when the key is over, when it was rotated since
/// the asker looked, or while an older secret is still in grace; `ProofNeeded`; `Forbidden`; `NotFound`; those of the database.
pub fn rotate(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, profile: &Profile, organization: OrgId, key: KeyId, rotation: Rotation,
) -> Result<(Key, PlainKey)> {
    actor.require(organization, Permission::ManageKeys)?;
    actor.require_proof(now)?;
    require_offered(profile)?;
    if rotation.grace.is_some_and(|grace| !profile.keys.grace.contains(&grace)) {
        return Err(Error::field("grace", "This grace period is not offered. Choose one of those listed."));
    }
    conn.transaction(|conn| {
        let mut key = lock(conn, organization, key)?;
        key.require_not_ended(now)?;
        if key.generation != rotation.expected_generation {
            return Err(Error::Conflict(
                "This key was rotated already. Its new text was shown once; if nobody copied it, rotate the key again.".into(),
            ));
        }
        if grace_generation(conn, now, &key)?.is_some() {
            return Err(Error::Conflict("The key before this one is still in grace. End its grace first, then rotate.".into()));
        }
        let plain = PlainKey::generate(profile, &key.environment)?;
        let ends_at = rotation.grace.map_or(now, |grace| now + grace);
        let ends_at = key.expires_at.map_or(ends_at, |expiry| ends_at.min(expiry));
        end_secret(conn, actor, now, &key, key.generation, ends_at)?;
        let before = json!({"generation": key.generation, "prefix": key.prefix});
        key.generation += 1;
        key.prefix = plain.visible_prefix().to_owned();
        key.secret_created_at = now;
        insert_secret(conn, actor, now, &key, &plain, rotation.form_token)?;
        let after = json!({"generation": key.generation, "prefix": key.prefix, "old_ends_at": audit::moment(Some(ends_at))});
        record(conn, actor, now, "key.rotated", &key, before, after)?;
        Ok((key, plain))
    })
}

/// Refuses where keys are replaced by other keys.
///
/// # Errors
/// `Conflict`.
pub fn require_offered(profile: &Profile) -> Result<()> {
    if profile.keys.rotation {
        return Ok(());
    }
    let verb = profile.keys.revoke_label.to_lowercase();
    Err(Error::Conflict(format!("Keys here are not rotated. Create another one, let your programs use it, then {verb} this one.")))
}

/// Ends the old secret now, before its grace runs out. Audited.
///
/// # Errors
/// `Conflict` when none is in grace, or the key is over; `Forbidden`; `NotFound`; those of the database.
pub fn end_grace(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, key: KeyId) -> Result<Key> {
    actor.require(organization, Permission::ManageKeys)?;
    conn.transaction(|conn| {
        let key = lock(conn, organization, key)?;
        key.require_not_ended(now)?;
        let Some((generation, ends_at)) = grace_generation(conn, now, &key)? else {
            return Err(Error::Conflict("The grace period is over already: the old key is refused.".into()));
        };
        end_secret(conn, actor, now, &key, generation, now)?;
        let before = json!({"generation": generation, "ends_at": audit::moment(Some(ends_at))});
        let after = json!({"generation": generation, "ends_at": audit::moment(Some(now))});
        record(conn, actor, now, "key.grace_ended", &key, before, after)?;
        Ok(key)
    })
}

fn grace_generation(conn: &mut PgConnection, now: OffsetDateTime, key: &Key) -> Result<Option<(i32, OffsetDateTime)>> {
    Ok(api_key_secrets::table
        .filter(api_key_secrets::key_id.eq(key.id).and(api_key_secrets::ends_at.gt(now)))
        .select((api_key_secrets::generation, api_key_secrets::ends_at.assume_not_null()))
        .first(conn)
        .optional()?)
}

/// When an end is now, it is now by PostgreSQL's own clock too, which admission goes by: an instance whose clock is ahead must
/// not leave the old secret working for the difference.
pub(super) fn end_secret(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, key: &Key, generation: i32, ends_at: OffsetDateTime,
) -> Result<()> {
    let bound = if ends_at <= now { ", now())" } else { ")" };
    let at = sql::<Nullable<Timestamptz>>("LEAST(").bind::<Timestamptz, _>(ends_at).sql(bound);
    diesel::update(api_key_secrets::table.find((key.id, generation)))
        .set((api_key_secrets::ends_at.eq(at), api_key_secrets::end_reason.eq("rotated"), api_key_secrets::ended_by.eq(actor.label())))
        .execute(conn)?;
    Ok(())
}
