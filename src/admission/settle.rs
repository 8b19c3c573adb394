//! The second stage: the answer becomes final. History, and with it what the answer does: a job with its credits and the stored answer
//! of its `Idempotency-Key`, or credits that a service asked for. In one transaction a batch.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use diesel::Connection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use crate::batch::Decide;
use crate::credits::{Books, Purpose};
use crate::error::Result;
use crate::ids::{KeyId, OrgId, RequestId};
use crate::jobs::{self, NewJob};
use crate::outcome::Outcome;
use crate::profile::Charge;
use crate::schema::{idempotency_keys, request_holds};
use crate::usage::{self, Record};

/// One answer that is to become final.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// Its row. Status, outcome, credits, job and report are corrected by what the effect comes to.
    pub record: Record,
    /// What it does beside.
    pub effect: Effect,
}

/// What an answer does.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Nothing.
    None,
    /// Makes a job.
    Creation(Box<Creation>),
    /// Spends credits.
    Spending(Box<Spending>),
}

/// Credits that a service asked for, if they are there.
#[derive(Debug, Clone)]
pub struct Spending {
    /// How many; more than none.
    pub amount: i64,
    /// Until when they are held for a report; none: they are settled at once.
    pub held_until: Option<OffsetDateTime>,
    /// What holds and settles them, for people: the key's visible name.
    pub actor: String,
    /// Status of an answer for want of them.
    pub status_without_credits: u16,
}

/// A job to be made, if its credits are there.
#[derive(Debug, Clone)]
pub struct Creation {
    /// The job.
    pub job: NewJob,
    /// What holds and settles its credits, for people: the key's visible name.
    pub actor: String,
    /// The `Idempotency-Key` with the digest of what was asked.
    pub idempotency: Option<(String, [u8; 32])>,
    /// The answer to keep for a repetition.
    pub answer: String,
    /// Status of an answer for want of credits.
    pub status_without_credits: u16,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// The answer stands as it was given.
    Recorded,
    /// The job was made, its credits held.
    Created,
    /// The credits were held or settled.
    Spent {
        /// What is left.
        available: i64,
    },
    /// The same was asked before under this `Idempotency-Key`: its answer.
    Replayed {
        /// HTTP status.
        status: u16,
        /// Body.
        answer: String,
    },
    /// Something else was asked before under this `Idempotency-Key`.
    Mismatch,
    /// Nothing was made.
    InsufficientCredits {
        /// What it costs.
        required: i64,
        /// What there is.
        available: i64,
    },
}

/// The second stage.
#[derive(Default)]
pub struct Settle {
    /// Days of the history that are known to be there.
    days: Mutex<BTreeSet<Date>>,
}

impl Settle {
    /// Makes the days that these are of, where they are not known to be there: a day costs one look.
    fn ready(&self, conn: &mut PgConnection, asks: &[Settlement]) -> Result<()> {
        let mut known = self.days.lock().unwrap_or_else(PoisonError::into_inner);
        for at in asks.iter().map(|ask| ask.record.at) {
            let day = usage::day(at);
            if !known.contains(&day) {
                usage::make_days(conn, at)?;
                known.insert(day);
            }
        }
        Ok(())
    }
}

impl Decide for Settle {
    type Ask = Settlement;
    type Answer = Settled;

    fn connected(&self, conn: &mut PgConnection) -> Result<()> {
        diesel::sql_query("SET plan_cache_mode = force_generic_plan").execute(conn)?;
        // Whatever the cluster's default is: an answer means that it is on disk.
        diesel::sql_query("SET synchronous_commit = on").execute(conn)?;
        Ok(())
    }

    fn decide(&self, conn: &mut PgConnection, asks: &[Settlement]) -> Result<Vec<Settled>> {
        self.ready(conn, asks)?;
        if asks.iter().all(|ask| matches!(ask.effect, Effect::None)) {
            let records: Vec<&Record> = asks.iter().map(|ask| &ask.record).collect();
            usage::insert(conn, &records)?;
            return Ok(vec![Settled::Recorded; asks.len()]);
        }
        conn.transaction(|conn| carry_out(conn, asks))
    }
}

type StoredAnswers = HashMap<(OrgId, KeyId, String), (Vec<u8>, u16, String)>;

