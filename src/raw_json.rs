//! JSON kept as the text that was sent: not re-ordered, not re-spaced, its numbers not rounded.

use std::io::Write as _;

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, IsNull, Output, ToSql};
use serde_json::value::RawValue;

/// Deepest nesting that is accepted: what `serde_json` reads back, and far from the end of PostgreSQL's stack.
pub const DEEPEST: usize = 100;

/// Valid JSON, as sent. Stands in `json` columns and, unchanged, in answers.
#[derive(Debug, Clone, PartialEq, Eq, AsExpression, FromSqlRow)]
#[diesel(sql_type = diesel::sql_types::Json)]
pub struct RawJson(String);

impl RawJson {
    /// Accepts the text of a JSON object (RFC 8259).
    ///
    /// # Errors
    /// The end of a sentence that starts with the field's name.
    pub fn object(text: &str) -> Result<Self, &'static str> {
        let raw: &RawValue = serde_json::from_str(text).map_err(|_| "is not valid JSON.")?;
        if !raw.get().starts_with('{') {
            return Err("must be a JSON object.");
        }
        if depth(raw.get()) > DEEPEST {
            return Err("is nested more than 100 levels deep.");
        }
        Ok(Self(raw.get().to_owned()))
    }

    /// The JSON of a value.
    ///
    /// # Errors
    /// Those of `serde_json`: a map whose keys are not strings.
    pub fn of(value: &impl serde::Serialize) -> serde_json::Result<Self> {
        serde_json::to_string(value).map(Self)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Levels of nesting of valid JSON.
fn depth(text: &str) -> usize {
    let (mut now, mut most, mut quoted, mut escaped) = (0usize, 0usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                now += 1;
                most = most.max(now);
            }
            b'}' | b']' if !quoted => now = now.saturating_sub(1),
            _ => {}
        }
    }
    most
}

impl serde::Serialize for RawJson {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

// The `json` type travels as plain text in both directions.
impl ToSql<diesel::sql_types::Json, Pg> for RawJson {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(self.0.as_bytes())?;
        Ok(IsNull::No)
    }
}

impl FromSql<diesel::sql_types::Json, Pg> for RawJson {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(std::str::from_utf8(value.as_bytes())?.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_kept_as_sent() {
        let text = r#"{"b": 1.0,  "a":12345678901234567890123, "a":"\u00e9é\u0000"}"#;
        let json = RawJson::object(&format!(" {text}\n")).expect("an object");
        assert_eq!(json.as_str(), text);
        assert_eq!(serde_json::to_string(&json).expect("JSON"), text);
    }

    #[test]
    fn what_is_no_object_or_too_deep_is_refused() {
        for bad in ["", "{", "[]", "null", "\"{}\"", "{} {}", "{\"a\":\"\u{0}\"}"] {
            assert!(RawJson::object(bad).is_err(), "{bad:?}");
        }
        let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(RawJson::object(&nested(DEEPEST - 1)).is_ok());
        assert!(RawJson::object(&nested(DEEPEST)).is_err());
        assert!(RawJson::object(&nested(500_000)).is_err());
        assert!(RawJson::object(r#"{"a":"[[[\"{{{\\"}"#).is_ok());
    }
}
