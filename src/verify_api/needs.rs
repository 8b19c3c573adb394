//! What a key must hold and pay to pass: said by a service in JSON, and by a proxy in the query of its own configuration.

use actix_web::web;

use super::is_text;
use crate::admission::Rule;
use crate::error::{Error, FieldError};
use crate::json_call::{Fields, Refusal};
use crate::profile::Profile;

/// Most credits that one request may spend.
const MOST_CREDITS: u64 = 1_000_000;
/// Their names, in either form.
pub(super) const NAMES: [&str; 3] = ["permission", "credits", "limit"];

/// What is asked of a key.
#[derive(Debug, Default)]
pub(super) struct Needs {
    pub permission: Option<String>,
    pub credits: i64,
    limit: Option<String>,
}

impl Needs {
    /// Of a service. What is wrong is noted in `fields`.
    pub fn of_fields(fields: &mut Fields, profile: &Profile) -> Self {
        let permission = fields.optional::<String>("permission", "a text");
        let credits = fields.optional::<u64>("credits", &format!("a whole number from 0 to {MOST_CREDITS}"));
        let limit = fields.optional::<String>("limit", "the name of a limit");
        let needs = Self { permission, credits: credits.unwrap_or(0).min(i64::MAX as u64) as i64, limit };
        for FieldError { field, message } in needs.wrong(profile) {
            let name = NAMES.into_iter().find(|name| *name == field).unwrap_or("body");
            fields.refuse(name, message);
        }
        needs
    }

    /// Of a proxy. A slip of the pen is told: what is not understood would be asked of nobody.
    pub fn of_query(query: &str, profile: &Profile) -> Result<Self, Refusal> {
        let unreadable = || Error::field("query", "The query can't be read.");
        let web::Query(pairs) = web::Query::<Vec<(String, String)>>::from_query(query).map_err(|_| unreadable())?;
        let (mut needs, mut wrong, mut seen) = (Self::default(), Vec::new(), Vec::new());
        for (name, value) in pairs {
            let known = NAMES.into_iter().find(|known| *known == name);
            match known {
                Some(known) if seen.contains(&known) => wrong.push(told(known, "Send it once.")),
                Some("permission") => needs.permission = Some(value),
                Some("limit") => needs.limit = Some(value),
                Some(_) => match value.parse::<u32>() {
                    Ok(credits) => needs.credits = credits.into(),
                    Err(_) => wrong.push(told("credits", &format!("credits must be a whole number from 0 to {MOST_CREDITS}."))),
                },
                None => {
                    let shown: String = name.chars().take(60).collect();
                    let message = format!("There is no such parameter. There are: {}.", NAMES.join(", "));
                    wrong.push(FieldError { field: shown.into(), message });
                }
            }
            seen.extend(known);
        }
        wrong.extend(needs.wrong(profile));
        if wrong.is_empty() { Ok(needs) } else { Err(Error::Invalid(wrong).into()) }
    }

    fn wrong(&self, profile: &Profile) -> Vec<FieldError> {
        let mut wrong = Vec::new();
        // An empty one is a variable that was not set: it must not ask for nothing.
        if self.permission.as_ref().is_some_and(|permission| permission.is_empty() || !is_text(permission)) {
            wrong.push(told("permission", "permission must be a text of 1 to 200 characters."));
        }
        if self.credits as u64 > MOST_CREDITS {
            wrong.push(told("credits", &format!("{} is not between 0 and {MOST_CREDITS}.", self.credits)));
        }
        if self.limit.as_ref().is_some_and(|limit| profile.limit(limit).is_none()) {
            let names = profile.limits.iter().map(|limit| limit.name.as_str()).collect::<Vec<_>>().join(", ");
            wrong.push(told("limit", &format!("There is no such limit. There are: {names}.")));
        }
        wrong
    }

    /// What admission asks.
    pub fn rule(&self, profile: &Profile) -> Rule {
        let limit = self.limit.as_ref().or(profile.verify.limit.as_ref()).and_then(|name| profile.limit(name));
        Rule { describe: true, ..Rule::new(profile, self.permission.as_deref(), limit) }
    }
}

fn told(field: &'static str, message: &str) -> FieldError {
    FieldError { field: field.into(), message: message.to_owned() }
}
