//! Rows of the history that no server wrote.

use latchkey::ids::{KeyId, OrgId, RequestId};
use latchkey::outcome::Outcome;
use latchkey::usage::Record;
use time::OffsetDateTime;

/// An accepted request; what matters of it is said where it is made.
pub fn record(organization: OrgId, key: KeyId, at: OffsetDateTime) -> Record {
    Record {
        id: RequestId::new(at),
        organization,
        at,
        key,
        generation: 1,
        environment: "live".into(),
        method: "GET".into(),
        path: "/analyses/an_1".into(),
        route: "GET /analyses/{id}".into(),
        status: 200,
        outcome: Outcome::Accepted,
        duration_us: 1_000,
        credits: 0,
        address: "203.0.113.24".into(),
        user_agent: "python-httpx/0.28".into(),
        job: None,
        stale: false,
        detail: None,
        reportable: false,
    }
}
