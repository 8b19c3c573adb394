//! The busiest routes, or keys.

use super::took;
use crate::usage::{BUSIEST, Counts, Share};
use crate::web::charts::per_cent;
use crate::web::filters::grouped;

/// Thousandths of a bar below which it would not be seen.
const SEEN: i64 = 5;
/// What people know a key by.
pub struct KeyLabel {
    /// Visible start of its text, without the dots.
    pub prefix: String,
    /// Its own name; empty when it has none.
    pub name: String,
}

/// One of the busiest.
pub struct Busy {
    /// Of a route.
    pub method: String,
    /// Path, or visible start of a key.
    pub code: String,
    /// Words: name of a key, or what stands for a route.
    pub words: String,
    /// Thousandths of the busiest; none for those summed up.
    pub width: Option<i64>,
    pub requests: String,
    pub errors: String,
    pub p95: String,
}

/// `GET /analyses` in its parts: the method, the path, and no words.
pub fn route_words(route: &str) -> (String, String, String) {
    match route.split_once(' ') {
        _ if route.is_empty() => (String::new(), String::new(), "no such route".into()),
        Some((method, path)) => (method.into(), path.into(), String::new()),
        None => (String::new(), route.into(), String::new()),
    }
}

/// The busiest with a line each, and all others in one.
pub fn busiest<T>(shares: &[Share<T>], total: &Counts, words: impl Fn(&T) -> (String, String, String)) -> Vec<Busy> {
    let shown = &shares[..shares.len().min(BUSIEST)];
    let most = shown.iter().map(|share| share.counts.requests()).max().unwrap_or(0).max(1);
    let busy = |share: &Share<T>| {
        let (method, code, words) = words(&share.of);
        let requests = share.counts.requests();
        let width = Some((requests * 1_000 / most).max(SEEN));
        let errors = per_cent(share.counts.failed, requests);
        Busy { method, code, words, width, requests: grouped(requests), errors, p95: took(share.durations.p95) }
    };
    let mut rows: Vec<Busy> = shown.iter().map(busy).collect();
    let rest = |of: fn(&Counts) -> i64| of(total) - shown.iter().map(|share| of(&share.counts)).sum::<i64>();
    let (requests, failed) = (rest(Counts::requests), rest(|counts| counts.failed));
    if requests > 0 {
        let (method, code, words) = (String::new(), String::new(), "Others".into());
        rows.push(Busy {
            method,
            code,
            words,
            width: None,
            requests: grouped(requests),
            errors: per_cent(failed, requests),
            p95: "–".into(),
        });
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::Durations;

    fn share(of: &str, accepted: i64, failed: i64) -> Share<String> {
        let counts = Counts { accepted, failed, ..Counts::default() };
        Share { of: of.into(), counts, durations: Durations { p50: Some(1), p95: Some(38_000) } }
    }

    #[test]
    fn lines_and_others_are_all_of_it() {
        let shares: Vec<_> = (0..11).map(|place| share(&format!("GET /{place}"), 1_000 - place * 90, 10)).collect();
        let total = Counts { accepted: 7_000, refused: 3, rate_limited: 0, failed: 110 };
        let rows = busiest(&shares, &total, |route| route_words(route));
        assert_eq!(rows.len(), 9);
        let sum: i64 = rows.iter().map(|row| row.requests.replace(',', "").parse::<i64>().unwrap()).sum();
        assert_eq!(sum, 7_113);
        let others = &rows[8];
        assert_eq!((others.words.as_str(), others.width, others.p95.as_str()), ("Others", None, "–"));
        assert_eq!((rows[0].width, rows[7].width), (Some(1_000), Some(376)));
        assert_eq!((rows[0].errors.as_str(), rows[0].p95.as_str()), ("0.99%", "38 ms"));
    }

    #[test]
    fn without_others_there_is_no_line_of_them() {
        let rows = busiest(&[share("", 3, 0)], &Counts { accepted: 3, ..Counts::default() }, |route| route_words(route));
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].code.as_str(), rows[0].words.as_str()), ("", "no such route"));
        assert_eq!(route_words("POST /analyses"), ("POST".into(), "/analyses".into(), String::new()));
    }

    #[test]
    fn what_was_rare_is_seen_too() {
        let rows = busiest(&[share("GET /a", 1_000_000, 0), share("GET /b", 1, 0)], &Counts::default(), |route| route_words(route));
        assert_eq!(rows[1].width, Some(SEEN));
    }
}
