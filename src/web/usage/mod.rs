//! The tab Usage: the request history, and why each request was answered as it was.

// Until the page shows it.
#[allow(dead_code)]
mod consumption;
mod why;

use std::collections::HashMap;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::web::Query;
use askama::Template;
use serde::Deserialize;
use time::OffsetDateTime;

use super::{Answer, Frame, Member, Tab, filters, fragment, page, wants_fragment};
use crate::error::{Error, Result};
use crate::ids::{KeyId, RequestId};
use crate::keys::{self, Key};
use crate::profile::Profile;
use crate::usage::{self, Cursor, Filter, Status};
use why::Why;

/// Requests on a page.
const PAGE: usize = 50;

/// The query of the page.
#[derive(Deserialize, Clone, Default)]
pub struct Asked {
    #[serde(default)]
    key: String,
    #[serde(default)]
    status: String,
    before: Option<String>,
    after: Option<String>,
    /// The row that is open.
    open: Option<String>,
    /// The row that htmx wants closed again.
    row: Option<String>,
}

impl Asked {
    fn filter(&self) -> Result<Filter> {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let key = given(&self.key).map(|text| KeyId::parse(&text).ok_or(Error::NotFound)).transpose()?;
        let unknown = |text: String| Error::field("status", format!("{text:?} is no status. Ask for 429, or for a class as 4xx."));
        let status = given(&self.status).map(|text| Status::parse(&text).ok_or_else(|| unknown(text))).transpose()?;
        Ok(Filter { key, status, ..Filter::default() })
    }

    fn cursor(&self) -> Result<Option<Cursor>> {
        let place = |text: &String| RequestId::parse(text).ok_or(Error::NotFound);
        Ok(match (&self.before, &self.after) {
            (Some(id), _) => Some(Cursor::Before(place(id)?)),
            (None, Some(id)) => Some(Cursor::After(place(id)?)),
            (None, None) => None,
        })
    }
}

/// One request.
struct RowItem {
    request: usage::Request,
    /// Of the key's text that was used.
    prefix: String,
    /// When the row is open.
    why: Option<Why>,
}

impl RowItem {
    fn chip(&self) -> &'static str {
        match self.request.status {
            200..=299 => " ok",
            429 => " wait",
            500.. => " fail",
            _ => "",
        }
    }

    fn duration(&self) -> String {
        match self.request.duration_us {
            0..1_000 => "<1 ms".into(),
            micros => format!("{} ms", filters::grouped(micros / 1_000)),
        }
    }

    /// What the row's link is called; it has to have the time in it, which is what it shows.
    fn name(&self, now: &OffsetDateTime) -> String {
        let at = filters::instant_text(self.request.at, *now);
        format!("Why: {} {} at {at}, {}", self.request.method, self.request.path, self.request.status)
    }
}

/// The page.
#[derive(Template)]
#[template(path = "usage/index.html", blocks = ["history"])]
struct Index {
    frame: Frame,
    asked: Asked,
    keys: Vec<Key>,
    rows: Vec<RowItem>,
    newer: bool,
    older: bool,
    example: String,
    profile: Arc<Profile>,
}

/// One row, for htmx.
#[derive(Template)]
#[template(path = "usage/_row.html")]
struct Row {
    frame: Frame,
    asked: Asked,
    row: RowItem,
}

/// Address of this page with these filters, and more to come.
fn link(frame: &Frame, asked: &Asked) -> String {
    format!("{}?key={}&status={}", frame.path("usage"), asked.key, asked.status)
}

/// Where a page starts, to go with [`link`].
fn place(asked: &Asked) -> String {
    match (&asked.before, &asked.after) {
        (Some(id), _) => format!("&before={id}"),
        (None, Some(id)) => format!("&after={id}"),
        (None, None) => String::new(),
    }
}

impl Index {
    fn tab(&self) -> Tab {
        Tab::Usage
    }

    fn is_filtered(&self) -> bool {
        !self.asked.key.is_empty() || !self.asked.status.is_empty()
    }

    fn link(&self) -> String {
        link(&self.frame, &self.asked)
    }

    fn here(&self) -> String {
        self.link() + &place(&self.asked)
    }
}

impl Row {
    fn here(&self) -> String {
        link(&self.frame, &self.asked) + &place(&self.asked)
    }
}

/// `GET …/usage`.
pub async fn index(member: Member, request: HttpRequest, asked: Query<Asked>) -> Answer {
    let asked = asked.into_inner();
    let frame = member.frame.clone();
    if let Some(id) = asked.open.as_ref().or(asked.row.as_ref()).filter(|_| wants_fragment(&request)) {
        let id = RequestId::parse(id).ok_or(Error::NotFound)?;
        let row = one(&member, id, asked.open.is_some()).await?;
        return fragment(&Row { frame, asked, row });
    }
    let screen = screen(member, asked).await?;
    if wants_fragment(&request) { fragment(&screen.as_history()) } else { page(&screen) }
}

async fn screen(member: Member, asked: Asked) -> Result<Index> {
    let (filter, cursor) = (asked.filter()?, asked.cursor()?);
    let (organization, profile) = (member.organization.id, member.site.profile.clone());
    let read = move |conn: &mut _| {
        let page = usage::history(conn, organization, &profile, &filter, cursor, PAGE)?;
        Ok((page, usage::key_prefixes(conn, organization)?, keys::all(conn, organization)?))
    };
    let (page, prefixes, keys) = member.site.db.run(read).await?;
    let mut rows: Vec<RowItem> = page.requests.into_iter().map(|request| row(request, &prefixes)).collect();
    let open = asked.open.as_deref().and_then(RequestId::parse);
    if let Some(row) = rows.iter_mut().find(|row| Some(row.request.id) == open) {
        row.why = Some(Why::load(&member, &row.request).await?);
    }
    let example = super::keys::first_request(&member.site);
    let profile = member.site.profile.clone();
    Ok(Index { frame: member.frame, asked, keys, rows, newer: page.newer, older: page.older, example, profile })
}

async fn one(member: &Member, id: RequestId, open: bool) -> Result<RowItem> {
    let organization = member.organization.id;
    let read = move |conn: &mut _| Ok((usage::request(conn, organization, id)?, usage::key_prefixes(conn, organization)?));
    let (request, prefixes) = member.site.db.run(read).await?;
    let mut row = row(request, &prefixes);
    if open {
        row.why = Some(Why::load(member, &row.request).await?);
    }
    Ok(row)
}

fn row(request: usage::Request, prefixes: &HashMap<(KeyId, i32), String>) -> RowItem {
    let prefix = prefixes.get(&(request.key_id, request.generation)).cloned().unwrap_or_default();
    RowItem { request, prefix, why: None }
}
