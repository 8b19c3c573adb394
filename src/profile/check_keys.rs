//! Checks of what keys are like and what they may do.

use actix_web::http::header::HeaderName;

use super::check::{Problems, first_repeated, is_word};
use super::permissions::NEVER_INHERITED;
use super::{Column, Grant, Profile};
use crate::actor::Role;

/// First words of Latchkey's own tokens: a key that began so would be taken for one.
const TOKENS: [&str; 5] = ["lkw", "lks", "lki", "lkm", "lkc"];

/// Headers that requests have for reasons of their own.
const TAKEN: [&str; 21] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "expect",
    "host",
    "idempotency-key",
    "origin",
    "referer",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-real-ip",
];
const TAKEN_PREFIXES: [&str; 5] = ["sec-", "proxy-", "x-forwarded-", "x-original-", "x-latchkey-"];

/// What keys are like, and where they stand in a request.
pub(super) fn keys(profile: &Profile, problems: &mut Problems) {
    table(profile, problems);
    let keys = &profile.keys;
    for (field, text) in [("name", &profile.name), ("description", &profile.description)] {
        problems.unless(!text.trim().is_empty(), field, "can't be empty");
    }
    problems.unless(!profile.place.is_empty(), "place", "must name at least the page's title");
    problems.unless(profile.place.iter().all(|word| !word.trim().is_empty()), "place", "must have no empty words");
    problems.unless(is_word(&keys.prefix), "keys.prefix", "must be 1 to 20 of a-z and 0-9");
    problems.unless(!TOKENS.contains(&keys.prefix.as_str()), "keys.prefix", "must not be the first word of Latchkey's own tokens");
    problems.unless(!keys.create_label.trim().is_empty(), "keys.create_label", "is the text of a button and can't be empty");
    problems.unless(["Revoke", "Delete"].contains(&keys.revoke_label.as_str()), "keys.revoke_label", "must be \"Revoke\" or \"Delete\"");
    for environment in &keys.environments {
        problems.unless(is_word(&environment.name), "keys.environments", format!("{:?} is not 1 to 20 of a-z and 0-9", environment.name));
    }
    if let Some(name) = first_repeated(keys.environments.iter().map(|environment| environment.name.as_str())) {
        problems.unless(false, "keys.environments", format!("{name:?} stands there twice"));
    }
    let sandbox_first = keys.environments.first().is_some_and(|environment| environment.sandbox);
    problems.unless(!sandbox_first, "keys.environments", "must start with the environment of real keys, not with a sandbox");
    for header in &profile.api.key_headers {
        let name = header.to_ascii_lowercase();
        let taken = TAKEN.contains(&name.as_str()) || TAKEN_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        let fine = name.parse::<HeaderName>().is_ok() && !taken;
        problems.unless(fine, "api.key_headers", format!("{header:?} is not the name of a header of its own"));
    }
    // Names of headers have no case: twice the same would make every key ambiguous.
    let headers: Vec<String> = profile.api.key_headers.iter().map(|header| header.to_ascii_lowercase()).collect();
    if let Some(name) = first_repeated(headers.iter().map(String::as_str)) {
        problems.unless(false, "api.key_headers", format!("{name:?} stands there twice"));
    }
    parameters(profile, problems);
}

/// Query parameters that may carry the key.
fn parameters(profile: &Profile, problems: &mut Problems) {
    let names = &profile.api.key_parameters;
    if let Some(name) = first_repeated(names.iter().map(String::as_str)) {
        problems.unless(false, "api.key_parameters", format!("{name:?} stands there twice"));
    }
    for name in names {
        let fine = (1..=40).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        problems.unless(fine, "api.key_parameters", format!("{name:?} is not 1 to 40 letters, digits, - and _"));
        let used = profile.routes.iter().find(|route| route.action.parameters().iter().any(|word| route.name(word) == name));
        if let Some(route) = used {
            let why = format!("{name:?} is a parameter of {} already", profile.route_name(route));
            problems.unless(false, "api.key_parameters", why);
        }
    }
}

