//! What every edge of one running instance shares.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::db::Db;
use crate::mail::Mailer;
use crate::news::News;
use crate::profile::Profile;
use crate::sealed::Keyring;
use crate::signers::Signers;
use crate::slowdown::Slowdown;

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
    pub keyring: Keyring,
    /// Where webhooks may go, and when they are tried again.
    pub webhooks: Arc<WebhookRules>,
    /// How long usage is kept.
    pub retention: Retention,
    /// Rung after a commit that left something to deliver.
    pub news: News,
    /// What sends links by e-mail, where a server for it is set.
    pub mail: Option<Mailer>,
    /// What becomes of keys that were found in public.
    pub leaks: Arc<LeakRules>,
    /// Proxies in front, whose word on where a request comes from is taken.
    pub proxies: Arc<[IpNet]>,
}

/// What becomes of keys that were found in public.
#[derive(Debug, Clone, Default)]
pub struct LeakRules {
    /// What is done to a key that works.
    pub then: LeakedKeys,
    /// Who signs reports of programs; none: they need no signature.
    pub signers: Option<Signers>,
    /// Makes it slow to try whether a text is a key.
    pub slowdown: Slowdown,
}

/// What is done to a key that was found in public and works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LeakedKeys {
    /// It is revoked before the finder is answered.
    #[default]
    Revoke,
    /// Its organization's admins are told.
    Flag,
}

/// How long usage is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Days of the request history, today not counted.
    pub history_days: u16,
    /// Days of the rollups, no fewer.
    pub rollup_days: u16,
}

impl Default for Retention {
    fn default() -> Self {
        Self { history_days: 90, rollup_days: 730 }
    }
}

impl Site {
    /// Whether browsers come by https, so that cookies may be `__Host-` and Secure.
    pub fn is_https(&self) -> bool {
        self.public_url.starts_with("https://")
    }
}

/// Where webhooks may go, and when they are tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookRules {
    /// Loopback and private ranges that they may reach although they are not public.
    pub allow: Vec<IpNet>,
    /// Whether http will do.
    pub allow_http: bool,
    /// Ports that they may reach, as ranges with both ends.
    pub ports: Vec<RangeInclusive<u16>>,
    /// Pauses between tries.
    pub retries: Vec<Duration>,
}

impl Default for WebhookRules {
    fn default() -> Self {
        let retries = [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000].map(Duration::from_secs);
        Self { allow: Vec::new(), allow_http: false, ports: vec![80..=80, 443..=443, 1024..=65535], retries: retries.into() }
    }
}
