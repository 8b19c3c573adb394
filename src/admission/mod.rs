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
//! A service of the company that asks for a key goes the same two stages, one after the other, and may report later what became of the
//! request: [`Reports`] completes its row and ends its hold, [`settle_overdue`] ends the holds of which nobody told.
//!
//! Two stages and not one: what the handler does lies between. Equal asks of a batch (same key, same rule) are one row of
//! the statement with a count, so that a hot key costs what a cold one does.

mod admit;
mod answer;
mod forget;
mod report;
mod settle;
mod source;
mod visit;
mod window;

pub use admit::{About, Admit, Ask, Decision, KnownKey, Rule, Window};
pub use answer::{Answer, limit_fields};
pub use forget::forget_old_answers;
pub use report::{Report, Reported, Reports, settle_overdue};
pub use settle::{Creation, Effect, Settle, Settled, Settlement, Spending};
pub use source::{Stranger, presented_key};
pub use visit::{Visit, short};
pub use window::{Current, current_window};
