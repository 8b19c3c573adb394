//! The contract that one deployment speaks, read from TOML: key format, number of keys, routes, prices, limits and
//! the answer to every refusal. Nothing of it is written in Rust; `built-in/` holds the ones that ship.

mod check;
mod check_bodies;
mod check_keys;
mod duration;
mod example;
mod gaps;
mod keys;
mod life;
mod permissions;
mod refusals;
mod render;
mod routes;
mod verify;
mod webhooks;

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

pub use example::{Example, shell_word};
pub use keys::{Column, Environment, Keys};
pub use life::Moment;
pub use permissions::{Grant, Permissions};
pub use refusals::{ErrorShape, Refusal, Refusals};
pub use render::{Template, Values};
pub use routes::{Action, Method, Route};
pub use verify::Verify;
pub use webhooks::{SignatureHeader, Webhooks};

use crate::error::{Error, Result};
use crate::ids::{self, JobId};

/// The profiles inside the binary, by name.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("analysis", include_str!("built-in/analysis.toml")),
    ("assessment", include_str!("built-in/assessment.toml")),
    ("documents", include_str!("built-in/documents.toml")),
    ("messaging", include_str!("built-in/messaging.toml")),
    ("jobs", include_str!("built-in/jobs.toml")),
];

/// A checked profile.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Its own name.
    pub name: String,
    /// One sentence about it.
    pub description: String,
    /// Breadcrumbs of the dashboard's page; the last one is its title.
    pub place: Vec<String>,
    /// Where and how partners call.
    pub api: Api,
    /// What keys are like.
    pub keys: Keys,
    /// What keys may do.
    pub permissions: Permissions,
    /// Rate limits; routes name them.
    #[serde(default)]
    pub limits: Vec<Limit>,
    /// What partners buy; none in a deployment that only verifies keys.
    #[serde(default)]
    pub jobs: Vec<JobKind>,
    /// The Partner API.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// What a company's own services ask.
    pub verify: Verify,
    /// The answer to each refusal.
    pub refusals: Refusals,
    /// The shape of every other error.
    pub errors: ErrorShape,
    /// What deliveries carry beyond the standard.
    #[serde(default)]
    pub webhooks: Webhooks,
}

/// Where and how partners call.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// Starts with `/`; routes stand below it.
    pub base_path: String,
    /// Headers that may carry the key beside `Authorization: Bearer`.
    #[serde(default)]
    pub key_headers: Vec<String>,
    /// Query parameters that may carry the key.
    #[serde(default)]
    pub key_parameters: Vec<String>,
}

/// A fixed window.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Routes name it; it stands in `RateLimit-Policy`.
    pub name: String,
    /// For whom it counts.
    pub scope: Scope,
    /// How many pass in a window.
    pub requests: u32,
    /// How long a window is.
    #[serde(deserialize_with = "duration::one")]
    pub window: Duration,
}

impl Limit {
    /// How many pass in a window for an organization with its own number of requests a minute, or with none.
    pub fn quota(&self, requests_per_minute: Option<i32>) -> i64 {
        quota(i64::from(self.requests), self.window.as_secs() as i64, requests_per_minute)
    }
}

/// How many pass in a window: the profile's number, or an organization's own scaled to the window, and always one.
pub fn quota(requests: i64, window_s: i64, requests_per_minute: Option<i32>) -> i64 {
    requests_per_minute.map_or(requests, |own| (i64::from(own) * window_s / 60).max(1))
}

/// For whom a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Each key by itself.
    Key,
    /// All keys of an organization together.
    Organization,
}

/// One kind of paid work.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobKind {
    /// What workers claim.
    pub kind: String,
    /// What people call one.
    pub noun: String,
    /// Name of the id in bodies and events.
    pub id_field: String,
    /// Prefix of the id.
    pub id_prefix: String,
    /// Events are `{event_prefix}.started` and so on.
    pub event_prefix: String,
    /// Credits.
    pub price: u32,
    /// When the held credits are settled.
    pub charge: Charge,
    /// JSON for the `curl` examples.
    pub example_input: String,
}

impl JobKind {
    /// The id as partners see it.
    pub fn public_id(&self, id: JobId) -> String {
        ids::encode(&self.id_prefix, id.0)
    }

    /// The inverse of [`JobKind::public_id`].
    pub fn parse_id(&self, text: &str) -> Option<JobId> {
        ids::decode(&self.id_prefix, text).map(JobId)
    }
}

/// What people call a job, with its article: `an analysis`.
pub fn with_article(noun: &str) -> String {
    format!("{} {noun}", if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" })
}

/// When held credits are settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Charge {
    /// At creation; a failed job keeps the charge.
    OnStart,
    /// At completion; a failed job releases them.
    OnSuccess,
}

