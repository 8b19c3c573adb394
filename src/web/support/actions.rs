//! What operators do to an organization: each a question and a form, as a page or in the dialog.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{Form, Path};
use askama::Template;
use serde::Deserialize;
use uuid::Uuid;

use super::{filters, organization};
use crate::actor::StaffRole;
use crate::error::{Error, FieldError, Result};
use crate::ids::new_uuid;
use crate::orgs::{self, Organization};
use crate::support::{self, Console};
use crate::web::filters::grouped;
use crate::web::{Answer, Flash, Frame, Operator, Section, fragment, page, page_with_status, prove, see_other_with, wants_fragment};

/// Which of them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Suspend,
    Reinstate,
    Grant,
    Adjust,
    Limit,
}

impl Verb {
    const ALL: [Self; 5] = [Self::Suspend, Self::Reinstate, Self::Grant, Self::Adjust, Self::Limit];

    /// Of the path that was asked for.
    fn of(request: &HttpRequest) -> Result<Self> {
        let noun = request.path().rsplit('/').next().unwrap_or_default();
        Self::ALL.into_iter().find(|verb| verb.noun() == noun).ok_or(Error::NotFound)
    }

    /// Last part of its path.
    fn noun(self) -> &'static str {
        match self {
            Self::Suspend => "suspension",
            Self::Reinstate => "reinstatement",
            Self::Grant => "grants",
            Self::Adjust => "adjustments",
            Self::Limit => "limit",
        }
    }

    fn button(self) -> &'static str {
        match self {
            Self::Suspend => "Suspend",
            Self::Reinstate => "Reinstate",
            Self::Grant => "Grant credits",
            Self::Adjust => "Adjust credits",
            Self::Limit => "Set limit",
        }
    }

    fn not_done(self) -> &'static str {
        match self {
            Self::Suspend => "Not suspended.",
            Self::Reinstate => "Not reinstated.",
            Self::Grant => "No credits were granted.",
            Self::Adjust => "The credits were not adjusted.",
            Self::Limit => "The limit was not changed.",
        }
    }
}

/// The form, as it was typed.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    reason: String,
    amount: String,
    note: String,
    requests_per_minute: String,
    /// Of this very form, made as the form was asked for: what gives credits does so once.
    once: String,
    password: String,
}

#[derive(Template)]
#[template(path = "support/action.html", blocks = ["confirm"])]
struct Action {
    frame: Frame,
    verb: Verb,
    organization: Organization,
    available: i64,
    /// What the profile says of the rate of requests.
    quota: String,
    entered: Fields,
    errors: Vec<FieldError>,
    /// A page of its own, whose question is the h1.
    whole: bool,
}

/// A field of the form: its name, label, value and hint.
struct Shown<'a> {
    name: &'static str,
    label: &'static str,
    value: &'a str,
    hint: String,
    is_number: bool,
}

impl Action {
    async fn read(operator: &Operator, slug: String, verb: Verb, entered: Fields) -> Result<Self> {
        let person = &operator.0;
        person.actor.require_staff(StaffRole::Operator)?;
        let (actor, now) = (person.actor.clone(), person.frame.now);
        let console = person.site.db.run(move |conn| support::console(conn, &actor, now, &slug)).await?;
        let Console { organization, facts, .. } = console;
        let quotas: Vec<String> = person.site.profile.limits.iter().map(|limit| grouped(limit.requests)).collect();
        let (available, quota) = (facts.map_or(0, |facts| facts.available), quotas.join(", "));
        let frame = person.frame.clone().in_section(Section::Organizations);
        Ok(Self { frame, verb, organization, available, quota, entered, errors: Vec::new(), whole: true })
    }

    fn back(&self) -> String {
        format!("/support/organizations/{}", self.organization.slug)
    }

    fn action(&self) -> String {
        format!("{}/{}", self.back(), self.verb.noun())
    }