fn carry_out(conn: &mut PgConnection, asks: &[Settlement]) -> Result<Vec<Settled>> {
    let moving = || asks.iter().filter(|ask| !matches!(ask.effect, Effect::None)).map(|ask| &ask.record);
    let Some(now) = moving().map(|record| record.at).max() else { return Ok(Vec::new()) };
    // The balance's lock also orders equal idempotency keys of one organization: what another instance stored under one is
    // committed, and seen below, before this batch gets the lock. That is why nobody is told that an equal key is "still
    // running" (409): a repetition that comes while the first is under way waits for the lock, and is then told the first
    // one's answer. There is no moment in which 409 could be true.
    let mut books = Books::open(conn, now, moving().map(|record| record.organization))?;
    let creations: Vec<&Creation> = asks.iter().filter_map(creation).collect();
    let mut stored = stored_answers(conn, &creations)?;
    let (mut new_answers, mut new_jobs, mut holds) = (Vec::new(), Vec::new(), Vec::new());
    let mut records = Vec::with_capacity(asks.len());
    let mut settled = Vec::with_capacity(asks.len());
    for ask in asks {
        let mut record = ask.record.clone();
        let outcome = match &ask.effect {
            Effect::None => Settled::Recorded,
            Effect::Creation(creation) => one(creation, record.status, &mut books, &mut stored),
            Effect::Spending(spending) => spend(spending, &record, &mut books),
        };
        match (&outcome, &ask.effect) {
            (Settled::Created, Effect::Creation(creation)) => {
                new_jobs.push(creation.job.clone());
                record.credits = creation.job.price;
                record.job = Some(creation.job.id);
                if let Some((key, fingerprint)) = &creation.idempotency {
                    new_answers.push((
                        idempotency_keys::organization_id.eq(creation.job.organization),
                        idempotency_keys::key_id.eq(creation.job.key),
                        idempotency_keys::idempotency_key.eq(key.clone()),
                        idempotency_keys::fingerprint.eq(fingerprint.to_vec()),
                        idempotency_keys::status.eq(record.status as i16),
                        idempotency_keys::answer.eq(creation.answer.clone()),
                        idempotency_keys::created_at.eq(now),
                    ));
                }
            }
            (Settled::Spent { .. }, Effect::Spending(spending)) => {
                record.credits = spending.amount;
                holds.extend(spending.held_until.map(|due_at| {
                    (
                        request_holds::request_id.eq(record.id),
                        request_holds::organization_id.eq(record.organization),
                        request_holds::credits.eq(spending.amount),
                        request_holds::due_at.eq(due_at),
                    )
                }));
            }
            (Settled::Replayed { status, .. }, _) => record.status = *status,
            (Settled::Mismatch, _) => record.status = 422,
            (Settled::InsufficientCredits { required, available }, effect) => {
                record.status = match effect {
                    Effect::None => record.status,
                    Effect::Creation(creation) => creation.status_without_credits,
                    Effect::Spending(spending) => spending.status_without_credits,
                };
                record.outcome = Outcome::Credits;
                record.reportable = false;
                record.detail = Some(serde_json::json!({"required": required, "available": available}).to_string());
            }
            _ => {}
        }
        records.push(record);
        settled.push(outcome);
    }
    jobs::insert_many(conn, &new_jobs)?;
    diesel::insert_into(idempotency_keys::table).values(new_answers).execute(conn)?;
    diesel::insert_into(request_holds::table).values(holds).execute(conn)?;
    books.close(conn)?;
    usage::insert(conn, &records.iter().collect::<Vec<_>>())?;
    Ok(settled)
}

fn creation(ask: &Settlement) -> Option<&Creation> {
    if let Effect::Creation(creation) = &ask.effect { Some(creation) } else { None }
}

fn spend(spending: &Spending, record: &Record, books: &mut Books) -> Settled {
    let (organization, amount) = (record.organization, spending.amount);
    let purpose = purpose(record.id, spending.actor.clone());
    if !books.hold(organization, amount, &purpose) {
        return Settled::InsufficientCredits { required: amount, available: books.balance(organization).available };
    }
    if spending.held_until.is_none() {
        books.settle(organization, amount, &purpose);
    }
    Settled::Spent { available: books.balance(organization).available }
}

/// Of credits that a request spends: its own id is the hold's.
pub(super) fn purpose(request: RequestId, actor: String) -> Purpose {
    Purpose { hold_id: request.0, request_id: Some(request), job_id: None, actor, note: String::new() }
}

fn one(creation: &Creation, status: u16, books: &mut Books, stored: &mut StoredAnswers) -> Settled {
    let job = &creation.job;
    let name = creation.idempotency.as_ref().map(|(key, fingerprint)| ((job.organization, job.key, key.clone()), fingerprint));
    if let Some((name, fingerprint)) = &name
        && let Some((before, status, answer)) = stored.get(name)
    {
        return if before == fingerprint { Settled::Replayed { status: *status, answer: answer.clone() } } else { Settled::Mismatch };
    }
    if job.price > 0 {
        let purpose = Purpose {
            hold_id: job.id.0,
            request_id: Some(job.request_id),
            job_id: Some(job.id),
            actor: creation.actor.clone(),
            note: String::new(),
        };
        if !books.hold(job.organization, job.price, &purpose) {
            return Settled::InsufficientCredits { required: job.price, available: books.balance(job.organization).available };
        }
        if job.charge == Charge::OnStart {
            books.settle(job.organization, job.price, &purpose);
        }
    }
    if let Some((name, fingerprint)) = name {
        stored.insert(name, (fingerprint.to_vec(), status, creation.answer.clone()));
    }
    Settled::Created
}

fn stored_answers(conn: &mut PgConnection, creations: &[&Creation]) -> Result<StoredAnswers> {
    let wanted: Vec<(&NewJob, &String)> =
        creations.iter().filter_map(|creation| creation.idempotency.as_ref().map(|(key, _)| (&creation.job, key))).collect();
    if wanted.is_empty() {
        return Ok(StoredAnswers::new());
    }
    let distinct = |ids: HashSet<Uuid>| ids.into_iter().collect::<Vec<_>>();
    let rows: Vec<(OrgId, KeyId, String, Vec<u8>, i16, String)> = idempotency_keys::table
        .filter(idempotency_keys::organization_id.eq_any(distinct(wanted.iter().map(|(job, _)| job.organization.0).collect())))
        .filter(idempotency_keys::key_id.eq_any(distinct(wanted.iter().map(|(job, _)| job.key.0).collect())))
        .filter(idempotency_keys::idempotency_key.eq_any(wanted.iter().map(|(_, key)| key.as_str()).collect::<Vec<_>>()))
        .select((
            idempotency_keys::organization_id,
            idempotency_keys::key_id,
            idempotency_keys::idempotency_key,
            idempotency_keys::fingerprint,
            idempotency_keys::status,
            idempotency_keys::answer,
        ))
        .load(conn)?;
    Ok(rows.into_iter().map(|(org, key, name, print, status, answer)| ((org, key, name), (print, status as u16, answer))).collect())
}
