//! The tab Usage: what was consumed, the request history, and why each request was answered as it was.

mod asked;
mod consumption;
mod export;
mod live;
mod rows;
mod why;

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use askama::Template;
use time::OffsetDateTime;

use super::{Answer, Frame, Member, Tab, filters, fragment, page, page_with_status, wants_fragment};
use crate::db;
use crate::error::{Error, FieldError, Result};
use crate::ids::{KeyId, RequestId};
use crate::keys::{self, Key};
use crate::profile::Profile;
use crate::usage::{self, Address, Consumption, Cursor, Filter, Page, Span};
use asked::Asked;
use consumption::{Charts, KeyLabel, Section};
pub use export::export;
pub use live::live;
use rows::{Prefixes, Row, RowItem};
use why::Why;

/// Requests on a page.
const PAGE: usize = 50;
/// Keys in the list to choose from.
const CHOICES: usize = 100;

/// The request history, on the page or by itself.
struct History {
    rows: Vec<RowItem>,
    newer: Option<RequestId>,
    older: Option<RequestId>,
    /// Looking stopped before the page was full.
    is_cut: bool,
    /// Where new rows come from, where they belong to what is shown.
    live: Option<String>,
    /// Days that are kept, where the period asks for more.
    kept_days: Option<u16>,
    /// Whether the charts of the same period and filters have anything.
    is_consumed: bool,
}

/// The request history alone, for htmx: turning its pages asks for no charts.
#[derive(Template)]
#[template(path = "usage/_history.html")]
struct Pages {
    frame: Frame,
    asked: Asked,
    history: History,
    example: String,
}

impl Pages {
    fn link(&self) -> String {
        self.asked.link(&self.frame)
    }

    fn here(&self) -> String {
        self.asked.here(&self.frame)
    }
}

/// The page.
#[derive(Template)]
#[template(path = "usage/index.html", blocks = ["usage"])]
struct Index {
    frame: Frame,
    asked: Asked,
    keys: Vec<Key>,
    /// None where the filters make no sense.
    shown: Option<Shown>,
    example: String,
    profile: Arc<Profile>,
    /// What was wrong with the filters.
    errors: Vec<FieldError>,
}

/// What the filters let through.
struct Shown {
    charts: Charts,
    /// Routes that the charts are of where they can't be of the path that was asked for.
    of_routes: Option<Vec<String>>,
    history: History,
}

impl Index {
    fn tab(&self) -> Tab {
        Tab::Usage
    }

    fn link(&self) -> String {
        self.asked.link(&self.frame)
    }

    fn here(&self) -> String {
        self.asked.here(&self.frame)
    }

    fn in_period(&self, period: &str) -> String {
        self.frame.path("usage") + &self.asked.query_with(period)
    }

    fn error(&self, field: &str) -> bool {
        self.errors.iter().any(|error| error.field == field)
    }

    fn environments(&self) -> Vec<&str> {
        self.profile.keys.environments.iter().map(|environment| environment.name.as_str()).collect()
    }

    fn example_path(&self) -> String {
        self.profile.routes.first().map_or_else(|| "/".into(), |route| self.profile.full_path(route))
    }

    fn routes(&self) -> Vec<String> {
        let of_partners = self.profile.routes.iter().map(|route| self.profile.route_name(route));
        of_partners.chain(usage::verify_routes(&self.profile)).collect()
    }
}

/// `GET …/usage`.
pub async fn index(member: Member, request: HttpRequest) -> Answer {
    let asked = Asked::of(&request);
    let filter = match asked.filter(&member.site.profile, member.frame.now) {
        Ok(filter) => filter,
        Err(Error::Invalid(errors)) => return page_with_status(StatusCode::UNPROCESSABLE_ENTITY, &senseless(member, asked, errors).await?),
        Err(other) => return Err(other.into()),
    };
    if !wants_fragment(&request) {
        return page(&screen(member, asked, filter).await?);
    }
    if let Some(id) = asked.open.as_ref().or(asked.row.as_ref()) {
        let row = RowItem::read(&member, RequestId::parse(id).ok_or(Error::NotFound)?, asked.open.is_some()).await?;
        return fragment(&Row { frame: member.frame, asked, row });
    }
    let target = request.headers().get("HX-Target").map_or(&b""[..], |target| target.as_bytes());
    if target.ends_with(b"#history") {
        let (organization, profile) = (member.organization.id, member.site.profile.clone());
        let ((filter, span), cursor) = (filter, asked.cursor()?);
        let read = move |conn: &mut _| {
            db::snapshot(conn, |conn| {
                let page = usage::history(conn, organization, &profile, &filter, cursor, PAGE)?;
                Ok((page, usage::key_prefixes(conn, organization)?))
            })
        };
        let (page, prefixes) = member.site.db.run(read).await?;
        let history = History { is_consumed: true, ..history(&member, &asked, span, page, &prefixes).await? };
        let example = super::keys::first_request(&member.site);
        return fragment(&Pages { frame: member.frame, asked, history, example });
    }
    if target.ends_with(b"#consumption") {
        let (organization, profile, by) = (member.organization.id, member.site.profile.clone(), asked.by());
        let read = move |conn: &mut _| {
            db::snapshot(conn, |conn| {
                let told = usage::consumption(conn, organization, &profile, &filter.0, filter.1, by)?;
                Ok((told, keys::all(conn, organization)?))
            })
        };
        let (told, keys) = member.site.db.run(read).await?;
        return fragment(&Section { charts: charts(&member, &asked, &told, &keys) });
    }
    fragment(&screen(member, asked, filter).await?.as_usage())
}

