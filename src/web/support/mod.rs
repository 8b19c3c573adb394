//! The console of the staff: finding an organization, looking at it, and what operators do to it.

mod actions;
mod making;
mod organization;

use actix_web::http::Method;
use actix_web::web::{Form, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde::Deserialize;
use time::macros::format_description;
use url::form_urlencoded::Serializer;

pub use actions::{act, confirm};
pub use making::{ask as ask_organization, make as make_organization};
pub use organization::{end, open, show};

use super::{Answer, Flash, Frame, Member, Section, Staff, Tone, filters, page, see_other, see_other_with};
use crate::actor::StaffRole;
use crate::clock;
use crate::error::Result;
use crate::ids::{OrgId, RequestId, uuid_time};
use crate::support::{self, Found, Results, Wanted, Why};

/// The list, or what was found.
#[derive(Template)]
#[template(path = "support/index.html")]
struct Index {
    frame: Frame,
    wanted: Wanted,
    results: Results,
    /// Before which there are older ones, in the list of all.
    older: Option<OrgId>,
    /// Whether it is the first page of that list.
    is_first: bool,
    is_operator: bool,
}

impl Index {
    /// Where a row leads: a request is kept in mind until the organization is open.
    fn link(&self, found: &Found) -> String {
        let request = found.why.iter().find_map(|why| if let Why::Request(id) = why { Some(format!("?request={id}")) } else { None });
        format!("/support/organizations/{}{}", found.organization.slug, request.unwrap_or_default())
    }

    /// What it was found by: a word, and its text.
    fn because(&self, why: &Why) -> (&'static str, String) {
        match why {
            Why::Name => ("name", String::new()),
            Why::Slug => ("slug", String::new()),
            Why::Key(prefix) => ("key", format!("{prefix}…")),
            Why::Member(address) => ("member", address.clone()),
            Why::Request(id) => ("request", id.to_string()),
        }
    }
}

/// The query of the page, and the form that leads to it.
#[derive(Deserialize)]
pub struct Asked {
    #[serde(default)]
    q: String,
    before: Option<String>,
}

/// `GET /support`.
pub async fn index(staff: Staff, asked: Query<Asked>) -> Answer {
    let Staff { person, role } = staff;
    let wanted = Wanted::read(&person.site.profile, &asked.q);
    if wanted.was_cut() {
        // An address without the secret takes the place of this one in the browser's history.
        return Ok(on_to(&wanted));
    }
    let (actor, looked, before) = (person.actor.clone(), wanted.clone(), asked.before.as_deref().and_then(OrgId::parse));
    let look = move |conn: &mut _| match looked.text() {
        "" => support::newest(conn, &actor, before).map(|(found, older)| (Results { found, is_more: false }, older)),
        _ => Ok((support::search(conn, &actor, &looked)?, None)),
    };
    let (results, older) = person.site.db.run(look).await?;
    let (frame, is_operator) = (person.frame.in_section(Section::Organizations), role == StaffRole::Operator);
    page(&Index { frame, wanted, results, older, is_first: before.is_none(), is_operator })
}

/// `POST /support/searches`: on to the address of what may be asked. What was typed stands in none, since it may be a whole key.
pub async fn search(staff: Staff, asked: Option<Form<Asked>>) -> Answer {
    let typed = asked.map(|form| form.into_inner().q).unwrap_or_default();
    Ok(on_to(&Wanted::read(&staff.person.site.profile, &typed)))
}

/// On to what was found. Who typed more of a key than people see of it is told.
fn on_to(wanted: &Wanted) -> HttpResponse {
    let address = Serializer::for_suffix("/support?".to_owned(), 9).append_pair("q", wanted.text()).finish();
    if !wanted.was_cut() {
        return see_other(&address);
    }
    let result = format!("Only {}… was searched for.", wanted.text());
    let next = "More of a key than its start is a secret, and nobody needs to see it: who sent it should rotate it.".into();
    see_other_with(&address, Flash { tone: Tone::Wait, result, next })
}

/// The Usage tab with this request open in it, on the day that its id tells.
fn usage_link(slug: &str, id: RequestId) -> String {
    let day = uuid_time(id.0).and_then(|at| at.format(format_description!("[year]-[month]-[day]")).ok()).unwrap_or_default();
    format!("/orgs/{slug}/usage?period=custom&from={day}&to={day}&open={id}#r-{id}")
}

/// Staff who take a file away are noted in the organization's own log, before the file begins.
///
/// # Errors
/// Those of the database: no file without its entry.
pub async fn note_export(member: &Member, request: &HttpRequest, file: &'static str) -> Result<()> {
    if member.frame.visit.is_none() || request.method() == Method::HEAD {
        return Ok(());
    }
    let (actor, organization) = (member.actor.clone(), member.organization.id);
    member.site.db.run(move |conn| support::exported(conn, &actor, clock::now(), organization, file)).await
}
