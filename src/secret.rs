//! Random secrets and their digests. What leaves this module as plain text is shown once and kept nowhere.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, Output, ToSql};
use rand::TryRng;
use rand::rngs::SysRng;
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// `length` characters of `0-9A-Za-z`, each equally likely, from the operating system's generator.
///
/// # Errors
/// `Internal` when the operating system has no randomness to give.
pub fn random_base62(length: usize) -> Result<String> {
    let mut text = String::with_capacity(length);
    let mut bytes = [0u8; 64];
    while text.len() < length {
        SysRng.try_fill_bytes(&mut bytes).map_err(|e| Error::internal("operating system's generator", e))?;
        // 248 is the greatest multiple of 62 in a byte: what lies above would favour the first characters.
        let fair = bytes.iter().filter(|&&byte| byte < 248).map(|&byte| char::from(BASE62[usize::from(byte % 62)]));
        text.extend(fair.take(length - text.len()));
    }
    Ok(text)
}

/// 32 bytes from the operating system's generator.
///
/// # Errors
/// `Internal` when the operating system has no randomness to give.
pub fn random_32() -> Result<[u8; 32]> {
    let mut bytes = [0u8; 32];
    SysRng.try_fill_bytes(&mut bytes).map_err(|e| Error::internal("operating system's generator", e))?;
    Ok(bytes)
}

/// A base62 digit's character.
pub(crate) fn base62_digit(value: u32) -> char {
    char::from(BASE62[(value % 62) as usize])
}

/// SHA-256 of a secret with full entropy: all that the database sees of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, AsExpression, FromSqlRow)]
#[diesel(sql_type = diesel::sql_types::Binary)]
pub struct SecretDigest(pub [u8; 32]);

impl SecretDigest {
    /// Digest of the secret's text.
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }
}

impl std::fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretDigest(…)")
    }
}

impl ToSql<diesel::sql_types::Binary, Pg> for SecretDigest {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        <[u8] as ToSql<diesel::sql_types::Binary, Pg>>::to_sql(&self.0, out)
    }
}

impl FromSql<diesel::sql_types::Binary, Pg> for SecretDigest {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        let bytes = <Vec<u8> as FromSql<diesel::sql_types::Binary, Pg>>::from_sql(value)?;
        let bytes = bytes.try_into().map_err(|_| "a digest has 32 bytes")?;
        Ok(Self(bytes))
    }
}

/// A secret that exists from its making to its one showing. It can't be cloned, printed or serialized by accident.
pub struct PlainToken(String);

impl PlainToken {
    /// `prefix_` and 40 random base62 characters (238 bits).
    ///
    /// # Errors
    /// `Internal` when the operating system has no randomness to give.
    pub fn generate(prefix: &str) -> Result<Self> {
        Ok(Self(format!("{prefix}_{}", random_base62(40)?)))
    }

    /// What the database keeps.
    pub fn digest(&self) -> SecretDigest {
        SecretDigest::of(&self.0)
    }

    /// The text itself, for the one place that shows it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// The key that signs a webhook's deliveries: `whsec_` and the base64 of its bytes (Standard Webhooks 1.0.0). Like a
/// [`PlainToken`] it can't be printed by accident; unlike one it is kept, encrypted, because signing needs it.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(Vec<u8>);

impl SigningSecret {
    /// Prefix of the text.
    pub const PREFIX: &'static str = "whsec_";

    /// 32 bytes from the operating system's generator.
    ///
    /// # Errors
    /// `Internal` when the operating system has no randomness to give.
    pub fn generate() -> Result<Self> {
        Ok(Self(random_32()?.to_vec()))
    }

    /// The secret of these bytes.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Its bytes, for signing and sealing.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text, for the one place that shows it.
    pub fn reveal(&self) -> String {
        format!("{}{}", Self::PREFIX, BASE64.encode(&self.0))
    }

    /// The last four characters of the text, by which people tell two secrets apart.
    pub fn hint(&self) -> String {
        let text = self.reveal();
        text[text.len() - 4..].to_owned()
    }
}

impl std::fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningSecret(…)")
    }
}

impl std::fmt::Debug for PlainToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PlainToken(…)")
    }
}
