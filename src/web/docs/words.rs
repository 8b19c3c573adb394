//! Schemas, limits and statuses in words.

use serde_json::Value;

use crate::profile::{Limit, Scope};
use crate::web::filters::grouped;
use crate::web::webhooks::span;

/// What something may be: `whole number, 1 to 100`.
pub(super) fn kind(schema: &Value) -> String {
    if let Some(choices) = schema["anyOf"].as_array() {
        return choices.iter().filter(|choice| choice["type"] != "null").map(kind).collect::<Vec<_>>().join(" or ");
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if let Some(words) = schema["enum"].as_array() {
        return format!("one of {}", words.iter().map(text).collect::<Vec<_>>().join(", "));
    }
    if schema["const"].is_string() {
        return text(&schema["const"]);
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => text(kinds.first().unwrap_or(&Value::Null)),
        kind => text(kind),
    };
    let most = schema["maxLength"].as_i64().map_or_else(String::new, |most| format!(", at most {} characters", grouped(most)));
    let (pattern, format) = (text(&schema["pattern"]), text(&schema["format"]));
    match (kind.as_str(), format.as_str()) {
        ("string", "date-time") => "moment, RFC 3339".into(),
        ("string", "date") => "day".into(),
        ("string", "uri") => format!("URL{most}"),
        ("string", _) => match pattern.strip_prefix('^').and_then(|rest| rest.split_once("_[")) {
            Some((prefix, _)) => format!("id, {prefix}_…"),
            None => format!("text{most}"),
        },
        ("integer", _) => {
            let bound = |name: &str| schema[name].as_i64().map(grouped);
            let bounds = match (bound("minimum"), bound("maximum")) {
                (Some(least), Some(most)) => format!(", {least} to {most}"),
                (Some(least), None) => format!(", {least} or more"),
                _ => String::new(),
            };
            let usual = bound("default").map_or_else(String::new, |usual| format!("; {usual} unless you say"));
            format!("whole number{bounds}{usual}")
        }
        ("boolean", _) => "true or false".into(),
        ("object", _) => "JSON object".into(),
        (other, _) => other.into(),
    }
}

/// `60 requests in 1 min for each key`.
pub(super) fn limit(limit: &Limit) -> String {
    let scope = if limit.scope == Scope::Key { "key" } else { "organization" };
    let window = span(time::Duration::try_from(limit.window).unwrap_or(time::Duration::MAX));
    let requests = if limit.requests == 1 { "request" } else { "requests" };
    format!("{} {requests} in {window} for each {scope}", grouped(limit.requests))
}

/// The tone of a status' chip.
pub(super) fn tone(status: &u16) -> &'static str {
    match status {
        200..=299 => "ok",
        429 => "wait",
        500.. => "fail",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::kind;

    #[test]
    fn schemas_in_words() {
        for (schema, words) in [
            (json!({ "type": "integer", "minimum": 1, "maximum": 100, "default": 50 }), "whole number, 1 to 100; 50 unless you say"),
            (json!({ "type": ["string", "null"], "maxLength": 2_048 }), "text, at most 2,048 characters"),
            (json!({ "type": "string", "pattern": "^an_[0-9A-Za-z]{22}$" }), "id, an_…"),
            (json!({ "anyOf": [{ "type": "string", "enum": ["a", "b"] }, { "type": "null" }] }), "one of a, b"),
        ] {
            assert_eq!(kind(&schema), words);
        }
    }
}
