//! What became of a request that a service asked about: its row is completed and its hold ended, once, by the service or by time.
//!
//! ```text
//! verified ── report ──► completed, its hold settled or released
//!          └─ no report in time ─► as it is, its hold settled
//! ```
//! Locks are taken in one order: holds, rows of the history, balances. Whoever comes second finds no hold and a row that awaits
//! nothing any more, so any number of instances end each hold once.

use std::collections::{BTreeSet, HashMap};

use diesel::Connection;
use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use time::{Duration, OffsetDateTime};

use super::settle::purpose;
use crate::batch::Decide;
use crate::credits::Books;
use crate::error::Result;
use crate::ids::{OrgId, RequestId, uuid_time};
use crate::schema::request_holds;
use crate::usage::{self, Completion};

/// Holds that are ended in one transaction, because nobody reported.
const PIECE: i64 = 500;

/// What a service tells of a request.
#[derive(Debug, Clone)]
pub struct Report {
    /// The request.
    pub id: RequestId,
    /// When it is told.
    pub now: OffsetDateTime,
    /// HTTP status that it came to.
    pub status: u16,
    /// Microseconds that it took, where the service says so.
    pub duration_us: Option<i32>,
    /// Whether held credits are settled; else they are released.
    pub success: bool,
}

/// What came of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reported {
    /// There is no request that this could be a report of.
    Unknown,
    /// It was reported before, or its time is over.
    Over,
    /// The history has it.
    Done {
        /// Credits that it cost in the end.
        settled: i64,
        /// Credits that were given back.
        released: i64,
    },
}

/// Takes reports.
pub struct Reports {
    /// How long a service may take.
    pub within: Duration,
}

impl Decide for Reports {
    type Ask = Report;
    type Answer = Reported;

    fn connected(&self, conn: &mut PgConnection) -> Result<()> {
        // Whatever is asked, one plan is right: along the indexes, also of a day that is empty when it is planned.
        conn.batch_execute("SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET synchronous_commit = on")?;
        Ok(())
    }

    fn decide(&self, conn: &mut PgConnection, asks: &[Report]) -> Result<Vec<Reported>> {
        let is_late = |report: &Report| uuid_time(report.id.0).is_some_and(|at| report.now - at > self.within);
        let in_time: BTreeSet<RequestId> = asks.iter().filter(|report| !is_late(report)).map(|report| report.id).collect();
        conn.transaction(|conn| {
            let holds = lock_holds(conn, &in_time)?;
            let mut awaited: HashMap<RequestId, _> =
                usage::lock_awaited(conn, in_time.into_iter().collect())?.into_iter().map(|row| (row.id, row)).collect();
            let mut taken: Vec<(&Report, Completion)> = Vec::new();
            let mut told = Vec::with_capacity(asks.len());
            for report in asks {
                told.push(match awaited.get_mut(&report.id) {
                    None if is_late(report) => Reported::Over,
                    None => Reported::Unknown,
                    Some(row) if !row.is_open => Reported::Over,
                    Some(row) => {
                        // Whoever reports the same once more, and be it in this very batch, comes too late.
                        row.is_open = false;
                        let (held, of) = (holds.contains_key(&report.id), row.clone());
                        let credits = if held && !report.success { 0 } else { of.credits };
                        let released = of.credits - credits;
                        taken.push((report, Completion { of, status: report.status, duration_us: report.duration_us, credits }));
                        Reported::Done { settled: credits, released }
                    }
                });
            }
            let ended =
                taken.iter().filter_map(|(report, _)| Some((report.id, *holds.get(&report.id)?, report.success))).collect::<Vec<_>>();
            if let Some(now) = asks.iter().map(|report| report.now).max() {
                end_holds(conn, now, &ended, "Service")?;
            }
            usage::complete(conn, &taken.into_iter().map(|(_, completion)| completion).collect::<Vec<_>>())?;
            Ok(told)
        })
    }
}

/// Settles the holds of which nobody told in time, and lets their rows be; how many. There may be more when there were any.
///
/// # Errors
/// Those of the database.
pub fn settle_overdue(conn: &mut PgConnection, now: OffsetDateTime) -> Result<usize> {
    conn.transaction(|conn| {
        let overdue: Vec<(RequestId, OrgId, i64)> = request_holds::table
            .filter(request_holds::due_at.le(now))
            .order(request_holds::due_at)
            .limit(PIECE)
            .select((request_holds::request_id, request_holds::organization_id, request_holds::credits))
            .for_update()
            // Another instance does it, or a report that came in time.
            .skip_locked()
            .load(conn)?;
        if overdue.is_empty() {
            return Ok(0);
        }
        usage::stop_awaiting(conn, &overdue.iter().map(|(id, organization, _)| (*organization, *id)).collect::<Vec<_>>())?;
        let ended: Vec<_> = overdue.iter().map(|(id, organization, credits)| (*id, (*organization, *credits), true)).collect();
        end_holds(conn, now, &ended, "Latchkey")?;
        Ok(ended.len())
    })
}

type Hold = (OrgId, i64);

fn lock_holds(conn: &mut PgConnection, ids: &BTreeSet<RequestId>) -> Result<HashMap<RequestId, Hold>> {
    let rows: Vec<(RequestId, OrgId, i64)> = request_holds::table
        .filter(request_holds::request_id.eq_any(ids.iter().copied().collect::<Vec<_>>()))
        .order(request_holds::request_id)
        .select((request_holds::request_id, request_holds::organization_id, request_holds::credits))
        .for_update()
        .load(conn)?;
    Ok(rows.into_iter().map(|(id, organization, credits)| (id, (organization, credits))).collect())
}

/// Settles or releases holds that are locked.
fn end_holds(conn: &mut PgConnection, now: OffsetDateTime, ended: &[(RequestId, Hold, bool)], actor: &str) -> Result<()> {
    if ended.is_empty() {
        return Ok(());
    }
    let mut books = Books::open(conn, now, ended.iter().map(|(_, (organization, _), _)| *organization))?;
    for (id, (organization, credits), is_settled) in ended {
        let purpose = purpose(*id, actor.into());
        if *is_settled {
            books.settle(*organization, *credits, &purpose);
        } else {
            books.release(*organization, *credits, &purpose);
        }
    }
    let ids: Vec<RequestId> = ended.iter().map(|(id, ..)| *id).collect();
    diesel::delete(request_holds::table.filter(request_holds::request_id.eq_any(ids))).execute(conn)?;
    books.close(conn)
}
