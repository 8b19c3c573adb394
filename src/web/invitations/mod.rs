//! The page of a one-time link: into an account (`lki_`), where a person chooses a password, or into an organization (`lkm_`).

mod joining;

use actix_web::http::StatusCode;
use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::guard::Visitor;
use super::{Answer, Flash, Frame, filters, page_with_status, see_other_with, sign_in};
use crate::accounts::{self, HashedPassword, Invitation, Password, Stamp, User, two_factor};
use crate::clock;
use crate::error::{Error, Result};

#[derive(Template)]
#[template(path = "invitations/show.html")]
struct Show {
    frame: Frame,
    token: String,
    invitation: Invitation,
    problem: Option<String>,
}

/// The form.
#[derive(Deserialize)]
pub struct Fields {
    #[serde(default)]
    password: String,
}

/// `GET /invitations/{token}`.
pub async fn show(visitor: Visitor, token: web::Path<String>) -> Answer {
    let token = token.into_inner();
    if joining::is_for_organization(&token) { joining::show(visitor, token).await } else { form(visitor, token, None).await }
}

/// `POST /invitations/{token}`: the password is set and the person signed in; or somebody who is signed in joins.
pub async fn accept(visitor: Visitor, token: web::Path<String>, fields: Option<web::Form<Fields>>) -> Answer {
    let (token, password) = (token.into_inner(), fields.map(|form| form.into_inner().password).unwrap_or_default());
    if joining::is_for_organization(&token) {
        return joining::join(visitor, token, password).await;
    }
    let known = token.clone();
    visitor.site.db.run(move |conn| accounts::invitation(conn, clock::now(), &known)).await?;
    let hashed = match chosen(password).await? {
        Ok(hashed) => hashed,
        Err(problem) => return form(visitor, token, Some(problem)).await,
    };
    let (address, user_agent) = (visitor.client.address.to_string(), visitor.client.user_agent.clone());
    let accept = move |conn: &mut _| {
        let user = accounts::accept_invitation(conn, clock::now(), &token, &hashed, &address, &user_agent)?;
        let (has_two_factor, stamp) = (two_factor::is_on(conn, user.id)?, accounts::stamp(conn, user.id)?);
        Ok((user, has_two_factor, stamp))
    };
    let (user, has_two_factor, stamp) = visitor.site.db.run(accept).await?;
    let flash = Flash::ok("Password set.", "Sign in with it from now on. The link has done its work.");
    enter(&visitor, &user, has_two_factor, &stamp, "/", flash)
}

/// A password that may be chosen, hashed; or what is wrong with it.
async fn chosen(password: String) -> Result<Result<HashedPassword, String>> {
    match Password::new(password) {
        Ok(password) => Ok(Ok(sign_in::hashing(move || password.hash()).await??)),
        Err(Error::Invalid(problems)) => Ok(Err(problems.into_iter().map(|problem| problem.message).collect::<Vec<_>>().join(" "))),
        Err(error) => Err(error),
    }
}

/// Signs in who has just chosen a password. A link is no second factor: who has one goes on to the sign-in.
fn enter(visitor: &Visitor, user: &User, has_two_factor: bool, proved: &Stamp, path: &str, flash: Flash) -> Answer {
    if has_two_factor {
        return Ok(see_other_with("/sign-in", Flash::ok("Password set.", "Sign in with it and with your second factor.")));
    }
    sign_in::begun(visitor, user.id, proved, see_other_with(path, flash))
}

async fn form(visitor: Visitor, token: String, problem: Option<String>) -> Answer {
    let known = token.clone();
    let invitation = visitor.site.db.run(move |conn| accounts::invitation(conn, clock::now(), &known)).await?;
    let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    page_with_status(status, &Show { frame: visitor.frame, token, invitation, problem })
}
