//! The first check: which key a request brought.

use std::borrow::Cow;

use crate::outcome::Outcome;
use crate::profile::Profile;

/// Someone without a key that could be looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stranger {
    /// `missing` or `unknown`.
    Refused(Outcome),
    /// More than one credential came, and which one is meant is anyone's guess.
    Ambiguous,
}

/// The text of the key, from where the profile says that it may stand: `Authorization: Bearer`, its headers, its query parameters.
/// `headers` gives all values of a header by its name, `parameters` the pairs of the query.
///
/// # Errors
/// Without exactly one credential.
pub fn presented_key<'a>(
    profile: &Profile, headers: impl Fn(&str) -> Vec<Cow<'a, str>>, parameters: impl FnOnce() -> Vec<(String, String)>,
) -> Result<Cow<'a, str>, Stranger> {
    let mut found: Option<Cow<'a, str>> = None;
    let mut take = |text: Cow<'a, str>| match found.replace(text) {
        None => Ok(()),
        Some(_) => Err(Stranger::Ambiguous),
    };
    for value in headers("authorization") {
        take(bearer(&value).map_or(Cow::Borrowed(""), |token| Cow::Owned(token.to_owned())))?;
    }
    for name in &profile.api.key_headers {
        headers(name).into_iter().try_for_each(&mut take)?;
    }
    if !profile.api.key_parameters.is_empty() {
        for (_, value) in parameters().into_iter().filter(|(name, _)| profile.api.key_parameters.contains(name)) {
            take(Cow::Owned(value))?;
        }
    }
    // An empty credential, and one of another scheme, is no key at all.
    found.filter(|text| !text.is_empty()).ok_or(Stranger::Refused(Outcome::Missing))
}

/// The token of `Bearer …` (RFC 6750: the scheme's case does not matter).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_is_read_as_the_standard_says() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bEARER  abc "), Some("abc"));
        assert_eq!(bearer("Basic abc"), None);
        assert_eq!(bearer("Bearer"), None);
    }
}