fn charts(member: &Member, asked: &Asked, told: &Consumption, keys: &[Key]) -> Charts {
    let link = Asked { by: String::new(), ..asked.clone() }.link(&member.frame);
    Charts::of(told, member.frame.now, asked.by(), link, |key| label(keys, &member.site.profile, key))
}

/// The page for filters that make no sense: they stand as they were typed, with what is wrong.
async fn senseless(member: Member, asked: Asked, errors: Vec<FieldError>) -> Result<Index> {
    let organization = member.organization.id;
    let keys = member.site.db.run(move |conn| keys::all(conn, organization)).await?;
    let (example, profile) = (super::keys::first_request(&member.site), member.site.profile.clone());
    Ok(Index { keys: choices(keys, &asked, member.frame.now), frame: member.frame, asked, shown: None, example, profile, errors })
}

/// Keys to choose from: those of use, the newest first, then ended ones, and always the one that is chosen. All others are found by their
/// requests.
fn choices(mut keys: Vec<Key>, asked: &Asked, now: OffsetDateTime) -> Vec<Key> {
    keys.sort_by_key(|key| (key.id.to_string() != asked.key, key.status(now).is_ended()));
    keys.truncate(CHOICES);
    keys
}

async fn screen(member: Member, asked: Asked, (filter, span): (Filter, Span)) -> Result<Index> {
    let (organization, now, profile) = (member.organization.id, member.frame.now, member.site.profile.clone());
    let (cursor, by) = (asked.cursor()?, asked.by());
    let mut asked = asked;
    let open = asked.open.as_deref().and_then(RequestId::parse);
    let of_routes = match &filter.address {
        Some(Address::Path(path)) => Some(Address::routes_of(&profile, path)),
        _ => None,
    };
    // Under one snapshot: the charts and the list are of the same moment.
    let read = move |conn: &mut _| {
        db::snapshot(conn, |conn| {
            let (page, cursor) = usage::history_with(conn, organization, &profile, &filter, (cursor, open), PAGE)?;
            let told = usage::consumption(conn, organization, &profile, &filter, span, by)?;
            Ok((page, cursor, told, usage::key_prefixes(conn, organization)?, keys::all(conn, organization)?))
        })
    };
    let (page, cursor, told, prefixes, keys) = member.site.db.run(read).await?;
    if let Some(Cursor::Before(id)) = cursor {
        asked.before = Some(id.to_string());
    }
    let charts = charts(&member, &asked, &told, &keys);
    let is_consumed = told.total.requests() > 0;
    let history = History { is_consumed, ..history(&member, &asked, span, page, &prefixes).await? };
    let example = super::keys::first_request(&member.site);
    let (shown, keys, profile) = (Some(Shown { charts, of_routes, history }), choices(keys, &asked, now), member.site.profile.clone());
    Ok(Index { frame: member.frame, asked, keys, shown, example, profile, errors: Vec::new() })
}

async fn history(member: &Member, asked: &Asked, span: Span, page: Page, prefixes: &Prefixes) -> Result<History> {
    let now = member.frame.now;
    let Page { requests, newer, older, is_cut } = page;
    let newest = requests.first().map(|request| request.id);
    let mut rows: Vec<RowItem> = requests.into_iter().map(|request| RowItem::new(request, prefixes)).collect();
    let open = asked.open.as_deref().and_then(RequestId::parse);
    if let Some(row) = rows.iter_mut().find(|row| Some(row.request.id) == open) {
        row.why = Some(Why::load(member, &row.request).await?);
    }
    let top = newest.map_or_else(String::new, |id| format!("&top={id}"));
    let is_live = asked.is_first_page() && span.to > now;
    let live = is_live.then(|| format!("{}/live{}{top}", member.frame.path("usage"), asked.query()));
    let days = member.site.retention.history_days;
    let is_beyond = usage::day(span.from) < usage::day(now - time::Duration::days(days.into()));
    Ok(History { rows, newer, older, is_cut, live, kept_days: is_beyond.then_some(days), is_consumed: false })
}

fn label(keys: &[Key], profile: &Profile, id: KeyId) -> KeyLabel {
    match keys.iter().find(|key| key.id == id) {
        Some(key) => {
            let name = if key.has_own_name(profile) { key.name.clone() } else { String::new() };
            KeyLabel { prefix: key.prefix.clone(), name }
        }
        None => KeyLabel { prefix: id.to_string(), name: String::new() },
    }
}
