//! Rotating the signing secret. The answer to the POST alone shows the new one.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::Form;
use askama::Template;
use serde::Deserialize;
use time::OffsetDateTime;

use super::{filters, no_webhook, refused, with_secret};
use crate::actor::Permission;
use crate::db;
use crate::error::{Error, Result};
use crate::secret::SigningSecret;
use crate::web::{Answer, Flash, Frame, Member, fragment, page, page_with_status, prove, wants_fragment};
use crate::webhooks::{self, OVERLAP, SecretView};

#[derive(Template)]
#[template(path = "webhooks/rotation.html", blocks = ["confirm"])]
struct Confirm {
    frame: Frame,
    current: SecretView,
    /// How many sign beside it already.
    others: usize,
    overlap_ends_at: OffsetDateTime,
    /// What signs now can't be opened: it signs nothing, now or later.
    is_shut: bool,
    /// Whether the old one is to go on signing for a while.
    overlaps: bool,
    /// A page of its own, whose question is the h1.
    whole: bool,
}

/// The form of a rotation.
#[derive(Deserialize)]
pub struct Fields {
    /// `overlap`, or `now`.
    old: String,
    /// Of the secret that the page showed: the form rotates it and no other, however often it is sent.
    generation: i32,
    password: Option<String>,
}

/// `GET …/webhooks/secret-rotation`.
pub async fn confirm_rotation(member: Member, request: HttpRequest) -> Answer {
    member.require_admin()?;
    let whole = !wants_fragment(&request);
    match question(&member, true, whole).await? {
        None => refused(member, "Nothing to rotate.", no_webhook()).await,
        Some(screen) if whole => page(&screen),
        Some(screen) => fragment(&screen.as_confirm()),
    }
}

async fn question(member: &Member, overlaps: bool, whole: bool) -> Result<Option<Confirm>> {
    let (organization, now, keyring) = (member.organization.id, member.frame.now, member.site.keyring.clone());
    let look = move |conn: &mut _| Ok((webhooks::read(conn, organization, now)?, webhooks::are_shut(conn, organization, now, &keyring)?));
    let (webhook, is_shut) = member.site.db.run(look).await?;
    let Some(webhook) = webhook else { return Ok(None) };
    let others = webhook.secrets.len().saturating_sub(1);
    let current = webhook.secrets.into_iter().next().ok_or(Error::NotFound)?;
    let (frame, overlap_ends_at) = (member.frame.clone(), now + OVERLAP);
    Ok(Some(Confirm { frame, current, others, overlap_ends_at, is_shut, overlaps, whole }))
}

/// `POST …/webhooks/secret-rotation`.
pub async fn rotate(mut member: Member, fields: Option<Form<Fields>>) -> Answer {
    member.require_admin()?;
    match prove(&mut member, fields.as_ref().and_then(|form| form.password.as_deref())).await {
        Err(Error::ProofNeeded) => {
            let overlaps = fields.is_none_or(|form| form.old == "overlap");
            return match question(&member, overlaps, true).await? {
                Some(screen) => page_with_status(StatusCode::UNPROCESSABLE_ENTITY, &screen),
                None => refused(member, "The secret was not rotated.", no_webhook()).await,
            };
        }
        proved => proved?,
    }
    match try_rotate(&member, fields).await {
        Ok((secret, true)) => with_secret(member, Flash::ok("Secret rotated.", "Both secrets sign for 24 hours."), secret).await,
        Ok((secret, false)) => with_secret(member, Flash::ok("Secret rotated.", "The old one signs nothing any more."), secret).await,
        Err(Error::NotFound) => refused(member, "The secret was not rotated.", no_webhook()).await,
        Err(error) => refused(member, "The secret was not rotated.", error).await,
    }
}

async fn try_rotate(member: &Member, fields: Option<Form<Fields>>) -> Result<(SigningSecret, bool)> {
    let (actor, organization, now) = (member.actor.clone(), member.organization.id, member.frame.now);
    let keyring = member.site.keyring.clone();
    let run = move |conn: &mut _| {
        // Who may not is told so before what is wrong with the form.
        actor.require(organization, Permission::ManageWebhook)?;
        let broken = || Error::field("form", "The form did not arrive as it was sent. Open the page again and repeat it.");
        let Form(fields) = fields.ok_or_else(broken)?;
        let overlap = match fields.old.as_str() {
            "overlap" => Some(OVERLAP),
            "now" => None,
            _ => return Err(broken()),
        };
        db::transaction(conn, |conn| {
            webhooks::expect_generation(conn, organization, fields.generation)?;
            let is_shut = webhooks::are_shut(conn, organization, now, &keyring)?;
            // What can't be opened can't sign beside the new one, and would hold up every delivery.
            let overlap = overlap.filter(|_| !is_shut);
            let secret = webhooks::rotate_secret(conn, &actor, now, organization, &keyring, overlap)?;
            Ok((secret, overlap.is_some()))
        })
    };
    member.site.db.run(run).await
}
