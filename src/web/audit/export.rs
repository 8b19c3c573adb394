//! The log as a file, with the filters of the page.

use std::rc::Rc;

use actix_web::HttpRequest;
use actix_web::http::Method;
use serde_json::Value;
use time::macros::format_description;

use super::asked::{self, Asked};
use super::reader::Reader;
use crate::audit::read::{Cursor, Entry};
use crate::audit::verify;
use crate::clock::rfc3339;
use crate::error::Result;
use crate::support;
use crate::web::csv::{self, Cell, Rows};
use crate::web::support::note_export;
use crate::web::{Answer, Member, Staff};

/// Entries that are read at a time.
const CHUNK: usize = 2_000;
const NAMES: [&str; 15] = [
    "entry_id",
    "at",
    "organization",
    "actor_kind",
    "actor",
    "action",
    "target_id",
    "target",
    "address",
    "user_agent",
    "before",
    "after",
    "sequence",
    "hash",
    "previous_hash",
];

/// `GET …/audit-log/entries.csv`: what the page lists, all of it, newest first. What comes meanwhile is left out.
pub async fn export(member: Member, request: HttpRequest) -> Answer {
    let slug = member.organization.slug.clone();
    note_export(&member, &request, "audit-log/entries.csv").await?;
    send(Reader::of_member(member)?, request, &slug).await
}

/// `GET /support/audit-log/entries.csv`: the same of all organizations.
pub async fn export_all(staff: Staff, request: HttpRequest) -> Answer {
    let reader = Reader::of_staff(staff)?;
    if request.method() != Method::HEAD {
        let (actor, now) = (reader.actor.clone(), reader.frame.now);
        reader.site.db.run(move |conn| support::exported_all(conn, &actor, now, "audit-log/entries.csv")).await?;
    }
    send(reader, request, "all").await
}

async fn send(reader: Reader, request: HttpRequest, whose: &str) -> Answer {
    let asked = Asked::of(&request);
    let (filter, scope) = (asked.filter()?, reader.scope(&asked).await?);
    // Read before the answer begins, so that a database that is away is told as such.
    reader.page(scope, filter.clone(), None, 1).await?;
    let today = reader.frame.now.format(format_description!("[year]-[month]-[day]")).unwrap_or_default();
    let (name, reader) = (format!("{whose}-audit-log-{today}.csv"), Rc::new(reader));
    Ok(csv::download(&request, &name, &NAMES, None, move |cursor| {
        let (reader, filter) = (Rc::clone(&reader), filter.clone());
        async move {
            let page = reader.page(scope, filter, cursor, CHUNK).await?;
            let mut rows = Rows::default();
            page.entries.iter().try_for_each(|entry| add(&mut rows, &reader, entry))?;
            Ok((rows, page.older.map(|id| Some(Cursor::Before(id)))))
        }
    }))
}

fn add(rows: &mut Rows, reader: &Reader, entry: &Entry) -> Result<()> {
    let json = |value: &Value| if value.is_null() { String::new() } else { value.to_string() };
    let (id, at) = (asked::text(entry.id, reader.own()), rfc3339(entry.at));
    rows.add(&[
        Cell::Text(&id),
        Cell::Text(&at),
        entry.organization.as_ref().map_or(Cell::Empty, |(slug, _)| Cell::Text(slug)),
        entry.actor_kind.map_or(Cell::Empty, |kind| Cell::Text(kind.as_str())),
        Cell::Text(&entry.actor),
        Cell::Text(&entry.action),
        Cell::Text(&entry.target_id),
        Cell::Text(&entry.target),
        entry.address.as_deref().map_or(Cell::Empty, Cell::Text),
        entry.user_agent.as_deref().map_or(Cell::Empty, Cell::Text),
        Cell::Text(&json(&entry.before)),
        Cell::Text(&json(&entry.after)),
        Cell::Number(entry.id.sequence),
        Cell::Text(&verify::hex_text(&entry.hash)),
        Cell::Text(&verify::hex_text(&entry.previous_hash)),
    ]);
    Ok(())
}
