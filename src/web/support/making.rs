//! A new organization, and the link with which its first admin comes in.

use actix_web::http::StatusCode;
use actix_web::web::Form;
use askama::Template;
use serde::Deserialize;

use super::actions::whole_number;
use super::filters;
use crate::error::{Error, FieldError, Result};
use crate::orgs::{self, Invitation, Organization};
use crate::secret::PlainToken;
use crate::web::mail::{self, Sent};
use crate::web::{Answer, Flash, Frame, Operator, Section, page, page_with_status, prove};

/// The form, as it was typed.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    name: String,
    slug: String,
    credits: String,
    email: String,
    password: String,
}

#[derive(Template)]
#[template(path = "support/new.html")]
struct New {
    frame: Frame,
    entered: Fields,
    errors: Vec<FieldError>,
}

/// A field of the form: its name, label, value and hint.
struct Shown<'a> {
    name: &'static str,
    label: &'static str,
    value: &'a str,
    hint: &'static str,
    is_optional: bool,
}

impl New {
    fn shown(&self) -> [Shown<'_>; 4] {
        let field = |name, label, value, hint, is_optional| Shown { name, label, value, hint, is_optional };
        [
            field("name", "Name", self.entered.name.as_str(), "As its people and yours read it.", false),
            field("slug", "Slug", self.entered.slug.as_str(), "Its name in URLs, for ever. Empty: made of the name.", true),
            field("credits", "First credits", self.entered.credits.as_str(), "Empty for none.", true),
            field("email", "Email of the first admin", self.entered.email.as_str(), "Gets a one-time link, and joins with it.", false),
        ]
    }

    fn error(&self, field: &str) -> Option<&str> {
        self.errors.iter().find(|error| error.field == field).map(|error| error.message.as_str())
    }

    fn is_first(&self, field: &Shown<'_>, is_first: &bool) -> bool {
        let wrong = self.errors.first().map_or(*is_first, |error| error.field == field.name);
        wrong && !self.frame.proof.is_needed
    }
}

/// What was made. The answer to the POST alone shows the link.
#[derive(Template)]
#[template(path = "support/made.html")]
struct Made {
    frame: Frame,
    organization: Organization,
    invitation: Invitation,
    link: String,
    sent: Sent,
}

impl Made {
    /// What became of the letter with the link, if one was to be sent.
    fn letter(&self) -> Option<String> {
        match &self.sent {
            Sent::NoMail => None,
            Sent::Yes => Some("It was sent there by mail too.".into()),
            Sent::No(why) => Some(format!("No mail was sent. {why}")),
        }
    }
}

/// `GET /support/new-organization`.
pub async fn ask(operator: Operator) -> Answer {
    let frame = operator.0.frame.in_section(Section::Organizations);
    page(&New { frame, entered: Fields::default(), errors: Vec::new() })
}

/// `POST /support/new-organization`.
pub async fn make(mut operator: Operator, fields: Option<Form<Fields>>) -> Answer {
    let entered = fields.map(Form::into_inner).unwrap_or_default();
    let proved = prove(&mut operator, Some(&entered.password)).await;
    let mut frame = operator.0.frame.clone().in_section(Section::Organizations);
    let errors = match proved {
        Ok(()) => match founded(&operator, &entered).await {
            Ok((organization, invitation, token)) => {
                let link = format!("{}/invitations/{}", operator.0.site.public_url, token.reveal());
                let sent = mail::invite(&operator.0.site, &organization.name, &invitation, &token).await;
                return page(&Made { frame, organization, invitation, link, sent });
            }
            Err(Error::Invalid(errors)) => errors,
            Err(error) => return Err(error.into()),
        },
        Err(Error::ProofNeeded) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    if !errors.is_empty() {
        frame.flash = Some(Flash::fail("No organization was created.", "See below what needs a change."));
    }
    page_with_status(StatusCode::UNPROCESSABLE_ENTITY, &New { frame, entered, errors })
}

async fn founded(operator: &Operator, entered: &Fields) -> Result<(Organization, Invitation, PlainToken)> {
    let (actor, now) = (operator.0.actor.clone(), operator.0.frame.now);
    let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let (name, slug, email) = (entered.name.clone(), given(&entered.slug), entered.email.clone());
    let credits = given(&entered.credits).map(|typed| whole_number("credits", &typed)).transpose()?;
    operator.0.site.db.run(move |conn| orgs::found(conn, &actor, now, &name, slug.as_deref(), credits, &email)).await
}
