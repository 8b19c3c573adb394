//! Signing secrets: what a webhook's deliveries are signed with, kept sealed.
//!
//! There is one current secret, and for a while after a rotation the one before it signs too: a receiver that knows either
//! accepts every delivery (Standard Webhooks 1.0.0: several signatures, separated by a space).

use diesel::connection::SimpleConnection as _;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::settings;
use crate::actor::{Actor, Permission};
use crate::error::{Error, Result};
use crate::ids::OrgId;
use crate::schema::webhook_secrets;
use crate::sealed::Keyring;
use crate::secret::SigningSecret;

/// How long a rotated secret goes on signing beside the new one.
pub const OVERLAP: Duration = Duration::hours(24);

/// A signing secret as people may see it.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = webhook_secrets, check_for_backend(diesel::pg::Pg))]
pub struct SecretView {
    /// From 1, one more at each rotation.
    pub generation: i32,
    /// The last four characters of its text.
    pub hint: String,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// By whom, as known then.
    pub created_by: String,
    /// When it stops signing; none: it is the current one.
    pub ends_at: Option<OffsetDateTime>,
}

/// Replaces the signing secret. The one before goes on signing beside it for `overlap`, at most [`OVERLAP`]; none ends it, and
/// all others, at once. The new secret is to be shown once.
///
/// # Errors
/// `NotFound` where there is no webhook; `ProofNeeded`; `Forbidden`, `NotFound` for who may not; those of the database.
pub fn rotate_secret(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, keyring: &Keyring, overlap: Option<Duration>,
) -> Result<SigningSecret> {
    actor.require(organization, Permission::ManageWebhook)?;
    actor.require_proof(now)?;
    let end = now + overlap.unwrap_or(Duration::ZERO).clamp(Duration::ZERO, OVERLAP);
    conn.transaction(|conn| {
        let url = settings::locked(conn, organization)?.url;
        let all = || webhook_secrets::table.filter(webhook_secrets::organization_id.eq(organization));
        let last: i32 = all().select(diesel::dsl::max(webhook_secrets::generation)).first::<Option<i32>>(conn)?.unwrap_or(0);
        // An earlier end stays: a second rotation gives nobody more time.
        diesel::update(all().filter(webhook_secrets::ends_at.is_null().or(webhook_secrets::ends_at.gt(end))))
            .set(webhook_secrets::ends_at.eq(end))
            .execute(conn)?;
        diesel::delete(all().filter(webhook_secrets::ends_at.le(now))).execute(conn)?;
        let secret = add(conn, actor, now, organization, keyring, last + 1)?;
        let after = json!({"hint": secret.hint(), "old_ends_at": crate::clock::rfc3339(end)});
        settings::note(conn, actor, now, organization, ("webhook.secret_rotated", &url), Value::Null, after)?;
        Ok(secret)
    })
}

/// Refuses when the current secret is not of this generation any more, and keeps it so until the transaction ends: one form
/// rotates once, however often it is sent.
///
/// # Errors
/// `Conflict`; `NotFound` where there is no webhook; those of the database.
pub fn expect_generation(conn: &mut PgConnection, organization: OrgId, generation: i32) -> Result<()> {
    settings::locked(conn, organization)?;
    let last: Option<i32> = webhook_secrets::table
        .filter(webhook_secrets::organization_id.eq(organization))
        .select(diesel::dsl::max(webhook_secrets::generation))
        .first(conn)?;
    if last == Some(generation) {
        Ok(())
    } else {
        Err(Error::Conflict(
            "The secret was rotated meanwhile, and the new one was shown once. If nobody copied it, rotate it again.".into(),
        ))
    }
}

/// The secrets of a webhook as the database has them, opened.
///
/// # Errors
/// `Internal` when one of them does not open.
pub fn open_secrets(keyring: &Keyring, organization: OrgId, sealed: &[Vec<u8>]) -> Result<Vec<SigningSecret>> {
    sealed.iter().map(|sealed| keyring.open(&context(organization), sealed).map(SigningSecret::from_bytes)).collect()
}

/// What a test event is signed with: all that sign now.
///
/// # Errors
/// `NotFound` where there is no webhook; `Conflict` when one does not open; those of the database.
pub fn secrets(conn: &mut PgConnection, organization: OrgId, now: OffsetDateTime, keyring: &Keyring) -> Result<Vec<SigningSecret>> {
    let sealed = sealed(conn, organization, now)?;
    if sealed.is_empty() {
        return Err(Error::NotFound);
    }
    let shut = "The signing secret can’t be opened, and nothing leaves unsigned. Rotate it, or bring back the key that it was sealed with.";
    open_secrets(keyring, organization, &sealed).map_err(|_| Error::Conflict(shut.into()))
}

