//! Recording: what came of attempts, and what comes next in their lanes. Many at once, in one transaction; a sender goes on with
//! its lane when that is committed.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types as sql;
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::claim::{Claimed, Head, LEASE, Plans, heads, overtake, settle_session};
use super::retry::Verdict;
use super::settings::{Off, note};
use crate::actor::Actor;
use crate::batch::Decide;
use crate::courier::Attempt;
use crate::error::Result;
use crate::ids::{EventId, OrgId};
use crate::schema::webhooks;
use crate::statement::{column, statement};

/// An endpoint that answers nothing but failures for so long is switched off.
pub const PATIENCE: time::Duration = time::Duration::days(5);
/// Tries of one delivery that must have failed by then.
const PATIENT_TRIES: u32 = 4;

/// An attempt that was made.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What was sent.
    pub claimed: Claimed,
    /// What came of it.
    pub attempt: Attempt,
    /// What that means.
    pub verdict: Verdict,
    /// Whether the sender would go on with the lane; otherwise its claim is given back.
    pub go_on: bool,
}

impl Outcome {
    fn lane(&self) -> (OrgId, Uuid) {
        (self.claimed.organization, self.claimed.lane)
    }
}

/// Writes outcomes and tells what is next in each lane: its new head, under the same claim renewed, or nothing.
#[derive(Default)]
pub struct Record {
    plans: Plans,
}

impl Decide for Record {
    type Ask = Outcome;
    type Answer = Option<Claimed>;

    fn connected(&self, conn: &mut PgConnection) -> Result<()> {
        settle_session(conn)
    }

    fn decide(&self, conn: &mut PgConnection, asks: &[Outcome]) -> Result<Vec<Option<Claimed>>> {
        self.plans.refresh(conn)?;
        let since = Instant::now();
        conn.transaction(|conn| record(conn, since, asks))
    }
}

fn record(conn: &mut PgConnection, since: Instant, asks: &[Outcome]) -> Result<Vec<Option<Claimed>>> {
    // Before the lanes, as everybody does.
    let hooks = hold_webhooks(conn, asks)?;
    let standing: Vec<Standing> = Lock::of(asks).load(conn)?;
    let by_lane: HashMap<(OrgId, Uuid), &Standing> = standing.iter().map(|s| ((s.organization, s.lane), s)).collect();
    // A claim that lapsed is somebody else's lane now: what was done is written down, what comes next is theirs.
    let is_ours = |ask: &Outcome| by_lane.get(&ask.lane()).is_some_and(|standing| standing.claim == Some(ask.claimed.claim));
    let is_current = |ask: &Outcome| hooks.iter().any(|hook| hook.is_of(ask));
    // The last try is one at the address that it has now.
    let gives_up = |ask: &Outcome| ask.verdict == Verdict::GaveUp && is_ours(ask) && is_current(ask);
    let over: HashSet<(OrgId, EventId)> = Attempts::of(asks, gives_up).load(conn)?.into_iter().collect();
    let ours: Vec<&Outcome> = asks.iter().filter(|ask| is_ours(ask)).collect();
    judge(conn, &hooks, asks, &ours)?;
    // Also what failed here and arrived by a sender whose claim had lapsed: nothing waits for that.
    let is_over = |ask: &Outcome| over.contains(&(ask.claimed.organization, ask.claimed.event));
    let ends = |ask: &&Outcome| ask.verdict == Verdict::Delivered || gives_up(ask) || is_over(ask);
    let ended: Vec<&Outcome> = ours.iter().copied().filter(ends).collect();
    let held_up = |ask: &&Outcome| ask.claimed.failures > 0 || ask.verdict != Verdict::Delivered;
    overtake(conn, ended.iter().copied().filter(held_up).map(|ask| ask.claimed.lane).collect())?;
    let lanes: Vec<(OrgId, Uuid)> = ended.iter().map(|ask| ask.lane()).collect();
    let heads = if lanes.is_empty() { Vec::new() } else { heads(conn, &lanes)? };
    let mut next: HashMap<(OrgId, Uuid), Head> = heads.into_iter().map(|head| ((head.organization, head.lane), head)).collect();
    let mut steps = Steps::default();
    for ask in asks.iter().filter(|ask| ask.verdict == Verdict::Delivered) {
        // Late, and the lane waits for its next try: that is over.
        if by_lane.get(&ask.lane()).is_some_and(|standing| standing.claim.is_none()) {
            steps.push(ask, "wait", Duration::ZERO);
        }
    }
    for ask in &ours {
        match (ask.verdict, next.get(&ask.lane())) {
            // What another address, or the same before it was put right, answered is no reason to wait.
            (Verdict::Retry(_) | Verdict::GaveUp, _) if !is_over(ask) && !is_current(ask) => steps.push(ask, "wait", Duration::ZERO),
            (Verdict::Retry(pause), _) if !is_over(ask) => steps.push(ask, "wait", pause),
            // It waits with the rest for the webhook to be switched on again.
            (Verdict::Gone, _) => {
                next.remove(&ask.lane());
                steps.push(ask, "wait", Duration::ZERO);
            }
            (_, None) => steps.push(ask, "done", Duration::ZERO),
            (_, Some(head)) if head.is_enabled && ask.go_on => steps.push(ask, "go_on", LEASE),
            (_, Some(_)) => {
                next.remove(&ask.lane());
                steps.push(ask, "wait", Duration::ZERO);
            }
        }
    }
    steps.execute(conn)?;
    let goes_on =
        |ask: &Outcome| is_ours(ask).then(|| next.remove(&ask.lane())).flatten().map(|head| head.claimed(ask.claimed.claim, since));
    Ok(asks.iter().map(goes_on).collect())
}

