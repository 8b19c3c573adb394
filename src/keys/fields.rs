//! What people say about a key: checked, and every field that is wrong named at once.

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::Key;
use crate::audit;
use crate::error::{Error, FieldError, Result};
use crate::profile::{Grant, Profile};

/// Longest name, in characters.
const NAME_LENGTH: usize = 100;
/// Name of a key where an organization has but one.
const ONLY_NAME: &str = "API key";

/// The checked fields.
pub(super) struct Details {
    pub(super) name: String,
    pub(super) permissions: Vec<String>,
    pub(super) expires_at: Option<OffsetDateTime>,
}

impl Key {
    /// Whether its name tells it from others: where an organization has but one key, nobody has to give it a name.
    pub fn has_own_name(&self, profile: &Profile) -> bool {
        profile.keys.max_active != 1 || self.name != ONLY_NAME
    }
}

impl Details {
    pub(super) fn check(
        profile: &Profile, now: OffsetDateTime, name: &str, permissions: &[String], inherits: bool, expires_at: Option<OffsetDateTime>,
        environment: Option<&str>,
    ) -> Result<Self> {
        let mut problems = Vec::new();
        let name = match name.trim() {
            "" if profile.keys.max_active == 1 => ONLY_NAME,
            name => name,
        };
        problems.extend(name_problem(name).map(|message| FieldError { field: "name".into(), message }));
        if let Some(environment) = environment.filter(|environment| !profile.has_environment(environment)) {
            let message = format!("{environment:?} is not an environment here. Choose one of those offered.");
            problems.push(FieldError { field: "environment".into(), message });
        }
        problems
            .extend(permission_problem(profile, permissions, inherits).map(|message| FieldError { field: "permission".into(), message }));
        if expires_at.is_some_and(|at| at <= now) {
            let message = "This moment has passed. Choose a later one, or none.".into();
            problems.push(FieldError { field: "expires".into(), message });
        }
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        // In the profile's order, each once.
        let permissions = profile.permissions.list.iter().filter(|permission| permissions.contains(permission)).cloned().collect();
        Ok(Self { name: name.to_owned(), permissions, expires_at })
    }

    pub(super) fn of(key: &Key) -> Self {
        Self { name: key.name.clone(), permissions: key.permissions.clone(), expires_at: key.expires_at }
    }

    pub(super) fn as_json(&self, key: &Key) -> Value {
        json!({
            "name": self.name,
            "environment": key.environment,
            "permissions": self.permissions,
            "expires_at": audit::moment(self.expires_at),
        })
    }
}

fn name_problem(name: &str) -> Option<String> {
    match name.chars().count() {
        0 => Some("A name is missing. Use one that says where the key lives.".into()),
        length if length > NAME_LENGTH => Some(format!("The name has {length} characters. Use at most {NAME_LENGTH}.")),
        _ if name.chars().any(char::is_control) => {
            Some("The name has a character that can't be shown. Use letters, digits and spaces.".into())
        }
        _ => None,
    }
}

fn permission_problem(profile: &Profile, permissions: &[String], inherits: bool) -> Option<String> {
    if inherits && !permissions.is_empty() {
        return Some("A key has the permissions of the person who makes it, and none of its own.".into());
    }
    if let Some(foreign) = permissions.iter().find(|permission| !profile.permissions.list.contains(permission)) {
        return Some(format!("{foreign:?} is not a permission here. Choose from those offered."));
    }
    (profile.permissions.grant == Grant::Chosen && permissions.is_empty())
        .then(|| "No permission is chosen. A key without one is refused everywhere.".into())
}
