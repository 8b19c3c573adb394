//! API keys: what a partner's program proves itself with.
//!
//! ```text
//!             ┌── deactivate ──▶ inactive ──┐
//! create ──▶ active ◀── activate ───┘       ├── revoke ──▶ revoked
//!             └────────────┬────────────────┘
//!                          └── the expiry passes ──▶ expired
//! rotate                    the same key, one more secret
//! ```
//! A key is `api_keys`; each text that it ever had is a row of `api_key_secrets` with a generation of its own. Revoked and
//! expired are for ever: neither can be edited, rotated or brought back. Invariants:
//!
//! - One secret, that of the highest generation, has no end of its own: it works as long as its key does. At most one older
//!   secret works beside it, until the end of its grace, which never outlives the key's expiry.
//! - A rotation ends the old secret and makes the new one in one transaction: there is no instant with none or two
//!   without an end. It keeps the key's id, name, permissions, environment, expiry, and its being inactive.
//! - Every change locks the key's row first; making one locks its organization's row, so that the bound on active keys
//!   holds however many are made at once. An inactive key counts as active, since it can come back at any time.
//! - A suspended organization manages its keys as ever: suspension stops requests, and a leaked key must still be revocable.
//! - The text itself leaves as a [`PlainKey`] and is kept nowhere.
//! - A text that was found in public is noted once, whenever and however often it is reported; see [`report`].

mod calls;
mod cut_over;
mod fields;
mod format;
mod key;
mod leaks;
mod list;
mod pattern;
mod receipts;
mod rotation;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

pub use cut_over::{CutOver, OldUser, Quiet, cut_over};
pub(crate) use format::VISIBLE;
pub use format::{Parsed, PlainKey, parse};
pub use key::{Key, Status};
pub use leaks::{Became, Leak, LeakedKey, Reported, Standing, known, leaked, report};
pub use list::{Grace, KeyView, LastUse, Overview, all, find, list, overview, overview_of, require};
pub(crate) use pattern::beginnings;
pub use pattern::{find_all, gitleaks_rule, pattern};
pub use receipts::{Call, EndReason, Former, Receipt, former};
pub use rotation::{Rotation, end_grace, require_offered, rotate};

use crate::actor::{Actor, Permission};
use crate::audit;
use crate::error::{Error, Result};
use crate::ids::{KeyId, OrgId, UserId};
use crate::profile::{Grant, Profile};
use crate::schema::{api_key_secrets, api_keys, organizations};
use fields::Details;
use key::{KeyRow, lock};

/// What is asked for when a key is made.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Whose it will be.
    pub organization: OrgId,
    /// For people. Blank is allowed where an organization has one key, which then needs none.
    pub name: String,
    /// One of the profile's.
    pub environment: String,
    /// Of the profile's list; none where every key may do everything, and none for a person's key where keys inherit. A key that
    /// nobody in particular makes, at the command line, holds what is said here, or all there is.
    pub permissions: Vec<String>,
    /// When it stops by itself.
    pub expires_at: Option<OffsetDateTime>,
    /// Of one rendering of a form, which makes one key however often it is sent.
    pub form_token: Option<Uuid>,
}

/// What may be changed of a key.
#[derive(Debug, Clone)]
pub struct Edit {
    /// For people.
    pub name: String,
    /// Of the profile's list; none where every key may do everything, and of no account where keys inherit.
    pub permissions: Vec<String>,
    /// When it stops by itself.
    pub expires_at: Option<OffsetDateTime>,
}

/// Makes a key; its text is in the answer and nowhere else. Audited.
///
/// # Errors
/// `Invalid` by field (`name`, `environment`, `permission`, `expires`); `Conflict` when the organization has as many active keys
/// in that environment as the profile allows, or when this rendering of the form has made its key already; `Forbidden`;
/// `NotFound`; those of the database.
pub fn create(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, profile: &Profile, new: NewKey) -> Result<(Key, PlainKey)> {
    let organization = new.organization;
    actor.require(organization, Permission::ManageKeys)?;
    let inherits = profile.permissions.grant == Grant::Inherited && actor.user_id().is_some();
    let all = profile.permissions.grant == Grant::Inherited && !inherits && new.permissions.is_empty();
    let permissions = if all { &profile.permissions.list } else { &new.permissions };
    let details = Details::check(profile, now, &new.name, permissions, inherits, new.expires_at, Some(&new.environment))?;
    let plain = PlainKey::generate(profile, &new.environment)?;
    conn.transaction(|conn| {
        let _locked: OrgId = organizations::table.find(organization).select(organizations::id).for_no_key_update().first(conn)?;
        let id = KeyId::new(now);
        let row: KeyRow = diesel::insert_into(api_keys::table)
            .values((
                api_keys::id.eq(id),
                api_keys::organization_id.eq(organization),
                api_keys::name.eq(&details.name),
                api_keys::environment.eq(&new.environment),
                api_keys::permissions.eq(&details.permissions),
                api_keys::inherits.eq(inherits),
                api_keys::created_at.eq(now),
                api_keys::created_by.eq(actor.label()),
                api_keys::created_by_user_id.eq(actor.user_id()),
                api_keys::expires_at.eq(new.expires_at),
            ))
            .returning(KeyRow::as_returning())
            .get_result(conn)?;
        let key = row.with_secret((1, plain.visible_prefix().to_owned(), now));
        insert_secret(conn, actor, now, &key, &plain, new.form_token)?;
        require_room(conn, now, profile, &key)?;
        record(conn, actor, now, "key.created", &key, json!(null), details.as_json(&key))?;
        Ok((key, plain))
    })
}

