//! How requests count that a company's own services ask about.

use std::time::Duration;

use serde::Deserialize;

use super::{Charge, duration};

/// How requests count that a company's own services ask about.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// The limit that they count in, unless the service names another; none: they are not limited.
    #[serde(default)]
    pub limit: Option<String>,
    /// When the credits that a service asks for are settled.
    pub charge: Charge,
    /// How long a service may take to report what became of a request. Credits of which nothing was heard by then are settled.
    #[serde(deserialize_with = "duration::one")]
    pub report_within: Duration,
}
