//! Deciding: the two stages of admission, one after the other.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use super::Verify;
use super::needs::Needs;
use crate::admission::{About, Answer, Ask, Decision, Effect, Rule, Settled, Settlement, Spending, Stranger, Visit, limit_fields};
use crate::json_call::Refusal;
use crate::keys;
use crate::outcome::Outcome;
use crate::profile::{Charge, Profile};

/// A question.
pub(super) struct Question {
    pub visit: Visit,
    pub started: Instant,
    pub needs: Needs,
    /// Whether what became of the request may be told later.
    pub is_reported: bool,
}

/// Its answer, which the history has.
pub(super) struct Verdict {
    pub outcome: Outcome,
    pub decision: Decision,
    pub visit: Visit,
    /// What a refusal answers; 200 without a body for what was accepted.
    pub answer: Answer,
    rule: Arc<Rule>,
    /// Credits that it takes.
    pub required: i64,
    /// Credits that are free, after it took its own.
    pub available: Option<i64>,
}

impl Verdict {
    /// The header fields of the answer, without those of a body where there is none.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = if self.outcome == Outcome::Accepted { Vec::new() } else { self.answer.fields() };
        fields.extend(limit_fields(&self.rule, self.decision.window.as_ref()));
        fields.push(("x-request-id", self.visit.id.to_string()));
        fields
    }

    /// What is known of the key, if it is one.
    pub fn about(&self) -> Option<&About> {
        self.decision.about.as_ref()
    }

    /// What it may do; empty where every key may do everything.
    pub fn permissions<'a>(&'a self, profile: &'a Profile) -> Option<&'a [String]> {
        self.about().map(|about| profile.held(&about.permissions, about.role.as_deref()))
    }
}

/// Decides about a key's text.
pub(super) async fn decide(verify: &Verify, question: Question, text: Result<Cow<'_, str>, Outcome>) -> Result<Verdict, Refusal> {
    let verdict = reach(verify, question, text).await?;
    verify.metrics.admitted(verdict.outcome.as_str());
    if verdict.decision.key.is_none() {
        verify.metrics.unknown_key_requests.inc();
    }
    Ok(verdict)
}

async fn reach(verify: &Verify, question: Question, text: Result<Cow<'_, str>, Outcome>) -> Result<Verdict, Refusal> {
    let profile = verify.profile();
    let Question { mut visit, started, needs, is_reported } = question;
    let rule = Arc::new(needs.rule(profile));
    let parsed = text.and_then(|text| keys::parse(profile, &text).ok_or(Outcome::Unknown));
    let decision = match parsed {
        Err(outcome) => Decision::stranger(outcome),
        Ok(parsed) => {
            (visit.environment, visit.prefix) = (parsed.environment, parsed.prefix);
            let ask = Ask { digest: parsed.digest, rule: Arc::clone(&rule) };
            let decision = verify.stages.admit.ask(ask).await?;
            verify.metrics.admission_duration.observe(started.elapsed().as_secs_f64());
            decision
        }
    };
    let answer = match decision.outcome {
        Outcome::Accepted => Answer { status: 200, ..Answer::default() },
        _ => Answer::refusal(profile, &decision, &rule),
    };
    let required = if profile.is_sandbox(&visit.environment) { 0 } else { needs.credits };
    let available = decision.about.as_ref().map(|about| about.available);
    let mut verdict = Verdict { outcome: decision.outcome, decision, visit, answer, rule, required, available };
    let Some(key) = verdict.decision.key else { return Ok(verdict) };
    let answered = (verdict.answer.status, verdict.answer.detail.clone());
    let mut record = verdict.visit.record(&verdict.decision, key, started.elapsed(), answered);
    let is_accepted = verdict.outcome == Outcome::Accepted;
    record.reportable = is_reported && is_accepted;
    let effect = if is_accepted && required > 0 {
        let is_held = is_reported && profile.verify.charge == Charge::OnSuccess;
        Effect::Spending(Box::new(Spending {
            amount: required,
            held_until: is_held.then_some(verdict.visit.at + profile.verify.report_within),
            actor: format!("Key {}…", verdict.visit.prefix),
            status_without_credits: profile.refusals.credits.status,
        }))
    } else {
        Effect::None
    };
    match verify.stages.settle.ask(Settlement { record, effect }).await? {
        Settled::Spent { available } => verdict.available = Some(available),
        Settled::InsufficientCredits { required, available } => {
            verdict.outcome = Outcome::Credits;
            verdict.answer = Answer::without_credits(profile, required, available);
            verdict.available = Some(available);
        }
        Settled::Recorded | Settled::Created | Settled::Replayed { .. } | Settled::Mismatch => {}
    }
    verify.metrics.request_duration.observe(started.elapsed().as_secs_f64());
    Ok(verdict)
}

/// What is made of a request without exactly one credential.
pub(super) fn refused(stranger: Stranger) -> Option<Outcome> {
    if let Stranger::Refused(outcome) = stranger { Some(outcome) } else { None }
}