/// Counts after the insert, so that a repeated form is told that it was sent before, and not that there is no room.
fn require_room(conn: &mut PgConnection, now: OffsetDateTime, profile: &Profile, key: &Key) -> Result<()> {
    let most = profile.keys.max_active;
    let active: i64 = api_keys::table
        .filter(api_keys::organization_id.eq(key.organization).and(api_keys::environment.eq(&key.environment)))
        .filter(api_keys::revoked_at.is_null())
        .filter(api_keys::expires_at.is_null().or(api_keys::expires_at.gt(now)))
        .count()
        .get_result(conn)?;
    match most {
        0 => Ok(()),
        1 if active > 1 => {
            Err(Error::Conflict(format!("There is an active {} key already. Rotate it, or revoke it first.", key.environment)))
        }
        _ if active > i64::from(most) => {
            Err(Error::Conflict(format!("There are {most} active {} keys already. Revoke one first.", key.environment)))
        }
        _ => Ok(()),
    }
}

/// Writes the current secret of `key`.
fn insert_secret(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, key: &Key, plain: &PlainKey, form_token: Option<Uuid>,
) -> Result<()> {
    diesel::insert_into(api_key_secrets::table)
        .values((
            api_key_secrets::organization_id.eq(key.organization),
            api_key_secrets::key_id.eq(key.id),
            api_key_secrets::generation.eq(key.generation),
            api_key_secrets::digest.eq(plain.digest()),
            api_key_secrets::prefix.eq(plain.visible_prefix()),
            api_key_secrets::created_at.eq(now),
            api_key_secrets::created_by.eq(actor.label()),
            api_key_secrets::form_token.eq(form_token),
        ))
        .execute(conn)
        .map_err(|e| {
            Error::from(e).on_constraint("api_key_secrets_form_token_key", || {
                Error::Conflict(
                    "This form was sent before and made its key then. The key was shown once; if you did not copy it, rotate it.".into(),
                )
            })
        })?;
    Ok(())
}

/// Ends a key for ever, with every secret that still works. Audited.
///
/// # Errors
/// `Conflict` when it is over already; `ProofNeeded`; `Forbidden`; `NotFound`; those of the database.
pub fn revoke(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, key: KeyId) -> Result<Key> {
    actor.require(organization, Permission::ManageKeys)?;
    actor.require_proof(now)?;
    conn.transaction(|conn| {
        let key = lock(conn, organization, key)?;
        key.require_not_ended(now)?;
        end(conn, actor, now, key)
    })
}

/// Ends the keys that inherit from a person, for whom ends that person's membership, in the same transaction. Audited. Who leaves by
/// itself ends what was its own.
///
/// # Errors
/// `Forbidden`; `NotFound`; those of the database.
pub fn end_inherited(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, user: UserId) -> Result<()> {
    let leaves = actor.user_id() == Some(user);
    actor.require(organization, if leaves { Permission::Read } else { Permission::ManageKeys })?;
    let theirs: Vec<KeyId> = api_keys::table
        .filter(api_keys::organization_id.eq(organization).and(api_keys::created_by_user_id.eq(user)))
        .filter(api_keys::inherits.and(api_keys::revoked_at.is_null()))
        .order(api_keys::id)
        .select(api_keys::id)
        .load(conn)?;
    for key in theirs {
        let key = lock(conn, organization, key)?;
        if !key.status(now).is_ended() {
            end(conn, actor, now, key)?;
        }
    }
    Ok(())
}

/// Ends a key whose row is locked. Audited.
fn end(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, key: Key) -> Result<Key> {
    let key = end_rows(conn, actor, now, key)?;
    record(conn, actor, now, "key.revoked", &key, json!({"revoked_at": null}), json!({"revoked_at": audit::moment(Some(now))}))?;
    Ok(key)
}

