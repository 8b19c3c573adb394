//! Rows of the list, and sending again: one, or all that were given up since a time.

use actix_web::HttpRequest;
use actix_web::web::{Form, Path};
use askama::Template;
use serde::Deserialize;
use time::macros::format_description;
use time::{Duration, OffsetDateTime, PrimitiveDateTime};

use super::views::{Endpoint, Item, Shown, capped};
use super::{Asked, filters, no_webhook, refused, types};
use crate::actor::Permission;
use crate::error::{Error, Result};
use crate::ids::EventId;
use crate::web::filters::grouped;
use crate::web::{Answer, Flash, Frame, Member, fragment, page, see_other_with, wants_fragment};
use crate::webhooks::{self, list, resend};

const DAY: i64 = 86_400;
/// Times since which failed deliveries may be sent again.
const CHOICES: [(i64, &str); 3] = [(3_600, "1 hour"), (DAY, "24 hours"), (604_800, "7 days")];

/// One delivery, opened or not.
pub(super) async fn one(member: &Member, event: EventId, open: bool) -> Result<Item> {
    let (organization, now, keyring) = (member.organization.id, member.frame.now, member.site.keyring.clone());
    let read = move |conn: &mut _| {
        let standing = webhooks::standing(conn, organization, now, &keyring)?;
        let delivery = list::one(conn, organization, event)?;
        let history = open.then(|| list::history(conn, organization, event)).transpose()?;
        Ok((standing, delivery, history))
    };
    let (standing, delivery, history) = member.site.db.run(read).await?;
    let endpoint = standing.map(Endpoint::from);
    let shown = Shown { profile: &member.site.profile, rules: &member.site.webhooks, endpoint: endpoint.as_ref(), now };
    Ok(shown.item(delivery, history))
}

/// `POST …/webhooks/deliveries/{delivery}/replay`. Back to the page where the button was, with that row open: it stays there
/// while it is, though its state may not be what the page was filtered by any more.
pub async fn replay(member: Member, path: Path<(String, String)>, fields: Option<Form<Vec<(String, String)>>>) -> Answer {
    let event = EventId::parse(&path.1).ok_or(Error::NotFound)?;
    let asked = Asked::read(fields.map(Form::into_inner).unwrap_or_default()).or_plain(&types(&member.site.profile));
    let (actor, organization, now) = (member.actor.clone(), member.organization.id, member.frame.now);
    let run = move |conn: &mut _| {
        resend::resend(conn, &actor, now, organization, event)?;
        Ok(webhooks::read(conn, organization, now)?.is_some_and(|webhook| webhook.is_enabled()))
    };
    match member.site.db.run(run).await {
        Ok(is_on) => {
            member.site.news.ring(member.organization.id);
            let next = match (is_on, asked.state.is_empty()) {
                (true, true) => "Its row is open below, with its attempts.",
                (true, false) => "Its row is open below, with its attempts. Closed, it leaves this list.",
                (false, _) => "It waits until the webhook is switched on.",
            };
            let at = format!("{}#r-{event}", asked.with_open(&member.frame, event));
            Ok(see_other_with(&at, Flash::ok("The delivery is sent again.", next)))
        }
        Err(error) => refused(member, "Nothing was sent again.", error).await,
    }
}

/// A time that may be chosen.
struct Choice {
    seconds: i64,
    label: &'static str,
    /// `3 deliveries`.
    count: String,
}

/// `3 deliveries`; of what was counted to one more than ten thousand, `10,000+ deliveries`.
fn deliveries(count: i64) -> String {
    match count {
        1 => "1 delivery".into(),
        n => format!("{} deliveries", capped(n, n > resend::MOST_COUNTED)),
    }
}

#[derive(Template)]
#[template(path = "webhooks/replays.html", blocks = ["confirm"])]
struct Replays {
    frame: Frame,
    choices: Vec<Choice>,
    /// The one that is chosen until another is: a day, or more where nothing was given up in that.
    chosen: i64,
    /// A page of its own, whose question is the h1.
    whole: bool,
}

