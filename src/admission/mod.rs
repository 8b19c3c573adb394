//! Admission: may this request pass?
//!
//! ```text
//! source → format and checksum → key known → organization → key → permission → rate limit → credits
//!  missing        unknown         unknown     suspended   revoked   permission  rate_limited  credits
//!                                                         expired
//!                                                         inactive
//! ```
//! The first two are looked at by the edge, without a query. [`Admit`] decides the middle for whole batches in one
//! statement. [`Settle`] does the last one, because credits are held in the very transaction that makes the job and writes
//! the history: no crash can leave a hold without its job, or an answer without its row.
//!
//! Invariants. All state is in PostgreSQL, so any number of instances are exact together. A window is counted by an upsert
//! whose row lock orders the instances: of the numbers it hands out exactly the first `limit` pass. A statement sees the keys
//! as committed before it started, so a revocation that was answered is seen by every admission that starts later.
//! Windows are taken in the order of their ids, balances in the order of theirs: no deadlocks. An answer leaves after the
//! commit that recorded it.
//!
//! Two stages and not one: what the handler does lies between. Equal asks of a batch (same key, same rule) are one row of
//! the statement with a count, so that a hot key costs what a cold one does.

mod admit;
mod forget;
mod settle;
mod window;

pub use admit::{About, Admit, Ask, Decision, KnownKey, Rule, Window};
pub use forget::forget_old_answers;
pub use settle::{Creation, Settle, Settled, Settlement};
pub use window::{Current, current_window};
