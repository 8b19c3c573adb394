//! Figures as people read them in little room.

use crate::web::filters::grouped;

/// `12,500`, and from a million on `2.5M`: for the lines of a grid.
pub fn compact(n: i64) -> String {
    if n < 1_000_000 {
        return grouped(n);
    }
    let text = format!("{:.2}", n as f64 / 1_000_000.0);
    format!("{}M", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Which part of `all` they are: `0.30%`. `–` where there is nothing to be a part of.
pub fn per_cent(part: i64, all: i64) -> String {
    match (part, all) {
        (_, ..=0) => "–".into(),
        (..=0, _) => "0%".into(),
        _ if part >= all => "100%".into(),
        // What happened is never rounded to what never or always happens.
        _ => format!("{:.2}%", (part as f64 * 100.0 / all as f64).clamp(0.01, 99.99)),
    }
}

/// Of microseconds: `<1 ms`, `123 ms`, and from ten seconds on `12.3 s`.
pub fn duration(micros: i64) -> String {
    match micros {
        ..1_000 => "<1 ms".into(),
        1_000..10_000_000 => format!("{} ms", grouped(micros / 1_000)),
        _ => format!("{:.1} s", micros as f64 / 1_000_000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_as_people_say_them() {
        for (n, text) in [(0, "0"), (750_000, "750,000"), (1_000_000, "1M"), (2_500_000, "2.5M"), (150_000_000, "150M")] {
            assert_eq!(compact(n), text);
        }
        for (micros, text) in [(0, "<1 ms"), (999, "<1 ms"), (41_900, "41 ms"), (1_200_000, "1,200 ms"), (12_345_678, "12.3 s")] {
            assert_eq!(duration(micros), text);
        }
    }

    #[test]
    fn a_share_says_never_and_always_only_of_what_is_so() {
        for (part, all, text) in
            [(0, 0, "–"), (0, 9, "0%"), (146, 48_212, "0.30%"), (1, 10_000_000, "0.01%"), (9_999_999, 10_000_000, "99.99%"), (3, 3, "100%")]
        {
            assert_eq!(per_cent(part, all), text);
        }
    }
}