/// `GET …/webhooks/replays`.
pub async fn ask_replays(member: Member, request: HttpRequest) -> Answer {
    member.require_admin()?;
    let (organization, now) = (member.organization.id, member.frame.now);
    let times = CHOICES.map(|(seconds, _)| now - Duration::seconds(seconds));
    let read =
        move |conn: &mut _| Ok((webhooks::read(conn, organization, now)?.is_some(), resend::failed_since(conn, organization, &times)?));
    let (has_webhook, counts) = member.site.db.run(read).await?;
    if !has_webhook {
        return refused(member, "Nothing to send again.", no_webhook()).await;
    }
    let chosen =
        CHOICES.iter().zip(&counts).find(|((seconds, _), count)| *seconds >= DAY && **count > 0).map_or(DAY, |((seconds, _), _)| *seconds);
    let choices =
        CHOICES.into_iter().zip(counts).map(|((seconds, label), count)| Choice { seconds, label, count: deliveries(count) }).collect();
    let whole = !wants_fragment(&request);
    let screen = Replays { frame: member.frame, choices, chosen, whole };
    if whole { page(&screen) } else { fragment(&screen.as_confirm()) }
}

/// The form: seconds before now, or `at` and a time in UTC as browsers send it.
#[derive(Deserialize)]
pub struct Fields {
    since: String,
    #[serde(default)]
    at: String,
}

impl Fields {
    fn since(&self, now: OffsetDateTime) -> Result<OffsetDateTime> {
        if self.since != "at" {
            let known = CHOICES.iter().find(|(seconds, _)| seconds.to_string() == self.since);
            let broken = || Error::field("since", "Choose since when.");
            return known.map(|(seconds, _)| now - Duration::seconds(*seconds)).ok_or_else(broken);
        }
        let minute = PrimitiveDateTime::parse(&self.at, format_description!("[year]-[month]-[day]T[hour]:[minute]"));
        let second = || PrimitiveDateTime::parse(&self.at, format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]"));
        let broken = |_| Error::field("at", format!("{:?} is not a time. Write it like 2026-11-20T14:00.", self.at));
        Ok(minute.or_else(|_| second()).map_err(broken)?.assume_utc())
    }
}

/// `POST …/webhooks/replays`.
pub async fn replay_failed(member: Member, fields: Option<Form<Fields>>) -> Answer {
    let (actor, organization, now) = (member.actor.clone(), member.organization.id, member.frame.now);
    let run = move |conn: &mut _| {
        // Who may not is told so before what is wrong with the form.
        actor.require(organization, Permission::ManageWebhook)?;
        let Form(fields) = fields.ok_or_else(|| Error::field("since", "Choose since when."))?;
        let count = resend::resend_failed_since(conn, &actor, now, organization, fields.since(now)?)?;
        Ok((count, webhooks::read(conn, organization, now)?.is_some_and(|webhook| webhook.is_enabled())))
    };
    let sent = member.site.db.run(run).await;
    member.site.news.ring(member.organization.id);
    match sent {
        Ok((count, is_on)) => Ok(see_other_with(&member.frame.path("webhooks"), resent(count, is_on))),
        Err(error) => refused(member, "Nothing was sent again.", error).await,
    }
}

fn resent(count: i64, is_on: bool) -> Flash {
    let result = match count {
        0 => {
            let nothing = Flash::ok("Nothing to send again.", "No delivery was given up since then.");
            return Flash { tone: crate::web::Tone::Info, ..nothing };
        }
        1 => "1 delivery is sent again.".into(),
        n => format!("{} deliveries are sent again.", grouped(n)),
    };
    let wait = if is_on { "" } else { "Nothing leaves until the webhook is switched on. " };
    let next = "Each keeps its id, and its place in the list: by the time of its event. Choose Waiting or Retrying for those still under \
        way, Gave up for those that fail again.";
    Flash::ok(result, format!("{wait}{next}"))
}
