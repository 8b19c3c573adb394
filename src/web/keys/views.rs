//! Keys as the templates want them.

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::terms::{limits, prices};
use crate::ids::{KeyId, new_uuid};
use crate::keys::{CutOver, EndReason, Former, KeyView, Overview, PlainKey, Quiet, Status};
use crate::profile::{Column, Example, Profile};
use crate::site::Site;
use crate::web::charts::Spark;

/// One key.
pub struct KeyItem {
    pub view: KeyView,
    pub meter: Option<Meter>,
    pub spark: Spark,
    /// Whether its row is open.
    pub open: bool,
}

impl KeyItem {
    /// Of the row, in the page and in the URL.
    pub fn id(&self) -> String {
        self.view.key.id.to_string()
    }

    pub fn status_class(&self) -> &'static str {
        match self.view.status {
            Status::Active if self.view.grace.is_some() => "wait",
            Status::Active => "ok",
            Status::Inactive => "ring",
            Status::Expired | Status::Revoked => "dash",
        }
    }

    pub fn status_word(&self, profile: &Profile) -> &'static str {
        match self.view.status {
            Status::Active if self.view.grace.is_some() => "Active, in grace",
            Status::Active => "Active",
            Status::Inactive => "Inactive",
            Status::Expired => "Expired",
            Status::Revoked => ended(profile),
        }
    }

    pub fn is_inactive(&self) -> bool {
        self.view.status == Status::Inactive
    }

    pub fn is_rotated(&self) -> bool {
        self.view.key.generation > 1
    }

    /// A rotation without grace starts afresh: what the old secret did says nothing about the new one.
    pub fn is_unused(&self) -> bool {
        self.view.last_use.as_ref().is_none_or(|last| last.generation < self.view.key.generation && self.view.grace.is_none())
    }

    pub fn shown_permissions<'a>(&'a self, profile: &'a Profile) -> &'a [String] {
        let permissions = self.permissions(profile);
        &permissions[..permissions.len().min(2)]
    }

    pub fn more_permissions(&self, profile: &Profile) -> usize {
        self.permissions(profile).len().saturating_sub(2)
    }

    fn permissions<'a>(&'a self, profile: &'a Profile) -> &'a [String] {
        let role = self.view.maker_role.as_deref().filter(|_| self.view.key.inherits);
        profile.held(&self.view.key.permissions, role)
    }

    pub fn spark_label(&self) -> String {
        match (self.spark.least, self.spark.most) {
            (_, 0) => "No requests in 24 hours".into(),
            (least, most) => format!("Requests by the hour, between {least} and {most}"),
        }
    }
}

/// The cut-over meter.
pub struct Meter {
    pub cut: CutOver,
    pub spark: Spark,
}

impl Meter {
    fn new(cut: CutOver) -> Self {
        let spark = Spark::of(&cut.by_bucket, 150, 36);
        Self { cut, spark }
    }

    fn total(&self) -> i64 {
        self.cut.new_requests + self.cut.old_requests
    }

    /// Share of the old secret, `9.2%`.
    pub fn old_share(&self) -> String {
        format!("{:.1}%", self.cut.old_requests as f64 * 100.0 / self.total().max(1) as f64)
    }

    /// Thousandths of the new secret.
    fn mark(&self) -> i64 {
        (self.cut.new_requests * 1_000 + self.total() / 2) / self.total().max(1)
    }

    /// Width of the new secret's part of the bar, none when it has none.
    pub fn new_width(&self) -> Option<i64> {
        match (self.cut.new_requests, self.cut.old_requests) {
            (0, _) => None,
            (_, 0) => Some(1_000),
            _ => Some((self.mark() - 3).max(2)),
        }
    }

    /// Start and width of the old secret's part.
    pub fn old_part(&self) -> Option<(i64, i64)> {
        match (self.cut.new_requests, self.cut.old_requests) {
            (_, 0) => None,
            (0, _) => Some((0, 1_000)),
            _ => {
                let start = (self.mark() + 3).min(998);
                Some((start, 1_000 - start))
            }
        }
    }

    pub fn label(&self) -> String {
        if self.total() == 0 {
            return "No requests since the rotation".into();
        }
        let old = self.cut.old_requests as f64 * 100.0 / self.total() as f64;
        format!("{:.1}% of requests use the new key, {old:.1}% the old one", 100.0 - old)
    }

    pub fn is_safe(&self) -> bool {
        matches!(self.cut.quiet, Quiet::Since(_))
    }

    pub fn is_unused(&self) -> bool {
        self.cut.last_old_use.is_none()
    }

    /// `1 h`: how long the old secret has been silent.
    pub fn quiet_for(&self, now: &OffsetDateTime) -> String {
        match self.cut.quiet {
            Quiet::Since(since) if *now - since >= Duration::DAY => format!("{} d", (*now - since).whole_days()),
            Quiet::Since(since) => format!("{} h", (*now - since).whole_hours()),
            Quiet::NotYet | Quiet::Unused => String::new(),
        }
    }

    /// `21 h 37 min`: until the grace is over.
    pub fn left(&self, now: &OffsetDateTime) -> String {
        span(self.cut.old.ends_at - *now)
    }

    /// `10 min`: what one point of the line stands for.
    pub fn bucket(&self) -> String {
        span(self.cut.bucket)
    }
}

/// The two largest units of a duration: `21 h 37 min`.
pub fn span(duration: Duration) -> String {
    let minutes = duration.whole_minutes().max(0);
    let parts = match minutes {
        0 => return "less than a minute".into(),
        1..60 => [(minutes, "min"), (0, "")],
        60..1_440 => [(minutes / 60, "h"), (minutes % 60, "min")],
        _ => [(minutes / 1_440, "d"), (minutes % 1_440 / 60, "h")],
    };
    parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n} {unit}")).collect::<Vec<_>>().join(" ")
}

