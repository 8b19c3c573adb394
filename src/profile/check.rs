//! What a profile must satisfy beyond its types. Every gap is named, not just the first.

use std::collections::HashSet;
use std::time::Duration;

use super::{Action, Profile, check_bodies, check_keys};
use crate::error::FieldError;

/// Path prefixes that belong to Latchkey itself.
const RESERVED: &[&str] = &[
    "/orgs",
    "/sign-in",
    "/sign-out",
    "/sign-out-everywhere",
    "/account",
    "/invitations",
    "/password-reset",
    "/assets",
    "/worker",
    "/verify",
    "/support",
    "/leaked-keys",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/docs",
];

/// How long a service may take to report at most.
const LONGEST_REPORT: Duration = Duration::from_secs(86_400);

pub(super) struct Problems(Vec<FieldError>);

impl Problems {
    pub(super) fn unless(&mut self, fine: bool, field: impl Into<String>, message: impl Into<String>) {
        if !fine {
            self.0.push(FieldError { field: field.into().into(), message: message.into() });
        }
    }
}

/// Every gap and contradiction.
pub(super) fn problems(profile: &Profile) -> Vec<FieldError> {
    let mut problems = Problems(Vec::new());
    check_keys::keys(profile, &mut problems);
    check_keys::permissions(profile, &mut problems);
    limits_and_jobs(profile, &mut problems);
    routes(profile, &mut problems);
    check_bodies::refusals(profile, &mut problems);
    check_bodies::webhooks(profile, &mut problems);
    problems.0
}

pub(super) fn is_word(text: &str) -> bool {
    !text.is_empty() && text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

pub(super) fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.len() <= 40 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

pub(super) fn first_repeated<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut seen = HashSet::new();
    names.into_iter().find(|name| !seen.insert(*name))
}

fn limits_and_jobs(profile: &Profile, problems: &mut Problems) {
    for limit in &profile.limits {
        problems.unless(limit.requests > 0, format!("limits.{}", limit.name), "must let at least one request pass");
        problems.unless(is_identifier(&limit.name), format!("limits.{}", limit.name), "must have a name of a-z, 0-9 and _");
    }
    if let Some(name) = first_repeated(profile.limits.iter().map(|limit| limit.name.as_str())) {
        problems.unless(false, "limits", format!("{name:?} stands there twice"));
    }
    for job in &profile.jobs {
        let field = format!("jobs.{}", job.kind);
        for (what, value) in [("kind", &job.kind), ("id_field", &job.id_field), ("event_prefix", &job.event_prefix)] {
            problems.unless(is_identifier(value), format!("{field}.{what}"), "must be 1 to 40 of a-z, 0-9 and _");
        }
        problems.unless(is_word(&job.id_prefix), format!("{field}.id_prefix"), "must be 1 to 20 of a-z and 0-9");
        let example = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&job.example_input);
        problems.unless(example.is_ok(), format!("{field}.example_input"), "must be a JSON object");
        let creates = |route: &super::Route| route.action == Action::JobsCreate && route.job.as_deref() == Some(&job.kind);
        problems.unless(profile.routes.iter().any(creates), field, "has no route with action \"jobs.create\" that makes one");
    }
    for job in &profile.jobs {
        for (action, what) in [(Action::JobsRead, "jobs.read"), (Action::JobsResults, "jobs.results")] {
            let reads = |route: &super::Route| route.action == action && route.job.as_ref().is_none_or(|kind| *kind == job.kind);
            let field = format!("jobs.{}", job.kind);
            problems.unless(profile.routes.iter().any(reads), field, format!("has no route with action {what:?} that tells of one"));
        }
    }
    let verify = &profile.verify;
    if let Some(limit) = &verify.limit {
        problems.unless(profile.limit(limit).is_some(), "verify.limit", format!("names a limit {limit:?} that is not defined"));
    }
    problems.unless(verify.report_within <= LONGEST_REPORT, "verify.report_within", "must be a day at most: credits are held that long");
    if let Some(first) = profile.jobs.first() {
        // The ledger and the history name jobs of every kind, and one reading route may serve them all.
        let same = profile.jobs.iter().all(|job| (&job.id_field, &job.id_prefix) == (&first.id_field, &first.id_prefix));
        problems.unless(same, "jobs", "must share one id_field and one id_prefix");
    }
    if let Some(kind) = first_repeated(profile.jobs.iter().map(|job| job.kind.as_str())) {
        problems.unless(false, "jobs", format!("{kind:?} stands there twice"));
    }
}

