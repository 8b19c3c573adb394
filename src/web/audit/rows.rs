//! Rows of the log, and what an opened one shows.

use askama::Template;
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::asked::{self, Asked};
use crate::actor::ActorKind;
use crate::audit::read::Entry;
use crate::audit::{verify, words};
use crate::web::{Frame, filters};

/// One entry.
pub struct RowItem {
    pub entry: Entry,
    /// As the page names it.
    pub id: String,
    pub is_open: bool,
}

/// One field that changed, as people read it.
pub struct Change {
    pub field: String,
    pub before: String,
    pub after: String,
}

/// One row, for htmx.
#[derive(Template)]
#[template(path = "audit/_row.html")]
pub struct Row {
    pub frame: Frame,
    pub asked: Asked,
    pub base: String,
    pub of_all: bool,
    pub row: RowItem,
}

impl Row {
    fn here(&self) -> String {
        format!("{}{}", self.base, self.asked.query_here())
    }
}

impl RowItem {
    pub fn new(entry: Entry, own: Option<Uuid>, is_open: bool) -> Self {
        Self { id: asked::text(entry.id, own), entry, is_open }
    }

    pub fn sentence(&self) -> &str {
        words::sentence(&self.entry.action)
    }

    /// Staff who were in an organization that is not their own.
    pub fn is_support(&self) -> bool {
        self.entry.actor_kind == Some(ActorKind::Staff)
    }

    /// What the actor is, for the opened row.
    pub fn actor_kind(&self) -> &'static str {
        match self.entry.actor_kind {
            Some(ActorKind::User) => "person",
            Some(ActorKind::Staff) => "support",
            Some(ActorKind::Key) => "API key",
            Some(ActorKind::CommandLine) => "at the command line of the machine",
            Some(ActorKind::System) => "by itself",
            None => "unknown",
        }
    }

    /// Why it was done, where somebody had to say it.
    pub fn reason(&self) -> Option<&str> {
        self.entry.after.get("reason").and_then(Value::as_str).filter(|reason| !reason.is_empty())
    }

    /// What the row's link is called; it has to have the time in it, which is what it shows.
    pub fn name(&self, now: &OffsetDateTime) -> String {
        let at = filters::instant_text(self.entry.at, *now);
        format!("{} {}, {at}", self.sentence(), self.entry.target)
    }

    pub fn hash(&self) -> String {
        verify::hex_text(&self.entry.hash)
    }

    /// The first of its digits, which is enough for eyes.
    pub fn short_hash(&self) -> String {
        self.hash().chars().take(16).collect()
    }

    pub fn short_previous(&self) -> String {
        verify::hex_text(&self.entry.previous_hash).chars().take(16).collect()
    }

    /// The fields that changed.
    pub fn changes(&self) -> Vec<Change> {
        let (before, after) = (&self.entry.before, &self.entry.after);
        let names = |value: &Value| value.as_object().map(|fields| fields.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
        let mut fields = names(before);
        fields.extend(names(after));
        fields.sort_unstable();
        fields.dedup();
        let told = fields.into_iter().filter(|field| before.get(field) != after.get(field));
        told.map(|field| Change { before: shown(before.get(&field)), after: shown(after.get(&field)), field: field.replace('_', " ") })
            .collect()
    }
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "–".into(),
        Some(Value::String(text)) if text.is_empty() => "–".into(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(true)) => "yes".into(),
        Some(Value::Bool(false)) => "no".into(),
        Some(Value::Array(items)) if items.is_empty() => "none".into(),
        Some(Value::Array(items)) => items.iter().map(|item| shown(Some(item))).collect::<Vec<_>>().join(", "),
        Some(other) => other.to_string(),
    }
}
