//! Who asks. A handler takes the extractor that it needs; what is not met never reaches the handler.

use std::future::{Ready, ready};
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;

use actix_session::{Session, SessionExt};
use actix_web::dev::Payload;
use actix_web::http::header::USER_AGENT;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage, HttpRequest};

use diesel::pg::PgConnection;
use time::OffsetDateTime;

use super::frame::{Frame, Proof, Section};
use super::{WebError, device, flash, session};
use crate::accounts::{self, Device, User, sessions};
use crate::actor::{Actor, PROOF, Role, StaffRole};
use crate::clock;
use crate::credits;
use crate::error::Error;
use crate::ids::UserId;
use crate::keys;
use crate::orgs::{self, Organization};
use crate::peer;
use crate::site::Site;
use crate::support::{self, Facts, Visit};
use crate::webhooks;

type Extracting<T> = Pin<Box<dyn Future<Output = Result<T, WebError>>>>;

/// Where a request comes from.
#[derive(Debug, Clone)]
pub struct Client {
    /// The peer's, or what a trusted proxy says of its own.
    pub address: IpAddr,
    /// At most 300 characters.
    pub user_agent: String,
}

impl Client {
    /// Of a request.
    pub fn of(request: &HttpRequest) -> Self {
        let proxies = request.app_data::<Data<Site>>().map(|site| site.proxies.clone()).unwrap_or_default();
        let address = peer::of(request, &proxies).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let agent = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Self { address, user_agent: agent.chars().take(300).collect() }
    }
}

impl FromRequest for Client {
    type Error = WebError;
    type Future = Ready<Result<Self, WebError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::of(request)))
    }
}

/// Anybody, signed in or not.
pub struct Visitor {
    /// What the instance has.
    pub site: Data<Site>,
    /// Where the request comes from.
    pub client: Client,
    /// A frame without a person.
    pub frame: Frame,
    /// The session, perhaps empty.
    pub session: Session,
    /// That somebody has signed in here before.
    pub device: Option<Device>,
}

impl FromRequest for Visitor {
    type Error = WebError;
    type Future = Ready<Result<Self, WebError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(site(request).map(|site| {
            let frame = Frame { flash: shown_flash(request, &site), ..Frame::of_site(&site) };
            let device = device::read(&site, request);
            Self { site, client: Client::of(request), frame, session: request.get_session(), device }
        }))
    }
}

/// Somebody who is signed in.
#[derive(Clone)]
pub struct Person {
    /// What the instance has.
    pub site: Data<Site>,
    /// The person, acting for no organization.
    pub actor: Actor,
    /// Its account.
    pub user: User,
    /// Its organizations, by name.
    pub organizations: Vec<(Organization, Role)>,
    /// Whether it signs in with a second factor.
    pub has_two_factor: bool,
    /// What is around its pages.
    pub frame: Frame,
    /// Its session.
    pub session: Session,
    /// The row of that session.
    pub current: sessions::Session,
    /// Where the request comes from.
    pub client: Client,
}

impl FromRequest for Person {
    type Error = WebError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { Ok(person(&request, None).await?.0) })
    }
}

/// Somebody of the staff.
pub struct Staff {
    /// The person, acting for no organization as what it is on the staff.
    pub person: Person,
    /// That.
    pub role: StaffRole,
}

impl FromRequest for Staff {
    type Error = WebError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let (person, _) = person(&request, None).await?;
            // To everybody else there is no console.
            let role = person.user.staff().ok_or(Error::NotFound)?;
            request.extensions_mut().insert(person.frame.clone().in_section(Section::Organizations));
            let Client { address, user_agent } = person.client.clone();
            let label = person.user.label().to_owned();
            let actor = Actor::staff(person.user.id, label, role, None, address.to_string(), user_agent).proved(person.current.proved_at);
            Ok(Self { person: Person { actor, ..person }, role })
        })
    }
}

/// Somebody of the staff who does more than look.
pub struct Operator(pub Person);

impl FromRequest for Operator {
    type Error = WebError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let staff = Staff::from_request(request, payload);
        Box::pin(async move {
            let Staff { person, .. } = staff.await?;
            person.actor.require_staff(StaffRole::Operator)?;
            Ok(Self(person))
        })
    }
}

/// Somebody who may look at the organization that the path names with `{slug}`: a member, or staff with an open visit.
pub struct Member {
    /// What the instance has.
    pub site: Data<Site>,
    /// The person, acting in this organization with its role there.
    pub actor: Actor,
    /// The organization.
    pub organization: Organization,
    /// The person's role in it; staff look as members do.
    pub role: Role,
    /// What is around its pages.
    pub frame: Frame,
    /// The row of its session.
    pub current: sessions::Session,
    /// Where the request comes from.
    pub client: Client,
}

