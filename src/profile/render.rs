//! Bodies, and texts to sign, as the profile's author wrote them, with words in braces filled in.
//!
//! A body is kept as text and not as a JSON tree, so that what is sent is byte for byte what the file says. A word in
//! braces can't be mistaken for JSON: no JSON has a bare word after `{`.

use std::fmt::Write as _;

use serde::Deserialize;

/// Fillings of a body: text is escaped for a JSON string, numbers stand as they are.
#[derive(Debug, Clone, Default)]
pub struct Values(Vec<(&'static str, String)>);

impl Values {
    /// Those of [`super::ErrorShape`].
    pub fn of_error(message: &str, code: &str) -> Self {
        Self::default().text("message", message).text("code", code).text("code_upper", &code.to_ascii_uppercase())
    }

    /// Adds a number.
    #[must_use]
    pub fn number(mut self, name: &'static str, value: impl Into<i64>) -> Self {
        self.0.push((name, value.into().to_string()));
        self
    }

    /// Adds text that stands inside a JSON string.
    #[must_use]
    pub fn text(mut self, name: &'static str, value: &str) -> Self {
        let quoted = serde_json::Value::from(value).to_string();
        self.0.push((name, quoted[1..quoted.len() - 1].to_owned()));
        self
    }

    /// Adds text as it is, for what is no JSON.
    #[must_use]
    pub fn plain(mut self, name: &'static str, value: &str) -> Self {
        self.0.push((name, value.to_owned()));
        self
    }
}

/// Text with words in braces, most often JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Literal text and the word that follows it; the last has none.
    parts: Vec<(String, Option<String>)>,
}

impl Template {
    fn parse(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(start) = rest.find('{') {
            let after = &rest[start + 1..];
            let length = after.find(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit() && c != '_').unwrap_or(after.len());
            literal.push_str(&rest[..start]);
            if length > 0 && after[length..].starts_with('}') {
                parts.push((std::mem::take(&mut literal), Some(after[..length].to_owned())));
                rest = &after[length + 1..];
            } else {
                literal.push('{');
                rest = after;
            }
        }
        literal.push_str(rest);
        parts.push((literal, None));
        Self { parts }
    }

    /// The words it asks for.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|(_, word)| word.as_deref())
    }

    /// The body with its words filled in. A word without a value stays as written: the start-up check leaves none.
    pub fn render(&self, values: &Values) -> String {
        let mut body = String::new();
        for (literal, word) in &self.parts {
            body.push_str(literal);
            if let Some(word) = word {
                match values.0.iter().find(|(name, _)| name == word) {
                    Some((_, value)) => body.push_str(value),
                    None => {
                        let _ = write!(body, "{{{word}}}");
                    }
                }
            }
        }
        body
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::parse(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_filled_and_json_braces_left_alone() {
        let body = Template::parse(r#"{"error":{"message":"{message}","n":{limit},"e":{}}}"#);
        assert_eq!(body.words().collect::<Vec<_>>(), ["message", "limit"]);
        let values = Values::default().text("message", "say \"no\"\n").number("limit", 60);
        assert_eq!(body.render(&values), r#"{"error":{"message":"say \"no\"\n","n":60,"e":{}}}"#);
    }
}
