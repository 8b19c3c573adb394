//! The webhook itself: save and update its URL, switch it, remove it.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Form};
use askama::Template;
use serde::Deserialize;
use url::Url;

use super::views::capped;
use super::{Asked, Index, filters, no_webhook, refused, with_secret};
use crate::courier::{Courier, Look};
use crate::error::{Error, Result};
use crate::web::{Answer, Flash, Frame, Member, fragment, page, page_with_status, see_other_with, wants_fragment};
use crate::webhooks::address::check_url;
use crate::webhooks::{self, Saved, Webhook};

#[derive(Template)]
#[template(path = "webhooks/removal.html", blocks = ["confirm"])]
struct Removal {
    frame: Frame,
    url: String,
    /// `1 event that waits is`; none: nothing waits.
    waiting: Option<String>,
    /// A page of its own, whose question is the h1.
    whole: bool,
}

/// The form of the URL.
#[derive(Default, Deserialize)]
pub struct Fields {
    #[serde(default)]
    url: String,
    /// Not empty: the form of a first webhook, which changes none that is there.
    #[serde(default)]
    first: String,
}

/// `GET …/webhooks/edit`: the page with the field in the place of the URL. With script that part alone is taken from it.
pub async fn edit(member: Member) -> Answer {
    member.require_admin()?;
    let screen = Index::read(&member, Asked::default()).await?;
    if screen.endpoint.is_none() {
        return refused(member, "Nothing to edit.", no_webhook()).await;
    }
    page(&Index { is_edited: true, ..screen })
}

/// `POST …/webhooks`. The answer to a first webhook alone shows its secret; saved again, it gets no second one.
pub async fn save(member: Member, courier: Data<Courier>, fields: Option<Form<Fields>>) -> Answer {
    member.require_admin()?;
    let Fields { url: typed, first } = fields.map(Form::into_inner).unwrap_or_default();
    let is_first = !first.is_empty();
    if is_first && read(&member).await?.is_some() {
        return saved_before(member).await;
    }
    let (url, look) = match courier.permit(check_url(typed.trim(), &member.site.webhooks)).await {
        Err(Error::Invalid(errors)) => {
            let message = errors.into_iter().map(|error| error.message).collect::<Vec<_>>().join(" ");
            return not_saved(member, typed, message).await;
        }
        other => other?,
    };
    let (actor, organization, now) = (member.actor.clone(), member.organization.id, member.frame.now);
    let (keyring, to) = (member.site.keyring.clone(), url.clone());
    let run = move |conn: &mut _| webhooks::save(conn, &actor, now, organization, &keyring, &to, None);
    let Saved { webhook, new_secret } = member.site.db.run(run).await?;
    member.site.news.ring(member.organization.id);
    let flash = saved(&webhook, new_secret.is_some(), &url, &look);
    match new_secret {
        Some(secret) => with_secret(member, flash, secret).await,
        // Both clicks of a double click found none.
        None if is_first => saved_before(member).await,
        None => Ok(see_other_with(&member.frame.path("webhooks"), flash)),
    }
}

fn saved(webhook: &Webhook, is_new: bool, url: &Url, look: &Look) -> Flash {
    let result = if is_new { "Webhook saved." } else { "Webhook updated." };
    let host = url.host_str().unwrap_or_default();
    match look {
        Look::Unresolved => Flash {
            tone: crate::web::Tone::Wait,
            ..Flash::ok(result, format!("{host} has no address yet: deliveries fail until it has one."))
        },
        _ if !webhook.is_enabled() => Flash::ok(result, "It is off. Switch it on when the endpoint is ready."),
        _ => Flash::ok(result, "Send a test event to see it arrive."),
    }
}

/// The form of a first webhook where there is one: sent by the second click of a double click, or after somebody else's. 409.
async fn saved_before(mut member: Member) -> Answer {
    let next = "This form was sent before, or somebody was faster, and nothing was changed by it now. The signing secret was shown once, in \
        the first answer; if nobody copied it, Rotate Secret makes a new one.";
    member.frame.flash = Some(Flash { tone: crate::web::Tone::Wait, ..Flash::ok("The webhook is saved already.", next) });
    page_with_status(StatusCode::CONFLICT, &Index::read(&member, Asked::default()).await?)
}

/// The page with what was typed in its field, and why it is not good: 422.
async fn not_saved(member: Member, typed: String, message: String) -> Answer {
    let mut screen = Index::read(&member, Asked::default()).await?;
    let is_edited = screen.endpoint.is_some();
    let result = if is_edited { "Webhook not updated." } else { "Webhook not saved." };
    screen.frame.flash = Some(Flash::fail(result, "The endpoint URL needs a change below."));
    page_with_status(StatusCode::UNPROCESSABLE_ENTITY, &Index { refused_url: Some((typed, message)), is_edited, ..screen })
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
    let look = move |conn: &mut _| Ok((webhooks::read(conn, organization, now)?, webhooks::facts(conn, organization, now)?));
    let (webhook, facts) = member.site.db.run(look).await?;
    let Some(webhook) = webhook else { return refused(member, "Nothing to remove.", no_webhook()).await };
    let waiting = match facts.waiting {
        0 => None,
        1 => Some("1 event that waits is".to_owned()),
        n => Some(format!("{} events that wait are", capped(n, facts.is_capped()))),
    };
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

async fn read(member: &Member) -> Result<Option<Webhook>> {
    let (organization, now) = (member.organization.id, member.frame.now);
    member.site.db.run(move |conn| webhooks::read(conn, organization, now)).await
}
