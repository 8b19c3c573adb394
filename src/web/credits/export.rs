//! The ledger as a file, with the filters of the page.

use std::rc::Rc;

use actix_web::HttpRequest;
use actix_web::web::Query;
use time::macros::format_description;

use super::Asked;
use crate::clock::rfc3339;
use crate::credits::{Entry, ledger};
use crate::profile::Profile;
use crate::web::csv::{self, Cell, Rows};
use crate::web::support::note_export;
use crate::web::{Answer, Member};

/// Entries that are read at a time.
const CHUNK: i64 = 4_000;
const NAMES: [&str; 11] =
    ["entry_id", "at", "kind", "available", "held", "available_after", "held_after", "job_id", "request_id", "actor", "note"];

/// `GET …/credits/entries.csv`: what the page lists, oldest first, up to the newest entry there is at this moment.
pub async fn export(member: Member, request: HttpRequest, asked: Query<Asked>) -> Answer {
    let filter = asked.filter(member.frame.now)?;
    let organization = member.organization.id;
    note_export(&member, &request, "entries.csv").await?;
    let whole = member.site.db.run(move |conn| ledger::stretch(conn, organization, &filter)).await?;
    let today = member.frame.now.format(format_description!("[year]-[month]-[day]")).unwrap_or_default();
    let name = format!("{}-credits-{today}.csv", member.organization.slug);
    let site = Rc::new(member.site);
    let next = move |stretch| {
        let site = Rc::clone(&site);
        async move {
            let read = move |conn: &mut _| ledger::next_entries(conn, organization, filter.kind, stretch, CHUNK);
            let (entries, next) = site.db.run(read).await?;
            let mut rows = Rows::default();
            entries.iter().for_each(|entry| add(&mut rows, &site.profile, entry));
            Ok((rows, next))
        }
    };
    Ok(csv::download(&request, &name, &NAMES, whole, next))
}

fn add(rows: &mut Rows, profile: &Profile, entry: &Entry) {
    let (id, at) = (entry.id(), rfc3339(entry.at));
    let (job, request) = (entry.job_id.map(|id| profile.public_job_id(id)), entry.request_id.map(|id| id.to_string()));
    rows.add(&[
        Cell::Text(&id),
        Cell::Text(&at),
        Cell::Text(&entry.kind),
        Cell::Number(entry.amount),
        Cell::Number(entry.held_amount),
        Cell::Number(entry.available_after),
        Cell::Number(entry.held_after),
        job.as_deref().map_or(Cell::Empty, Cell::Text),
        request.as_deref().map_or(Cell::Empty, Cell::Text),
        Cell::Text(&entry.actor),
        Cell::Text(&entry.note),
    ]);
}
