//! The audit log: an organization's own for its admins, and all of them for the staff.

mod asked;
mod export;
mod reader;
mod rows;

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use askama::Template;

use super::{Answer, Frame, Member, Staff, filters, fragment, page, page_with_status, wants_fragment};
use crate::audit::read::{Cursor, MOST_LOOKED};
use crate::audit::words;
use crate::error::{Error, FieldError, Result};
use asked::{Asked, KINDS};
pub use export::{export, export_all};
use reader::Reader;
use rows::{Row, RowItem};

/// Entries on a page.
const PAGE: usize = 50;

/// The page.
#[derive(Template)]
#[template(path = "audit/index.html", blocks = ["log"])]
struct Index {
    frame: Frame,
    asked: Asked,
    /// Address of the page.
    base: String,
    /// Whether it is the staff's, of all organizations.
    of_all: bool,
    rows: Vec<RowItem>,
    newer: Option<String>,
    older: Option<String>,
    /// Looking stopped before the page was full.
    is_cut: bool,
    /// What was wrong with the filters.
    errors: Vec<FieldError>,
}

/// Actions of one noun, to choose from.
struct Group {
    noun: &'static str,
    actions: Vec<(&'static str, &'static str)>,
}

impl Index {
    /// Address of this view, for a place to be added.
    fn link(&self) -> String {
        format!("{}{}", self.base, self.asked.query())
    }

    /// Address of this view at this place.
    fn here(&self) -> String {
        format!("{}{}", self.base, self.asked.query_here())
    }

    fn file(&self) -> String {
        format!("{}/entries.csv{}", self.base, self.asked.query().trim_end_matches(['?', '&']))
    }

    fn error(&self, field: &str) -> bool {
        self.errors.iter().any(|error| error.field == field)
    }

    fn kinds(&self) -> Vec<(&'static str, &'static str)> {
        KINDS.iter().map(|(kind, words)| (kind.as_str(), *words)).collect()
    }

    fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for (action, words) in words::ACTIONS {
            let noun = words::noun(action);
            match groups.last_mut().filter(|group| group.noun == noun) {
                Some(group) => group.actions.push((action, words)),
                None => groups.push(Group { noun, actions: vec![(action, words)] }),
            }
        }
        groups
    }

    /// An action that is asked for and not in the list.
    fn other_action(&self) -> Option<&str> {
        let is_known = words::ACTIONS.iter().any(|(action, _)| *action == self.asked.action || words::noun(action) == self.asked.action);
        Some(self.asked.action.as_str()).filter(|action| !action.is_empty() && !is_known)
    }

    /// Buttons of the pages: word, relation, name in the query, place.
    fn pages(&self) -> [(&'static str, &'static str, &'static str, Option<&String>); 2] {
        [("Newer", "prev", "after", self.newer.as_ref()), ("Older", "next", "before", self.older.as_ref())]
    }
}

/// `GET /orgs/{slug}/audit-log`.
pub async fn index(member: Member, request: HttpRequest) -> Answer {
    show(Reader::of_member(member)?, request).await
}

/// `GET /support/audit-log`.
pub async fn index_all(staff: Staff, request: HttpRequest) -> Answer {
    show(Reader::of_staff(staff)?, request).await
}

async fn show(reader: Reader, request: HttpRequest) -> Answer {
    let (asked, is_part) = (Asked::of(&request), wants_fragment(&request));
    if let Some(id) = asked.open.as_ref().or(asked.row.as_ref()).filter(|_| is_part) {
        let entry = reader.entry(reader.parse(id)?).await?;
        let row = RowItem::new(entry, reader.own(), asked.open.is_some());
        return fragment(&Row { of_all: reader.organization.is_none(), frame: reader.frame, asked, base: reader.base, row });
    }
    let screen = screen(reader, asked).await?;
    match (screen.errors.is_empty(), is_part) {
        (false, _) => page_with_status(StatusCode::UNPROCESSABLE_ENTITY, &screen),
        (true, true) => fragment(&screen.as_log()),
        (true, false) => page(&screen),
    }
}

async fn screen(reader: Reader, mut asked: Asked) -> Result<Index> {
    let (own, of_all) = (reader.own(), reader.organization.is_none());
    let found = match asked.filter() {
        Ok(filter) => reader.scope(&asked).await.map(|scope| (filter, scope)),
        Err(error) => Err(error),
    };
    let (filter, scope) = match found {
        Ok(found) => found,
        // Filters that make no sense find nothing; what is wrong with them stands in the page.
        Err(Error::Invalid(errors)) => {
            let (frame, base) = (reader.frame, reader.base);
            return Ok(Index { frame, asked, base, of_all, rows: Vec::new(), newer: None, older: None, is_cut: false, errors });
        }
        Err(other) => return Err(other),
    };
    let open = asked.open.as_ref().map(|id| reader.parse(id)).transpose()?;
    let mut page = reader.page(scope, filter.clone(), asked.cursor(own)?, PAGE).await?;
    // The open row may have moved off the first page since its link was made: the page starts with it then.
    if let Some(id) = open.filter(|id| asked.is_first_page() && page.entries.iter().all(|entry| entry.id != *id)) {
        asked.begin = asked.open.clone();
        page = reader.page(scope, filter, Some(Cursor::From(id)), PAGE).await?;
    }
    let name = |id| asked::text(id, own);
    let (newer, older) = (page.newer.map(name), page.older.map(name));
    let rows = page.entries.into_iter().map(|entry| {
        let is_open = open == Some(entry.id);
        RowItem::new(entry, own, is_open)
    });
    let (rows, frame, base) = (rows.collect(), reader.frame, reader.base);
    Ok(Index { frame, asked, base, of_all, rows, newer, older, is_cut: page.is_cut, errors: Vec::new() })
}
