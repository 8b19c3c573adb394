//! One error for the whole program, and the one boundary that decides what a reader may see of it.

use std::borrow::Cow;

/// Result with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One field that was not accepted: `field` as the reader knows it, `message` a sentence with the cure.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FieldError {
    /// Name of the field as in the form or the JSON body.
    pub field: Cow<'static, str>,
    /// What is wrong and what would do.
    pub message: String,
}

/// What can go wrong, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not exist, or not for this reader: a stranger can't tell which.
    #[error("not found")]
    NotFound,
    /// Nobody is signed in, or the credential is not one of ours.
    #[error("not signed in")]
    Unauthenticated,
    /// Known, but this role may not.
    #[error("not allowed")]
    Forbidden,
    /// What can't be undone wants the password again.
    #[error("password not proved lately")]
    ProofNeeded,
    /// The organization asks for a second factor that this person has not set up.
    #[error("second factor not set up")]
    TwoFactorNeeded,
    /// Staff look at an organization after they have said why.
    #[error("no visit is open")]
    VisitNeeded,
    /// Input that was not accepted, by field.
    #[error("{} field(s) not accepted", .0.len())]
    Invalid(Vec<FieldError>),
    /// The state changed meanwhile, or does not allow it; a sentence for the reader.
    #[error("{0}")]
    Conflict(String),
    /// Too often; whole seconds until it makes sense to try again.
    #[error("too often, again in {retry_after_s} s")]
    Limited {
        /// Whole seconds to wait.
        retry_after_s: u64,
    },
    /// The database is away; it makes sense to try again in a moment.
    #[error("database unavailable: {0}")]
    Unavailable(String),
    /// The breach of a named constraint that nobody gave a meaning with [`Error::on_constraint`]: a defect.
    #[error("constraint {name}: {text}")]
    Constraint {
        /// The constraint's name in the schema.
        name: String,
        /// PostgreSQL's message, for the log alone.
        text: String,
    },
    /// A defect or a broken machine. Its text is for the log alone.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// One field with one message.
    pub fn field(field: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError { field: field.into(), message: message.into() }])
    }

    /// A defect, with what was being done.
    pub fn internal(doing: &str, error: impl std::fmt::Display) -> Self {
        Self::Internal(format!("{doing}: {error}"))
    }

    /// Names a field as the asker knows it, where another capability called it something else.
    pub fn on_field(mut self, name: &str, known_as: &'static str) -> Self {
        if let Self::Invalid(fields) = &mut self {
            for field in fields.iter_mut().filter(|field| field.field == name) {
                field.field = known_as.into();
            }
        }
        self
    }

    /// Turns the breach of a named constraint into what it means to the reader; leaves every other error alone.
    pub fn on_constraint(self, constraint: &str, meaning: impl FnOnce() -> Error) -> Self {
        match &self {
            Self::Constraint { name, .. } if name == constraint => meaning(),
            _ => self,
        }
    }
}

impl From<diesel::result::Error> for Error {
    fn from(error: diesel::result::Error) -> Self {
        use diesel::result::{DatabaseErrorKind as Kind, Error as Diesel};
        match error {
            Diesel::NotFound => Self::NotFound,
            Diesel::DatabaseError(kind, info) => {
                let text = info.message();
                // The server going away shows as a closed connection, or as its last words before that.
                let away = matches!(kind, Kind::ClosedConnection | Kind::UnableToSendCommand)
                    || [
                        "terminating connection",
                        "server closed the connection",
                        "connection to server",
                        "shutting down",
                        "starting up",
                        "in recovery mode",
                        "no connection to the server",
                        "not yet accepting connections",
                        "could not receive data from server",
                        "SSL connection has been closed",
                        "SSL SYSCALL",
                    ]
                    .iter()
                    .any(|words| text.contains(words));
                match info.constraint_name() {
                    _ if away => Self::Unavailable(text.to_owned()),
                    Some(name) => Self::Constraint { name: name.to_owned(), text: text.to_owned() },
                    None => Self::Internal(format!("database: {text}")),
                }
            }
            Diesel::BrokenTransactionManager => Self::Unavailable("connection lost inside a transaction".into()),
            other => Self::internal("database", other),
        }
    }
}

/// What a reader may see of an error: a status, a stable code and a sentence; never an internal text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientError {
    /// HTTP status.
    pub status: u16,
    /// Stable, for programs.
    pub code: &'static str,
    /// One sentence, for people.
    pub message: Cow<'static, str>,
    /// For 422 alone.
    pub fields: Vec<FieldError>,
    /// Whole seconds, for 429 and 503.
    pub retry_after_s: Option<u64>,
}

impl ClientError {
    /// An answer with a status, a code and a sentence.
    pub fn new(status: u16, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, message: message.into(), fields: Vec::new(), retry_after_s: None }
    }
}

impl From<&Error> for ClientError {
    fn from(error: &Error) -> Self {
        match error {
            Error::NotFound => Self::new(404, "not_found", "There is nothing here."),
            Error::Unauthenticated => Self::new(401, "unauthenticated", "Sign in first."),
            Error::Forbidden => Self::new(403, "forbidden", "Your role does not allow this."),
            Error::ProofNeeded => Self::new(403, "password_needed", "Enter your password again: the last time is over an hour ago."),
            Error::TwoFactorNeeded => Self::new(403, "two_factor_needed", "This organization asks for two-factor sign-in. Set it up first."),
            Error::VisitNeeded => Self::new(403, "visit_needed", "Say first why you look at this organization."),
            Error::Invalid(fields) => {
                Self { fields: fields.clone(), ..Self::new(422, "invalid_request", "Some fields were not accepted.") }
            }
            Error::Conflict(message) => Self::new(409, "conflict", message.clone()),
            Error::Limited { retry_after_s } => Self {
                retry_after_s: Some(*retry_after_s),
                ..Self::new(429, "too_many_requests", format!("Too many attempts. Try again in {retry_after_s} s."))
            },
            Error::Unavailable(_) => Self {
                retry_after_s: Some(1),
                ..Self::new(503, "unavailable", "The service can't reach its database. Try again in a moment.")
            },
            Error::Constraint { .. } | Error::Internal(_) => Self::new(500, "internal", "Something broke on our side. It has been logged."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_texts_stay_inside() {
        for error in [Error::Internal("select secret from x".into()), Error::Unavailable("host=/var/run".into())] {
            let shown = ClientError::from(&error);
            assert!(!shown.message.contains("secret") && !shown.message.contains("host="));
        }
    }

    #[test]
    fn a_named_constraint_gets_its_meaning_and_no_other() {
        let breach = || Error::Constraint { name: "users_email_key".into(), text: "duplicate key".into() };
        let meant = breach().on_constraint("users_email_key", || Error::Conflict("taken".into()));
        assert!(matches!(meant, Error::Conflict(_)));
        assert!(matches!(breach().on_constraint("users_email", || Error::NotFound), Error::Constraint { .. }));
    }
}
