//! Who asks. A handler takes the extractor that it needs; what is not met never reaches the handler.

use std::future::{Ready, ready};
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;

use actix_session::{Session, SessionExt};
use actix_web::dev::Payload;
use actix_web::http::header::USER_AGENT;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage, HttpRequest};

use super::frame::Frame;
use super::{WebError, flash, session};
use crate::accounts::{self, User};
use crate::actor::{Actor, Role};
use crate::credits;
use crate::error::Error;
use crate::orgs::Organization;
use crate::site::Site;
use crate::webhooks;

type Extracting<T> = Pin<Box<dyn Future<Output = Result<T, WebError>>>>;

/// Where a request comes from.
#[derive(Debug, Clone)]
pub struct Client {
    /// The peer's.
    pub address: IpAddr,
    /// At most 300 characters.
    pub user_agent: String,
}

impl Client {
    /// Of a request.
    pub fn of(request: &HttpRequest) -> Self {
        let address = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip().to_canonical());
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
}

impl FromRequest for Visitor {
    type Error = WebError;
    type Future = Ready<Result<Self, WebError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(site(request).map(|site| {
            let frame = Frame { flash: shown_flash(request, &site), ..Frame::of_site(&site) };
            Self { site, client: Client::of(request), frame, session: request.get_session() }
        }))
    }
}

/// Somebody who is signed in.
pub struct Person {
    /// What the instance has.
    pub site: Data<Site>,
    /// The person, acting for no organization.
    pub actor: Actor,
    /// Its account.
    pub user: User,
    /// Its organizations, by name.
    pub organizations: Vec<(Organization, Role)>,
    /// What is around its pages.
    pub frame: Frame,
    /// Its session.
    pub session: Session,
}

impl FromRequest for Person {
    type Error = WebError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { person(&request, None).await })
    }
}

/// Somebody who belongs to the organization that the path names with `{slug}`.
pub struct Member {
    /// What the instance has.
    pub site: Data<Site>,
    /// The person, acting in this organization with its role there.
    pub actor: Actor,
    /// The organization.
    pub organization: Organization,
    /// The person's role in it.
    pub role: Role,
    /// What is around its pages.
    pub frame: Frame,
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
            let person = person(&request, Some(slug.clone())).await?;
            let found = person.organizations.into_iter().find(|(organization, _)| organization.slug == slug);
            let (organization, role) = found.ok_or(Error::NotFound)?;
            let Client { address, user_agent } = Client::of(&request);
            let label = person.user.label().to_owned();
            let actor = Actor::member(person.user.id, label, organization.id, role, address.to_string(), user_agent);
            Ok(Self { site: person.site, actor, organization, role, frame: person.frame })
        })
    }
}

async fn person(request: &HttpRequest, slug: Option<String>) -> Result<Person, WebError> {
    let site = site(request)?;
    let session = request.get_session();
    let id = session::user(&session)?.ok_or(Error::Unauthenticated)?;
    let opened = slug.clone();
    let look = move |conn: &mut _| {
        let visit = accounts::visit(conn, id, opened.as_deref())?;
        let opened = visit.organizations.iter().find(|(one, _)| Some(&one.slug) == opened.as_ref());
        let low = opened.map(|(organization, _)| credits::low(conn, organization.id)).transpose()?.flatten();
        let managed = opened.filter(|(_, role)| *role == Role::Admin);
        let stopped = managed.map(|(organization, _)| webhooks::stopped(conn, organization.id)).transpose()?.flatten();
        Ok((visit, stopped.map(|(since, _)| since), low))
    };
    let (visit, webhook_stopped, low) = site.db.run(look).await?;
    let frame = Frame { flash: shown_flash(request, &site), webhook_stopped, low, ..Frame::of_visit(&site, &visit, slug.as_deref()) };
    // An error page of this request stands in the same frame.
    request.extensions_mut().insert(frame.clone());
    let Client { address, user_agent } = Client::of(request);
    let actor = Actor::person(Some(visit.user.id), visit.user.label().into(), address.to_string(), user_agent);
    Ok(Person { site, actor, user: visit.user, organizations: visit.organizations, frame, session })
}

fn site(request: &HttpRequest) -> Result<Data<Site>, WebError> {
    request.app_data::<Data<Site>>().cloned().ok_or_else(|| WebError(Error::Internal("no site is registered".into())))
}

fn shown_flash(request: &HttpRequest, site: &Site) -> Option<super::Flash> {
    flash::read(site, request.cookie(flash::name(site))?)
}