fn routes(profile: &Profile, problems: &mut Problems) {
    let base = &profile.api.base_path;
    problems.unless(
        base.starts_with('/') && (base == "/" || !base.ends_with('/')),
        "api.base_path",
        "must start with / and not end with one",
    );
    problems.unless(is_path(base), "api.base_path", "must have nothing but letters, digits, / - _ . ~, and no . or .. between slashes");
    let first = |route: &super::Route| route.method == super::Method::Get && !route.path.contains('{');
    problems.unless(
        profile.routes.iter().any(first),
        "routes",
        "must have one that a first call can use: a GET without {id}, such as key.read",
    );
    let mut seen = HashSet::new();
    for route in &profile.routes {
        let field = format!("routes.{} {}", route.method.as_str(), route.path);
        let full = profile.full_path(route);
        problems.unless(
            route.path.starts_with('/') && !route.path.ends_with('/'),
            field.clone(),
            "must have a path that starts with / and not end with one",
        );
        problems.unless(
            is_path(&route.path.replace("/{id}", "")),
            field.clone(),
            "must have a path of letters, digits, / - _ . ~ and {id}",
        );
        problems.unless(seen.insert((route.method, full.clone())), field.clone(), "stands there twice");
        let reserved =
            RESERVED.iter().find(|prefix| full.strip_prefix(**prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
        problems.unless(reserved.is_none(), field.clone(), format!("lies below {}, which is Latchkey's own", reserved.unwrap_or(&"")));
        let needs_id = matches!(route.action, Action::JobsRead | Action::JobsResults);
        let placeholders = route.path.matches('{').count();
        problems.unless(
            needs_id == route.path.contains("/{id}") && placeholders == usize::from(needs_id),
            field.clone(),
            "must have exactly one {id} when it reads a job and none otherwise",
        );
        let methods = route.action.methods();
        let named = methods.iter().map(|method| method.as_str()).collect::<Vec<_>>().join(" or ");
        problems.unless(methods.contains(&route.method), field.clone(), format!("must be {named} by what it does"));
        if let Some(job) = &route.job {
            problems.unless(profile.job_kind(job).is_some(), field.clone(), format!("names a job {job:?} that is not defined"));
        }
        problems.unless(route.action != Action::JobsCreate || route.job.is_some(), field.clone(), "makes a job and must name its kind");
        let of_jobs = matches!(route.action, Action::JobsCreate | Action::JobsRead | Action::JobsResults);
        problems.unless(!of_jobs || !profile.jobs.is_empty(), field.clone(), "is about jobs, and none is defined");
        names(route, &field, problems);
        if let Some(permission) = &route.permission {
            let known = profile.permissions.list.contains(permission);
            problems.unless(known, field.clone(), format!("needs a permission {permission:?} that is not in permissions.list"));
        }
        if let Some(limit) = &route.limit {
            problems.unless(profile.limit(limit).is_some(), field, format!("names a limit {limit:?} that is not defined"));
        }
    }
}

/// What a list calls its parameters and members: known ones, by names that differ.
fn names(route: &super::Route, field: &str, problems: &mut Problems) {
    let known = route.action.renamable();
    for (word, name) in &route.names {
        let offered = if known.is_empty() { "nothing here can be".to_owned() } else { known.join(", ") };
        problems.unless(known.contains(&word.as_str()), format!("{field}.names"), format!("renames {word:?}; there is {offered}"));
        let fine = (1..=40).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        problems.unless(fine, format!("{field}.names"), format!("calls {word} {name:?}, which is not 1 to 40 letters, digits and _"));
    }
    if let Some(name) = first_repeated(known.iter().map(|word| route.name(word)).chain(route.action.fixed().iter().copied())) {
        problems.unless(false, format!("{field}.names"), format!("calls two things {name:?}"));
    }
}

/// Whether a path is one as it stands: nothing in it is decoded, cut off or taken for a pattern.
fn is_path(path: &str) -> bool {
    let climbs = path.split('/').any(|segment| segment == "." || segment == "..");
    !climbs && !path.contains("//") && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte))
}
