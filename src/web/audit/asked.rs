//! The query of the log: filters and place live in the URL, so that a view can be kept and sent.

use actix_web::HttpRequest;
use actix_web::web::Query;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Date, Duration, OffsetDateTime, Time};
use url::form_urlencoded::Serializer;
use uuid::Uuid;

use crate::actor::ActorKind;
use crate::audit::read::{Cursor, EntryId, Filter};
use crate::error::{Error, FieldError, Result};

const DAY: &[BorrowedFormatItem<'static>] = format_description!("[year]-[month]-[day]");
/// Years that a period may be of: PostgreSQL's times end where five digits of a year begin.
const YEARS: std::ops::RangeInclusive<i32> = 1970..=9998;
/// Characters of the longest text to look for, as its field has it.
const TEXT: usize = 200;

/// Kinds of actors as people read them.
pub const KINDS: [(ActorKind, &str); 5] = [
    (ActorKind::User, "People"),
    (ActorKind::Staff, "Support"),
    (ActorKind::Key, "API keys"),
    (ActorKind::CommandLine, "Command line"),
    (ActorKind::System, "Latchkey itself"),
];

/// The query of the page and of its file.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    pub kind: String,
    pub actor: String,
    pub action: String,
    pub target: String,
    /// First and last day, each may be missing.
    pub from: String,
    pub to: String,
    /// For staff: a slug, or a hyphen for the deployment itself.
    pub organization: String,
    pub before: Option<String>,
    /// The page starts with this one.
    pub begin: Option<String>,
    pub after: Option<String>,
    /// The row that is open.
    pub open: Option<String>,
    /// The row that htmx wants closed again.
    pub row: Option<String>,
}

impl Asked {
    /// Of a request; of a name that comes twice, the last.
    pub fn of(request: &HttpRequest) -> Self {
        let pairs = Query::<Vec<(String, String)>>::from_query(request.query_string()).map(Query::into_inner).unwrap_or_default();
        let mut asked = Self::default();
        for (name, value) in pairs {
            // No text of the database holds one.
            let value = value.replace('\0', "").trim().to_owned();
            match name.as_str() {
                "kind" => asked.kind = value,
                "actor" => asked.actor = value,
                "action" => asked.action = value,
                "target" => asked.target = value,
                "from" => asked.from = value,
                "to" => asked.to = value,
                "organization" => asked.organization = value,
                "before" => asked.before = Some(value),
                "begin" => asked.begin = Some(value),
                "after" => asked.after = Some(value),
                "open" => asked.open = Some(value),
                "row" => asked.row = Some(value),
                _ => {}
            }
        }
        asked
    }

    /// What it asks for. Whatever is wrong is told at once.
    pub fn filter(&self) -> Result<Filter> {
        let mut wrong = Vec::new();
        let mut note = |field: &'static str, message: String| wrong.push(FieldError { field: field.into(), message });
        let kind = ActorKind::parse(&self.kind);
        if kind.is_none() && !self.kind.is_empty() {
            let kinds = ActorKind::ALL.map(ActorKind::as_str).join(", ");
            note("kind", format!("{:?} is no kind of actor. There are: {kinds}.", self.kind));
        }
        if !self.action.is_empty() && !is_action(&self.action) {
            note("action", format!("{:?} is no action. Ask for one as key.rotated, or for a noun as key.", self.action));
        }
        for (field, text) in [("actor", &self.actor), ("target", &self.target)] {
            if text.chars().count() > TEXT {
                note(field, format!("Look for at most {TEXT} characters."));
            }
        }
        let (mut from, mut to) = (None, None);
        for (field, text, begin) in [("from", &self.from, &mut from), ("to", &self.to, &mut to)] {
            match day(text) {
                Ok(found) => *begin = found,
                Err(message) => note(field, message),
            }
        }
        if from.zip(to).is_some_and(|(from, to)| from > to) {
            note("to", format!("{} is before {}. Choose a last day that is not before the first.", self.to, self.from));
        }
        // The last day is in it whole.
        let to = to.and_then(|to: OffsetDateTime| to.checked_add(Duration::DAY));
        let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let filter = Filter { kind, actor: given(&self.actor), action: given(&self.action), target: given(&self.target), from, to };
        if wrong.is_empty() { Ok(filter) } else { Err(Error::Invalid(wrong)) }
    }

    /// Where the page starts; an id without a chain is of `own`.
    pub fn cursor(&self, own: Option<Uuid>) -> Result<Option<Cursor>> {
        let place = |text: &String| parse(text, own).ok_or(Error::NotFound);
        Ok(match (&self.before, &self.begin, &self.after) {
            (Some(id), ..) => Some(Cursor::Before(place(id)?)),
            (_, Some(id), _) => Some(Cursor::From(place(id)?)),
            (.., Some(id)) => Some(Cursor::After(place(id)?)),
            _ => None,
        })
    }

