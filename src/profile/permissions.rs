//! What keys may do, and how they come to it.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What keys may do.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permissions {
    /// How a key comes to its permissions.
    pub grant: Grant,
    /// All there are.
    #[serde(default)]
    pub list: Vec<String>,
    /// Where keys inherit: what a person of each role may do, `admin` and `member`.
    #[serde(default)]
    pub roles: BTreeMap<String, Vec<String>>,
}

impl Permissions {
    /// Whether a person of this role may do `permission`, and with it the keys that inherit from it.
    pub fn role_may(&self, role: &str, permission: &str) -> bool {
        self.of_role(role).iter().any(|one| one == permission)
    }

    /// What a person of this role may do.
    pub fn of_role(&self, role: &str) -> &[String] {
        self.roles.get(role).map_or(&[], Vec::as_slice)
    }
}

/// How a key comes to its permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// Every key may do everything.
    None,
    /// Picked per key.
    Chosen,
    /// Those of the person who made the key, as its role is at each request.
    Inherited,
}

/// What no key that inherits may ever do, whatever its maker may: first words of permissions, of which one may do without its last s.
pub(super) const NEVER_INHERITED: [&str; 5] = ["members", "billing", "keys", "settings", "organization"];
