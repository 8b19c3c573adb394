//! The tab API Keys.

mod changes;
mod confirm;
mod form;
mod terms;
mod views;

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{Path, Query};
use askama::Template;
use serde::Deserialize;

pub use changes::{activate, deactivate, edit, end_grace, update};
pub use confirm::{confirm_revocation, confirm_rotation, revoke, rotate};
pub use form::{create, new};

use super::filters::{self, grouped};
use super::{Answer, Flash, Frame, Member, Tab, WebError, fragment, page, page_with_status, wants_fragment};
use crate::error::{ClientError, Error, Result};
use crate::ids::KeyId;
use crate::keys::{self, Overview, Status};
use crate::profile::{Column, Example, Grant, Profile};
use crate::site::Site;
use views::{Banner, FormerItem, KeyItem, Shown};

/// The page.
#[derive(Template)]
#[template(path = "keys/index.html")]
struct Index {
    frame: Frame,
    profile: Arc<Profile>,
    shown: Shown,
    /// In the answer to the POST that made the key, and nowhere else.
    banner: Option<Banner>,
    example: Example,
    key_shape: String,
    columns: Vec<Column>,
    /// A table in place of a card.
    is_many: bool,
    /// How every key looks, as a regular expression.
    leak_pattern: String,
    /// The same as a rule of gitleaks.
    leak_rule: String,
}

impl Index {
    fn new(member: &Member, overview: Overview, open: Option<&str>, banner: Option<Banner>) -> Self {
        let profile = member.site.profile.clone();
        Self {
            shown: Shown::new(&profile, overview, open, member.frame.now),
            frame: member.frame.clone(),
            banner,
            example: Example::of(&profile, &member.site.public_url, &profile.permissions.list),
            key_shape: key_shape(&profile),
            columns: profile.columns(),
            is_many: profile.keys.max_active != 1,
            leak_pattern: keys::pattern(&profile),
            leak_rule: keys::gitleaks_rule(&profile, &member.frame.host).trim_end().to_owned(),
            profile,
        }
    }

    fn tab(&self) -> Tab {
        Tab::Keys
    }

    /// What a first key is to be like.
    fn how_to_begin(&self) -> &'static str {
        match self.profile.permissions.grant {
            Grant::None => "Make one for each program, so that each can be ended by itself.",
            Grant::Chosen => "Make one for each program, with the permissions that it needs and no more.",
            Grant::Inherited => "Make one for each program. It may do what you may do, as long as you may.",
        }
    }

    fn count(&self, status: impl Fn(Status) -> bool) -> usize {
        self.shown.keys.iter().filter(|item| status(item.view.status)).count()
    }

    fn active(&self) -> usize {
        self.count(|status| status == Status::Active)
    }

    fn inactive(&self) -> usize {
        self.count(|status| status == Status::Inactive)
    }

    fn ended(&self) -> usize {
        self.count(Status::is_ended)
    }
}

/// A new key, when the page below it could not be read.
#[derive(Template)]
#[template(path = "keys/made.html")]
struct Made {
    frame: Frame,
    banner: Option<Banner>,
}

impl Made {
    fn tab(&self) -> Tab {
        Tab::Keys
    }
}

/// `lk_live_…`: how the keys of the first environment begin.
fn key_shape(profile: &Profile) -> String {
    match profile.keys.environments.first() {
        Some(environment) => format!("{}_{}_…", profile.keys.prefix, environment.name),
        None => format!("{}_…", profile.keys.prefix),
    }
}

/// A request to start with, in one line for a shell.
pub(super) fn first_request(site: &Site) -> String {
    Example::of(&site.profile, &site.public_url, &site.profile.permissions.list).line(&key_shape(&site.profile))
}

/// One key's row, for htmx.
#[derive(Template)]
#[template(path = "keys/_row.html")]
struct Row {
    frame: Frame,
    profile: Arc<Profile>,
    item: KeyItem,
    columns: Vec<Column>,
}