/// Whether one of those that sign now does not open, so that nothing can be sent.
///
/// # Errors
/// Those of the database.
pub fn are_shut(conn: &mut PgConnection, organization: OrgId, now: OffsetDateTime, keyring: &Keyring) -> Result<bool> {
    Ok(open_secrets(keyring, organization, &sealed(conn, organization, now)?).is_err())
}

/// What signs now, the newest first.
fn sealed(conn: &mut PgConnection, organization: OrgId, now: OffsetDateTime) -> Result<Vec<Vec<u8>>> {
    Ok(webhook_secrets::table
        .filter(webhook_secrets::organization_id.eq(organization))
        .filter(webhook_secrets::ends_at.is_null().or(webhook_secrets::ends_at.gt(now)))
        .order(webhook_secrets::generation.desc())
        .select(webhook_secrets::sealed)
        .load(conn)?)
}

/// Does `work` while nobody can write a secret. A secret key that was put in front before or within it seals all that is written
/// after it.
///
/// # Errors
/// Those of `work` and of the database.
pub fn holding_secrets<T>(conn: &mut PgConnection, work: impl FnOnce(&mut PgConnection) -> Result<T>) -> Result<T> {
    conn.transaction(|conn| {
        // Waits for those who are writing, see `add`; those who read, and sign, go on.
        conn.batch_execute("LOCK TABLE webhook_secrets IN SHARE ROW EXCLUSIVE MODE")?;
        work(conn)
    })
}

/// Seals every secret again that the newest key did not seal. Returns how many there were, all or none. Within
/// [`holding_secrets`].
///
/// # Errors
/// `Internal` when one does not open; those of the database.
pub fn reseal(conn: &mut PgConnection, keyring: &Keyring) -> Result<usize> {
    let all: Vec<(OrgId, i32, Vec<u8>)> = webhook_secrets::table
        .order((webhook_secrets::organization_id, webhook_secrets::generation))
        .select((webhook_secrets::organization_id, webhook_secrets::generation, webhook_secrets::sealed))
        .for_update()
        .load(conn)?;
    let mut done = 0;
    for (organization, generation, sealed) in all.into_iter().filter(|(.., sealed)| !keyring.is_fresh(sealed)) {
        let plain = keyring.open(&context(organization), &sealed)?;
        let sealed = keyring.seal(&context(organization), &plain)?;
        done += diesel::update(webhook_secrets::table.find((organization, generation)))
            .set(webhook_secrets::sealed.eq(sealed))
            .execute(conn)?;
    }
    Ok(done)
}

/// How many secrets there are, and how many of them this keyring does not open. For `latchkey doctor`.
///
/// # Errors
/// Those of the database.
pub fn check_secrets(conn: &mut PgConnection, keyring: &Keyring) -> Result<(usize, usize)> {
    let all: Vec<(OrgId, Vec<u8>)> =
        webhook_secrets::table.select((webhook_secrets::organization_id, webhook_secrets::sealed)).load(conn)?;
    let shut = all.iter().filter(|(organization, sealed)| keyring.open(&context(*organization), sealed).is_err()).count();
    Ok((all.len(), shut))
}

/// Whose secret it is and what for; not the generation, so that nothing but the row's organization has to be known to open it.
fn context(organization: OrgId) -> String {
    format!("webhook secret of {organization}")
}

/// Makes the next secret.
pub(super) fn add(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, keyring: &Keyring, generation: i32,
) -> Result<SigningSecret> {
    let secret = SigningSecret::generate()?;
    // Before the key is chosen: whoever turns the key over waits for this, or this sees the key that was put in front.
    conn.batch_execute("LOCK TABLE webhook_secrets IN ROW EXCLUSIVE MODE")?;
    diesel::insert_into(webhook_secrets::table)
        .values((
            webhook_secrets::organization_id.eq(organization),
            webhook_secrets::generation.eq(generation),
            webhook_secrets::sealed.eq(keyring.seal(&context(organization), secret.bytes())?),
            webhook_secrets::hint.eq(secret.hint()),
            webhook_secrets::created_at.eq(now),
            webhook_secrets::created_by.eq(actor.label()),
        ))
        .execute(conn)?;
    Ok(secret)
}
