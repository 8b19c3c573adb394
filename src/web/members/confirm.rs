//! What is asked twice: another role, the end of a membership, a link for a lost password. A page without script, the inside of the
//! dialog with it.

use actix_web::http::StatusCode;
use actix_web::web::{Form, Path};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde::Deserialize;

use super::{OneTimeLink, broken, filters, refused, with_link};
use crate::accounts;
use crate::actor::Role;
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::orgs::{self, Membership};
use crate::web::mail::Sent;
use crate::web::{Answer, Flash, Frame, Member, Section, fragment, page, page_with_status, prove, see_other_with, wants_fragment};

/// A question with its form.
#[derive(Template)]
#[template(path = "members/confirm.html", blocks = ["confirm"])]
pub(super) struct Confirm {
    pub frame: Frame,
    /// Below the organization.
    pub path: String,
    pub question: String,
    pub text: String,
    pub warning: Option<String>,
    pub button: &'static str,
    /// It can't be undone, or keeps somebody out.
    pub is_danger: bool,
    /// What the form carries.
    pub hidden: Option<(&'static str, &'static str)>,
    /// A page of its own, whose question is the h1.
    pub whole: bool,
}

/// Which of the three.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Role,
    Removal,
    Link,
}

/// What the forms may bring.
#[derive(Deserialize, Default)]
pub struct Fields {
    role: Option<String>,
    password: Option<String>,
}

fn other(role: Role) -> Role {
    if role == Role::Admin { Role::Member } else { Role::Admin }
}

impl Confirm {
    fn new(member: &Member, row: &Membership, verb: Verb, whole: bool) -> Self {
        let (email, name) = (&row.email, &member.organization.name);
        let leaves = member.actor.user_id() == Some(row.user);
        let (noun, question, text, warning, button) = match (verb, row.role) {
            (Verb::Role, Role::Member) => (
                "role",
                format!("Make {email} an admin?"),
                format!("Admins of {name} make and revoke keys, configure the webhook, read the audit log and manage its members."),
                None,
                "Make admin",
            ),
            (Verb::Role, Role::Admin) => (
                "role",
                format!("Make {email} a member?"),
                format!("Members of {name} look at keys, webhook, usage and credits, and change nothing."),
                None,
                "Make member",
            ),
            (Verb::Removal, _) if leaves => (
                "removal",
                format!("Leave {name}?"),
                "You get back in only by a new invitation. Keys that belong to the organization stay as they are.".into(),
                Some("Keys that follow your own permissions are revoked for ever.".into()),
                "Leave",
            ),
            (Verb::Removal, _) => (
                "removal",
                format!("Remove {email}?"),
                format!("The account stays, {name} is closed to it at once. Keys that belong to the organization stay as they are."),
                Some("Keys that follow this person’s own permissions are revoked for ever.".into()),
                "Remove",
            ),
            (Verb::Link, _) => (
                "password-link",
                format!("Make a password link for {email}?"),
                "Whoever has the link chooses a new password, once, within 24 hours. The old password works until then; a second factor \
                 is asked for as before."
                    .into(),
                Some("Give it to nobody else: it opens the account.".into()),
                "Make link",
            ),
        };
        let hidden = (verb == Verb::Role).then(|| ("role", other(row.role).as_str()));
        let path = member.frame.path(&format!("members/{}/{noun}", row.user));
        let frame = member.frame.clone().in_section(Section::Members);
        Self { frame, path, question, text, warning, button, is_danger: verb == Verb::Removal, hidden, whole }
    }
}

/// `GET …/members/{user}/role`.
pub async fn confirm_role(member: Member, request: HttpRequest, path: Path<(String, String)>) -> Answer {
    ask(member, &request, &path, Verb::Role).await
}

/// `GET …/members/{user}/removal`.
pub async fn confirm_removal(member: Member, request: HttpRequest, path: Path<(String, String)>) -> Answer {
    ask(member, &request, &path, Verb::Removal).await
}

/// `GET …/members/{user}/password-link`.
pub async fn confirm_link(member: Member, request: HttpRequest, path: Path<(String, String)>) -> Answer {
    ask(member, &request, &path, Verb::Link).await
}

async fn ask(member: Member, request: &HttpRequest, path: &Path<(String, String)>, verb: Verb) -> Answer {
    let row = asked_of(&member, path, verb).await?;
    shown(&Confirm::new(&member, &row, verb, !wants_fragment(request)))
}

/// A question, as a page or as the inside of the dialog.
pub(super) fn shown(screen: &Confirm) -> Answer {
    if screen.whole { page(screen) } else { fragment(&screen.as_confirm()) }
}

