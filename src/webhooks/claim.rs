//! Claiming: which lanes one sender works on now. PostgreSQL's clock decides what is due, so that any number of instances agree.

use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types as sql;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::batch::Decide;
use crate::error::Result;
use crate::ids::{EventId, OrgId};
use crate::schema::delivery_lanes;
use crate::statement::statement;

/// How long a claim holds: an attempt's fifteen seconds, and time to begin it and to record what came of it.
pub const LEASE: Duration = Duration::from_secs(20);
/// How long after a claim its attempt may begin. One that is later would not be done when the claim lapses.
pub const BEGIN_WITHIN: Duration = Duration::from_secs(4);

/// A lane that this sender has claimed, with its head.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// Whose it is.
    pub organization: OrgId,
    /// The job, or the event itself.
    pub lane: Uuid,
    /// The claim's own id.
    pub claim: Uuid,
    /// A moment before the claim began, by this machine's steady clock.
    pub since: Instant,
    /// What is to be sent.
    pub event: EventId,
    /// Attempts that failed since it was last queued.
    pub failures: u32,
    /// Its body.
    pub payload: String,
    /// Where to.
    pub url: String,
    /// What signs it, sealed, the newest first.
    pub secrets: Vec<Vec<u8>>,
    /// Whether nothing but failures came of late, so that a success is news.
    pub is_failing: bool,
    /// When the webhook was switched on or pointed elsewhere last: what comes of the attempt says nothing of a later one.
    pub resumed_at: Option<OffsetDateTime>,
}

/// What a sender has room for.
#[derive(Debug, Clone)]
pub struct Want {
    /// Lanes that it could take on.
    pub free: usize,
    /// Organizations with lanes under way, and how many.
    pub busy: Vec<(OrgId, usize)>,
    /// Where to look.
    pub of: Vec<OrgId>,
    /// And with the next of those with anything that waits, after this one in the order of ids.
    pub walk: Option<OrgId>,
}

/// What a sender gets.
#[derive(Debug, Default)]
pub struct Given {
    /// Lanes that are its own now.
    pub lanes: Vec<Claimed>,
    /// How far the walk came; none: to the end, or there was none.
    pub reached: Option<OrgId>,
    /// Whether all that was free was taken, so that somebody may have come away with nothing.
    pub is_full: bool,
}

/// Organizations of one piece of a walk: a few milliseconds, after which those that have news come first again.
const STRETCH: usize = 500;

/// Gives lanes to a sender. One asker at a time.
#[derive(Default)]
pub struct Claim {
    plans: Plans,
}

impl Decide for Claim {
    type Ask = Want;
    type Answer = Given;

    fn connected(&self, conn: &mut PgConnection) -> Result<()> {
        settle_session(conn)
    }

    fn decide(&self, conn: &mut PgConnection, asks: &[Want]) -> Result<Vec<Given>> {
        self.plans.refresh(conn)?;
        asks.iter().map(|want| claim(conn, want)).collect()
    }
}

/// What the delivering threads set on a fresh connection: plans are made once, and not for reading a table from end to end because
/// it happens to be short now; and a commit means that it is on disk.
pub(super) fn settle_session(conn: &mut PgConnection) -> Result<()> {
    for setting in ["plan_cache_mode = force_generic_plan", "enable_seqscan = off", "synchronous_commit = on"] {
        diesel::sql_query(format!("SET {setting}")).execute(conn)?;
    }
    Ok(())
}

/// Plans are kept, but not for long: these tables may hold five rows now and a million in a minute, and PostgreSQL itself makes
/// a kept plan anew only when it has next analyzed them.
#[derive(Default)]
pub(super) struct Plans(Mutex<Option<Instant>>);

impl Plans {
    const KEPT: Duration = Duration::from_secs(5);

    pub(super) fn refresh(&self, conn: &mut PgConnection) -> Result<()> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= Self::KEPT) {
            diesel::sql_query("DISCARD PLANS").execute(conn)?;
            *last = Some(Instant::now());
        }
        Ok(())
    }
}

statement! {
    Lanes<'a> -> (sql::Uuid, sql::Uuid, sql::Bool) = include_str!("claim.sql");
    organizations: Vec<OrgId> as sql::Array<sql::Uuid>,
    lanes: Vec<i64> as sql::Array<sql::Int8>,
    of: Vec<OrgId> as sql::Array<sql::Uuid>,
    free: i64 as sql::Int8,
    claim: Uuid as sql::Uuid,
    lease_s: f64 as sql::Double,
}

statement! {
    Walk<'a> -> (sql::Uuid, sql::Bool) = include_str!("walk.sql");
    after: OrgId as sql::Uuid,
    most: i32 as sql::Int4,
}