impl Charge {
    /// As the database writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OnStart => "on_start",
            Self::OnSuccess => "on_success",
        }
    }
}

impl Profile {
    /// A built-in by its name, else a TOML file by its path; checked.
    ///
    /// # Errors
    /// `Invalid`, one field error for every gap and contradiction.
    pub fn load(name_or_path: &str) -> Result<Self> {
        match BUILT_IN.iter().find(|(name, _)| *name == name_or_path) {
            Some((_, text)) => Self::parse(text),
            None => {
                let text = std::fs::read_to_string(Path::new(name_or_path)).map_err(|e| {
                    let names = BUILT_IN.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
                    Error::field("profile", format!("{name_or_path} is neither a built-in profile ({names}) nor a readable file: {e}"))
                })?;
                Self::parse(&text)
            }
        }
    }

    /// Reads and checks a profile's text.
    ///
    /// # Errors
    /// As [`Profile::load`].
    pub fn parse(text: &str) -> Result<Self> {
        let broken = |e: toml::de::Error| Error::field("profile", e.to_string().trim().to_owned());
        // Of what is missing, reading it would name the first thing alone.
        let gaps = gaps::gaps(&toml::from_str(text).map_err(broken)?);
        if !gaps.is_empty() {
            return Err(Error::Invalid(gaps));
        }
        let profile: Self = toml::from_str(text).map_err(broken)?;
        let problems = check::problems(&profile);
        if problems.is_empty() { Ok(profile) } else { Err(Error::Invalid(problems)) }
    }

    /// The environment that the button makes keys for; `live` in a profile without environments.
    pub fn default_environment(&self) -> &str {
        self.keys.environments.first().map_or("live", |environment| &environment.name)
    }

    /// Whether jobs of this environment belong to the sandbox.
    pub fn is_sandbox(&self, environment: &str) -> bool {
        self.keys.environments.iter().any(|candidate| candidate.name == environment && candidate.sandbox)
    }

    /// Whether keys may be made in this environment.
    pub fn has_environment(&self, environment: &str) -> bool {
        if self.keys.environments.is_empty() {
            environment == self.default_environment()
        } else {
            self.keys.environments.iter().any(|candidate| candidate.name == environment)
        }
    }

    /// Columns of the table of keys: those it names, else a good set for what keys are like.
    pub fn columns(&self) -> Vec<Column> {
        if !self.keys.columns.is_empty() {
            return self.keys.columns.clone();
        }
        let of_permissions = self.permissions.grant == Grant::Chosen;
        let all = [
            (Column::Name, true),
            (Column::Environment, !self.keys.environments.is_empty()),
            (Column::Permissions, of_permissions),
            (Column::Status, true),
            (Column::Created, true),
            (Column::LastUsed, true),
            (Column::Requests, !of_permissions),
        ];
        all.into_iter().filter(|(_, shown)| *shown).map(|(column, _)| column).collect()
    }

    /// What a key may do that inherits from a person of `role`, or else holds `own` itself.
    pub fn held<'a>(&'a self, own: &'a [String], role: Option<&str>) -> &'a [String] {
        role.map_or(own, |role| self.permissions.of_role(role))
    }

    /// A kind of job by its name.
    pub fn job_kind(&self, kind: &str) -> Option<&JobKind> {
        self.jobs.iter().find(|job| job.kind == kind)
    }

    /// A job's id as partners see it, whatever its kind: all kinds share one prefix.
    pub fn public_job_id(&self, id: JobId) -> String {
        ids::encode(self.jobs.first().map_or("job", |job| &job.id_prefix), id.0)
    }

    /// A limit and its number (from 1) by its name.
    pub fn limit(&self, name: &str) -> Option<(i16, &Limit)> {
        self.limits.iter().zip(1i16..).find(|(limit, _)| limit.name == name).map(|(limit, number)| (number, limit))
    }

    /// A route's full path.
    pub fn full_path(&self, route: &Route) -> String {
        format!("{}{}", self.api.base_path.trim_end_matches('/'), route.path)
    }

    /// A route as the request history writes it: `GET /analyses/{id}`.
    pub fn route_name(&self, route: &Route) -> String {
        format!("{} {}", route.method.as_str(), self.full_path(route))
    }

    /// The first route that does `action`.
    pub fn route_for(&self, action: Action) -> Option<&Route> {
        self.routes.iter().find(|route| route.action == action)
    }

    /// The dashboard's page title.
    pub fn title(&self) -> &str {
        self.place.last().map_or("API", String::as_str)
    }
}
