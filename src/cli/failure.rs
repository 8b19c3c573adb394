//! How a command fails: an exit status, and one sentence on stderr for each problem.

use std::process::ExitCode;

use crate::error::{Error, FieldError};
use crate::postgres::PostgresError;

/// The end of a command.
pub type Done<T = ()> = Result<T, Failure>;

/// Why a command failed.
#[derive(Debug)]
pub struct Failure {
    status: u8,
    sentences: Vec<String>,
}

impl Failure {
    /// It was asked well, but could not be done.
    pub fn failed(sentence: impl Into<String>) -> Self {
        Self { status: 1, sentences: vec![sentence.into()] }
    }

    /// What was asked is wrong.
    pub fn wrong(sentence: impl Into<String>) -> Self {
        Self { status: 2, sentences: vec![sentence.into()] }
    }

    /// A profile that can't be served: a sentence for each thing that is wrong with it.
    pub fn of_profile(name: &str, error: Error) -> Self {
        let Error::Invalid(fields) = error else { return error.into() };
        let sentence = |FieldError { field, message }| match field == "profile" {
            true => format!("{name}: {message}"),
            false => format!("{name}: {field} {message}."),
        };
        Self { status: 2, sentences: fields.into_iter().map(sentence).collect() }
    }

    /// Everything has been said already.
    pub fn silent(status: u8) -> Self {
        Self { status, sentences: Vec::new() }
    }

    /// All that is to be said, in one.
    pub fn sentence(&self) -> String {
        self.sentences.join(" ")
    }

    /// Says why, and gives the exit status.
    pub fn tell(self) -> ExitCode {
        for sentence in self.sentences {
            eprintln!("latchkey: {sentence}");
        }
        ExitCode::from(self.status)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(fields) => Self { status: 2, sentences: fields.into_iter().map(sentence).collect() },
            Error::Conflict(sentence) => Self::failed(sentence),
            Error::NotFound => Self::failed("There is nothing of that name."),
            // libpq spreads its reasons over lines.
            Error::Unavailable(text) => Self::failed(format!("The database does not answer: {}.", one_line(&text))),
            other => Self::failed(format!("It did not work: {}.", one_line(&other.to_string()))),
        }
    }
}

impl From<PostgresError> for Failure {
    fn from(error: PostgresError) -> Self {
        Self::failed(error.to_string())
    }
}

fn sentence(FieldError { field, message }: FieldError) -> String {
    match field.chars().next() {
        // Capabilities name fields as forms and JSON bodies do; here they are flags.
        Some(first) if first.is_ascii_lowercase() => format!("--{}: {message}", field.replace('_', "-")),
        _ => format!("{field}: {message}"),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches('.').to_owned()
}
