//! Durations and lists in words.

use time::Duration;

/// The two largest units of a duration: `2 min 31 s`.
pub(in crate::web) fn span(duration: Duration) -> String {
    let seconds = duration.whole_seconds().max(0);
    let parts = match seconds {
        ..60 => return format!("{} s", seconds.max(1)),
        60..3_600 => [(seconds / 60, "min"), (seconds % 60, "s")],
        3_600..86_400 => [(seconds / 3_600, "h"), (seconds % 3_600 / 60, "min")],
        _ => [(seconds / 86_400, "d"), (seconds % 86_400 / 3_600, "h")],
    };
    parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n} {unit}")).collect::<Vec<_>>().join(" ")
}

/// `5 s, 5 min and 2 h`; nothing of nothing.
pub(in crate::web) fn listed(parts: impl Iterator<Item = String>) -> String {
    let parts: Vec<String> = parts.collect();
    match parts.as_slice() {
        [most @ .., last] if !most.is_empty() => format!("{} and {last}", most.join(", ")),
        few => few.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units() {
        for (seconds, text) in [(0, "1 s"), (5, "5 s"), (151, "2 min 31 s"), (1_800, "30 min"), (18_000, "5 h"), (90_000, "1 d 1 h")] {
            assert_eq!(span(Duration::seconds(seconds)), text);
        }
    }

    #[test]
    fn lists_end_with_and() {
        for (parts, text) in [(&[][..], ""), (&["a"], "a"), (&["a", "b"], "a and b"), (&["a", "b", "c"], "a, b and c")] {
            assert_eq!(listed(parts.iter().map(|part| (*part).to_owned())), text);
        }
    }
}
