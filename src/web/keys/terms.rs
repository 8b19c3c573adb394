//! Limits and prices in words.

use crate::profile::{JobKind, Limit, Profile, Scope, with_article};
use crate::web::filters::grouped;

/// Each limit in words, with an organization's own number in place of the profile's.
pub(super) fn limits(profile: &Profile, requests_per_minute: Option<i32>) -> Vec<String> {
    if profile.limits.is_empty() {
        return vec!["No limit".into()];
    }
    match profile.limits.as_slice() {
        [one] => vec![format!("{} {}", requests(one.quota(requests_per_minute)), window_text(one))],
        [first, others @ ..] if others.iter().all(|other| (other.window, other.scope) == (first.window, first.scope)) => {
            let named = profile.limits.iter().map(|limit| format!("{} {}", limit.name, grouped(limit.quota(requests_per_minute))));
            vec![format!("{} requests {}", named.collect::<Vec<_>>().join(", "), window_text(first))]
        }
        several => several
            .iter()
            .map(|limit| format!("{}: {} {}", limit.name, requests(limit.quota(requests_per_minute)), window_text(limit)))
            .collect(),
    }
}

fn requests(quota: i64) -> String {
    format!("{} request{}", grouped(quota), if quota == 1 { "" } else { "s" })
}

/// `a minute for each key`.
fn window_text(limit: &Limit) -> String {
    let window = match limit.window.as_secs() {
        1 => "a second".into(),
        60 => "a minute".into(),
        3_600 => "an hour".into(),
        86_400 => "a day".into(),
        seconds => format!("in {seconds} s"),
    };
    format!("{window}{}", if limit.scope == Scope::Organization { ", shared by all keys" } else { "" })
}

/// What each kind of job costs.
pub(super) fn prices(profile: &Profile, sandbox: bool) -> Vec<String> {
    if sandbox && !profile.jobs.is_empty() {
        return vec!["no credits".into()];
    }
    different(profile.jobs.iter().filter(|job| job.price > 0).map(price_text))
}

fn price_text(job: &JobKind) -> String {
    format!("{} credit{} {}", job.price, if job.price == 1 { "" } else { "s" }, with_article(&job.noun))
}

fn different(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = Vec::new();
    for text in texts {
        if !seen.contains(&text) {
            seen.push(text);
        }
    }
    seen
}