/// The same, for who audits it as part of something else.
fn end_rows(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, mut key: Key) -> Result<Key> {
    diesel::update(api_keys::table.find(key.id))
        .set((api_keys::revoked_at.eq(now), api_keys::revoked_by.eq(actor.label())))
        .execute(conn)?;
    diesel::update(
        api_key_secrets::table
            .filter(api_key_secrets::key_id.eq(key.id))
            .filter(api_key_secrets::ends_at.is_null().or(api_key_secrets::ends_at.gt(now))),
    )
    .set((api_key_secrets::ends_at.eq(now), api_key_secrets::end_reason.eq("revoked"), api_key_secrets::ended_by.eq(actor.label())))
    .execute(conn)?;
    key.revoked_at = Some(now);
    key.revoked_by = Some(actor.label().to_owned());
    Ok(key)
}

/// Pauses a key. Audited.
///
/// # Errors
/// `Conflict` unless it is active; `Forbidden`; `NotFound`; those of the database.
pub fn deactivate(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, key: KeyId) -> Result<Key> {
    pause(conn, actor, now, organization, key, Some(now))
}

/// Brings a paused key back. Audited.
///
/// # Errors
/// `Conflict` unless it is inactive; `Forbidden`; `NotFound`; those of the database.
pub fn activate(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, key: KeyId) -> Result<Key> {
    pause(conn, actor, now, organization, key, None)
}

fn pause(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, key: KeyId, deactivated_at: Option<OffsetDateTime>,
) -> Result<Key> {
    actor.require(organization, Permission::ManageKeys)?;
    conn.transaction(|conn| {
        let mut key = lock(conn, organization, key)?;
        key.require_not_ended(now)?;
        let (action, already) = match deactivated_at {
            Some(_) => ("key.deactivated", "This key is inactive already."),
            None => ("key.activated", "This key is active already."),
        };
        if key.deactivated_at.is_some() == deactivated_at.is_some() {
            return Err(Error::Conflict(already.into()));
        }
        diesel::update(api_keys::table.find(key.id)).set(api_keys::deactivated_at.eq(deactivated_at)).execute(conn)?;
        let before = json!({"deactivated_at": audit::moment(key.deactivated_at)});
        key.deactivated_at = deactivated_at;
        record(conn, actor, now, action, &key, before, json!({"deactivated_at": audit::moment(deactivated_at)}))?;
        Ok(key)
    })
}

/// Changes name, permissions and expiry; an earlier expiry shortens a grace period under way. A key that inherited, in a profile where
/// permissions are chosen, holds those from then on. Audited.
///
/// # Errors
/// `Invalid` by field (`name`, `permission`, `expires`); `Conflict` when the key is over; `Forbidden`; `NotFound`; those of the
/// database.
pub fn edit(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, profile: &Profile, organization: OrgId, key: KeyId, edit: Edit,
) -> Result<Key> {
    actor.require(organization, Permission::ManageKeys)?;
    conn.transaction(|conn| {
        let mut key = lock(conn, organization, key)?;
        key.require_not_ended(now)?;
        let inherits = key.inherits && profile.permissions.grant == Grant::Inherited;
        // Where nothing is chosen there is nothing to change: a key that was made with less must not come by more. What the profile no
        // longer has it has no more of.
        let kept = key.permissions.iter().filter(|permission| profile.permissions.list.contains(permission)).cloned().collect();
        let permissions: Vec<String> = if profile.permissions.grant == Grant::Inherited { kept } else { edit.permissions };
        let details = Details::check(profile, now, &edit.name, &permissions, inherits, edit.expires_at, None)?;
        let before = Details::of(&key).as_json(&key);
        diesel::update(api_keys::table.find(key.id))
            .set((
                api_keys::name.eq(&details.name),
                api_keys::permissions.eq(&details.permissions),
                api_keys::inherits.eq(inherits),
                api_keys::expires_at.eq(details.expires_at),
            ))
            .execute(conn)?;
        diesel::update(
            api_key_secrets::table
                .filter(api_key_secrets::key_id.eq(key.id))
                .filter(api_key_secrets::ends_at.gt(now))
                .filter(api_key_secrets::ends_at.gt(details.expires_at)),
        )
        .set(api_key_secrets::ends_at.eq(details.expires_at))
        .execute(conn)?;
        let after = details.as_json(&key);
        key.name = details.name;
        key.permissions = details.permissions;
        key.inherits = inherits;
        key.expires_at = details.expires_at;
        record(conn, actor, now, "key.edited", &key, before, after)?;
        Ok(key)
    })
}

/// The audit entry of a change, last in its transaction.
fn record(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, action: &'static str, key: &Key, before: serde_json::Value,
    after: serde_json::Value,
) -> Result<()> {
    let target_label = format!("{} ({}…)", key.name, key.prefix);
    let event = audit::Event { organization: Some(key.organization), action, target_id: key.id.to_string(), target_label, before, after };
    audit::record(conn, actor, now, event)
}
