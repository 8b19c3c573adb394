//! The webhook itself: where it goes, whether it is on, with what it signs. The dashboard and the API call the same functions.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Timestamptz;
use serde_json::{Value, json};
use time::OffsetDateTime;
use url::Url;

use super::secrets::{self, SecretView};
use crate::actor::{Actor, Permission};
use crate::audit;
use crate::error::{Error, Result};
use crate::ids::{EventId, OrgId};
use crate::schema::{webhook_secrets, webhooks};
use crate::sealed::Keyring;
use crate::secret::SigningSecret;

/// Why a webhook is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Off {
    /// Somebody switched it off.
    SwitchedOff,
    /// Its endpoint answered 410 Gone.
    Gone,
    /// Five days of nothing but failures.
    Failing,
}

impl Off {
    /// As the database and the API write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SwitchedOff => "switched_off",
            Self::Gone => "gone",
            Self::Failing => "failing",
        }
    }

    /// The inverse of [`Off::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::SwitchedOff, Self::Gone, Self::Failing].into_iter().find(|off| off.as_str() == text)
    }
}

/// An organization's webhook.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Where events go, in its canonical form.
    pub url: String,
    /// When it was saved first.
    pub created_at: OffsetDateTime,
    /// When its URL or its switch changed last.
    pub updated_at: OffsetDateTime,
    /// Since when it is off, and why; none: it is on.
    pub off: Option<(OffsetDateTime, Off)>,
    /// Since when every attempt failed.
    pub failing_since: Option<OffsetDateTime>,
    /// What signs now, the newest first; never empty.
    pub secrets: Vec<SecretView>,
}

impl Webhook {
    /// Whether events are sent.
    pub fn is_enabled(&self) -> bool {
        self.off.is_none()
    }
}

/// What [`save`] came to.
#[derive(Debug)]
pub struct Saved {
    /// As it is now.
    pub webhook: Webhook,
    /// To be shown once, when the webhook is new.
    pub new_secret: Option<SigningSecret>,
}

/// The organization's webhook, if it has one.
///
/// # Errors
/// Those of the database.
pub fn read(conn: &mut PgConnection, organization: OrgId, now: OffsetDateTime) -> Result<Option<Webhook>> {
    let row: Option<Row> = webhooks::table.find(organization).select(Row::as_select()).first(conn).optional()?;
    let Some(row) = row else { return Ok(None) };
    let secrets = webhook_secrets::table
        .filter(webhook_secrets::organization_id.eq(organization))
        .filter(webhook_secrets::ends_at.is_null().or(webhook_secrets::ends_at.gt(now)))
        .order(webhook_secrets::generation.desc())
        .select(SecretView::as_select())
        .load(conn)?;
    Ok(Some(row.with(secrets)))
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = webhooks, check_for_backend(diesel::pg::Pg))]
pub(super) struct Row {
    pub(super) url: String,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
    disabled_at: Option<OffsetDateTime>,
    disabled_reason: Option<String>,
    failing_since: Option<OffsetDateTime>,
}

impl Row {
    fn with(self, secrets: Vec<SecretView>) -> Webhook {
        let reason = self.disabled_reason.as_deref().and_then(Off::parse);
        Webhook {
            url: self.url,
            created_at: self.created_at,
            updated_at: self.updated_at,
            off: self.disabled_at.zip(reason),
            failing_since: self.failing_since,
            secrets,
        }
    }
}

/// Saves where events go, and the switch: `None` leaves it, and is on for a new one. A new webhook gets its signing secret, an
/// old one keeps those it has. Saving what is there already changes nothing.
///
/// The URL has passed [`super::address::check_url`] and a look at where it leads.
///
/// # Errors
/// `Forbidden`, `NotFound` for who may not; those of the database.
pub fn save(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, keyring: &Keyring, url: &Url, enabled: Option<bool>,
) -> Result<Saved> {
    actor.require(organization, Permission::ManageWebhook)?;
    let mut resumed = false;
    let saved = conn.transaction(|conn| {
        let new_secret = loop {
            let fresh = diesel::insert_into(webhooks::table)
                .values((
                    webhooks::organization_id.eq(organization),
                    webhooks::url.eq(url.as_str()),
                    webhooks::created_at.eq(now),
                    webhooks::updated_at.eq(now),
                    webhooks::disabled_at.eq((enabled == Some(false)).then_some(now)),
                    webhooks::disabled_reason.eq((enabled == Some(false)).then_some(Off::SwitchedOff.as_str())),
                ))
                .on_conflict_do_nothing()
                .execute(conn)?;
            if fresh == 1 {
                let secret = secrets::add(conn, actor, now, organization, keyring, 1)?;
                let after = json!({"url": url.as_str(), "enabled": enabled != Some(false)});
                note(conn, actor, now, organization, ("webhook.created", url.as_str()), Value::Null, after)?;
                break Some(secret);
            }
            match change(conn, actor, now, organization, url, enabled) {
                // It was removed between the two, so that it is a new one after all.
                Err(Error::NotFound) => {}
                changed => {
                    resumed = changed?;
                    break None;
                }
            }
        };
        Ok(Saved { webhook: existing(conn, organization, now)?, new_secret })
    });
    if resumed && saved.is_ok() {
        super::outbox::hasten(conn, organization)?;
    }
    saved.map_err(|e: Error| e.on_constraint("webhooks_url_check", || Error::field("url", "A URL has at most 2048 characters.")))
}