/// One former key.
pub struct FormerItem {
    pub former: Former,
    /// Whether its row is open.
    pub open: bool,
}

impl FormerItem {
    /// Of the row: a key may have several former texts.
    pub fn id(&self) -> String {
        former_id(self.former.key, self.former.generation)
    }

    pub fn word(&self, profile: &Profile) -> &'static str {
        match self.former.reason {
            EndReason::Rotated => "Rotated",
            EndReason::Revoked => ended(profile),
            EndReason::Expired => "Expired",
        }
    }

    pub fn ender(&self) -> &str {
        self.former.ended_by.as_deref().unwrap_or("Expiry date")
    }

    pub fn refused(&self) -> String {
        super::grouped(self.former.receipt.refused)
    }

    pub fn refused_one(&self) -> bool {
        self.former.receipt.refused == 1
    }

    /// Whether somebody called within the hour.
    pub fn is_still_calling(&self, now: &OffsetDateTime) -> bool {
        self.former.receipt.latest.as_ref().is_some_and(|latest| *now - latest.at < Duration::HOUR)
    }
}

/// What a key is called that somebody ended.
pub fn ended(profile: &Profile) -> &'static str {
    if profile.keys.revoke_label == "Delete" { "Deleted" } else { "Revoked" }
}

/// How a column stands: figures to the right; on a phone no more than the name and the status.
pub fn class_of(column: &Column) -> Option<&'static str> {
    match column {
        Column::Name | Column::Status => None,
        Column::Requests => Some("num low"),
        _ => Some("low"),
    }
}

pub fn former_id(key: KeyId, generation: i32) -> String {
    format!("{key}-{generation}")
}

/// An environment of the one-key page: its key, or the way to one.
pub struct Slot {
    pub environment: String,
    pub sandbox: bool,
    pub key: Option<KeyItem>,
    /// Token of the form that makes one.
    pub once: Uuid,
    /// `60 requests a minute`, of each limit.
    pub limits: Vec<String>,
    /// `1 credit an analysis`, of each kind of job.
    pub prices: Vec<String>,
}

impl Slot {
    /// `Test key`, as a heading.
    pub fn title(&self) -> String {
        format!("{} key", self.word())
    }

    /// `Generate Test Key`, as a button: the profile's own words for this environment.
    pub fn button(&self, create_label: &str) -> String {
        if create_label.contains("API Key") {
            create_label.replace("API Key", &format!("{} Key", self.word()))
        } else {
            format!("{create_label} ({})", self.environment)
        }
    }

    fn word(&self) -> String {
        let mut letters = self.environment.chars();
        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
    }
}

/// What the page shows, by its kind.
pub struct Shown {
    /// One-key profiles: the environments, real ones first.
    pub slots: Vec<Slot>,
    /// Many-keys profiles: every key, ended ones last.
    pub keys: Vec<KeyItem>,
    pub former: Vec<FormerItem>,
    /// Many-keys profiles: `60 requests a minute`, of each limit.
    pub limits: Vec<String>,
}

impl Shown {
    /// Sorts an overview; the row named `open` is open.
    pub fn new(profile: &Profile, overview: Overview, open: Option<&str>, now: OffsetDateTime) -> Self {
        let Overview { keys, cut_overs, former, requests_per_minute } = overview;
        let mut cut_overs = cut_overs;
        let items = keys.into_iter().map(|view| {
            let at = cut_overs.iter().position(|cut| cut.key == view.key.id);
            let meter = at.map(|at| Meter::new(cut_overs.swap_remove(at)));
            let open = open.is_some_and(|open| open == view.key.id.to_string());
            KeyItem { spark: Spark::of(&view.by_hour, 48, 20), meter, open, view }
        });
        let mut keys: Vec<KeyItem> = items.collect();
        let limits = limits(profile, requests_per_minute);
        let mut slots = Vec::new();
        if profile.keys.max_active == 1 {
            let mut working = keys.drain(..).filter(|item| !item.view.is_ended()).collect::<Vec<_>>();
            for (environment, sandbox) in environments(profile) {
                let at = working.iter().position(|item| item.view.key.environment == environment);
                let key = at.map(|at| working.remove(at));
                let (limits, prices) = (limits.clone(), prices(profile, sandbox));
                slots.push(Slot { environment, sandbox, key, once: new_uuid(now), limits, prices });
            }
        }
        let is_open = |former: &Former| open.is_some_and(|open| open == former_id(former.key, former.generation));
        let former = former.into_iter().map(|former| FormerItem { open: is_open(&former), former }).collect();
        Self { slots, keys, former, limits }
    }
}

fn environments(profile: &Profile) -> Vec<(String, bool)> {
    if profile.keys.environments.is_empty() {
        return vec![(profile.default_environment().to_owned(), false)];
    }
    profile.keys.environments.iter().map(|environment| (environment.name.clone(), environment.sandbox)).collect()
}

/// What the banner shows, once.
pub struct Banner {
    pub title: &'static str,
    pub key: PlainKey,
    pub line: String,
}

impl Banner {
    pub fn new(title: &'static str, site: &Site, key: PlainKey, permissions: &[String]) -> Self {
        let line = Example::of(&site.profile, &site.public_url, permissions).line(key.reveal());
        Self { title, key, line }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units() {
        for (seconds, text) in [(20, "less than a minute"), (600, "10 min"), (3_600, "1 h"), (77_820, "21 h 37 min"), (604_740, "6 d 23 h")]
        {
            assert_eq!(span(Duration::seconds(seconds)), text);
        }
    }
}
