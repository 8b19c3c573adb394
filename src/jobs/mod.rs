//! Jobs: one unit of paid work each, done by a worker that holds a lease.
//!
//! ```text
//!            claim (lease)            complete
//! queued ───────────────► processing ──────────► completed
//!    ▲                        │  │
//!    └── the lease ran out ───┘  └─ fail, or the fourth lease ran out ─► failed
//! ```
//! The state is derived, never stored: finished with a result is completed, finished with an error is failed, leased is
//! processing, and the rest is queued.
//!
//! Invariants:
//! - A change of state, its events and its credits are one transaction. Locks are taken in one order: the job's row, then
//!   the balance.
//! - `sequence` counts a job's events from 1 without a gap. Locking the job's row first is what fixes it.
//! - A lease lasts [`LEASE`] from the claim and from each report of progress. Only its holder may report, and only
//!   while it lasts; every other report is a `Conflict` and changes nothing.
//! - `percentage` only grows, over lost leases too: a report that is not above it is a sign of life and no more.
//! - `{prefix}.started` is emitted at the first claim alone, `{prefix}.progress` at each tenth passed. A job that
//!   is completed without a last report of progress is at 100 by `{prefix}.completed` alone.
//! - Held credits end once: settled at creation (`on_start`), or settled at completion and released at failure
//!   (`on_success`).

pub mod doorbell;
mod events;
mod job;
mod lease;
mod report;
mod shape;

pub use job::{Job, NewJob, Status, insert_many, read};
pub use lease::{Claimed, claim, expire_leases, hand_back, queued_count};
pub use report::{Standing, complete, fail, progress};
pub use shape::{Results, Shape, results, shape};

/// How long a worker may be silent.
pub const LEASE: time::Duration = time::Duration::seconds(60);
/// How often a job may be claimed before it is given up: once, and after each of its three returns to the queue.
pub const MOST_ATTEMPTS: i16 = 4;
/// The channel on which PostgreSQL tells that there are jobs to claim.
pub const CHANNEL: &str = "latchkey_jobs";
