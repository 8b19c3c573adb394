//! What callers are told when they are told no.

use serde::Deserialize;

use super::Template;

/// The answer to each refusal.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusals {
    /// No key came.
    pub missing: Refusal,
    /// Not a key of ours.
    pub unknown: Refusal,
    /// The organization is suspended.
    pub suspended: Refusal,
    /// Revoked, or rotated away.
    pub revoked: Refusal,
    /// Past its expiry.
    pub expired: Refusal,
    /// Paused.
    pub inactive: Refusal,
    /// The route needs a permission that the key lacks.
    pub permission: Refusal,
    /// Over the limit.
    pub rate_limited: Refusal,
    /// Not enough of them.
    pub credits: Refusal,
}

impl Refusals {
    /// Their names, in the order in which they are looked at.
    pub const OUTCOMES: [&str; 9] =
        ["missing", "unknown", "suspended", "revoked", "expired", "inactive", "permission", "rate_limited", "credits"];
}

/// One answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// JSON with words in braces.
    pub body: Template,
}

/// The shape of errors that are not refusals.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorShape {
    /// JSON with `{message}` and `{code}`.
    pub body: Template,
}
