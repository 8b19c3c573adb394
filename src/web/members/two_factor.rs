//! Whether a second factor is asked of everybody.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::Form;
use serde::Deserialize;

use super::confirm::{Confirm, shown};
use super::{broken, refused};
use crate::error::{Error, Result};
use crate::orgs;
use crate::web::{Answer, Flash, Member, Section, page_with_status, prove, see_other_with, wants_fragment};

/// The form.
#[derive(Deserialize, Default)]
pub struct Fields {
    required: Option<bool>,
    password: Option<String>,
}

async fn question(member: &Member, whole: bool) -> Result<Confirm> {
    let (organization, name) = (member.organization.id, &member.organization.name);
    let list = member.site.db.run(move |conn| orgs::members(conn, organization, None)).await?;
    let is_required = member.organization.two_factor_required_at.is_some();
    let (question, text, button) = if is_required {
        let text = format!("{name} opens again with a password alone. Who has a second factor keeps it.");
        ("Stop requiring two-factor sign-in?".to_owned(), text, "Stop requiring")
    } else {
        let text = format!("{name} opens only for people who sign in with a password and a code from their device.");
        ("Require two-factor sign-in?".to_owned(), text, "Require two-factor")
    };
    let without = match list.without_two_factor {
        1 => "One person has not set it up, and is kept out until then.".to_owned(),
        n => format!("{n} people have not set it up, and are kept out until then."),
    };
    let warning = (!is_required && list.without_two_factor > 0).then_some(without);
    let (path, hidden) = (member.frame.path("members/two-factor"), Some(("required", if is_required { "false" } else { "true" })));
    let frame = member.frame.clone().in_section(Section::Members);
    Ok(Confirm { frame, path, question, text, warning, button, is_danger: is_required, hidden, whole })
}

/// `GET …/members/two-factor`.
pub async fn confirm_two_factor(member: Member, request: HttpRequest) -> Answer {
    member.require_admin()?;
    shown(&question(&member, !wants_fragment(&request)).await?)
}

/// `POST …/members/two-factor`.
pub async fn set_two_factor(mut member: Member, fields: Option<Form<Fields>>) -> Answer {
    member.require_admin()?;
    let Fields { required, password } = fields.map(Form::into_inner).unwrap_or_default();
    match prove(&mut member, password.as_deref()).await {
        Err(Error::ProofNeeded) => return page_with_status(StatusCode::UNPROCESSABLE_ENTITY, &question(&member, true).await?),
        proved => proved?,
    }
    let Some(required) = required else { return refused(member, "Nothing was changed.", broken()).await };
    let (actor, organization, now) = (member.actor.clone(), member.organization.id, member.frame.now);
    match member.site.db.run(move |conn| orgs::require_two_factor(conn, &actor, now, organization, required)).await {
        Ok(organization) => {
            let flash = match organization.two_factor_required_at {
                Some(_) => Flash::ok("Two-factor sign-in is required.", "Who has not set it up is asked to at the next click."),
                None => Flash::ok("Two-factor sign-in is not required any more.", "Who has a second factor keeps it."),
            };
            Ok(see_other_with(&member.frame.path("members"), flash))
        }
        Err(error) => refused(member, "Nothing was changed.", error).await,
    }
}