impl Member {
    /// Refuses a member, for screens that only admins open. What changes something is refused again by its capability.
    ///
    /// # Errors
    /// `Forbidden`.
    pub fn require_admin(&self) -> Result<(), WebError> {
        if self.role == Role::Admin { Ok(()) } else { Err(WebError(Error::Forbidden)) }
    }
}

impl FromRequest for Member {
    type Error = WebError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let slug = request.match_info().get("slug").unwrap_or_default().to_owned();
            let (person, visited) = person(&request, Some(slug.clone())).await?;
            let Person { site, user, organizations, has_two_factor, frame, current, client, .. } = person;
            let (label, address, agent) = (user.label().to_owned(), client.address.to_string(), client.user_agent.clone());
            if let Some((organization, role)) = organizations.into_iter().find(|(organization, _)| organization.slug == slug) {
                if organization.two_factor_required_at.is_some() && !has_two_factor {
                    return Err(Error::TwoFactorNeeded.into());
                }
                let actor = Actor::member(user.id, label, organization.id, role, address, agent).proved(current.proved_at);
                return Ok(Self { site, actor, organization, role, frame, current, client });
            }
            let (organization, visit) = visited.ok_or(Error::NotFound)?;
            let staff = user.staff().filter(|_| visit.is_some()).ok_or(Error::VisitNeeded)?;
            // What an organization asks of its own people it asks of ours.
            if organization.two_factor_required_at.is_some() && !has_two_factor {
                return Err(Error::TwoFactorNeeded.into());
            }
            let actor = Actor::staff(user.id, label, staff, Some(organization.id), address, agent).proved(current.proved_at);
            Ok(Self { site, actor, organization, role: Role::Member, frame, current, client })
        })
    }
}

/// The organization that staff open without being its members, with the visit if there is one.
type Visited = Option<(Organization, Option<(Visit, Facts)>)>;

async fn person(request: &HttpRequest, slug: Option<String>) -> Result<(Person, Visited), WebError> {
    let site = site(request)?;
    let (session, client, now) = (request.get_session(), Client::of(request), clock::now());
    let current = session::current(&session)?.ok_or(Error::Unauthenticated)?;
    let opened = slug.clone();
    let look = move |conn: &mut _| {
        let visit = accounts::visit(conn, current.user, opened.as_deref())?;
        let own = visit.organizations.iter().find(|(one, _)| Some(&one.slug) == opened.as_ref());
        let stranger = opened.filter(|_| own.is_none() && visit.user.staff().is_some());
        let visited = stranger.map(|slug| visited(conn, &slug, current.user, now)).transpose()?.flatten();
        let low = own.map(|(organization, _)| credits::low(conn, organization.id)).transpose()?.flatten();
        let managed = own.filter(|(_, role)| *role == Role::Admin);
        let stopped = managed.map(|(organization, _)| webhooks::stopped(conn, organization.id)).transpose()?.flatten();
        let leaks = own.map(|(organization, _)| keys::leaked(conn, organization.id, now)).transpose()?.unwrap_or_default();
        Ok((visit, visited, stopped.map(|(since, _)| since), low, leaks))
    };
    let (visit, visited, webhook_stopped, low, leaks) = site.db.run(look).await?;
    let proof = Proof { is_needed: current.proved_at + PROOF <= now, problem: None };
    let frame = Frame::of_visit(&site, &visit, slug.as_deref());
    let frame = Frame { flash: shown_flash(request, &site), webhook_stopped, low, leaks, proof, ..frame };
    let frame = match &visited {
        Some((organization, Some((visit, facts)))) => frame.visiting(organization, visit, *facts),
        _ => frame,
    };
    // An error page of this request stands in the same frame.
    request.extensions_mut().insert(frame.clone());
    let accounts::Visit { user, organizations, has_two_factor } = visit;
    let actor = Actor::person(Some(user.id), user.label().into(), client.address.to_string(), client.user_agent.clone());
    let actor = actor.proved(current.proved_at);
    Ok((Person { site, actor, user, organizations, has_two_factor, frame, session, current, client }, visited))
}

fn visited(conn: &mut PgConnection, slug: &str, user: UserId, now: OffsetDateTime) -> Result<Visited, Error> {
    match orgs::by_slug(conn, slug) {
        Ok(organization) => {
            let visit = support::visit(conn, organization.id, user, now)?;
            let visit = visit.map(|visit| Ok::<_, Error>((visit, support::facts(conn, organization.id)?))).transpose()?;
            Ok(Some((organization, visit)))
        }
        Err(Error::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

fn site(request: &HttpRequest) -> Result<Data<Site>, WebError> {
    request.app_data::<Data<Site>>().cloned().ok_or_else(|| WebError(Error::Internal("no site is registered".into())))
}

fn shown_flash(request: &HttpRequest, site: &Site) -> Option<super::Flash> {
    flash::read(site, request.cookie(flash::name(site))?)
}
