//! Why a request was answered as it was: the rule, its value then and its value now.

use serde_json::Value;

use crate::credits;
use crate::error::{Error, Result};
use crate::jobs::{self, Job};
use crate::keys::{self, Key};
use crate::outcome::Outcome;
use crate::profile::Profile;
use crate::usage::Request;
use crate::web::Member;
use crate::web::filters::grouped;

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
    pub(super) label: &'static str,
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
}

impl Why {
    /// Reads what is true today, and explains.
    pub(super) async fn load(member: &Member, request: &Request) -> Result<Self> {
        let (organization, now, key, job) = (member.organization.id, member.frame.now, request.key_id, request.job_id);
        let read = move |conn: &mut _| {
            let job = job.map(|job| jobs::read(conn, organization, job)).transpose()?;
            Ok(Today {
                key: keys::find(conn, organization, key, now)?.key,
                available: credits::balance(conn, organization)?.available,
                job,
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
        why.facts.push(fact("Answer", format!("{} in {milliseconds:.1} ms", request.status), format!("{}{caller}", request.address)));
        Ok(why)
    }
}

fn fact(label: &'static str, value: impl Into<String>, note: impl Into<String>) -> Fact {
    Fact { label, value: value.into(), note: note.into() }
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
        Outcome::RateLimited => rate_limited(member, &request.detail),
        Outcome::Credits => credits_short(&request.detail, today.available),
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

fn rate_limited(member: &Member, detail: &Option<Value>) -> Told {
    let (limit, window, reset) = (number(detail, "limit"), number(detail, "window_s"), number(detail, "reset_s"));
    let scope = text(detail, "scope");
    // A limit that the profile has no more.
    let none = || "no such limit".to_owned();
    let today = member.site.profile.limit(&text(detail, "name")).map_or_else(none, |(_, rule)| {
        format!("{} requests in {} s", grouped(rule.quota(member.organization.requests_per_minute)), rule.window.as_secs())
    });
    let facts = vec![
        fact("Rule", format!("{} requests in {window} s", grouped(limit)), format!("per {scope}, fixed window")),
        fact("Then", format!("{} of {} used", grouped(limit), grouped(limit)), format!("{reset} s left of the window")),
        fact("Now", today, ""),
    ];
    ("the rate limit", format!("All {} requests of the window were used.", grouped(limit)), facts)
}

fn credits_short(detail: &Option<Value>, available: i64) -> Told {
    let (required, then) = (number(detail, "required"), number(detail, "available"));
    let facts = vec![
        fact("Rule", format!("{} available", grouped(required)), "credits"),
        fact("Then", format!("{} available", grouped(then)), ""),
        fact("Now", format!("{} available", grouped(available)), ""),
    ];
    ("the credit balance", format!("It needed {} and {} were available.", grouped(required), grouped(then)), facts)
}

fn lacking(detail: &Option<Value>, key: &Key) -> Told {
    let permission = text(detail, "permission");
    let now = if key.permissions.contains(&permission) { "the key has it" } else { "the key lacks it" };
    let facts = vec![fact("Rule", permission.clone(), "needed by this route"), fact("Then", "the key lacked it", ""), fact("Now", now, "")];
    ("the permission", format!("The key lacked {permission}."), facts)
}