/// The table of keys, and what people can do in it.
fn table(profile: &Profile, problems: &mut Problems) {
    let keys = &profile.keys;
    let is_one = keys.max_active == 1;
    problems.unless(keys.rotation || keys.grace.is_empty(), "keys.grace", "offers a grace period where rotation = false");
    problems.unless(
        keys.rotation || !is_one,
        "keys.rotation",
        "must be true where max_active = 1: there is no second key to switch over to",
    );
    problems.unless(!is_one || keys.columns.is_empty(), "keys.columns", "belong to a table, but max_active = 1 shows a card");
    problems.unless(keys.columns.is_empty() || keys.columns.contains(&Column::Name), "keys.columns", "must have \"name\" among them");
    let of_permissions = keys.columns.contains(&Column::Permissions);
    problems.unless(
        !of_permissions || profile.permissions.grant != Grant::None,
        "keys.columns",
        "shows permissions where grant = \"none\"",
    );
    let of_environment = keys.columns.contains(&Column::Environment);
    problems.unless(!of_environment || !keys.environments.is_empty(), "keys.columns", "shows an environment, and there are none");
    if let Some(name) = first_repeated(keys.columns.iter().map(|column| column.heading())) {
        problems.unless(false, "keys.columns", format!("has the column {name:?} twice"));
    }
    for (column, heading) in &keys.headings {
        problems.unless(
            profile.columns().contains(column),
            "keys.headings",
            format!("names a column {:?} that is not shown", column.heading()),
        );
        problems.unless((1..=40).contains(&heading.trim().chars().count()), "keys.headings", "must have 1 to 40 characters in each");
    }
}

/// What keys may do, and by whom.
pub(super) fn permissions(profile: &Profile, problems: &mut Problems) {
    let permissions = &profile.permissions;
    problems.unless(
        (permissions.grant == Grant::None) == permissions.list.is_empty(),
        "permissions.list",
        "must have entries when grant is \"chosen\" or \"inherited\" and none when grant is \"none\"",
    );
    let chosen_for_one = permissions.grant == Grant::Chosen && profile.keys.max_active == 1;
    problems.unless(
        !chosen_for_one,
        "permissions.grant",
        "can't be \"chosen\" where max_active = 1: the one key's button asks for nothing",
    );
    for permission in &permissions.list {
        let fine = (1..=60).contains(&permission.len()) && permission.bytes().all(|b| b.is_ascii_alphanumeric() || b":._-".contains(&b));
        problems.unless(fine, "permissions.list", format!("{permission:?} is not 1 to 60 letters, digits and : . _ -"));
    }
    if let Some(name) = first_repeated(permissions.list.iter().map(String::as_str)) {
        problems.unless(false, "permissions.list", format!("{name:?} stands there twice"));
    }
    inherited(profile, problems);
}

fn inherited(profile: &Profile, problems: &mut Problems) {
    let permissions = &profile.permissions;
    if permissions.grant != Grant::Inherited {
        problems.unless(permissions.roles.is_empty(), "permissions.roles", "says what keys inherit, and grant is not \"inherited\"");
        return;
    }
    // Who rotates a colleague's key would hold what the colleague may do, also after leaving.
    problems.unless(
        !profile.keys.rotation,
        "keys.rotation",
        "must be false where grant = \"inherited\": a key's text is its maker's alone",
    );
    for permission in &permissions.list {
        let first = permission.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default().to_ascii_lowercase();
        let never = NEVER_INHERITED.iter().any(|never| first.trim_end_matches('s') == never.trim_end_matches('s'));
        problems.unless(!never, "permissions.list", format!("{permission:?} would let a key that inherits reach {first}, which none may"));
    }
    let roles = [Role::Admin.as_str(), Role::Member.as_str()];
    for role in roles {
        problems.unless(
            permissions.roles.contains_key(role),
            format!("permissions.roles.{role}"),
            "is missing: what such a person's keys may do",
        );
    }
    for (role, may) in &permissions.roles {
        let field = format!("permissions.roles.{role}");
        problems.unless(roles.contains(&role.as_str()), field.clone(), "is no role; there is admin and member");
        if let Some(unknown) = may.iter().find(|permission| !permissions.list.contains(permission)) {
            problems.unless(false, field, format!("names {unknown:?}, which is not in permissions.list"));
        }
    }
    if let Some(more) = permissions.of_role(roles[1]).iter().find(|permission| !permissions.role_may(roles[0], permission)) {
        problems.unless(false, "permissions.roles.member", format!("has {more:?}, which admins have not"));
    }
    if let Some(idle) = permissions.list.iter().find(|permission| !permissions.role_may(roles[0], permission)) {
        problems.unless(false, "permissions.list", format!("has {idle:?}, which nobody's keys would hold"));
    }
}
