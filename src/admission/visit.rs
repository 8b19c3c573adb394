//! One request as the history will know it.

use std::time::Duration;

use time::OffsetDateTime;

use super::{Decision, KnownKey};
use crate::ids::RequestId;
use crate::outcome::Outcome;
use crate::usage::Record;

/// Longest part of a path or user agent that the history keeps, in characters.
const KEPT: usize = 200;

/// What is known of a request but for its answer.
#[derive(Debug, Clone)]
pub struct Visit {
    /// Its id.
    pub id: RequestId,
    /// When it arrived.
    pub at: OffsetDateTime,
    /// HTTP method.
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// As the rollups write it; see [`Record::route`].
    pub route: String,
    /// Where it came from.
    pub address: String,
    /// With which program.
    pub user_agent: String,
    /// What the text of its key tells; empty until it is read.
    pub environment: String,
    /// What people see of the key; likewise.
    pub prefix: String,
}

impl Visit {
    /// Its row, answered after `took` with this status. `detail` is JSON: why it was refused.
    pub fn record(&self, decision: &Decision, key: KnownKey, took: Duration, (status, detail): (u16, Option<String>)) -> Record {
        Record {
            id: self.id,
            organization: key.organization,
            at: self.at,
            key: key.key,
            generation: key.generation,
            // What a key could not have used, it has not used: only its own state counts as stale.
            stale: key.stale || matches!(decision.outcome, Outcome::Revoked | Outcome::Expired),
            environment: self.environment.clone(),
            method: self.method.clone(),
            path: self.path.clone(),
            route: self.route.clone(),
            status,
            outcome: decision.outcome,
            duration_us: i32::try_from(took.as_micros()).unwrap_or(i32::MAX),
            credits: 0,
            address: self.address.clone(),
            user_agent: self.user_agent.clone(),
            job: None,
            detail,
            reportable: false,
        }
    }
}

/// As much of a text as the history keeps.
pub fn short(text: &str) -> String {
    match text.char_indices().nth(KEPT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
