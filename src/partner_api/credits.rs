//! `credits.read`, `credits.entries`.

use serde::Serialize;

use super::Call;
use super::answer::Reply;
use super::query::Parameters;
use crate::clock::rfc3339;
use crate::credits::ledger::{self, Cursor, Filter};
use crate::credits::{self, EntryKind};
use crate::error::Result;
use crate::profile::Profile;

#[derive(Serialize)]
struct EntryBody {
    id: String,
    at: String,
    kind: String,
    amount: i64,
    held_amount: i64,
    available_after: i64,
    request_id: Option<String>,
    job_id: Option<String>,
    note: String,
}

#[derive(Serialize)]
struct EntriesBody {
    entries: Vec<EntryBody>,
    next_cursor: Option<String>,
}

pub(super) async fn read(call: &Call<'_>) -> Result<Reply> {
    let organization = call.key.organization;
    let balance = call.partner.site.db.run(move |conn| credits::balance(conn, organization)).await?;
    Reply::ok(&balance)
}

pub(super) async fn entries(call: &Call<'_>) -> Result<Reply> {
    let mut parameters = Parameters::of(call.request);
    let limit = parameters.limit();
    let cursor = parameters.take("cursor", "Send next_cursor of the page before.", credits::parse_entry_id);
    let filter = Filter {
        kind: parameters.take("kind", "Send grant, hold, settle, release or adjust.", EntryKind::parse),
        from: parameters.moment("from"),
        to: parameters.moment("to"),
    };
    parameters.check()?;
    let organization = call.key.organization;
    let read = move |conn: &mut _| ledger::page(conn, organization, &filter, cursor.map(Cursor::Before), limit);
    let page = call.partner.site.db.run(read).await?;
    let next_cursor = page.older.map(credits::entry_id);
    let entries = page.entries.into_iter().map(|entry| body(call.profile(), entry)).collect();
    Reply::ok(&EntriesBody { entries, next_cursor })
}

fn body(profile: &Profile, entry: credits::Entry) -> EntryBody {
    EntryBody {
        id: entry.id(),
        at: rfc3339(entry.at),
        amount: entry.amount,
        held_amount: entry.held_amount,
        available_after: entry.available_after,
        request_id: entry.request_id.map(|id| id.to_string()),
        job_id: entry.job_id.map(|id| profile.public_job_id(id)),
        kind: entry.kind,
        note: entry.note,
    }
}
