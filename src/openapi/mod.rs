//! The Partner API described, made from the profile alone: what `/openapi.json` publishes and `/docs/api` shows.
//!
//! [`Reference::of`] says once what each route takes and can answer; [`document`] writes that as OpenAPI 3.1 and the page as
//! sentences, so that the two can't differ. That the server does as described is checked from outside, by schemathesis.

mod answers;
pub mod bounds;
mod document;
mod events;
mod operations;
mod parameters;
mod schema;
mod shapes;
mod template;

use serde_json::Value;

pub use answers::{Answer, Case, Header};
pub use document::document;
pub use events::{Event, SignatureExample};
pub use operations::{Body, Operation};
pub use parameters::{Parameter, Place};
pub use schema::laid_out;

use crate::profile::Profile;
use schema::Named;

/// The Partner API of one deployment.
#[derive(Debug)]
pub struct Reference {
    /// Its name.
    pub title: String,
    /// A sentence about it.
    pub description: String,
    /// Where the server is, without a slash at the end.
    pub public_url: String,
    /// Ways to bring a key.
    pub schemes: Vec<Scheme>,
    /// The routes, in the profile's order.
    pub operations: Vec<Operation>,
    /// Every refusal, in the order in which they are looked at.
    pub refusals: Vec<Case>,
    /// Other errors that a route can end with, each once.
    pub errors: Vec<Case>,
    /// What is sent to webhooks.
    pub events: Vec<Event>,
    /// Signatures of a delivery beyond the standard's.
    pub signatures: Vec<SignatureExample>,
    /// Schemas that others refer to, by name.
    schemas: serde_json::Map<String, Value>,
}

/// A way to bring a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scheme {
    /// `Authorization: Bearer …`.
    Bearer,
    /// In a header of its own.
    Header(String),
    /// In a query parameter.
    Parameter(String),
}

impl Reference {
    /// Describes what this profile serves at this URL.
    pub fn of(profile: &Profile, public_url: &str) -> Self {
        let mut named = Named::default();
        let events = events::events(profile, &mut named);
        let operations = operations::operations(profile, public_url, &mut named);
        let price = profile.jobs.first().map_or(1, |job| i64::from(job.price).max(1));
        let permission = profile.permissions.list.first().map_or("", String::as_str);
        let mut errors: Vec<Case> = Vec::new();
        let others = operations.iter().flat_map(|operation| &operation.answers).flat_map(|answer| &answer.cases).cloned();
        let mut refusals = answers::refusals(profile, permission, profile.limits.first(), price);
        for case in others.chain(answers::elsewhere(profile)) {
            let is_known = |known: &Case| known.name == case.name;
            if case.name != "ok" && !refusals.iter().any(is_known) && !errors.iter().any(is_known) {
                errors.push(case);
            }
        }
        errors.sort_by_key(|case| case.status);
        // Where there are no permissions, none can be lacking.
        refusals.retain(|case| case.name != "permission" || !profile.permissions.list.is_empty());
        let headers = profile.api.key_headers.iter().cloned().map(Scheme::Header);
        let parameters = profile.api.key_parameters.iter().cloned().map(Scheme::Parameter);
        Self {
            title: profile.title().to_owned(),
            description: profile.description.clone(),
            public_url: public_url.to_owned(),
            schemes: std::iter::once(Scheme::Bearer).chain(headers).chain(parameters).collect(),
            operations,
            refusals,
            errors,
            events,
            signatures: events::signatures(profile),
            schemas: named.0,
        }
    }
}
