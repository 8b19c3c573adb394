//! What is asked twice: rotate, revoke. A page without script, the inside of the dialog with it.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{Form, Path};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;

use super::views::{Banner, ended, former_id};
use super::{broken, filters, key_of, refused, with_new_key};
use crate::actor::Permission;
use crate::error::{Error, Result};
use crate::ids::new_uuid;
use crate::keys::{self, KeyView, PlainKey, Rotation};
use crate::profile::Profile;
use crate::web::{Answer, Flash, Frame, Member, WebError, fragment, page, page_with_status, prove, see_other_with, wants_fragment};

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Rotate,
    Revoke,
}

#[derive(Template)]
#[template(path = "keys/confirm.html", blocks = ["confirm"])]
struct Confirm {
    frame: Frame,
    profile: Arc<Profile>,
    view: KeyView,
    verb: Verb,
    once: Uuid,
    /// The grace period that is chosen, in whole seconds.
    grace: u64,
    /// A page of its own, whose question is the h1.
    whole: bool,
}

/// A grace period that may be chosen.
struct Choice {
    seconds: u64,
    label: String,
    ends_at: OffsetDateTime,
}

impl Confirm {
    fn is_rotation(&self) -> bool {
        self.verb == Verb::Rotate
    }

    fn action(&self) -> String {
        let noun = match self.verb {
            Verb::Rotate => "rotation",
            Verb::Revoke => "revocation",
        };
        self.frame.path(&format!("api-keys/{}/{noun}", self.view.key.id))
    }

    fn question(&self) -> String {
        match self.verb {
            Verb::Rotate => "Rotate".into(),
            Verb::Revoke => self.profile.keys.revoke_label.clone(),
        }
    }

    /// Of the key that stops working.
    fn prefix(&self) -> &str {
        &self.view.key.prefix
    }

    fn button(&self) -> String {
        match self.verb {
            Verb::Rotate => "Rotate Key".into(),
            Verb::Revoke => format!("{} Key", self.profile.keys.revoke_label),
        }
    }

    /// The profile's grace periods that end before the key does.
    fn choices(&self) -> Vec<Choice> {
        let now = self.frame.now;
        let choice = |grace: &Duration| Choice { seconds: grace.as_secs(), label: words(grace.as_secs()), ends_at: now + *grace };
        let fits = |choice: &Choice| self.view.key.expires_at.is_none_or(|expiry| choice.ends_at <= expiry);
        self.profile.keys.grace.iter().map(choice).filter(fits).collect()
    }
}

