//! What every edge of one running instance shares.

use std::sync::Arc;

use sha2::{Digest as _, Sha512};

use crate::db::Db;
use crate::profile::Profile;

/// What every edge of one running instance shares.
#[derive(Clone)]
pub struct Site {
    /// The way to PostgreSQL.
    pub db: Db,
    /// The contract it speaks.
    pub profile: Arc<Profile>,
    /// Where readers and partners reach it, without a slash at the end.
    pub public_url: String,
    /// Root of what is signed and encrypted.
    pub secret_key: SecretKey,
}

impl Site {
    /// Whether browsers come by https, so that cookies may be `__Host-` and Secure.
    pub fn is_https(&self) -> bool {
        self.public_url.starts_with("https://")
    }
}

/// 32 bytes that never leave the process.
#[derive(Clone)]
pub struct SecretKey(pub [u8; 32]);

impl SecretKey {
    /// 64 bytes for one purpose, independent of those for any other.
    pub fn derive(&self, purpose: &str) -> [u8; 64] {
        Sha512::new().chain_update(b"latchkey ").chain_update(purpose).chain_update([0]).chain_update(self.0).finalize().into()
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey(…)")
    }
}
