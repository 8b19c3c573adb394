//! Letters with links. Whatever is sent so is shown, or can be had, without.

use std::time::Duration;

use crate::clock::rfc3339;
use crate::error::{ClientError, Error};
use crate::orgs::Invitation;
use crate::secret::PlainToken;
use crate::site::Site;

/// How long a page waits for the mail server.
const PATIENCE: Duration = Duration::from_secs(8);

/// What became of a letter.
pub enum Sent {
    /// No mail server is set.
    NoMail,
    /// The server has it.
    Yes,
    /// It has not, and why: a sentence.
    No(String),
}

/// Sends the link into an organization.
pub async fn invite(site: &Site, organization: &str, invitation: &Invitation, token: &PlainToken) -> Sent {
    let url = &site.public_url;
    let text = format!(
        "{} invites you to {organization} at {url}.\n\nJoin with this link. It works once, until {}:\n{url}/invitations/{}\n\n\
         If you don't know what this is about, do nothing.\n",
        invitation.created_by,
        rfc3339(invitation.expires_at),
        token.reveal()
    );
    send(site, &invitation.email, "An invitation to Latchkey", text).await
}

/// Sends a letter, on a thread that may block.
pub async fn send(site: &Site, to: &str, subject: &'static str, text: String) -> Sent {
    let Some(mailer) = site.mail.clone() else { return Sent::NoMail };
    let to = to.to_owned();
    let sent = actix_web::web::block(move || mailer.send(&to, subject, text));
    let Ok(sent) = tokio::time::timeout(PATIENCE, sent).await else {
        return Sent::No("The mail server takes its time: the letter may still arrive, or not.".into());
    };
    match sent.unwrap_or_else(|_| Err(Error::Unavailable("worker thread stopped".into()))) {
        Ok(()) => Sent::Yes,
        Err(error) => Sent::No(ClientError::from(&error).message.into_owned()),
    }
}