/// A webhook that may have to be written to, as its lock found it.
#[derive(Queryable)]
struct Hook {
    organization: OrgId,
    failing_since: Option<OffsetDateTime>,
    resumed_at: Option<OffsetDateTime>,
    /// The database's own time.
    now: OffsetDateTime,
}

impl Hook {
    /// Whether that was sent to the webhook as it is now. What was under way when it was pointed elsewhere, or switched on again,
    /// says nothing of that.
    fn is_of(&self, ask: &Outcome) -> bool {
        self.organization == ask.claimed.organization && self.resumed_at == ask.claimed.resumed_at
    }
}

/// Locks the webhooks whose standing these outcomes may change: a failure always may, a success after failures.
fn hold_webhooks(conn: &mut PgConnection, asks: &[Outcome]) -> Result<Vec<Hook>> {
    let news = |ask: &&Outcome| ask.verdict != Verdict::Delivered || ask.claimed.is_failing;
    let organizations: BTreeSet<OrgId> = asks.iter().filter(news).map(|ask| ask.claimed.organization).collect();
    if organizations.is_empty() {
        return Ok(Vec::new());
    }
    let now = diesel::dsl::sql::<sql::Timestamptz>("now()");
    Ok(webhooks::table
        .filter(webhooks::organization_id.eq_any(organizations))
        .order(webhooks::organization_id)
        .select((webhooks::organization_id, webhooks::failing_since, webhooks::resumed_at, now))
        .for_no_key_update()
        .load(conn)?)
}

/// Notes since when an endpoint fails, and switches off one that says it is gone, or that has failed for too long. A success
/// counts whoever had the lane, what else an endpoint answered only to who had it.
fn judge(conn: &mut PgConnection, hooks: &[Hook], asks: &[Outcome], ours: &[&Outcome]) -> Result<()> {
    for hook @ &Hook { organization, failing_since: since, now, .. } in hooks {
        let theirs = || ours.iter().filter(|ask| hook.is_of(ask));
        let works = asks.iter().any(|ask| hook.is_of(ask) && ask.verdict == Verdict::Delivered);
        let row = webhooks::table.find(organization);
        if works && since.is_some() {
            diesel::update(row).set(webhooks::failing_since.eq(None::<OffsetDateTime>)).execute(conn)?;
        } else if !works && since.is_none() && theirs().next().is_some() {
            diesel::update(row).set(webhooks::failing_since.eq(now)).execute(conn)?;
        }
        // Where events are rare, five days may lie between two failures: one that was tried again and again must be among them.
        let for_long = !works && since.is_some_and(|since| since + PATIENCE <= now);
        let again_and_again = |ask: &&Outcome| ask.claimed.failures + 1 >= PATIENT_TRIES || ask.verdict == Verdict::GaveUp;
        if theirs().any(|ask| ask.verdict == Verdict::Gone) {
            switch_off(conn, now, organization, Off::Gone)?;
        } else if for_long && theirs().copied().any(|ask| again_and_again(&ask)) {
            switch_off(conn, now, organization, Off::Failing)?;
        }
    }
    Ok(())
}

fn switch_off(conn: &mut PgConnection, now: OffsetDateTime, organization: OrgId, why: Off) -> Result<()> {
    let url: Option<String> = diesel::update(webhooks::table.find(organization).filter(webhooks::disabled_at.is_null()))
        .set((webhooks::disabled_at.eq(now), webhooks::disabled_reason.eq(why.as_str()), webhooks::updated_at.eq(now)))
        .returning(webhooks::url)
        .get_result(conn)
        .optional()?;
    let Some(url) = url else { return Ok(()) };
    tracing::warn!(%organization, why = why.as_str(), "webhook switched off");
    let (before, after) = (json!({"enabled": true}), json!({"enabled": false, "reason": why.as_str()}));
    note(conn, &Actor::system(), now, organization, ("webhook.disabled", &url), before, after)
}

/// A lane as its lock found it.
#[derive(Queryable)]
struct Standing {
    organization: OrgId,
    lane: Uuid,
    claim: Option<Uuid>,
}

statement! {
    Lock<'a> -> (sql::Uuid, sql::Uuid, sql::Nullable<sql::Uuid>) = include_str!("lock.sql");
    organizations: Vec<OrgId> as sql::Array<sql::Uuid>,
    lanes: Vec<Uuid> as sql::Array<sql::Uuid>,
}