fn claim(conn: &mut PgConnection, want: &Want) -> Result<Given> {
    let (mut of, mut reached) = (want.of.clone(), None);
    if let Some(after) = want.walk {
        let walked: Vec<(OrgId, bool)> = Walk { after, most: STRETCH as i32, _life: PhantomData }.load(conn)?;
        reached = walked.last().filter(|_| walked.len() == STRETCH).map(|(organization, _)| *organization);
        of.extend(walked.iter().filter(|(_, is_due)| *is_due).map(|(organization, _)| *organization));
    }
    let (lanes, is_full) = if of.is_empty() { (Vec::new(), false) } else { claim_of(conn, want, of)? };
    Ok(Given { lanes, reached, is_full })
}

/// Lanes of these organizations, and whether they were as many as are free.
fn claim_of(conn: &mut PgConnection, want: &Want, of: Vec<OrgId>) -> Result<(Vec<Claimed>, bool)> {
    let since = Instant::now();
    let claim = Uuid::from_u128(rand::random());
    let statement = Lanes {
        organizations: want.busy.iter().map(|(organization, _)| *organization).collect(),
        lanes: want.busy.iter().map(|(_, lanes)| *lanes as i64).collect(),
        of,
        free: want.free as i64,
        claim,
        lease_s: LEASE.as_secs_f64(),
        _life: PhantomData,
    };
    conn.transaction(|conn| {
        let found: Vec<(OrgId, Uuid, bool)> = statement.load(conn)?;
        if found.is_empty() {
            return Ok((Vec::new(), false));
        }
        let is_full = found.len() == want.free;
        // Only now, under the lanes' locks: what was committed before them is seen.
        overtake(conn, found.iter().filter(|(.., is_stale)| *is_stale).map(|(_, lane, _)| *lane).collect())?;
        let lanes: Vec<(OrgId, Uuid)> = found.into_iter().map(|(organization, lane, _)| (organization, lane)).collect();
        let heads = heads(conn, &lanes)?;
        if heads.len() < lanes.len() {
            let empty: Vec<Uuid> = lanes.iter().map(|(_, lane)| *lane).filter(|lane| heads.iter().all(|head| head.lane != *lane)).collect();
            let theirs = delivery_lanes::claim.eq(claim).and(delivery_lanes::id.eq_any(empty));
            diesel::delete(delivery_lanes::table.filter(theirs)).execute(conn)?;
        }
        Ok((heads.into_iter().map(|head| head.claimed(claim, since)).collect(), is_full))
    })
}

/// The head of a lane.
#[derive(Debug, Queryable)]
pub(super) struct Head {
    pub(super) organization: OrgId,
    pub(super) lane: Uuid,
    event: EventId,
    failures: i32,
    payload: String,
    url: String,
    pub(super) is_enabled: bool,
    is_failing: bool,
    resumed_at: Option<OffsetDateTime>,
    secrets: Vec<Vec<u8>>,
}

impl Head {
    pub(super) fn claimed(self, claim: Uuid, since: Instant) -> Claimed {
        Claimed {
            organization: self.organization,
            lane: self.lane,
            claim,
            since,
            event: self.event,
            failures: self.failures.unsigned_abs(),
            payload: self.payload,
            url: self.url,
            secrets: self.secrets,
            is_failing: self.is_failing,
            resumed_at: self.resumed_at,
        }
    }
}

statement! {
    Heads<'a> -> (sql::Uuid, sql::Uuid, sql::Uuid, sql::Int4, sql::Text, sql::Text, sql::Bool, sql::Bool, sql::Nullable<sql::Timestamptz>, sql::Array<sql::Binary>)
        = include_str!("heads.sql");
    organizations: Vec<OrgId> as sql::Array<sql::Uuid>,
    lanes: Vec<Uuid> as sql::Array<sql::Uuid>,
}

statement! {
    Overtake<'a> -> () = include_str!("overtake.sql");
    lanes: Vec<Uuid> as sql::Array<sql::Uuid>,
}

/// Drops what is no longer news in these lanes; the caller holds their locks.
pub(super) fn overtake(conn: &mut PgConnection, lanes: Vec<Uuid>) -> Result<()> {
    if !lanes.is_empty() {
        Overtake { lanes, _life: PhantomData }.execute(conn)?;
    }
    Ok(())
}

/// The heads of these lanes; the caller holds their locks. A lane without anything pending, or without a webhook, has none.
pub(super) fn heads(conn: &mut PgConnection, lanes: &[(OrgId, Uuid)]) -> Result<Vec<Head>> {
    let statement = Heads {
        organizations: lanes.iter().map(|(organization, _)| *organization).collect(),
        lanes: lanes.iter().map(|(_, lane)| *lane).collect(),
        _life: PhantomData,
    };
    Ok(statement.load(conn)?)
}
