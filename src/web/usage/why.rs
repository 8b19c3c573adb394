//! Why a request was answered as it was: the rule, its value then and its value now.

use serde_json::Value;
use time::Duration;

use crate::admission::{self, Current};
use crate::credits;
use crate::error::{Error, Result};
use crate::jobs::{self, Job};
use crate::keys::{self, Key};
use crate::outcome::Outcome;
use crate::profile::Profile;
use crate::usage::Request;
use crate::web::Member;
use crate::web::filters::{clock_text, grouped, second_text};

/// The eight checks of admission, in their order.
const CHECKS: [&str; 8] = ["Source", "Format", "Key known", "Organization", "Key state", "Permission", "Rate limit", "Credits"];

/// What became of one check.
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) class: &'static str,
    pub(super) icon: &'static str,
    pub(super) words: &'static str,
}

/// A value with a note below it.
pub(super) struct Fact {
    pub(super) label: String,
    pub(super) value: String,
    pub(super) note: String,
}

/// What the opened row tells.
pub(super) struct Why {
    pub(super) heading: String,
    pub(super) sentence: String,
    /// None of a request that was admitted.
    pub(super) checks: Vec<Check>,
    pub(super) facts: Vec<Fact>,
}

/// What the explanation compares with.
struct Today {
    key: Key,
    available: i64,
    job: Option<Job>,
    /// Of the limit that refused, if the profile has it still and its window has begun.
    window: Option<Current>,
}

impl Why {
    /// Reads what is true today, and explains.
    pub(super) async fn load(member: &Member, request: &Request) -> Result<Self> {
        let (organization, now, key, job) = (member.organization.id, member.frame.now, request.key_id, request.job_id);
        let site = member.site.clone();
        let limit = text(&request.detail, "name");
        let read = move |conn: &mut _| {
            let limit = site.profile.limit(&limit);
            let window = limit.map(|limit| admission::current_window(conn, organization, key, limit, now)).transpose()?.flatten();
            let job = job.map(|job| jobs::read(conn, organization, job)).transpose()?;
            Ok(Today {
                key: keys::find(conn, organization, key, now)?.key,
                available: credits::balance(conn, organization)?.available,
                job,
                window,
            })
        };
        let today = member.site.db.run(read).await?;
        let outcome = Outcome::parse(&request.outcome).ok_or_else(|| Error::internal("reading an outcome", &request.outcome))?;
        let mut why = match outcome {
            Outcome::Accepted => accepted(&member.site.profile, request, &today),
            refused => Self { checks: checks(refused), ..refusal(member, request, refused, &today) },
        };
        let milliseconds = f64::from(request.duration_us) / 1_000.0;
        let caller = if request.user_agent.is_empty() { String::new() } else { format!(" · {}", request.user_agent) };
        let retry = match number(&request.detail, "reset_s") {
            0 => String::new(),
            seconds => format!(", Retry-After {seconds} s"),
        };
        let answer = format!("{} in {milliseconds:.1} ms{retry}", request.status);
        why.facts.push(fact("Answer", answer, format!("{}{caller}", request.address)));
        Ok(why)
    }
}

fn fact(label: impl Into<String>, value: impl Into<String>, note: impl Into<String>) -> Fact {
    Fact { label: label.into(), value: value.into(), note: note.into() }
}

fn checks(refused: Outcome) -> Vec<Check> {
    let at = match refused {
        Outcome::Missing => 0,
        Outcome::Unknown => 2,
        Outcome::Suspended => 3,
        Outcome::Revoked | Outcome::Expired | Outcome::Inactive => 4,
        Outcome::Permission => 5,
        Outcome::RateLimited => 6,
        Outcome::Credits | Outcome::Accepted => 7,
    };
    let check = |(place, name): (usize, &&'static str)| match place.cmp(&at) {
        std::cmp::Ordering::Less => Check { name, class: "passed", icon: "circle-check", words: "passed" },
        std::cmp::Ordering::Equal => Check { name, class: "refused", icon: "circle-x", words: "refused here" },
        std::cmp::Ordering::Greater => Check { name, class: "unasked", icon: "circle", words: "not asked" },
    };
    CHECKS.iter().enumerate().map(check).collect()
}

fn accepted(profile: &Profile, request: &Request, today: &Today) -> Why {
    let mut facts = Vec::new();
    let heading = match (&today.job, request.status) {
        (Some(job), _) => {
            let id = profile.public_job_id(job.id);
            facts.push(fact("Job", id, format!("{}, {}", job.kind, job.environment)));
            let progress = format!("{}, {}%", job.status().as_str(), job.percentage);
            facts.push(fact("Status", progress, job.error_message.clone().unwrap_or_default()));
            "Accepted: a job was created"
        }
        (None, ..=399) => "Accepted",
        (None, 500..) => "Admitted, then broken on our side",
        (None, _) => "Admitted, but the request itself was not accepted",
    };
    let paid = match request.credits {
        0 => "It cost nothing.".to_owned(),
        1 => "It cost one credit.".to_owned(),
        credits => format!("It cost {} credits.", grouped(credits)),
    };
    facts.push(fact("Credits", grouped(request.credits), ""));
    Why { heading: heading.into(), sentence: format!("All eight checks passed. {paid}"), checks: Vec::new(), facts }
}

