//! `credits.read`, `credits.entries`.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::Call;
use super::answer::Reply;
use super::query::Parameters;
use crate::clock::rfc3339;
use crate::credits::ledger::{self, Cursor, Filter};
use crate::credits::{self, Entry, EntryKind};
use crate::error::Result;
use crate::profile::{Profile, Route};

/// An entry, under the names that the route has for its members.
struct EntryBody<'a> {
    route: &'a Route,
    profile: &'a Profile,
    entry: Entry,
}

impl Serialize for EntryBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let Self { route, profile, entry } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &entry.id())?;
        map.serialize_entry("at", &rfc3339(entry.at))?;
        map.serialize_entry(route.name("kind"), &entry.kind)?;
        map.serialize_entry("amount", &entry.amount)?;
        map.serialize_entry("held_amount", &entry.held_amount)?;
        map.serialize_entry("available_after", &entry.available_after)?;
        map.serialize_entry("request_id", &entry.request_id)?;
        map.serialize_entry("job_id", &entry.job_id.map(|id| profile.public_job_id(id)))?;
        map.serialize_entry("note", &entry.note)?;
        map.end()
    }
}

/// A page of them.
struct EntriesBody<'a> {
    route: &'a Route,
    entries: Vec<EntryBody<'a>>,
    next_cursor: Option<String>,
}

impl Serialize for EntriesBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry(self.route.name("entries"), &self.entries)?;
        map.serialize_entry(self.route.name("next_cursor"), &self.next_cursor)?;
        map.end()
    }
}

pub(super) async fn read(call: &Call<'_>) -> Result<Reply> {
    let organization = call.key.organization;
    let balance = call.partner.site.db.run(move |conn| credits::balance(conn, organization)).await?;
    Reply::ok(&balance)
}

pub(super) async fn entries(call: &Call<'_>) -> Result<Reply> {
    let mut parameters = Parameters::of(call);
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
    let (route, profile) = (&call.way.route, call.profile());
    let entries = page.entries.into_iter().map(|entry| EntryBody { route, profile, entry }).collect();
    Reply::ok(&EntriesBody { route, entries, next_cursor: page.older.map(credits::entry_id) })
}
