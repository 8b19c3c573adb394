//! What a profile leaves out, all of it at once.

use toml::{Table, Value};

use super::Refusals;
use crate::error::FieldError;

/// What has no default, with what it is for.
const NEEDED: [(&str, &str); 14] = [
    ("name", "what to call this profile"),
    ("description", "one sentence about it"),
    ("place", "the breadcrumbs of the dashboard's page, its title last"),
    ("api.base_path", "where every partner route starts, such as \"/v1\""),
    ("keys.prefix", "the first word of a key's text"),
    ("keys.max_active", "how many active keys an organization may have, 0 for any number"),
    ("keys.create_label", "the text of the button that makes a key"),
    ("keys.revoke_label", "\"Revoke\" or \"Delete\""),
    ("keys.rotation", "whether a key may be given a new text in place"),
    ("permissions.grant", "\"none\", \"chosen\" or \"inherited\""),
    ("verify.charge", "\"on_start\" or \"on_success\""),
    ("verify.report_within", "how long a service may take to report, such as \"15m\""),
    ("errors.body", "the JSON of every error that is not a refusal"),
    ("refusals", "the answer to each outcome"),
];

/// Every needed setting that is not there.
pub(super) fn gaps(profile: &Table) -> Vec<FieldError> {
    let missing = |field: &str, what: &str| FieldError { field: field.to_owned().into(), message: format!("is missing: {what}") };
    let needed = NEEDED.iter().filter(|(path, _)| at(profile, path).is_none()).map(|(path, what)| missing(path, what));
    let outcomes = Refusals::OUTCOMES.iter().filter(|_| profile.contains_key("refusals")).flat_map(|outcome| {
        let fields = [("status", "the HTTP status of this outcome"), ("body", "the JSON that this outcome is answered with")];
        let whole = format!("refusals.{outcome}");
        if at(profile, &whole).is_none() {
            return vec![missing(&whole, "this outcome has no answer; give it a status and a body")];
        }
        let path = |part: &str| format!("{whole}.{part}");
        fields.into_iter().filter(|(part, _)| at(profile, &path(part)).is_none()).map(|(part, what)| missing(&path(part), what)).collect()
    });
    needed.chain(outcomes).collect()
}

fn at<'a>(profile: &'a Table, path: &str) -> Option<&'a Value> {
    let mut words = path.split('.');
    let first = profile.get(words.next()?)?;
    words.try_fold(first, |value, word| value.get(word))
}