impl Lock<'_> {
    fn of(asks: &[Outcome]) -> Self {
        let (organizations, lanes) = asks.iter().map(Outcome::lane).unzip();
        Self { organizations, lanes, _life: PhantomData }
    }
}

statement! {
    Steps<'a> -> () = include_str!("lanes.sql");
    organizations: Vec<OrgId> as sql::Array<sql::Uuid>,
    lanes: Vec<Uuid> as sql::Array<sql::Uuid>,
    steps: Vec<&'static str> as sql::Array<sql::Text>,
    waits_s: Vec<f64> as sql::Array<sql::Double>,
}

impl Default for Steps<'_> {
    fn default() -> Self {
        Self { organizations: Vec::new(), lanes: Vec::new(), steps: Vec::new(), waits_s: Vec::new(), _life: PhantomData }
    }
}

impl Steps<'_> {
    fn push(&mut self, ask: &Outcome, step: &'static str, wait: Duration) {
        self.organizations.push(ask.claimed.organization);
        self.lanes.push(ask.claimed.lane);
        self.steps.push(step);
        self.waits_s.push(wait.as_secs_f64());
    }
}

statement! {
    Attempts<'a> -> (sql::Uuid, sql::Uuid) = include_str!("record.sql");
    organizations: Vec<OrgId> as sql::Array<sql::Uuid>,
    events: Vec<EventId> as sql::Array<sql::Uuid>,
    endings: Vec<Option<&'static str>> as sql::Array<sql::Nullable<sql::Text>>,
    ats: Vec<OffsetDateTime> as sql::Array<sql::Timestamptz>,
    requests: Vec<String> as sql::Array<sql::Text>,
    addresses: Vec<Option<String>> as sql::Array<sql::Nullable<sql::Text>>,
    statuses: Vec<Option<i16>> as sql::Array<sql::Nullable<sql::Int2>>,
    heads: Vec<Option<String>> as sql::Array<sql::Nullable<sql::Text>>,
    bodies: Vec<Option<String>> as sql::Array<sql::Nullable<sql::Text>>,
    cut: Vec<bool> as sql::Array<sql::Bool>,
    failures: Vec<Option<&'static str>> as sql::Array<sql::Nullable<sql::Text>>,
    messages: Vec<Option<String>> as sql::Array<sql::Nullable<sql::Text>>,
    dns: Vec<Option<i32>> as sql::Array<sql::Nullable<sql::Int4>>,
    connect: Vec<Option<i32>> as sql::Array<sql::Nullable<sql::Int4>>,
    tls: Vec<Option<i32>> as sql::Array<sql::Nullable<sql::Int4>>,
    first_byte: Vec<Option<i32>> as sql::Array<sql::Nullable<sql::Int4>>,
    total: Vec<i32> as sql::Array<sql::Int4>,
}

impl<'a> Attempts<'a> {
    fn of(asks: &'a [Outcome], gives_up: impl Fn(&Outcome) -> bool) -> Self {
        let lap = |of: fn(&Attempt) -> Option<Duration>| column(asks, |ask| of(&ask.attempt).map(micros));
        Self {
            organizations: column(asks, |ask| ask.claimed.organization),
            events: column(asks, |ask| ask.claimed.event),
            endings: column(asks, |ask| match ask.verdict {
                Verdict::Delivered => Some("delivered"),
                Verdict::GaveUp if gives_up(ask) => Some("gave_up"),
                Verdict::Gone => Some("pending"),
                _ => None,
            }),
            ats: column(asks, |ask| ask.attempt.at),
            requests: column(asks, |ask| text(&ask.attempt.request)),
            addresses: column(asks, |ask| ask.attempt.address.map(|address| address.to_string())),
            statuses: column(asks, |ask| ask.attempt.status().and_then(|status| i16::try_from(status).ok())),
            heads: column(asks, |ask| ask.attempt.answer.as_ref().map(|answer| text(&answer.head))),
            bodies: column(asks, |ask| ask.attempt.answer.as_ref().map(|answer| text(&answer.body))),
            cut: column(asks, |ask| ask.attempt.answer.as_ref().is_some_and(|answer| answer.is_cut)),
            failures: column(asks, |ask| ask.attempt.failure.as_ref().map(|failure| failure.class.as_str())),
            messages: column(asks, |ask| ask.attempt.failure.as_ref().map(|failure| text(&failure.message))),
            dns: lap(|attempt| attempt.laps.dns),
            connect: lap(|attempt| attempt.laps.connect),
            tls: lap(|attempt| attempt.laps.tls),
            first_byte: lap(|attempt| attempt.laps.first_byte),
            total: column(asks, |ask| micros(ask.attempt.laps.total)),
            _life: PhantomData,
        }
    }
}

fn micros(lap: Duration) -> i32 {
    i32::try_from(lap.as_micros()).unwrap_or(i32::MAX)
}

/// PostgreSQL's texts hold every character but NUL.
fn text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