    fn question(&self) -> String {
        let name = &self.organization.name;
        match self.verb {
            Verb::Suspend => format!("Suspend {name}?"),
            Verb::Reinstate => format!("Reinstate {name}?"),
            Verb::Grant => format!("Grant credits to {name}"),
            Verb::Adjust => format!("Adjust the credits of {name}"),
            Verb::Limit => format!("Limit the requests of {name}"),
        }
    }

    fn consequence(&self) -> String {
        let available = grouped(self.available);
        match self.verb {
            Verb::Suspend => "Its people still get in. Nothing is deleted, and it can be reinstated.".into(),
            Verb::Reinstate => "Its keys work again from the very next request on.".into(),
            Verb::Grant => format!("{available} are available now. The grant stands in its ledger and in its audit log."),
            Verb::Adjust => format!("{available} are available now. The correction stands in its ledger and in its audit log."),
            Verb::Limit => "In place of the profile's quota, from the very next request on.".into(),
        }
    }

    fn is_danger(&self) -> bool {
        self.verb == Verb::Suspend
    }

    fn shown(&self) -> Vec<Shown<'_>> {
        let text = |name, label, value, hint: &str| Shown { name, label, value, hint: hint.into(), is_number: false };
        let number = |name, label, value, hint: String| Shown { name, label, value, hint, is_number: true };
        let note = || text("note", "Note", self.entered.note.as_str(), "Tells the organization why.");
        let amount = |hint: &str| number("amount", "Amount", self.entered.amount.as_str(), hint.into());
        match self.verb {
            Verb::Suspend | Verb::Reinstate => {
                vec![text("reason", "Reason", &self.entered.reason, "Stands in the organization's audit log.")]
            }
            Verb::Grant => vec![amount("Credits to add."), note()],
            Verb::Adjust => vec![amount("Credits to add, or with a minus to take away."), note()],
            Verb::Limit => {
                let hint = format!("Empty for the profile's own: {}.", self.quota);
                vec![number("requests_per_minute", "Requests per minute", &self.entered.requests_per_minute, hint)]
            }
        }
    }

    fn error(&self, field: &str) -> Option<&str> {
        self.errors.iter().find(|error| error.field == field).map(|error| error.message.as_str())
    }

    /// What has the focus: the password, what was not accepted, else the first field.
    fn is_first(&self, field: &Shown<'_>, is_first: &bool) -> bool {
        let wrong = self.errors.first().map_or(*is_first, |error| error.field == field.name);
        wrong && !self.frame.proof.is_needed
    }

    /// The form again, with what was not accepted: 422.
    fn again(mut self, errors: Vec<FieldError>) -> Answer {
        if !errors.is_empty() {
            self.frame.flash = Some(Flash::fail(self.verb.not_done(), "See below what needs a change."));
        }
        self.errors = errors;
        page_with_status(StatusCode::UNPROCESSABLE_ENTITY, &self)
    }
}

/// `GET /support/organizations/{slug}/…`.
pub async fn confirm(operator: Operator, request: HttpRequest, slug: Path<String>) -> Answer {
    let (verb, whole) = (Verb::of(&request)?, !wants_fragment(&request));
    let fresh = Fields { once: new_uuid(operator.0.frame.now).to_string(), ..Fields::default() };
    let mut screen = Action::read(&operator, slug.into_inner(), verb, fresh).await?;
    if verb == Verb::Limit {
        screen.entered.requests_per_minute = screen.organization.requests_per_minute.map(|n| n.to_string()).unwrap_or_default();
    }
    screen.whole = whole;
    if whole { page(&screen) } else { fragment(&screen.as_confirm()) }
}

/// `POST /support/organizations/{slug}/…`: back to the organization, with what happened.
pub async fn act(mut operator: Operator, request: HttpRequest, slug: Path<String>, fields: Option<Form<Fields>>) -> Answer {
    let (verb, slug) = (Verb::of(&request)?, slug.into_inner());
    let fields = fields.map(Form::into_inner).unwrap_or_default();
    let proved = prove(&mut operator, Some(&fields.password)).await;
    let screen = Action::read(&operator, slug.clone(), verb, fields).await?;
    match proved {
        Err(Error::ProofNeeded) => return screen.again(Vec::new()),
        proved => proved?,
    }
    match done(&operator, &screen).await {
        Ok(flash) => Ok(see_other_with(&screen.back(), flash)),
        Err(Error::Invalid(errors)) => screen.again(errors),
        Err(Error::Conflict(why)) => organization::refused(operator.0, slug, verb.not_done(), why).await,
        Err(error) => Err(error.into()),
    }
}