    pub fn is_filtered(&self) -> bool {
        self.filters().iter().any(|(_, value)| !value.is_empty())
    }

    pub fn is_first_page(&self) -> bool {
        self.before.is_none() && self.begin.is_none() && self.after.is_none()
    }

    fn filters(&self) -> [(&'static str, &str); 7] {
        [
            ("kind", &self.kind),
            ("actor", &self.actor),
            ("action", &self.action),
            ("target", &self.target),
            ("from", &self.from),
            ("to", &self.to),
            ("organization", &self.organization),
        ]
    }

    /// `?kind=staff&action=key&`: these filters, for a place to be added.
    pub fn query(&self) -> String {
        let mut query = Serializer::for_suffix("?".to_owned(), 1);
        for (name, value) in self.filters().iter().filter(|(_, value)| !value.is_empty()) {
            query.append_pair(name, value);
        }
        let query = query.finish();
        if query.len() == 1 { query } else { query + "&" }
    }

    /// The same at this place.
    pub fn query_here(&self) -> String {
        let places = [("before", &self.before), ("begin", &self.begin), ("after", &self.after)];
        let place = places.iter().find_map(|(name, id)| id.as_ref().map(|id| format!("{name}={id}&")));
        self.query() + &place.unwrap_or_default()
    }
}

/// `aud_12`, which is of `own`, or with the chain behind it; the inverse of [`text`].
pub fn parse(text: &str, own: Option<Uuid>) -> Option<EntryId> {
    let rest = text.strip_prefix("aud_")?;
    let (sequence, chain) = rest.split_once('_').map_or((rest, None), |(sequence, chain)| (sequence, Some(chain)));
    let sequence = sequence.parse().ok().filter(|sequence| *sequence > 0)?;
    let chain = chain.map_or(own, |chain| Uuid::try_parse(chain).ok())?;
    Some(EntryId { chain, sequence })
}

/// An entry's public id: `aud_12` in its organization's own log, with its chain behind it among those of others.
pub fn text(id: EntryId, own: Option<Uuid>) -> String {
    let EntryId { chain, sequence } = id;
    if own == Some(chain) { format!("aud_{sequence}") } else { format!("aud_{sequence}_{}", chain.simple()) }
}

/// `key`, `key.rotated`: whether there is such a one is for the log to say, which may have it from another version.
fn is_action(text: &str) -> bool {
    let words: Vec<&str> = text.split('.').collect();
    let is_word = |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    text.len() <= 60 && words.len() <= 2 && words.iter().all(is_word)
}

/// The beginning of a day in UTC; none of an empty text.
fn day(text: &str) -> std::result::Result<Option<OffsetDateTime>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let date = Date::parse(text, DAY).ok().filter(|date| YEARS.contains(&date.year()));
    date.map(|date| Some(date.with_time(Time::MIDNIGHT).assume_utc()))
        .ok_or_else(|| format!("{text:?} is not a day. Write it like 2026-11-20."))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn days_are_whole_and_what_is_wrong_is_named() {
        let asked = Asked { from: "2026-11-01".into(), to: "2026-11-01".into(), ..Asked::default() };
        let filter = asked.filter().expect("a filter");
        assert_eq!((filter.from, filter.to), (Some(datetime!(2026-11-01 0:00 UTC)), Some(datetime!(2026-11-02 0:00 UTC))));
        let (kind, action) = ("robot".into(), "Key Rotated".into());
        let asked = Asked { kind, action, from: "1.11.2026".into(), to: "9999-01-01".into(), ..Asked::default() };
        let Err(Error::Invalid(fields)) = asked.filter() else { panic!("a filter of nonsense") };
        assert_eq!(fields.iter().map(|field| &*field.field).collect::<Vec<_>>(), ["kind", "action", "from", "to"]);
    }

    #[test]
    fn an_entrys_id_is_read_as_it_is_written() {
        let (own, other) = (Uuid::from_u128(7), Uuid::from_u128(8));
        for (chain, text_of_it) in [(own, "aud_12"), (other, "aud_12_00000000000000000000000000000008")] {
            let id = EntryId { chain, sequence: 12 };
            assert_eq!(text(id, Some(own)), text_of_it);
            assert_eq!(parse(text_of_it, Some(own)), Some(id));
        }
        for nonsense in ["aud_0", "aud_-1", "12", "aud_1_x", "aud_99999999999999999999", ""] {
            assert_eq!(parse(nonsense, Some(own)), None, "{nonsense}");
        }
        assert_eq!(parse("aud_1", None), None);
    }
}
