//! Addresses of people.

use crate::error::{Error, Result};

const MOST: usize = 254;

/// An address in the one form that is kept and compared: trimmed, lower case.
///
/// # Errors
/// `Invalid` for `email`.
pub fn normalize(text: &str) -> Result<String> {
    let email = text.trim().to_lowercase();
    let odd = |c: char| c.is_whitespace() || c.is_control();
    let parts = email.rsplit_once('@').filter(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.starts_with('.'));
    if parts.is_none() || email.chars().any(odd) || email.chars().count() > MOST {
        return Err(no_address());
    }
    Ok(email)
}

/// That a text is none.
pub fn no_address() -> Error {
    Error::field("email", "This is no e-mail address. Write it like name@example.com.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_one_form() {
        assert_eq!(normalize("  Dana@Acme.Example ").expect("an address"), "dana@acme.example");
        for bad in ["", "dana", "@acme", "dana@", "da na@acme", "dana@acme\0", &format!("{}@acme.example", "a".repeat(250))] {
            assert!(matches!(normalize(bad), Err(Error::Invalid(_))), "{bad:?}");
        }
    }
}
