//! A key's text: `{prefix}_{environment}_`, 30 random base62 characters, 6 of checksum.
//!
//! The checksum is GitHub's form: CRC-32 (IEEE) of the 30 characters alone, in base62, padded with `0`. It tells a mistyped or
//! invented key from one of ours without asking the database.

use crate::error::Result;
use crate::profile::Profile;
use crate::secret::{self, SecretDigest};

const RANDOM: usize = 30;
const CHECKSUM: usize = 6;
/// What stands after prefix and environment.
pub(super) const LENGTH: usize = RANDOM + CHECKSUM;
/// Random characters that people see of a key.
pub(crate) const VISIBLE: usize = 4;
const NO_DIGIT: u8 = 0xff;

/// Value of each byte as a base62 digit.
const DIGITS: [u8; 256] = {
    let alphabet = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut digits = [NO_DIGIT; 256];
    let mut value = 0;
    while value < alphabet.len() {
        digits[alphabet[value] as usize] = value as u8;
        value += 1;
    }
    digits
};

/// A key's full text, from its making to its one showing. It can't be cloned, printed or serialized by accident.
pub struct PlainKey(String);

impl PlainKey {
    /// A fresh key. The environment is left out of the text in a profile without environments.
    ///
    /// # Errors
    /// `Internal` when the operating system has no randomness to give.
    pub fn generate(profile: &Profile, environment: &str) -> Result<Self> {
        let random = secret::random_base62(RANDOM)?;
        let checksum = checksum(random.as_bytes());
        let prefix = &profile.keys.prefix;
        Ok(Self(if profile.keys.environments.is_empty() {
            format!("{prefix}_{random}{checksum}")
        } else {
            format!("{prefix}_{environment}_{random}{checksum}")
        }))
    }

    /// What the database keeps.
    pub fn digest(&self) -> SecretDigest {
        SecretDigest::of(&self.0)
    }

    /// What people see of it ever after, such as `lk_live_a1b2`; screens add `…`.
    pub fn visible_prefix(&self) -> &str {
        &self.0[..self.0.len() - RANDOM - CHECKSUM + VISIBLE]
    }

    /// The text itself, for the one place that shows it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for PlainKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PlainKey(…)")
    }
}

fn checksum(random: &[u8]) -> String {
    let mut rest = crc32fast::hash(random);
    let mut digits = ['0'; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        *digit = secret::base62_digit(rest);
        rest /= 62;
    }
    digits.iter().collect()
}

/// What a key's text tells by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// What to look it up by.
    pub digest: SecretDigest,
    /// What people see of it; see [`PlainKey::visible_prefix`].
    pub prefix: String,
    /// The environment that it was made for.
    pub environment: String,
}

/// Reads a key's text; none for one that this profile can't have made. It stands before every admission and asks nobody.
pub fn parse(profile: &Profile, text: &str) -> Option<Parsed> {
    let rest = text.strip_prefix(profile.keys.prefix.as_str())?.strip_prefix('_')?;
    let environments = &profile.keys.environments;
    let (environment, body) = if environments.is_empty() {
        (profile.default_environment(), rest)
    } else {
        environments.iter().find_map(|environment| {
            let name = environment.name.as_str();
            Some((name, rest.strip_prefix(name)?.strip_prefix('_')?))
        })?
    };
    has_valid_checksum(body.as_bytes()).then(|| Parsed {
        digest: SecretDigest::of(text),
        prefix: text[..text.len() - RANDOM - CHECKSUM + VISIBLE].to_owned(),
        environment: environment.to_owned(),
    })
}

fn has_valid_checksum(body: &[u8]) -> bool {
    if body.len() != RANDOM + CHECKSUM || body.iter().any(|&byte| DIGITS[usize::from(byte)] == NO_DIGIT) {
        return false;
    }
    let (random, checksum) = body.split_at(RANDOM);
    let stated = checksum.iter().fold(0u64, |value, &byte| value * 62 + u64::from(DIGITS[usize::from(byte)]));
    stated == u64::from(crc32fast::hash(random))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VECTORS: [(&str, &str); 2] = [("zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ", "0mLq17"), ("qkJaB6MffYVzZXWqmcoF49yrUxP3wf", "0LsakP")];

    fn profile() -> Profile {
        Profile::load("analysis").expect("the built-in profile")
    }

    #[test]
    fn checksum_vectors() {
        let profile = profile();
        for (random, expected) in VECTORS {
            assert_eq!(checksum(random.as_bytes()), expected);
            let key = format!("lk_live_{random}{expected}");
            assert_eq!(parse(&profile, &key).map(|parsed| parsed.digest), Some(SecretDigest::of(&key)));
        }
    }

    #[test]
    fn what_is_made_is_accepted() {
        let profile = profile();
        for environment in ["live", "test"] {
            let key = PlainKey::generate(&profile, environment).expect("randomness");
            assert!(key.reveal().starts_with(&format!("lk_{environment}_")));
            assert_eq!(key.reveal().len(), 8 + 36);
            let expected = Parsed { digest: key.digest(), prefix: key.visible_prefix().into(), environment: environment.into() };
            assert_eq!(parse(&profile, key.reveal()), Some(expected));
            assert_eq!(key.visible_prefix(), &key.reveal()[..12]);
            assert!(!format!("{key:?}").contains(key.visible_prefix()));
        }
    }

    #[test]
    fn a_profile_without_environments_leaves_the_word_out() {
        let mut profile = profile();
        profile.keys.environments.clear();
        let key = PlainKey::generate(&profile, "live").expect("randomness");
        assert_eq!(key.reveal().len(), 3 + 36);
        let expected = Parsed { digest: key.digest(), prefix: key.visible_prefix().into(), environment: "live".into() };
        assert_eq!(parse(&profile, key.reveal()), Some(expected));
        assert_eq!(key.visible_prefix().len(), 3 + 4);
    }

    #[test]
    fn every_changed_character_is_refused() {
        let profile = profile();
        let good = PlainKey::generate(&profile, "live").expect("randomness");
        let good = good.reveal();
        for place in 0..good.len() {
            for other in ["0", "z", "_", "\0", "é"] {
                let mut changed = good.to_owned();
                changed.replace_range(place..=place, other);
                if changed != good {
                    assert_eq!(parse(&profile, &changed), None, "{place} {other:?}");
                }
            }
        }
    }

    #[test]
    fn foreign_texts_are_refused() {
        let profile = profile();
        let (random, sum) = VECTORS[0];
        let bad = [
            String::new(),
            "lk_live_".into(),
            format!("lk_{random}{sum}"),
            format!("lk_prod_{random}{sum}"),
            format!("xk_live_{random}{sum}"),
            format!("LK_live_{random}{sum}"),
            format!("lk_live_{random}{sum}x"),
            format!(" lk_live_{random}{sum}"),
            format!("lk_live_{random}"),
            format!("lk_live_{random}zzzzzz"),
            "é".repeat(18),
        ];
        for text in &bad {
            assert_eq!(parse(&profile, text), None, "{text:?}");
        }
    }
}
