//! The nine ways a request can be refused, and the one in which it passes.

use std::fmt;

/// What became of a request at admission, in the order in which it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// No key came.
    Missing,
    /// Not a key of ours, by its format, its checksum or the database.
    Unknown,
    /// Its organization is suspended.
    Suspended,
    /// Revoked, or rotated away.
    Revoked,
    /// Past its expiry.
    Expired,
    /// Paused.
    Inactive,
    /// The route needs a permission that it lacks.
    Permission,
    /// Over the limit.
    RateLimited,
    /// Not enough credits.
    Credits,
    /// Admitted.
    Accepted,
}

impl Outcome {
    /// All of them, in order.
    pub const ALL: [Self; 10] = [
        Self::Missing,
        Self::Unknown,
        Self::Suspended,
        Self::Revoked,
        Self::Expired,
        Self::Inactive,
        Self::Permission,
        Self::RateLimited,
        Self::Credits,
        Self::Accepted,
    ];

    /// As the database, the profile and the metrics write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unknown => "unknown",
            Self::Suspended => "suspended",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Inactive => "inactive",
            Self::Permission => "permission",
            Self::RateLimited => "rate_limited",
            Self::Credits => "credits",
            Self::Accepted => "accepted",
        }
    }

    /// The inverse of [`Outcome::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