async fn done(operator: &Operator, screen: &Action) -> Result<Flash> {
    let (actor, now, db) = (operator.0.actor.clone(), operator.0.frame.now, &operator.0.site.db);
    let Action { entered, organization: Organization { id, name, .. }, .. } = screen;
    let (id, reason, note) = (*id, entered.reason.clone(), entered.note.clone());
    let broken = || Error::field("amount", "The form did not arrive as it was sent. Open the page again and repeat it.");
    let form = Uuid::parse_str(&entered.once).map_err(|_| broken());
    Ok(match screen.verb {
        Verb::Suspend => {
            db.run(move |conn| orgs::suspend(conn, &actor, now, id, &reason)).await?;
            Flash::ok(format!("{name} is suspended."), "Its keys are refused from the very next request on.")
        }
        Verb::Reinstate => {
            db.run(move |conn| orgs::reinstate(conn, &actor, now, id, &reason)).await?;
            Flash::ok(format!("{name} is reinstated."), "Its keys work again.")
        }
        Verb::Grant => {
            let (form, amount) = (form?, whole_number("amount", &entered.amount)?);
            let balance = db.run(move |conn| support::grant(conn, &actor, now, id, form, amount, &note)).await?;
            let result = format!("Granted {} credits to {name}.", grouped(amount));
            Flash::ok(result, format!("{} are available now.", grouped(balance.available)))
        }
        Verb::Adjust => {
            let (form, amount) = (form?, whole_number("amount", &entered.amount)?);
            let balance = db.run(move |conn| support::adjust(conn, &actor, now, id, form, amount, &note)).await?;
            let plus = if amount > 0 { "+" } else { "" };
            let result = format!("Adjusted the credits of {name} by {plus}{}.", grouped(amount));
            Flash::ok(result, format!("{} are available now.", grouped(balance.available)))
        }
        Verb::Limit => {
            let quota = quota(&entered.requests_per_minute)?;
            db.run(move |conn| orgs::set_requests_per_minute(conn, &actor, now, id, quota)).await?;
            match quota {
                Some(quota) => Flash::ok("Limit set.", format!("{name} may make {} requests a minute from now on.", grouped(quota))),
                None => Flash::ok("Limit removed.", format!("The profile's own holds for {name} from now on.")),
            }
        }
    })
}

/// None of an empty field.
fn quota(typed: &str) -> Result<Option<i32>> {
    if typed.trim().is_empty() {
        return Ok(None);
    }
    let number = whole_number("requests_per_minute", typed)?;
    i32::try_from(number)
        .map(Some)
        .map_err(|_| Error::field("requests_per_minute", format!("{number} is out of reach. Use at most {}.", i32::MAX)))
}

/// A whole number, perhaps written `1,284` or with the minus that pages show. `1,5` is none: it may be meant as one and a half.
pub(super) fn whole_number(field: &'static str, typed: &str) -> Result<i64> {
    let plain = typed.trim().replace('−', "-");
    let groups: Vec<&str> = plain.strip_prefix(['-', '+']).unwrap_or(plain.as_str()).split(',').collect();
    let is_grouped = (1..=3).contains(&groups[0].len()) && !groups[0].starts_with('0') && groups[1..].iter().all(|group| group.len() == 3);
    let number = if groups.len() == 1 || is_grouped { plain.replace(',', "").parse().ok() } else { None };
    let shown: String = typed.trim().chars().take(40).collect();
    let wrong = if shown.is_empty() { "Enter a whole number.".to_owned() } else { format!("“{shown}” is not a whole number.") };
    number.ok_or_else(|| Error::field(field, wrong))
}
