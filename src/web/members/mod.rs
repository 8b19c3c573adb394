//! Who belongs to an organization: the list, invitations, roles, and whether a second factor is asked for.

mod confirm;
mod invitations;
mod two_factor;

use actix_web::http::StatusCode;
use actix_web::web::Query;
use askama::Template;
use serde::Deserialize;
use time::OffsetDateTime;

pub use confirm::{confirm_link, confirm_removal, confirm_role, make_link, remove, set_role};
pub use invitations::{invite, withdraw};
pub use two_factor::{confirm_two_factor, set_two_factor};

use super::guard::Member;
use super::mail::Sent;
use super::{Answer, Flash, Frame, Section, WebError, filters, page, page_with_status};
use crate::actor::Role;
use crate::error::{ClientError, Error, FieldError, Result};
use crate::ids::UserId;
use crate::orgs::{self, Invitation, Members, Membership};
use crate::secret::PlainToken;

/// What was typed into the form.
#[derive(Debug, Clone, Default)]
struct Entered {
    email: String,
    as_admin: bool,
}

/// A link that was just made: shown in this answer alone.
struct OneTimeLink {
    email: String,
    public_url: String,
    token: PlainToken,
    /// Into the organization, and not for a lost password.
    is_invitation: bool,
    sent: Sent,
}

impl OneTimeLink {
    fn url(&self) -> String {
        format!("{}/invitations/{}", self.public_url, self.token.reveal())
    }
}

#[derive(Template)]
#[template(path = "members/index.html")]
struct Index {
    frame: Frame,
    me: Option<UserId>,
    name: String,
    required_at: Option<OffsetDateTime>,
    list: Members,
    /// Admins alone see those who are to come.
    invitations: Vec<Invitation>,
    entered: Entered,
    problems: Vec<FieldError>,
    link: Option<OneTimeLink>,
}

impl Index {
    fn is_me(&self, row: &Membership) -> bool {
        self.me == Some(row.user)
    }

    fn is_admin(&self, role: &Role) -> bool {
        *role == Role::Admin
    }

    fn has_expired(&self, invitation: &Invitation) -> bool {
        invitation.expires_at <= self.frame.now
    }

    fn problem(&self, field: &str) -> Option<&str> {
        self.problems.iter().find(|problem| problem.field == field).map(|problem| problem.message.as_str())
    }
}

/// The query of the page.
#[derive(Deserialize)]
pub struct Asked {
    after: Option<String>,
}

/// `GET …/members`.
pub async fn index(member: Member, asked: Query<Asked>) -> Answer {
    let after = match &asked.after {
        Some(text) => Some(UserId::parse(text).ok_or(Error::NotFound)?),
        None => None,
    };
    page(&screen(member, after).await?)
}

/// The page as it is now.
async fn screen(member: Member, after: Option<UserId>) -> Result<Index> {
    let (organization, is_admin) = (member.organization.id, member.role == Role::Admin);
    let look = move |conn: &mut _| {
        let invitations = if is_admin { orgs::invitations(conn, organization)? } else { Vec::new() };
        Ok((orgs::members(conn, organization, after)?, invitations))
    };
    let (list, invitations) = member.site.db.run(look).await?;
    Ok(Index {
        frame: member.frame.in_section(Section::Members),
        me: member.actor.user_id(),
        name: member.organization.name,
        required_at: member.organization.two_factor_required_at,
        list,
        invitations,
        entered: Entered::default(),
        problems: Vec::new(),
        link: None,
    })
}

/// The page as it is now, with what was not done and why on top.
async fn refused(mut member: Member, result: &'static str, error: Error) -> Answer {
    let why = match &error {
        Error::Conflict(sentence) => sentence.clone(),
        Error::Invalid(fields) => fields.iter().map(|field| field.message.as_str()).collect::<Vec<_>>().join(" "),
        _ => return Err(WebError(error)),
    };
    member.frame.flash = Some(Flash::fail(result, why));
    let status = StatusCode::from_u16(ClientError::from(&error).status).unwrap_or(StatusCode::CONFLICT);
    page_with_status(status, &screen(member, None).await?)
}

/// The page with a new link on top.
async fn with_link(mut member: Member, flash: Flash, link: OneTimeLink) -> Answer {
    member.frame.flash = Some(flash);
    page(&Index { link: Some(link), ..screen(member, None).await? })
}

/// What a broken form means to its reader.
fn broken() -> Error {
    Error::field("form", "The form did not arrive as it was sent. Open the page again and repeat it.")
}