/// One former key's row, for htmx.
#[derive(Template)]
#[template(path = "keys/_former.html")]
struct FormerRow {
    frame: Frame,
    profile: Arc<Profile>,
    row: FormerItem,
    is_many: bool,
}

/// The query of the page.
#[derive(Deserialize)]
pub struct Asked {
    /// The row that is open.
    open: Option<String>,
    /// The row that htmx wants closed again.
    row: Option<String>,
}

/// `GET …/api-keys`.
pub async fn index(member: Member, request: HttpRequest, asked: Query<Asked>) -> Answer {
    let Asked { open, row } = asked.into_inner();
    match open.clone().or(row).filter(|_| wants_fragment(&request)) {
        Some(id) => {
            let part = part_with(&member, &id).await?;
            row_alone(Index::new(&member, part, open.as_deref(), None), &id)
        }
        None => page(&Index::new(&member, overview(&member).await?, open.as_deref(), None)),
    }
}

/// As much of the overview as has the row: a key, or the former ones.
async fn part_with(member: &Member, row: &str) -> Result<Overview> {
    let (organization, now, key) = (member.organization.id, member.frame.now, KeyId::parse(row));
    let read = move |conn: &mut _| match key {
        Some(key) => keys::overview_of(conn, organization, key, now),
        None => Ok(Overview { former: keys::former(conn, organization, now)?, ..Overview::default() }),
    };
    member.site.db.run(read).await
}

fn row_alone(index: Index, id: &str) -> Answer {
    let Index { frame, profile, shown, columns, is_many, .. } = index;
    if let Some(row) = shown.former.into_iter().find(|row| row.id() == id) {
        return fragment(&FormerRow { frame, profile, row, is_many });
    }
    let item = shown.keys.into_iter().find(|item| item.id() == id).ok_or(Error::NotFound)?;
    fragment(&Row { frame, profile, item, columns })
}

async fn overview(member: &Member) -> Result<Overview> {
    let (organization, now) = (member.organization.id, member.frame.now);
    member.site.db.run(move |conn| keys::overview(conn, organization, now)).await
}

/// The page as it is now, with what was not done and why on top: 409 for a conflict, 422 for input that no form of ours sends.
async fn refused(mut member: Member, result: &'static str, error: Error) -> Answer {
    let why = match &error {
        Error::Conflict(sentence) => sentence.clone(),
        Error::Invalid(fields) => fields.iter().map(|field| field.message.as_str()).collect::<Vec<_>>().join(" "),
        _ => return Err(WebError(error)),
    };
    let overview = overview(&member).await?;
    member.frame.flash = Some(Flash::fail(result, why));
    let status = StatusCode::from_u16(ClientError::from(&error).status).unwrap_or(StatusCode::CONFLICT);
    page_with_status(status, &Index::new(&member, overview, None, None))
}

/// The page with a new key on top. The key is made by now and shown nowhere else: what breaks from here on must not lose it.
async fn with_new_key(member: &Member, banner: Banner) -> Answer {
    match overview(member).await {
        Ok(overview) => {
            let mut index = Index::new(member, overview, None, Some(banner));
            // A key that was found in public is dealt with by being replaced.
            let (organization, now) = (member.organization.id, member.frame.now);
            if let Ok(leaks) = member.site.db.run(move |conn| keys::leaked(conn, organization, now)).await {
                index.frame.leaks = leaks;
            }
            page(&index)
        }
        Err(error) => {
            tracing::error!(error = %error, "showing a new key without the rest of its page");
            page(&Made { frame: member.frame.clone(), banner: Some(banner) })
        }
    }
}

/// What a broken form means to its reader.
fn broken() -> Error {
    Error::field("form", "The form did not arrive as it was sent. Open the page again and repeat it.")
}

/// The key that a path names after its organization.
fn key_of(path: &Path<(String, String)>) -> Result<KeyId> {
    KeyId::parse(&path.1).ok_or(Error::NotFound)
}
