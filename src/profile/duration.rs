//! Durations as a profile's author writes them: `30s`, `1m`, `24h`, `7d`.

use std::time::Duration;

use serde::{Deserialize as _, Deserializer, de::Error as _};

/// `1s`, `1m`, `24h`, `7d`.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let count: u32 = digits.parse().ok().filter(|count| (1..=100_000).contains(count))?;
    Some(Duration::from_secs(u64::from(count) * seconds))
}

/// One of them.
pub(super) fn one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).ok_or_else(|| D::Error::custom(format!("{text:?} is no duration; write 30s, 1m, 24h or 7d")))
}

/// A list of them.
pub(super) fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Duration>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let parse = |text: &String| parse(text).ok_or_else(|| D::Error::custom(format!("{text:?} is no duration; write 30s, 1m, 24h or 7d")));
    texts.iter().map(parse).collect()
}
