//! E-mail, for those who have a server for it: links, and news of keys found in public. Everything that is sent can be had without.

use std::time::Duration;

use lettre::message::{Mailbox, SinglePart};
use lettre::{Address, Message, SmtpTransport, Transport as _};

use crate::error::{Error, Result};

/// For each step of the conversation with the server.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server that takes messages, and whom they are from.
#[derive(Clone)]
pub struct Mailer {
    transport: SmtpTransport,
    from: Mailbox,
}

impl std::fmt::Debug for Mailer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mailer({})", self.from)
    }
}

impl Mailer {
    /// Of a URL such as `smtps://user:password@mail.example.com` or `smtp://mail.example.com:587?tls=required`, and an address
    /// such as `Latchkey <keys@example.com>`.
    ///
    /// # Errors
    /// `Invalid`, naming the setting; the URL, which may hold a password, is not repeated.
    pub fn new(url: &str, from: &str) -> Result<Self> {
        let wrong = || Error::field("LATCHKEY_SMTP_URL", "It is no URL like smtps://user:password@mail.example.com.");
        let transport = SmtpTransport::from_url(url).map_err(|_| wrong())?.timeout(Some(PATIENCE)).build();
        let from = from
            .parse()
            .map_err(|_| Error::field("LATCHKEY_SMTP_FROM", format!("{from:?} is no address like Latchkey <keys@example.com>.")))?;
        Ok(Self { transport, from })
    }

    /// Sends one message as plain text. Takes as long as the server does: call it on a thread that may block.
    ///
    /// # Errors
    /// `Conflict` with a sentence for people: the server is away, or does not take it.
    pub fn send(&self, to: &str, subject: &str, text: String) -> Result<()> {
        // Which server, and what it said, is for the log: tenants read this.
        let failed = || Error::Conflict("The mail server did not take it. Who runs this deployment finds why in its log.".into());
        let to: Address = to.parse().map_err(|_| failed())?;
        let message =
            Message::builder().from(self.from.clone()).to(Mailbox::new(None, to)).subject(subject).singlepart(SinglePart::plain(text));
        let message = message.map_err(|e| Error::internal("writing a message", e))?;
        match self.transport.send(&message) {
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::warn!(%error, "an e-mail was not sent");
                Err(failed())
            }
        }
    }
}
