//! Webhooks: where an organization's events go, and how they get there.
//!
//! ```text
//!              publish (with the change itself)
//! event ───────────────► delivery: pending ──2xx──► delivered
//!                           │  ▲  │
//!                  a claim, │  │  ├─ the last try failed, the webhook removed ──► gave_up
//!                one attempt└──┘  └─ progress that waited behind a failure, newer news behind it ──► overtaken
//!                                       delivered, gave_up, overtaken ──resend──► pending
//! ```
//! A *delivery* is one event on its way to the webhook, an *attempt* one HTTP request of it. Deliveries that keep an order
//! among themselves, those of one job, stand in a *lane*; a lane is what is claimed, and its head, the pending delivery with
//! the lowest sequence, is what is sent.
//!
//! Invariants:
//! - An event and its delivery are written in the transaction of the change that they tell of. Nothing is told that did not
//!   happen, nothing that happened is not told.
//! - A lane row is there as long as its lane has something pending. Whoever adds to a lane and whoever takes from it holds the
//!   row's lock until it commits, and looks at the lane's deliveries only after that: neither can miss what the other did.
//! - A lane is claimed by one sender at a time, for 20 seconds; an attempt takes less ([`crate::courier::TIMEOUT`]). The
//!   next of a lane leaves only after the outcome of the one before it is committed. A sender that dies leaves a claim that
//!   lapses: its event is sent again, with the same id, and nothing of that lane in between.
//! - Off, the webhook keeps what is published waiting. On again, it is sent in order; progress that is no longer news is dropped
//!   by whoever claims its lane, so that switching on touches one row and no list.
//! - What comes of an attempt is held against the webhook only as it was when the attempt began (`resumed_at`).
//! - An attempt that was made is recorded, whatever became of its claim.
//!
//! Where a webhook may lie is [`address`]'s to say: of its URL when it is saved, of every address when it is connected to. What
//! leaves is signed as Standard Webhooks 1.0.0 has it, see [`sign`].
//!
//! The order in which rows are locked: a job, its organization's balance, the webhook (shared by publishers), the lane.

pub mod address;
mod backlog;
mod claim;
mod feed;
mod forget;
pub mod list;
mod outbox;
mod payload;
mod record;
pub mod resend;
pub mod retry;
mod secrets;
mod settings;
pub mod sign;
mod standing;
mod test_event;

pub use backlog::{Backlog, backlog};
pub use claim::{BEGIN_WITHIN, Claim, Claimed, Given, LEASE, Want};
pub use feed::{FeedEvent, FeedPage, feed};
pub use forget::{PATIENCE as OFF_PATIENCE, forget_old};
pub use outbox::{NewEvent, publish};
pub use payload::{CreditNews, JobNews, Payload};
pub use record::{Outcome, PATIENCE, Record};
pub use secrets::{
    OVERLAP, SecretView, are_shut, check_secrets, expect_generation, holding_secrets, open_secrets, reseal, rotate_secret, secrets,
};
pub use settings::{Off, Saved, Webhook, read, remove, save, switch};
pub use standing::{Facts, Standing, facts, standing, stopped};
pub use test_event::{CREDITS_LOW, EventType, event_types, test_parcel, test_payload};
