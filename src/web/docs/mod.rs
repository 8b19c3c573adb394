//! The API reference, for programs and for people: both say what [`crate::openapi`] says of the profile.

mod words;

use std::sync::OnceLock;

use actix_web::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use super::assets::Asset;
use super::webhooks::{SNIPPETS, listed, span};
use super::{Answer, Frame, filters};
use crate::openapi::{self, Operation, Reference};
use crate::profile::{Action, Grant, Limit, Profile};
use crate::site::Site;

/// What is said, made when it is first asked for.
#[derive(Default)]
pub struct Published {
    document: OnceLock<Asset>,
    page: OnceLock<Asset>,
}

/// `GET /openapi.json`. Pages of other sites may read it: it is public, and tools that show it are such pages.
pub async fn document(request: HttpRequest, site: Data<Site>, published: Data<Published>) -> HttpResponse {
    let written = || Asset::new(openapi::document(&site.profile, &site.public_url).to_string().into_bytes());
    let mut response = published.document.get_or_init(written).answer(&request, "application/json", "public, max-age=300");
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

/// `GET /docs/api`: one page for everybody, signed in or not.
pub async fn page(request: HttpRequest, site: Data<Site>, published: Data<Published>) -> Answer {
    let page = match published.page.get() {
        Some(page) => page,
        None => {
            let page = Asset::new(render(&site)?.into_bytes());
            published.page.get_or_init(|| page)
        }
    };
    Ok(page.answer(&request, "text/html; charset=utf-8", "no-cache"))
}

fn render(site: &Site) -> askama::Result<String> {
    let reference = Reference::of(&site.profile, &site.public_url);
    let pauses = site.webhooks.retries.iter().map(|pause| span(time::Duration::try_from(*pause).unwrap_or(time::Duration::MAX)));
    let frame = Frame { is_reference: true, ..Frame::of_site(site) };
    Page { frame, profile: &site.profile, reference: &reference, pauses: listed(pauses) }.render()
}

#[derive(Template)]
#[template(path = "docs/api.html")]
struct Page<'a> {
    frame: Frame,
    profile: &'a Profile,
    reference: &'a Reference,
    /// Pauses between the tries of a delivery.
    pauses: String,
}

impl<'a> Page<'a> {
    /// Routes by their group, in the order of the profile.
    fn groups(&self) -> Vec<(&'static str, Vec<&'a Operation>)> {
        let mut groups: Vec<(&'static str, Vec<&'a Operation>)> = Vec::new();
        for operation in &self.reference.operations {
            match groups.iter_mut().find(|(group, _)| *group == operation.group) {
                Some((_, operations)) => operations.push(operation),
                None => groups.push((operation.group, vec![operation])),
            }
        }
        groups
    }

    /// The call to begin with: one that tells about the key, for it costs nothing and changes nothing.
    fn first_call(&self) -> Option<&'a Operation> {
        let reads = |operation: &&&Operation| operation.id == "read-key";
        let operations = &self.reference.operations;
        operations
            .iter()
            .find(|operation| reads(&operation))
            .or_else(|| operations.iter().find(|one| one.method == "GET"))
            .or(operations.first())
    }

    /// A key as they look: `lk_live_…`.
    fn key_shape(&self) -> String {
        match self.profile.keys.environments.as_slice() {
            [] => format!("{}_…", self.profile.keys.prefix),
            [first, ..] => format!("{}_{}_…", self.profile.keys.prefix, first.name),
        }
    }

    /// Environments whose keys cost nothing: `test`.
    fn sandboxes(&self) -> String {
        let sandboxes = self.profile.keys.environments.iter().filter(|environment| environment.sandbox);
        listed(sandboxes.map(|environment| format!("{}_{}_…", self.profile.keys.prefix, environment.name)))
    }

    fn has_chosen_permissions(&self) -> bool {
        self.profile.permissions.grant == Grant::Chosen
    }

    /// Whether any route does this.
    fn serves(&self, action: Action) -> bool {
        self.profile.route_for(action).is_some()
    }

    /// Paths that make something, for which a repetition may be made safe.
    fn repeatable(&self) -> Vec<&'a Operation> {
        self.reference.operations.iter().filter(|one| one.parameters.iter().any(|parameter| parameter.name == "Idempotency-Key")).collect()
    }

    /// Lists: the route, what leads on from a page, and where to send it.
    fn lists(&self) -> Vec<(&'a Operation, &'a str, &'a str)> {
        let routes = self.profile.routes.iter().zip(&self.reference.operations);
        let onward = routes.filter_map(|(route, operation)| match route.action {
            Action::CreditsEntries | Action::UsageRead => Some((operation, route.name("next_cursor"), route.name("cursor"))),
            Action::EventsRead => Some((operation, "next_after", "after")),
            _ => None,
        });
        onward.collect()
    }

    /// The routes that count in a limit.
    fn counted(&self, limit: &Limit) -> String {
        let all = self.reference.operations.iter();
        let names: Vec<String> = all
            .filter(|operation| operation.limit.as_ref().is_some_and(|own| own.name == limit.name))
            .map(|operation| format!("{} {}", operation.method, operation.path))
            .collect();
        match names.len() {
            0 => "none of these routes".into(),
            count if count == self.reference.operations.len() => "every route".into(),
            _ => names.join(", "),
        }
    }

    fn snippets(&self) -> [(&'static str, &'static str, &'static str); 3] {
        SNIPPETS
    }
}
