//! Asking for a link to one's own mailbox. The answer is the same, and as quick, whether there is such an account or not.

use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use actix_web::web::{Data, Form};
use askama::Template;
use serde::Deserialize;
use tokio::sync::Semaphore;

use super::guard::{Client, Visitor};
use super::{Answer, Flash, Frame, WebError, filters, mail, page, page_with_status};
use crate::accounts;
use crate::clock;
use crate::error::{ClientError, Error};
use crate::site::Site;

/// Letters on their way at once: a slow mail server takes no more threads than these from everybody else.
static SENDING: Semaphore = Semaphore::const_new(4);

#[derive(Template)]
#[template(path = "password_reset/show.html")]
struct Show {
    frame: Frame,
    /// It was asked for: what happens next.
    asked: bool,
}

/// The form.
#[derive(Deserialize)]
pub struct Fields {
    #[serde(default)]
    email: String,
}

/// `GET /password-reset`. There is no such page without mail.
pub async fn show(visitor: Visitor) -> Answer {
    if !visitor.frame.has_mail {
        return Err(WebError(Error::NotFound));
    }
    page(&Show { frame: visitor.frame, asked: false })
}

/// `POST /password-reset`. What follows is done when the answer is on its way.
pub async fn create(visitor: Visitor, fields: Form<Fields>) -> Answer {
    let Visitor { site, client, frame, .. } = visitor;
    if !frame.has_mail {
        return Err(WebError(Error::NotFound));
    }
    let address = client.address;
    match site.db.run(move |conn| accounts::count_reset(conn, clock::now(), address)).await {
        Ok(()) => {}
        Err(error @ Error::Limited { .. }) => return too_often(frame, &ClientError::from(&error)),
        Err(error) => return Err(WebError(error)),
    }
    actix_web::rt::spawn(write(site, client, fields.into_inner().email));
    page(&Show { frame, asked: true })
}

fn too_often(frame: Frame, error: &ClientError) -> Answer {
    let frame = Frame { flash: Some(Flash::fail("Nothing was sent.", error.message.as_ref())), ..frame };
    let mut response = page_with_status(StatusCode::TOO_MANY_REQUESTS, &Show { frame, asked: false })?;
    if let Some(seconds) = error.retry_after_s {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    Ok(response)
}

/// Sends the link, if there is an account.
async fn write(site: Data<Site>, client: Client, typed: String) {
    let Ok(_permit) = SENDING.acquire().await else { return };
    let Client { address, user_agent } = client;
    let make = move |conn: &mut _| accounts::reset_link(conn, clock::now(), &typed, &address.to_string(), &user_agent);
    let (user, token) = match site.db.run(make).await {
        Ok(Some(made)) => made,
        Ok(None) => return,
        Err(error) => return tracing::error!(error = %error, "making a link for a lost password"),
    };
    let text = format!(
        "Somebody, perhaps you, asked for a new password for {} at {}.\n\nChoose it here. The link works once, for an hour:\n{}/invitations/{}\n\n\
         If it was not you, do nothing: your password stays as it is.\n",
        user.email,
        site.public_url,
        site.public_url,
        token.reveal()
    );
    // A failure is in the log; whoever asked is told nothing of it.
    mail::send(&site, &user.email, "A new password for Latchkey", text).await;
}
