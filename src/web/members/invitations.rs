//! Inviting, and taking invitations back.

use actix_web::http::StatusCode;
use actix_web::web::{Form, Path};
use serde::Deserialize;

use super::{Entered, Index, OneTimeLink, refused, screen, with_link};
use crate::accounts;
use crate::actor::Role;
use crate::error::{Error, FieldError, Result};
use crate::ids::InvitationId;
use crate::orgs::{self, Invitation};
use crate::secret::PlainToken;
use crate::web::mail::{self, Sent};
use crate::web::{Answer, Flash, Member, page_with_status, prove, see_other_with};

/// The form.
#[derive(Deserialize, Default)]
pub struct Fields {
    #[serde(default)]
    email: String,
    #[serde(default)]
    role: String,
    password: Option<String>,
}

/// `POST …/members/invitations`. The answer alone shows the link.
pub async fn invite(mut member: Member, fields: Option<Form<Fields>>) -> Answer {
    member.require_admin()?;
    let Fields { email, role, password } = fields.map(Form::into_inner).unwrap_or_default();
    let entered = Entered { email: email.chars().take(254).collect(), as_admin: role == Role::Admin.as_str() };
    match prove(&mut member, password.as_deref()).await {
        Err(Error::ProofNeeded) => return again(member, entered, Vec::new()).await,
        proved => proved?,
    }
    match try_invite(&member, email, &role).await {
        Ok((invitation, token)) => {
            let sent = send(&member, &invitation, &token).await;
            let (email, public_url) = (invitation.email, member.site.public_url.clone());
            let flash = Flash::ok(format!("{email} is invited."), "The link below works once, for 7 days.");
            with_link(member, flash, OneTimeLink { email, public_url, token, is_invitation: true, sent }).await
        }
        Err(Error::Invalid(problems)) => again(member, entered, problems).await,
        Err(error) => refused(member, "Nobody was invited.", error).await,
    }
}

async fn try_invite(member: &Member, email: String, role: &str) -> Result<(Invitation, PlainToken)> {
    let role = Role::parse(role).ok_or_else(|| Error::field("role", "Choose Member or Admin."))?;
    let (actor, organization, now) = (member.actor.clone(), member.organization.id, member.frame.now);
    member.site.db.run(move |conn| orgs::invite(conn, &actor, now, organization, &email, role)).await
}

/// The form once more, with what was typed.
async fn again(mut member: Member, entered: Entered, problems: Vec<FieldError>) -> Answer {
    let why = if problems.is_empty() { "Enter your password below." } else { "Correct what is marked below." };
    member.frame.flash = Some(Flash::fail("Nobody was invited.", why));
    let screen = Index { entered, problems, ..screen(member, None).await? };
    page_with_status(StatusCode::UNPROCESSABLE_ENTITY, &screen)
}

async fn send(member: &Member, invitation: &Invitation, token: &PlainToken) -> Sent {
    let (organization, now) = (member.organization.id, member.frame.now);
    if member.site.mail.is_some() && member.site.db.run(move |conn| accounts::count_letter(conn, now, organization)).await.is_err() {
        return Sent::No("Too many invitations were sent today.".into());
    }
    mail::invite(&member.site, &member.organization.name, invitation, token).await
}

/// `POST …/members/invitations/{invitation}/withdrawal`.
pub async fn withdraw(member: Member, path: Path<(String, String)>) -> Answer {
    member.require_admin()?;
    let invitation = InvitationId::parse(&path.1).ok_or(Error::NotFound)?;
    let (actor, organization, now) = (member.actor.clone(), member.organization.id, member.frame.now);
    match member.site.db.run(move |conn| orgs::withdraw(conn, &actor, now, organization, invitation)).await {
        Ok(invitation) => {
            let flash = Flash::ok(format!("The invitation of {} is withdrawn.", invitation.email), "Its link opens nothing any more.");
            Ok(see_other_with(&member.frame.path("members"), flash))
        }
        Err(error) => refused(member, "Nothing was withdrawn.", error).await,
    }
}
