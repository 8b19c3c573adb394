//! Passwords: Argon2id with the parameters of OWASP's cheat sheet (19 MiB, two passes, one lane). Hashing takes tens of
//! milliseconds by design: never on an async thread, never while holding a pooled connection.

use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};

use crate::error::{Error, Result};

const LEAST: usize = 10;
/// Bounds the work that a stranger can ask for.
const MOST: usize = 200;

fn argon2() -> Argon2<'static> {
    let params = Params::new(19_456, 2, 1, None).unwrap_or(Params::DEFAULT);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// Stands in for the hash of an account that does not exist, so that its refusal takes as long. No password is known to give it.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGlzIGhlcmU$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A password that may be chosen. It can't be cloned, printed or serialized by accident.
pub struct Password(String);

impl Password {
    /// Checks a password that somebody wants to have.
    ///
    /// # Errors
    /// `Invalid` for `password`: its length, or characters that a keyboard can't type again.
    pub fn new(text: String) -> Result<Self> {
        let length = text.chars().count();
        if length < LEAST {
            let characters = if length == 1 { "character is" } else { "characters are" };
            return Err(Error::field("password", format!("{length} {characters} too few. Use {LEAST} or more.")));
        }
        if length > MOST {
            return Err(Error::field("password", format!("{length} characters are too many. Use {MOST} or fewer.")));
        }
        if text.chars().any(char::is_control) {
            return Err(Error::field("password", "Line breaks and other control characters don't work in a password. Leave them out."));
        }
        Ok(Self(text))
    }

    /// Hashes it. Takes tens of milliseconds.
    ///
    /// # Errors
    /// `Internal` when the operating system has no randomness to give.
    pub fn hash(&self) -> Result<HashedPassword> {
        HashedPassword::hash(&self.0)
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

/// The PHC string of a password's Argon2id hash.
#[derive(Clone)]
pub struct HashedPassword(String);

impl HashedPassword {
    fn hash(text: &str) -> Result<Self> {
        let hashed = argon2().hash_password(text.as_bytes()).map_err(|e| Error::internal("hashing a password", e))?;
        Ok(Self(hashed.to_string()))
    }

    /// As the database keeps it.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn from_database(text: String) -> Self {
        Self(text)
    }
}

impl std::fmt::Debug for HashedPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HashedPassword(…)")
    }
}

/// Whether `given` is the password behind `hashed`; takes as long when there is none.
pub(super) fn verify(given: &str, hashed: Option<&HashedPassword>) -> bool {
    if given.len() > MOST * 4 {
        return false;
    }
    let against = hashed.map_or(NOBODY, HashedPassword::as_str);
    argon2().verify_password(given.as_bytes(), against).is_ok() && hashed.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_says_its_parameters_and_knows_its_password_alone() {
        let hashed = Password::new("correct horse".into()).and_then(|password| password.hash()).expect("hashes");
        assert!(hashed.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hashed.as_str());
        assert!(verify("correct horse", Some(&hashed)));
        assert!(!verify("correct hors", Some(&hashed)));
        assert!(!verify("", None), "the stand-in opens nothing");
    }

    #[test]
    fn an_account_that_does_not_exist_is_refused_with_as_much_work() {
        let refusal = argon2().verify_password(b"a guess", NOBODY);
        assert_eq!(refusal, Err(argon2::password_hash::Error::PasswordInvalid), "hashed and compared, not broken off");
    }

    #[test]
    fn passwords_that_are_refused() {
        for bad in ["short", &"x".repeat(201), "with\0zero in it", "two\nlines here"] {
            assert!(matches!(Password::new(bad.into()), Err(Error::Invalid(_))), "{bad:?}");
        }
        assert!(Password::new("päßwörter!".into()).is_ok(), "length counts characters, not bytes");
    }
}
