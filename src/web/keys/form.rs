//! The form of a key: making one, and what may be changed of it.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Form;
use askama::Template;
use time::macros::format_description;
use time::{Date, OffsetDateTime, Time};
use uuid::Uuid;

use super::views::Banner;
use super::{broken, filters, refused, with_new_key};
use crate::actor::Role;
use crate::error::{Error, FieldError, Result};
use crate::ids::new_uuid;
use crate::keys::{self, Key, NewKey};
use crate::profile::{Column, Grant, Profile};
use crate::web::{Answer, Flash, Frame, Member, page, page_with_status};

/// A form as it is sent: names may repeat. None of a body that is no form, so that who may not is told so first.
pub type Fields = Option<Form<Vec<(String, String)>>>;

/// What the form says, as it was typed.
#[derive(Default)]
pub(super) struct Entered {
    pub(super) name: String,
    pub(super) environment: String,
    pub(super) permissions: Vec<String>,
    /// `2026-11-20`, or empty.
    pub(super) expires: String,
    pub(super) form_token: Option<Uuid>,
}

impl Entered {
    pub(super) fn read(fields: Fields) -> Option<Self> {
        let mut entered = Self::default();
        for (name, value) in fields?.into_inner() {
            match name.as_str() {
                "name" => entered.name = value,
                "environment" => entered.environment = value,
                "permission" => entered.permissions.push(value),
                "expires" => entered.expires = value,
                "once" => entered.form_token = Uuid::parse_str(&value).ok(),
                _ => {}
            }
        }
        Some(entered)
    }

    pub(super) fn of(key: &Key) -> Self {
        Self {
            name: key.name.clone(),
            environment: key.environment.clone(),
            permissions: key.permissions.clone(),
            expires: key.expires_at.map(date_text).unwrap_or_default(),
            form_token: None,
        }
    }

    /// The start of the day that was chosen, in UTC.
    pub(super) fn expires_at(&self) -> Result<Option<OffsetDateTime>> {
        if self.expires.trim().is_empty() {
            return Ok(None);
        }
        let date = Date::parse(self.expires.trim(), format_description!("[year]-[month]-[day]"))
            .map_err(|_| Error::field("expires", format!("{:?} is not a date. Write it like 2027-01-31.", self.expires)))?;
        Ok(Some(date.with_time(Time::MIDNIGHT).assume_utc()))
    }
}

pub(super) fn date_text(at: OffsetDateTime) -> String {
    at.format(format_description!("[year]-[month]-[day]")).unwrap_or_default()
}

/// The key that is edited.
pub(super) struct Editing {
    pub(super) id: String,
    pub(super) name: String,
}

#[derive(Template)]
#[template(path = "keys/form.html")]
pub(super) struct KeyForm {
    frame: Frame,
    profile: Arc<Profile>,
    editing: Option<Editing>,
    entered: Entered,
    once: Uuid,
    errors: Vec<FieldError>,
}

impl KeyForm {
    pub(super) fn new(member: &Member, editing: Option<Editing>, entered: Entered) -> Self {
        let (frame, profile) = (member.frame.clone(), member.site.profile.clone());
        Self { once: new_uuid(frame.now), frame, profile, editing, entered, errors: Vec::new() }
    }

    /// The form again, with what was not accepted: 422.
    pub(super) fn refuse(mut self, result: &str, errors: Vec<FieldError>) -> Answer {
        let next = match errors.len() {
            1 => "One field needs a change below.".to_owned(),
            count => format!("{count} fields need a change below."),
        };
        self.frame.flash = Some(Flash::fail(result, next));
        self.errors = errors;
        page_with_status(StatusCode::UNPROCESSABLE_ENTITY, &self)
    }

    fn heading(&self) -> String {
        match &self.editing {
            Some(editing) => format!("Edit {}", editing.name),
            None => self.profile.keys.create_label.clone(),
        }
    }

    fn action(&self) -> String {
        match &self.editing {
            Some(editing) => self.frame.path(&format!("api-keys/{}", editing.id)),
            None => self.frame.path("api-keys"),
        }
    }

    fn error(&self, field: &str) -> Option<&str> {
        self.errors.iter().find(|error| error.field == field).map(|error| error.message.as_str())
    }

    fn is_first_error(&self, field: &str) -> bool {
        self.errors.first().is_some_and(|error| error.field == field)
    }

    /// What the table calls the name.
    fn name_heading(&self) -> &str {
        self.profile.keys.heading(&Column::Name)
    }

    /// What a key may do that is made now, where it inherits from its maker.
    fn inherits(&self) -> Option<&[String]> {
        let is_theirs = self.profile.permissions.grant == Grant::Inherited && self.editing.is_none();
        is_theirs.then(|| self.profile.permissions.of_role(Role::Admin.as_str()))
    }

    fn has_permissions(&self) -> bool {
        self.profile.permissions.grant == Grant::Chosen
    }
}

/// `GET …/api-keys/new`.
pub async fn new(member: Member) -> Answer {
    member.require_admin()?;
    page(&KeyForm::new(&member, None, Entered::default()))
}

/// `POST …/api-keys`. The answer alone shows the new key.
pub async fn create(member: Member, fields: Fields) -> Answer {
    member.require_admin()?;
    let Some(mut entered) = Entered::read(fields) else { return refused(member, "No key was created.", broken()).await };
    if entered.environment.is_empty() {
        entered.environment = member.site.profile.default_environment().to_owned();
    }
    match try_create(&member, &entered).await {
        Ok((key, plain)) => {
            let banner = Banner::new("Here is your new API key", &member.site, plain, &key.permissions);
            with_new_key(&member, banner).await
        }
        Err(Error::Invalid(errors)) => KeyForm::new(&member, None, entered).refuse("Key not created.", errors),
        Err(error) => refused(member, "No key was created.", error).await,
    }
}

async fn try_create(member: &Member, entered: &Entered) -> Result<(Key, keys::PlainKey)> {
    let new = NewKey {
        organization: member.organization.id,
        name: entered.name.clone(),
        environment: entered.environment.clone(),
        permissions: entered.permissions.clone(),
        expires_at: entered.expires_at()?,
        form_token: entered.form_token,
    };
    let (actor, profile, now) = (member.actor.clone(), member.site.profile.clone(), member.frame.now);
    member.site.db.run(move |conn| keys::create(conn, &actor, now, &profile, new)).await
}
