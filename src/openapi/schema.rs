//! JSON Schema (draft 2020-12, as OpenAPI 3.1 has it) and examples, in few words.

use serde_json::{Map, Value, json};

use crate::ids;

/// The moment of all examples.
pub(super) const MOMENT: &str = "2026-11-20T14:02:00.000Z";
/// The same in milliseconds since 1970.
const MOMENT_MS: u64 = 1_795_183_320_000;

/// Schemas by their name in `components`.
#[derive(Debug, Default)]
pub(super) struct Named(pub(super) Map<String, Value>);

impl Named {
    /// A reference to this schema. Another one of that name keeps it, and this one stands where it is used.
    pub(super) fn refer(&mut self, name: &str, schema: Value) -> Value {
        match self.0.entry(name).or_insert_with(|| schema.clone()) {
            same if *same == schema => json!({ "$ref": format!("#/components/schemas/{name}") }),
            _ => schema,
        }
    }
}

/// A member of an object: its name, what it holds, and whether it is always there.
pub(super) type Member<'a> = (&'a str, Value, bool);

/// An object. Members may be added to it in versions to come.
pub(super) fn object(members: &[Member<'_>]) -> Value {
    let properties: Map<String, Value> = members.iter().map(|(name, schema, _)| ((*name).to_owned(), schema.clone())).collect();
    let required: Vec<&str> = members.iter().filter(|(.., always)| *always).map(|(name, ..)| *name).collect();
    let mut schema = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// An object without other members.
pub(super) fn closed(members: &[Member<'_>]) -> Value {
    let mut schema = object(members);
    schema["additionalProperties"] = json!(false);
    schema
}

/// An object whose members are its owner's.
pub(super) fn anything() -> Value {
    json!({ "type": "object" })
}

/// `{}`.
pub(super) fn nothing() -> Value {
    json!({ "type": "object", "maxProperties": 0 })
}

pub(super) fn list(of: Value) -> Value {
    json!({ "type": "array", "items": of })
}

pub(super) fn text() -> Value {
    json!({ "type": "string" })
}

/// A text of at most so many characters, without NUL.
pub(super) fn text_of(most: usize) -> Value {
    json!({ "type": "string", "maxLength": most, "pattern": "^[^\\x00]*$" })
}

/// One of these words.
pub(super) fn word<S: AsRef<str>>(words: &[S]) -> Value {
    match words {
        [one] => json!({ "type": "string", "const": one.as_ref() }),
        words => json!({ "type": "string", "enum": words.iter().map(AsRef::as_ref).collect::<Vec<_>>() }),
    }
}

pub(super) fn flag() -> Value {
    json!({ "type": "boolean" })
}

pub(super) fn integer() -> Value {
    json!({ "type": "integer" })
}

pub(super) fn at_least(least: i64) -> Value {
    json!({ "type": "integer", "minimum": least })
}

pub(super) fn between(least: i64, most: i64) -> Value {
    json!({ "type": "integer", "minimum": least, "maximum": most })
}

/// Not below zero, with a fraction.
pub(super) fn number() -> Value {
    json!({ "type": "number", "minimum": 0 })
}

/// A moment in UTC (RFC 3339).
pub(super) fn moment() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

/// The same, or the day that begins with it.
pub(super) fn moment_or_day() -> Value {
    json!({ "anyOf": [moment(), { "type": "string", "format": "date" }] })
}

/// Text that looks so.
pub(super) fn pattern(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": pattern })
}

/// An id with this prefix.
pub(super) fn id(prefix: &str) -> Value {
    pattern(&format!("^{prefix}_[0-9A-Za-z]{{22}}$"))
}

/// The same, or null.
pub(super) fn or_null(mut schema: Value) -> Value {
    match schema.get("type").and_then(Value::as_str).map(str::to_owned) {
        Some(kind) if schema.get("enum").is_none() && schema.get("const").is_none() => {
            schema["type"] = json!([kind, "null"]);
            schema
        }
        _ => json!({ "anyOf": [schema, { "type": "null" }] }),
    }
}

/// The schema with a sentence about it.
pub(super) fn said(mut schema: Value, sentence: &str) -> Value {
    schema["description"] = json!(sentence);
    schema
}

/// An id as they look; another one for each number.
pub(super) fn example_id(prefix: &str, number: u8) -> String {
    ids::encode(prefix, uuid::Builder::from_unix_timestamp_millis(MOMENT_MS, &[number; 10]).into_uuid())
}

/// JSON laid out over lines, its members in the order in which they stand there.
pub fn laid_out(json: &str) -> String {
    let (mut out, mut depth, mut quoted, mut escaped) = (String::new(), 0usize, false, false);
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    let mut rest = json.chars().filter(|c| *c != '\n').peekable();
    while let Some(c) = rest.next() {
        if quoted {
            out.push(c);
            (quoted, escaped) = (escaped || c != '"', !escaped && c == '\\');
            continue;
        }
        match c {
            ' ' => {}
            '{' | '[' if rest.next_if(|next| matches!(next, '}' | ']')).is_some() => out.push_str(if c == '{' { "{}" } else { "[]" }),
            '{' | '[' => {
                out.push(c);
                depth += 1;
                line(&mut out, depth);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => {
                quoted = c == '"';
                out.push(c);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_laid_out_in_its_own_order() {
        let laid = laid_out(r#"{"b":{},"a":[1,{"x":"{\",:}"}],"c":[]}"#);
        assert_eq!(laid, "{\n  \"b\": {},\n  \"a\": [\n    1,\n    {\n      \"x\": \"{\\\",:}\"\n    }\n  ],\n  \"c\": []\n}");
    }

    #[test]
    fn what_may_be_null_says_so() {
        assert_eq!(or_null(moment())["type"], json!(["string", "null"]));
        assert_eq!(or_null(word(&["a", "b"]))["anyOf"][1], json!({ "type": "null" }));
    }

    #[test]
    fn a_name_means_one_schema() {
        let mut named = Named::default();
        let first = named.refer("Job", text());
        assert_eq!(named.refer("Job", text()), first);
        assert_eq!(named.refer("Job", flag()), flag());
    }
}