/// `1 hour`, `24 hours`, `7 days`.
fn words(seconds: u64) -> String {
    let (count, unit) = match seconds {
        _ if seconds >= 172_800 && seconds.is_multiple_of(86_400) => (seconds / 86_400, "day"),
        _ if seconds.is_multiple_of(3_600) => (seconds / 3_600, "hour"),
        _ if seconds.is_multiple_of(60) => (seconds / 60, "minute"),
        _ => (seconds, "second"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// `GET …/api-keys/{key}/rotation`.
pub async fn confirm_rotation(member: Member, request: HttpRequest, path: Path<(String, String)>) -> Answer {
    ask(member, &request, &path, Verb::Rotate).await
}

/// `GET …/api-keys/{key}/revocation`.
pub async fn confirm_revocation(member: Member, request: HttpRequest, path: Path<(String, String)>) -> Answer {
    ask(member, &request, &path, Verb::Revoke).await
}

async fn ask(member: Member, request: &HttpRequest, path: &Path<(String, String)>, verb: Verb) -> Answer {
    let whole = !wants_fragment(request);
    match question(&member, path, verb, 0, whole).await? {
        Ok(screen) if whole => page(&screen),
        Ok(screen) => fragment(&screen.as_confirm()),
        Err(why) => refused(member, "Nothing was changed.", why).await,
    }
}

/// The question; or why it makes no sense.
async fn question(member: &Member, path: &Path<(String, String)>, verb: Verb, grace: u64, whole: bool) -> Result<Result<Confirm>, WebError> {
    let (organization, key, now) = (member.organization.id, key_of(path)?, member.frame.now);
    let view = member.site.db.run(move |conn| keys::find(conn, organization, key, now)).await?;
    member.require_admin()?;
    if let Err(why) = possible(&member.site.profile, &view, verb) {
        return Ok(Err(why));
    }
    let (frame, profile) = (member.frame.clone(), member.site.profile.clone());
    Ok(Ok(Confirm { frame, profile, view, verb, once: new_uuid(now), grace, whole }))
}

/// The question once more, when the password is needed and was not the right one; none: go on.
async fn unproved(
    member: &mut Member, path: &Path<(String, String)>, verb: Verb, grace: u64, password: Option<&str>,
) -> Result<Option<HttpResponse>, WebError> {
    member.require_admin()?;
    match prove(member, password).await {
        Err(Error::ProofNeeded) => {}
        proved => return Ok(proved.map(|()| None)?),
    }
    match question(member, path, verb, grace, true).await? {
        Ok(screen) => page_with_status(StatusCode::UNPROCESSABLE_ENTITY, &screen).map(Some),
        // What makes no sense is told so by what would do it.
        Err(_) => Ok(None),
    }
}

/// Whether it makes sense to ask.
fn possible(profile: &Profile, view: &KeyView, verb: Verb) -> Result<()> {
    let no = |why: &str| Err(Error::Conflict(why.into()));
    match verb {
        _ if view.is_ended() => no("This key has ended already, for ever."),
        Verb::Rotate if view.grace.is_some() => no("The key before this one is still in grace. End its grace first, then rotate."),
        Verb::Rotate => keys::require_offered(profile),
        Verb::Revoke => Ok(()),
    }
}

/// The form of a rotation.
#[derive(Deserialize)]
pub struct RotationFields {
    /// Whole seconds; 0 is at once.
    grace: u64,
    /// That the page showed.
    generation: i32,
    once: Uuid,
    password: Option<String>,
}

/// What a form that can't be undone may bring.
#[derive(Deserialize)]
pub struct ProofFields {
    password: Option<String>,
}

/// `POST …/api-keys/{key}/rotation`. The answer alone shows the new key.
pub async fn rotate(mut member: Member, path: Path<(String, String)>, fields: Option<Form<RotationFields>>) -> Answer {
    let (grace, password) = fields.as_ref().map_or((0, None), |form| (form.grace, form.password.as_deref()));
    if let Some(again) = unproved(&mut member, &path, Verb::Rotate, grace, password).await? {
        return Ok(again);
    }
    match try_rotate(&member, &path, fields).await {
        Ok((key, plain)) => {
            let banner = Banner::new("Key rotated. Here is your new API key", &member.site, plain, &key.permissions);
            with_new_key(&member, banner).await
        }
        Err(error) => refused(member, "The key was not rotated.", error).await,
    }
}

async fn try_rotate(member: &Member, path: &Path<(String, String)>, fields: Option<Form<RotationFields>>) -> Result<(keys::Key, PlainKey)> {
    let key = key_of(path)?;
    let (actor, profile, now) = (member.actor.clone(), member.site.profile.clone(), member.frame.now);
    let organization = member.organization.id;
    let rotation = fields.map(|Form(fields)| Rotation {
        grace: (fields.grace > 0).then(|| Duration::from_secs(fields.grace)),
        expected_generation: fields.generation,
        form_token: Some(fields.once),
    });
    let run = move |conn: &mut _| {
        // Who may not, and whose the key is not, is told so before what is wrong with the form.
        actor.require(organization, Permission::ManageKeys)?;
        keys::require(conn, organization, key)?;
        keys::rotate(conn, &actor, now, &profile, organization, key, rotation.ok_or_else(broken)?)
    };
    member.site.db.run(run).await
}

/// `POST …/api-keys/{key}/revocation`. Goes on to the page with the receipt open.
pub async fn revoke(mut member: Member, path: Path<(String, String)>, fields: Option<Form<ProofFields>>) -> Answer {
    let password = fields.and_then(|form| form.into_inner().password);
    if let Some(again) = unproved(&mut member, &path, Verb::Revoke, 0, password.as_deref()).await? {
        return Ok(again);
    }
    let key = key_of(&path)?;
    let (actor, organization, now) = (member.actor.clone(), member.organization.id, member.frame.now);
    match member.site.db.run(move |conn| keys::revoke(conn, &actor, now, organization, key)).await {
        Ok(key) => {
            let receipt = former_id(key.id, key.generation);
            let word = ended(&member.site.profile).to_lowercase();
            let flash =
                Flash::ok(format!("{} is {word}.", key.name), "Every request with it is refused from now on; its receipt is below.");
            Ok(see_other_with(&member.frame.path(&format!("api-keys?open={receipt}#r-{receipt}")), flash))
        }
        Err(error) => refused(member, "The key was not revoked.", error).await,
    }
}
