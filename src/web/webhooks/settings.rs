//! The webhook itself: save and update its URL, switch it, remove it.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Form};
use askama::Template;
use serde::Deserialize;

use super::{Asked, Index, filters, no_webhook, refused, with_secret};
use crate::courier::{Courier, Look};
use crate::error::{Error, Result};
use crate::web::{Answer, Flash, Frame, Member, fragment, page, page_with_status, see_other_with, wants_fragment};
use crate::webhooks::address::check_url;
use crate::webhooks::{self, Saved, Webhook};

/// The field of the URL; with script its form takes the place of the URL on the card.
#[derive(Template)]
#[template(path = "webhooks/edit.html")]
struct Edit {
    frame: Frame,
    url: String,
    error: Option<String>,
}

#[derive(Template)]
#[template(path = "webhooks/removal.html", blocks = ["confirm"])]
struct Removal {
    frame: Frame,
    url: String,
    waiting: i64,
    /// A page of its own, whose question is the h1.
    whole: bool,
}

/// The form of the URL.
#[derive(Deserialize)]
pub struct Fields {
    #[serde(default)]
    url: String,
}

/// `GET …/webhooks/edit`.
pub async fn edit(member: Member) -> Answer {
    member.require_admin()?;
    match read(&member).await? {
        Some(webhook) => page(&Edit { frame: member.frame, url: webhook.url, error: None }),
        None => refused(member, "Nothing to edit.", no_webhook()).await,
    }
}

/// `POST …/webhooks`. The answer to a first webhook alone shows its secret; saved again, it gets no second one.
pub async fn save(member: Member, courier: Data<Courier>, fields: Option<Form<Fields>>) -> Answer {
    member.require_admin()?;
    let typed = fields.map(|Form(fields)| fields.url).unwrap_or_default();
    let checked = courier.permit(check_url(typed.trim(), &member.site.webhooks)).await;
    let (url, look) = match checked {
        Err(Error::Invalid(errors)) => {
            let message = errors.into_iter().map(|error| error.message).collect::<Vec<_>>().join(" ");
            return not_saved(member, typed, message).await;
        }
        other => other?,
    };
    let (actor, organization, now) = (member.actor.clone(), member.organization.id, member.frame.now);
    let (keyring, host) = (member.site.keyring.clone(), url.host_str().unwrap_or_default().to_owned());
    let run = move |conn: &mut _| webhooks::save(conn, &actor, now, organization, &keyring, &url, None);
    let Saved { webhook, new_secret } = member.site.db.run(run).await?;
    member.site.news.ring(member.organization.id);
    let result = if new_secret.is_some() { "Webhook saved." } else { "Webhook updated." };
    let flash = match look {
        Look::Unresolved => Flash {
            tone: crate::web::Tone::Wait,
            ..Flash::ok(result, format!("{host} has no address yet: deliveries fail until it has one."))
        },
        _ if !webhook.is_enabled() => Flash::ok(result, "It is off. Switch it on when the endpoint is ready."),
        _ => Flash::ok(result, "Send a test event to see it arrive."),
    };
    match new_secret {
        Some(secret) => with_secret(member, flash, secret).await,
        None => Ok(see_other_with(&member.frame.path("webhooks"), flash)),
    }
}

/// The form again, with what was typed: 422.
async fn not_saved(mut member: Member, typed: String, message: String) -> Answer {
    let next = "The endpoint URL needs a change below.";
    let answer = StatusCode::UNPROCESSABLE_ENTITY;
    if read(&member).await?.is_some() {
        member.frame.flash = Some(Flash::fail("Webhook not updated.", next));
        return page_with_status(answer, &Edit { frame: member.frame, url: typed, error: Some(message) });
    }
    member.frame.flash = Some(Flash::fail("Webhook not saved.", next));
    let screen = Index::read(&member, Asked::default()).await?;
    page_with_status(answer, &Index { refused_url: Some((typed, message)), ..screen })
}

/// `POST …/webhooks/activation`.
pub async fn activate(member: Member) -> Answer {
    switch(member, true, Flash::ok("Webhook switched on.", "What waited is sent now, in its order.")).await
}

/// `POST …/webhooks/deactivation`.
pub async fn deactivate(member: Member) -> Answer {
    switch(member, false, Flash::ok("Webhook switched off.", "Events wait for it, seven days at most. Its URL and secret stay.")).await
}

async fn switch(member: Member, enabled: bool, flash: Flash) -> Answer {
    let (actor, organization, now) = (member.actor.clone(), member.organization.id, member.frame.now);
    match member.site.db.run(move |conn| webhooks::switch(conn, &actor, now, organization, enabled)).await {
        Ok(_) => {
            member.site.news.ring(member.organization.id);
            Ok(see_other_with(&member.frame.path("webhooks"), flash))
        }
        Err(Error::NotFound) => refused(member, "Nothing was switched.", no_webhook()).await,
        Err(error) => refused(member, "Nothing was switched.", error).await,
    }
}

/// `GET …/webhooks/removal`.
pub async fn confirm_removal(member: Member, request: HttpRequest) -> Answer {
    member.require_admin()?;
    let (organization, now) = (member.organization.id, member.frame.now);
    let look = move |conn: &mut _| Ok((webhooks::read(conn, organization, now)?, webhooks::list::facts(conn, organization, now)?.waiting));
    let (webhook, waiting) = member.site.db.run(look).await?;
    let Some(webhook) = webhook else { return refused(member, "Nothing to remove.", no_webhook()).await };
    let whole = !wants_fragment(&request);
    let screen = Removal { frame: member.frame, url: webhook.url, waiting, whole };
    if whole { page(&screen) } else { fragment(&screen.as_confirm()) }
}

/// `POST …/webhooks/removal`.
pub async fn remove(member: Member) -> Answer {
    let (actor, organization, now) = (member.actor.clone(), member.organization.id, member.frame.now);
    match member.site.db.run(move |conn| webhooks::remove(conn, &actor, now, organization)).await {
        Ok(()) => {
            let flash = Flash::ok("Webhook removed.", "Nothing is sent any more. The list of deliveries stays.");
            Ok(see_other_with(&member.frame.path("webhooks"), flash))
        }
        Err(Error::NotFound) => refused(member, "Nothing was removed.", no_webhook()).await,
        Err(error) => refused(member, "Nothing was removed.", error).await,
    }
}

pub(super) async fn read(member: &Member) -> Result<Option<Webhook>> {
    let (organization, now) = (member.organization.id, member.frame.now);
    member.site.db.run(move |conn| webhooks::read(conn, organization, now)).await
}