fn number(detail: &Option<Value>, name: &str) -> i64 {
    detail.as_ref().and_then(|detail| detail.get(name)).and_then(Value::as_i64).unwrap_or(0)
}

fn text(detail: &Option<Value>, name: &str) -> String {
    detail.as_ref().and_then(|detail| detail.get(name)).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn refusal(member: &Member, request: &Request, outcome: Outcome, today: &Today) -> Why {
    let state = today.key.status(member.frame.now).as_str();
    let (heading, sentence, facts) = match outcome {
        Outcome::RateLimited => rate_limited(member, request, today),
        Outcome::Credits => credits_short(member, request, today.available),
        Outcome::Permission => lacking(&request.detail, &today.key),
        Outcome::Suspended => {
            let now = if member.organization.suspended_at.is_some() { "suspended" } else { "active" };
            let facts = vec![fact("Rule", "The organization is active", ""), fact("Then", "suspended", ""), fact("Now", now, "")];
            ("the organization", "The organization was suspended.".into(), facts)
        }
        Outcome::Expired | Outcome::Inactive => {
            let then = if outcome == Outcome::Expired { "expired" } else { "inactive" };
            let facts = vec![fact("Rule", "The key is active", ""), fact("Then", then, ""), fact("Now", state, today.key.name.as_str())];
            ("the key's state", format!("The key was {then}."), facts)
        }
        _ => {
            let replaced = request.generation < today.key.generation;
            let then = if replaced { "rotated away" } else { "revoked" };
            let now = if replaced { format!("{}…", today.key.prefix) } else { state.to_owned() };
            let note = if replaced { "is the key now" } else { "" };
            let facts = vec![fact("Rule", "The key works", ""), fact("Then", then, ""), fact("Now", now, note)];
            ("the key's state", format!("This text of the key had been {then}."), facts)
        }
    };
    let sentence = format!("{sentence} Nothing was charged.");
    Why { heading: format!("Why: refused by {heading}"), sentence, checks: Vec::new(), facts }
}

type Told = (&'static str, String, Vec<Fact>);

/// `Then, at 14:02:43.180` and `Now, at 14:03:41.002`.
fn labels(member: &Member, request: &Request) -> [String; 2] {
    [("Then", request.at), ("Now", member.frame.now)].map(|(word, at)| format!("{word}, at {}", clock_text(at)))
}

fn rate_limited(member: &Member, request: &Request, today: &Today) -> Told {
    let detail = &request.detail;
    let (limit, window, reset) = (number(detail, "limit"), number(detail, "window_s"), number(detail, "reset_s"));
    let (scope, [then, now]) = (text(detail, "scope"), labels(member, request));
    let rule = |limit: i64, window: i64| match window {
        1 => format!("{} requests a second", grouped(limit)),
        60 => format!("{} requests a minute", grouped(limit)),
        3_600 => format!("{} requests an hour", grouped(limit)),
        _ => format!("{} requests in {window} s", grouped(limit)),
    };
    let opened = request.at + Duration::seconds(reset - window);
    let (value, note) = match member.site.profile.limit(&text(detail, "name")) {
        None => ("no such limit".to_owned(), "the profile has changed".to_owned()),
        Some((_, known)) => {
            let quota = known.quota(member.organization.requests_per_minute);
            let used = today.window.map_or(0, |window| window.used.min(quota));
            let rest = today.window.map(|window| ((window.ends_at - member.frame.now).as_seconds_f64()).ceil().max(0.0));
            let note = rest.map_or("the next request opens a window".to_owned(), |rest| format!("window resets in {rest} s"));
            (format!("{} of {} used", grouped(used), grouped(quota)), note)
        }
    };
    let facts = vec![
        fact("Rule", rule(limit, window), format!("per {scope}, fixed window")),
        fact(then, format!("{} of {} used", grouped(limit), grouped(limit)), format!("window opened {}", second_text(opened))),
        fact(now, value, note),
    ];
    ("the rate limit", format!("The {scope} had used {}.", all_of(limit, window)), facts)
}

/// `all 60 requests of its minute`.
fn all_of(limit: i64, window: i64) -> String {
    let span = match window {
        1 => "second".to_owned(),
        60 => "minute".to_owned(),
        3_600 => "hour".to_owned(),
        _ => format!("{window} s"),
    };
    if limit == 1 { format!("the one request of its {span}") } else { format!("all {} requests of its {span}", grouped(limit)) }
}

fn credits_short(member: &Member, request: &Request, available: i64) -> Told {
    let [then_label, now_label] = labels(member, request);
    let (required, then) = (number(&request.detail, "required"), number(&request.detail, "available"));
    let facts = vec![
        fact("Rule", format!("{} available", grouped(required)), "credits, held before the job is made"),
        fact(then_label, format!("{} available", grouped(then)), ""),
        fact(now_label, format!("{} available", grouped(available)), ""),
    ];
    ("the credit balance", format!("It needed {} and {} were available.", grouped(required), grouped(then)), facts)
}

fn lacking(detail: &Option<Value>, key: &Key) -> Told {
    let permission = text(detail, "permission");
    let now = if key.permissions.contains(&permission) { "the key has it" } else { "the key lacks it" };
    let facts = vec![fact("Rule", permission.clone(), "needed by this route"), fact("Then", "the key lacked it", ""), fact("Now", now, "")];
    ("the permission", format!("The key lacked {permission}."), facts)
}
