//! What refusals answer: the profile's status and body, and the fields that go with them. In names and values alone, so that every
//! edge gives the same answer in its own way.

use super::{Decision, Rule, Window};
use crate::outcome::Outcome;
use crate::profile::{Profile, Refusal, Values};

/// An answer's status, body and what else it tells.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// JSON; the bytes that leave.
    pub body: String,
    /// Whole seconds after which it makes sense to try again.
    pub retry_after_s: Option<u64>,
    /// JSON for the history: the rule that refused, and its value then.
    pub detail: Option<String>,
}

impl Answer {
    /// The profile's answer to a refusal that is not for want of credits; empty for what was accepted.
    pub fn refusal(profile: &Profile, decision: &Decision, rule: &Rule) -> Self {
        let permission = rule.permission.as_deref().unwrap_or("");
        let mut values = Values::default().text("permission", permission);
        let mut answer = Self::default();
        if let Some(window) = &decision.window {
            values = values.number("retry_after", window.reset_s).number("limit", window.limit).number("window_s", rule.window_s);
        }
        answer.detail = match (decision.outcome, &decision.window) {
            (Outcome::RateLimited, Some(window)) => {
                answer.retry_after_s = Some(window.reset_s as u64);
                let scope = if rule.per_organization { "organization" } else { "key" };
                let detail = serde_json::json!({
                    "name": rule.limit_name, "limit": window.limit, "window_s": rule.window_s, "scope": scope, "reset_s": window.reset_s,
                });
                Some(detail.to_string())
            }
            (Outcome::Permission, _) => Some(serde_json::json!({"permission": permission}).to_string()),
            _ => None,
        };
        let Some(refusal) = refusal_of(profile, decision.outcome) else { return answer };
        Self { status: refusal.status, body: refusal.body.render(&values), ..answer }
    }

    /// The profile's answer for want of credits.
    pub fn without_credits(profile: &Profile, required: i64, available: i64) -> Self {
        let values = Values::default().number("credits_required", required).number("credits_available", available);
        let refusal = &profile.refusals.credits;
        Self { status: refusal.status, body: refusal.body.render(&values), ..Self::default() }
    }

    /// The header fields of every answer with a body, but for its length.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = vec![("content-type", "application/json".to_owned()), ("cache-control", "no-store".to_owned())];
        if self.status == 401 {
            // RFC 9110 wants a challenge with every 401.
            fields.push(("www-authenticate", "Bearer".to_owned()));
        }
        if let Some(seconds) = self.retry_after_s {
            fields.push(("retry-after", seconds.to_string()));
        }
        fields
    }
}

fn refusal_of(profile: &Profile, outcome: Outcome) -> Option<&Refusal> {
    let refusals = &profile.refusals;
    Some(match outcome {
        Outcome::Missing => &refusals.missing,
        Outcome::Unknown => &refusals.unknown,
        Outcome::Suspended => &refusals.suspended,
        Outcome::Revoked => &refusals.revoked,
        Outcome::Expired => &refusals.expired,
        Outcome::Inactive => &refusals.inactive,
        Outcome::Permission => &refusals.permission,
        Outcome::RateLimited => &refusals.rate_limited,
        Outcome::Credits => &refusals.credits,
        Outcome::Accepted => return None,
    })
}

/// The fields of the IETF draft, and the older ones that clients still look for; all times in seconds from now. None where no limit was
/// looked at.
pub fn limit_fields(rule: &Rule, window: Option<&Window>) -> Vec<(&'static str, String)> {
    let Some(window) = window else { return Vec::new() };
    let Rule { limit_name: name, window_s, .. } = rule;
    vec![
        ("ratelimit-policy", format!("\"{name}\";q={};w={window_s}", window.limit)),
        ("ratelimit", format!("\"{name}\";r={};t={}", window.remaining(), window.reset_s)),
        ("x-ratelimit-limit", window.limit.to_string()),
        ("x-ratelimit-remaining", window.remaining().to_string()),
        ("x-ratelimit-reset", window.reset_s.to_string()),
    ]
}
