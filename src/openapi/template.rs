//! From a body that the profile's author wrote, with words in braces, to the schema of what is sent and an example of it.

use serde_json::{Map, Value, json};

use crate::profile::{Template, Values};

/// A word of a body.
pub(super) struct Word {
    name: &'static str,
    example: Filling,
    /// What it may be; none: always the example.
    any: Option<Value>,
}

enum Filling {
    Text(String),
    Number(i64),
}

impl Word {
    /// A text that is always this one.
    pub(super) fn text(name: &'static str, text: &str) -> Self {
        Self { name, example: Filling::Text(text.to_owned()), any: None }
    }

    /// A number that is always this one.
    pub(super) fn number(name: &'static str, number: i64) -> Self {
        Self { name, example: Filling::Number(number), any: None }
    }

    /// The same, of which this is but an example.
    pub(super) fn or_any(self, schema: Value) -> Self {
        Self { any: Some(schema), ..self }
    }

    /// Stands for it in the rendered text, and in no text else: private characters, or digits that nobody writes.
    fn mark(&self, place: usize) -> String {
        match self.example {
            Filling::Text(_) => format!("\u{e000}{place}\u{e001}"),
            Filling::Number(_) => format!("8123456789{place}000"),
        }
    }
}

/// The schema of what is sent, and an example of it: the very text.
pub(super) fn body(template: &Template, words: &[Word]) -> (Value, String) {
    let (mut marked, mut example) = (Values::default(), Values::default());
    for (place, word) in words.iter().enumerate() {
        let mark = word.mark(place);
        (marked, example) = match (&word.example, word.any.is_some()) {
            (Filling::Text(text), is_open) => (marked.text(word.name, if is_open { &mark } else { text }), example.text(word.name, text)),
            (Filling::Number(number), is_open) => {
                let mark = mark.parse().unwrap_or(*number);
                (marked.number(word.name, if is_open { mark } else { *number }), example.number(word.name, *number))
            }
        };
    }
    let tree = serde_json::from_str(&template.render(&marked)).unwrap_or(Value::Null);
    (schema(&tree, words), template.render(&example))
}

fn schema(tree: &Value, words: &[Word]) -> Value {
    match tree {
        Value::Null => json!({ "type": "null" }),
        Value::Bool(_) => json!({ "type": "boolean", "const": tree }),
        Value::Number(number) => open_words(words).find(|(mark, _)| *mark == number.to_string()).map_or_else(
            || json!({ "type": if number.is_f64() { "number" } else { "integer" }, "const": number }),
            |(_, schema)| schema.clone(),
        ),
        Value::String(text) => of_text(text, words),
        Value::Array(items) => {
            let each: Vec<Value> = items.iter().map(|item| schema(item, words)).collect();
            let count = each.len();
            if count == 0 {
                return json!({ "type": "array", "maxItems": 0 });
            }
            json!({ "type": "array", "prefixItems": each, "minItems": count, "maxItems": count })
        }
        Value::Object(members) => {
            let properties: Map<String, Value> = members.iter().map(|(name, value)| (name.clone(), schema(value, words))).collect();
            let required: Vec<&String> = members.keys().collect();
            json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
        }
    }
}

fn open_words(words: &[Word]) -> impl Iterator<Item = (String, &Value)> {
    words.iter().enumerate().filter_map(|(place, word)| Some((word.mark(place), word.any.as_ref()?)))
}

fn of_text(text: &str, words: &[Word]) -> Value {
    if let Some((_, schema)) = open_words(words).find(|(mark, schema)| mark == text && schema["type"] == "string") {
        return schema.clone();
    }
    if !open_words(words).any(|(mark, _)| text.contains(&mark)) {
        return json!({ "type": "string", "const": text });
    }
    let mut pattern = String::new();
    for c in text.chars() {
        if r"^$\.*+?()[]{}|/".contains(c) {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    for (mark, schema) in open_words(words) {
        pattern = pattern.replace(&mark, if schema["type"] == "integer" { "-?[0-9]+" } else { "[\\s\\S]*" });
    }
    json!({ "type": "string", "pattern": format!("^{pattern}$") })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    fn template(text: &str) -> Template {
        Template::deserialize(serde::de::value::StrDeserializer::<serde::de::value::Error>::new(text)).expect("a template")
    }

    #[test]
    fn what_is_fixed_is_told_exactly_and_what_varies_by_its_kind() {
        let words = [
            Word::text("message", "It is \"late\".").or_any(json!({ "type": "string" })),
            Word::text("code", "late"),
            Word::number("limit", 60).or_any(json!({ "type": "integer", "minimum": 1 })),
        ];
        let text =
            r#"{"error":{"message":"{message}","code":"{code}"},"limit":{limit},"hint":"{limit} (at most). {message}","n":[1,null]}"#;
        let (schema, example) = body(&template(text), &words);
        assert_eq!(
            example,
            r#"{"error":{"message":"It is \"late\".","code":"late"},"limit":60,"hint":"60 (at most). It is \"late\".","n":[1,null]}"#
        );
        let of = &schema["properties"];
        assert_eq!(of["error"]["properties"]["message"], json!({ "type": "string" }));
        assert_eq!(of["error"]["properties"]["code"], json!({ "type": "string", "const": "late" }));
        assert_eq!(of["limit"], json!({ "type": "integer", "minimum": 1 }));
        assert_eq!(of["hint"]["pattern"], r"^-?[0-9]+ \(at most\)\. [\s\S]*$");
        assert_eq!(of["n"]["prefixItems"][0], json!({ "type": "integer", "const": 1 }));
        assert_eq!(schema["additionalProperties"], json!(false));
    }
}
