//! One organization: why somebody of the staff wants to look at it, and what is open of it.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Form, Path, Query};
use askama::Template;
use serde::Deserialize;

use super::{filters, usage_link};
use crate::actor::StaffRole;
use crate::error::{Error, Result};
use crate::ids::RequestId;
use crate::support::{self, Console};
use crate::web::{Answer, Flash, Frame, Person, Section, Staff, Tab, WebError, page_with_status, see_other, see_other_with};

/// The page.
#[derive(Template)]
#[template(path = "support/organization.html")]
struct Show {
    frame: Frame,
    console: Console,
    /// Whole minutes that the visit lasts, rounded up.
    minutes: i64,
    /// The request that was searched for.
    request: Option<RequestId>,
    reason: String,
    /// What is wrong with it.
    problem: Option<String>,
    is_operator: bool,
}

impl Show {
    async fn read(person: Person, slug: String, request: Option<RequestId>) -> Result<Self> {
        let (actor, now) = (person.actor.clone(), person.frame.now);
        let is_operator = actor.require_staff(StaffRole::Operator).is_ok();
        let console = person.site.db.run(move |conn| support::console(conn, &actor, now, &slug)).await?;
        let minutes = console.visit.as_ref().map_or(0, |visit| ((visit.ends_at - now).whole_seconds() + 59) / 60);
        let frame = person.frame.in_section(Section::Organizations);
        Ok(Self { frame, console, minutes, request, reason: String::new(), problem: None, is_operator })
    }

    fn slug(&self) -> &str {
        &self.console.organization.slug
    }

    /// Path below its page in the console.
    fn at(&self, rest: &str) -> String {
        format!("/support/organizations/{}/{rest}", self.slug())
    }

    fn found(&self) -> Option<(RequestId, String)> {
        self.request.map(|id| (id, usage_link(self.slug(), id)))
    }
}

/// The query of the page.
#[derive(Deserialize)]
pub struct Asked {
    request: Option<String>,
}

/// `GET /support/organizations/{slug}`.
pub async fn show(staff: Staff, slug: Path<String>, asked: Query<Asked>) -> Answer {
    let request = asked.into_inner().request.as_deref().and_then(RequestId::parse);
    page_with_status(StatusCode::OK, &Show::read(staff.person, slug.into_inner(), request).await?)
}

/// The page as it is now, with what was not done and why on top: 409.
pub(super) async fn refused(mut person: Person, slug: String, result: &str, why: String) -> Answer {
    person.frame.flash = Some(Flash::fail(result, why));
    page_with_status(StatusCode::CONFLICT, &Show::read(person, slug, None).await?)
}

/// The form.
#[derive(Default, Deserialize)]
pub struct Reason {
    #[serde(default)]
    reason: String,
    request: Option<String>,
}

/// `POST /support/organizations/{slug}/visits`: on to its tabs.
pub async fn open(staff: Staff, slug: Path<String>, fields: Option<Form<Reason>>) -> Answer {
    let (Staff { person, .. }, slug) = (staff, slug.into_inner());
    let Reason { reason, request } = fields.map(Form::into_inner).unwrap_or_default();
    let request = request.as_deref().and_then(RequestId::parse);
    let (actor, now, asked, why) = (person.actor.clone(), person.frame.now, slug.clone(), reason.clone());
    match person.site.db.run(move |conn| support::open(conn, &actor, now, &asked, &why)).await {
        Ok(_) => Ok(see_other(&request.map_or_else(|| format!("/orgs/{slug}/{}", Tab::Keys.path()), |id| usage_link(&slug, id)))),
        Err(Error::Invalid(errors)) => {
            let mut screen = Show::read(person, slug, request).await?;
            screen.frame.flash = Some(Flash::fail("Not opened.", "One field needs a change below."));
            screen.problem = errors.into_iter().next().map(|error| error.message);
            page_with_status(StatusCode::UNPROCESSABLE_ENTITY, &Show { reason, ..screen })
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /support/organizations/{slug}/visit-end`.
pub async fn end(staff: Staff, slug: Path<String>) -> Result<HttpResponse, WebError> {
    let (person, slug) = (staff.person, slug.into_inner());
    let (actor, now) = (person.actor.clone(), person.frame.now);
    let run = move |conn: &mut _| {
        let Console { organization, visit, .. } = support::console(conn, &actor, now, &slug)?;
        support::end(conn, &actor, now, organization.id)?;
        Ok((organization, visit.is_some()))
    };
    let (organization, was_open) = person.site.db.run(run).await?;
    let flash = match was_open {
        true => Flash::ok(format!("You no longer view {}.", organization.name), "To open it again, say why."),
        false => Flash::ok(format!("{} was not open any more.", organization.name), "Visits end by themselves after an hour."),
    };
    Ok(see_other_with("/support", flash))
}