/// The member that the path names, for who may do this to it.
async fn asked_of(member: &Member, path: &Path<(String, String)>, verb: Verb) -> Result<Membership> {
    let (organization, user) = (member.organization.id, UserId::parse(&path.1).ok_or(Error::NotFound)?);
    let row = member.site.db.run(move |conn| orgs::member(conn, organization, user)).await?;
    let leaves = verb == Verb::Removal && member.actor.user_id() == Some(user);
    if leaves || member.role == Role::Admin { Ok(row) } else { Err(Error::Forbidden) }
}

/// The member that it is about; and the question once more, when the password is needed and was not the right one.
async fn proved(
    member: &mut Member, path: &Path<(String, String)>, verb: Verb, password: Option<&str>,
) -> Result<(Membership, Option<HttpResponse>)> {
    let row = asked_of(member, path, verb).await?;
    match prove(member, password).await {
        Err(Error::ProofNeeded) => {}
        proved => return proved.map(|()| (row, None)),
    }
    let screen = Confirm::new(member, &row, verb, true);
    let again = page_with_status(StatusCode::UNPROCESSABLE_ENTITY, &screen).map_err(|error| error.0)?;
    Ok((row, Some(again)))
}

/// `POST …/members/{user}/role`.
pub async fn set_role(mut member: Member, path: Path<(String, String)>, fields: Option<Form<Fields>>) -> Answer {
    let Fields { role, password } = fields.map(Form::into_inner).unwrap_or_default();
    let (row, again) = proved(&mut member, &path, Verb::Role, password.as_deref()).await?;
    if let Some(again) = again {
        return Ok(again);
    }
    let Some(role) = role.as_deref().and_then(Role::parse) else {
        return refused(member, "The role was not changed.", broken()).await;
    };
    let (actor, organization, now) = (member.actor.clone(), member.organization.id, member.frame.now);
    match member.site.db.run(move |conn| orgs::set_role(conn, &actor, now, organization, row.user, role)).await {
        Ok(()) => {
            let is = if role == Role::Admin { "an admin" } else { "a member" };
            let flash = Flash::ok(format!("{} is {is} now.", row.email), "It holds from the next click on.");
            Ok(see_other_with(&member.frame.path("members"), flash))
        }
        Err(error) => refused(member, "The role was not changed.", error).await,
    }
}

/// `POST …/members/{user}/removal`.
pub async fn remove(mut member: Member, path: Path<(String, String)>, fields: Option<Form<Fields>>) -> Answer {
    let password = fields.and_then(|form| form.into_inner().password);
    let (row, again) = proved(&mut member, &path, Verb::Removal, password.as_deref()).await?;
    if let Some(again) = again {
        return Ok(again);
    }
    let leaves = member.actor.user_id() == Some(row.user);
    let (actor, organization, now) = (member.actor.clone(), member.organization.id, member.frame.now);
    match member.site.db.run(move |conn| orgs::remove_member(conn, &actor, now, organization, row.user)).await {
        Ok(()) if leaves => Ok(see_other_with("/", Flash::ok(format!("You left {}.", member.organization.name), ""))),
        Ok(()) => {
            let flash = Flash::ok(format!("{} is removed.", row.email), "The organization is closed to this account from now on.");
            Ok(see_other_with(&member.frame.path("members"), flash))
        }
        Err(error) if leaves => refused(member, "You did not leave.", error).await,
        Err(error) => refused(member, "Nobody was removed.", error).await,
    }
}

/// `POST …/members/{user}/password-link`. The answer alone shows the link.
pub async fn make_link(mut member: Member, path: Path<(String, String)>, fields: Option<Form<Fields>>) -> Answer {
    let password = fields.and_then(|form| form.into_inner().password);
    let (row, again) = proved(&mut member, &path, Verb::Link, password.as_deref()).await?;
    if let Some(again) = again {
        return Ok(again);
    }
    let (actor, organization, now) = (member.actor.clone(), member.organization.id, member.frame.now);
    match member.site.db.run(move |conn| accounts::invite_member(conn, &actor, now, organization, row.user)).await {
        Ok((user, token)) => {
            let flash = Flash::ok("Link made.", "It works once, for 24 hours; older ones no longer do.");
            let public_url = member.site.public_url.clone();
            let link = OneTimeLink { email: user.email, public_url, token, is_invitation: false, sent: Sent::NoMail };
            with_link(member, flash, link).await
        }
        Err(error) => refused(member, "No link was made.", error).await,
    }
}