/// Turns delivery on or off. What waited while it was off is sent in its order; progress that is no longer news is dropped.
///
/// # Errors
/// `NotFound` where there is no webhook; `Forbidden`, `NotFound` for who may not; those of the database.
pub fn switch(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, enabled: bool) -> Result<Webhook> {
    actor.require(organization, Permission::ManageWebhook)?;
    let (webhook, resumed) = conn.transaction(|conn| {
        let row = locked(conn, organization)?;
        let url = Url::parse(&row.url).map_err(|e| Error::internal("reading a webhook's URL", e))?;
        let resumed = change(conn, actor, now, organization, &url, Some(enabled))?;
        Ok::<_, Error>((existing(conn, organization, now)?, resumed))
    })?;
    if resumed {
        super::outbox::hasten(conn, organization)?;
    }
    Ok(webhook)
}

/// Removes the webhook with its secrets. What waits is given up; the list of deliveries stays. Where very much waits it is
/// switched off first and then given up in pieces: nobody else waits for it, and cut short it is a webhook that is off.
///
/// # Errors
/// As [`switch`].
pub fn remove(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId) -> Result<()> {
    actor.require(organization, Permission::ManageWebhook)?;
    if super::outbox::is_long(conn, organization)? {
        switch(conn, actor, now, organization, false)?;
        // Whatever waits there for a later time than that of a next try is left to the last step.
        let (all, due_by) = (EventId(uuid::Uuid::max()), now + super::retry::LONGEST);
        while conn.transaction(|conn| super::outbox::give_up_piece(conn, now, organization, all, due_by))? {}
    }
    conn.transaction(|conn| {
        // Whoever publishes holds the row for the length of a transaction, so that nothing is queued for a webhook that is gone.
        let url: String = diesel::delete(webhooks::table.find(organization)).returning(webhooks::url).get_result(conn)?;
        super::outbox::give_up_all(conn, now, organization)?;
        note(conn, actor, now, organization, ("webhook.removed", &url), json!({"url": url}), Value::Null)
    })
}

pub(super) fn locked(conn: &mut PgConnection, organization: OrgId) -> Result<Row> {
    Ok(webhooks::table.find(organization).select(Row::as_select()).for_no_key_update().first(conn)?)
}

fn existing(conn: &mut PgConnection, organization: OrgId, now: OffsetDateTime) -> Result<Webhook> {
    read(conn, organization, now)?.ok_or(Error::NotFound)
}

/// Writes what differs, and what that means for the deliveries. Whether they go on now: what waited for the old address to come
/// back has no reason to wait for the new one.
fn change(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, url: &Url, enabled: Option<bool>,
) -> Result<bool> {
    let row = locked(conn, organization)?;
    let was_enabled = row.disabled_at.is_none();
    let enabled = enabled.unwrap_or(was_enabled);
    if row.url == url.as_str() && enabled == was_enabled {
        return Ok(false);
    }
    let off = match (enabled, was_enabled) {
        (true, _) => (None, None),
        // Whatever the reason was that Latchkey had, it is a person's now.
        (false, true) => (Some(now), Some(Off::SwitchedOff.as_str().to_owned())),
        (false, false) => (row.disabled_at, row.disabled_reason.clone()),
    };
    diesel::update(webhooks::table.find(organization))
        .set((
            webhooks::url.eq(url.as_str()),
            webhooks::updated_at.eq(now),
            webhooks::disabled_at.eq(off.0),
            webhooks::disabled_reason.eq(off.1),
            // A new address, or a new start, has failed at nothing yet.
            webhooks::failing_since.eq(None::<OffsetDateTime>),
        ))
        .execute(conn)?;
    let resumes = enabled && (!was_enabled || row.url != url.as_str());
    if resumes {
        // By the clock that the lanes are kept by.
        diesel::update(webhooks::table.find(organization))
            .set(webhooks::resumed_at.eq(diesel::dsl::now.into_sql::<Timestamptz>().nullable()))
            .execute(conn)?;
    }
    let (before, after) = (json!({"url": row.url, "enabled": was_enabled}), json!({"url": url.as_str(), "enabled": enabled}));
    let action = match (enabled, was_enabled) {
        _ if row.url != url.as_str() => "webhook.updated",
        (true, _) => "webhook.enabled",
        (false, _) => "webhook.disabled",
    };
    note(conn, actor, now, organization, (action, url.as_str()), before, after)?;
    Ok(resumes)
}

/// One line of the audit log: what was done, to which URL.
pub(super) fn note(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, (action, url): (&'static str, &str), before: Value,
    after: Value,
) -> Result<()> {
    let event = audit::Event {
        organization: Some(organization),
        action,
        target_id: organization.to_string(),
        target_label: url.to_owned(),
        before,
        after,
    };
    audit::record(conn, actor, now, event)
}
