//! The page of a one-time link, where a person chooses a password.

use actix_web::http::StatusCode;
use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::guard::Visitor;
use super::{Answer, Flash, Frame, WebError, filters, page_with_status, see_other_with, sign_in};
use crate::accounts::{self, Invitation, Password};
use crate::clock;
use crate::error::Error;

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
    form(visitor, token.into_inner(), None).await
}

/// `POST /invitations/{token}`: the password is set and the person signed in.
pub async fn accept(visitor: Visitor, token: web::Path<String>, fields: web::Form<Fields>) -> Answer {
    let token = token.into_inner();
    let password = match Password::new(fields.into_inner().password) {
        Ok(password) => password,
        Err(Error::Invalid(problems)) => return form(visitor, token, problems.into_iter().next().map(|problem| problem.message)).await,
        Err(error) => return Err(WebError(error)),
    };
    let known = token.clone();
    visitor.site.db.run(move |conn| accounts::invitation(conn, clock::now(), &known)).await?;
    let hashed = sign_in::hashing(move || password.hash()).await??;
    let (address, user_agent) = (visitor.client.address.to_string(), visitor.client.user_agent.clone());
    let accept = move |conn: &mut _| accounts::accept_invitation(conn, clock::now(), &token, &hashed, &address, &user_agent);
    let user = visitor.site.db.run(accept).await?;
    sign_in::begun(
        &visitor,
        user.id,
        see_other_with("/", Flash::ok("Password set.", "Sign in with it from now on. The link has done its work.")),
    )
}

async fn form(visitor: Visitor, token: String, problem: Option<String>) -> Answer {
    let known = token.clone();
    let invitation = visitor.site.db.run(move |conn| accounts::invitation(conn, clock::now(), &known)).await?;
    let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    page_with_status(status, &Show { frame: visitor.frame, token, invitation, problem })
}
