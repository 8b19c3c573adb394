//! A link into an organization.

use actix_web::http::StatusCode;
use askama::Template;
use diesel::pg::PgConnection;

use super::{chosen, enter};
use crate::accounts::{self, HashedPassword, User, Way, two_factor};
use crate::actor::{Actor, Role};
use crate::clock;
use crate::error::Result;
use crate::ids::UserId;
use crate::orgs::{self, Opened};
use crate::web::guard::Visitor;
use crate::web::{Answer, Flash, Frame, filters, page_with_status, see_other_with, session};

/// What whoever has the link open does to join.
enum Step {
    /// Chooses a password.
    Choose,
    /// Signs in, as that address.
    SignIn,
    /// Joins, as who is signed in.
    Join(User),
    /// Signs out first: somebody else is signed in, with this address.
    Leave(String),
    /// Opens the account by another link.
    OtherLink,
}

#[derive(Template)]
#[template(path = "invitations/join.html")]
struct Join {
    frame: Frame,
    token: String,
    opened: Opened,
    step: Step,
    problem: Option<String>,
}

impl Join {
    fn is_admin(&self) -> bool {
        self.opened.invitation.role == Role::Admin
    }
}

/// Whether a token is of this kind.
pub fn is_for_organization(token: &str) -> bool {
    token.starts_with("lkm_")
}

/// The link, and what is to be done with it by who is signed in, if somebody is.
async fn open(visitor: &Visitor, token: &str) -> Result<(Opened, Step)> {
    let (token, signed_in) = (token.to_owned(), session::user(&visitor.session)?);
    let open = move |conn: &mut PgConnection| {
        let opened = orgs::open_invitation(conn, clock::now(), &token)?;
        let step = step(conn, signed_in, &opened.invitation.email)?;
        Ok((opened, step))
    };
    visitor.site.db.run(open).await
}

fn step(conn: &mut PgConnection, signed_in: Option<UserId>, email: &str) -> Result<Step> {
    if let Some(id) = signed_in {
        let user = accounts::visit(conn, id, None)?.user;
        return Ok(if user.email == email { Step::Join(user) } else { Step::Leave(user.email) });
    }
    Ok(match accounts::way_in(conn, email)? {
        Way::ChoosePassword => Step::Choose,
        Way::SignIn => Step::SignIn,
        Way::OtherLink => Step::OtherLink,
    })
}

/// `GET /invitations/lkm_…`.
pub async fn show(visitor: Visitor, token: String) -> Answer {
    let (opened, step) = open(&visitor, &token).await?;
    page_with_status(StatusCode::OK, &Join { frame: visitor.frame, token, opened, step, problem: None })
}

/// `POST /invitations/lkm_…`.
pub async fn join(visitor: Visitor, token: String, password: String) -> Answer {
    let (opened, step) = open(&visitor, &token).await?;
    match step {
        Step::Join(user) => join_as(&visitor, &user, token).await,
        Step::Choose => match chosen(password).await? {
            Ok(hashed) => join_anew(&visitor, token, hashed).await,
            Err(problem) => {
                let screen = Join { frame: visitor.frame, token, opened, step, problem: Some(problem) };
                page_with_status(StatusCode::UNPROCESSABLE_ENTITY, &screen)
            }
        },
        step => page_with_status(StatusCode::FORBIDDEN, &Join { frame: visitor.frame, token, opened, step, problem: None }),
    }
}

async fn join_anew(visitor: &Visitor, token: String, hashed: HashedPassword) -> Answer {
    let (address, agent) = (visitor.client.address.to_string(), visitor.client.user_agent.clone());
    let join = move |conn: &mut _| {
        let (user, organization) = accounts::join(conn, clock::now(), &token, &hashed, &address, &agent)?;
        let (has_two_factor, stamp) = (two_factor::is_on(conn, user.id)?, accounts::stamp(conn, user.id)?);
        Ok((user, organization, has_two_factor, stamp))
    };
    let (user, organization, has_two_factor, stamp) = visitor.site.db.run(join).await?;
    let flash = joined(&organization.name, "Sign in with your address and this password from now on.");
    enter(visitor, &user, has_two_factor, &stamp, &format!("/orgs/{}/api-keys", organization.slug), flash)
}

async fn join_as(visitor: &Visitor, user: &User, token: String) -> Answer {
    let client = visitor.client.clone();
    let actor = Actor::person(Some(user.id), user.label().into(), client.address.to_string(), client.user_agent);
    let join = move |conn: &mut _| accounts::join_as(conn, &actor, clock::now(), &token);
    let organization = visitor.site.db.run(join).await?;
    let flash = joined(&organization.name, "You find it in the switcher above.");
    Ok(see_other_with(&format!("/orgs/{}/api-keys", organization.slug), flash))
}

fn joined(name: &str, next: &str) -> Flash {
    Flash::ok(format!("You belong to {name} now."), next)
}
