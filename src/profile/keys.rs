//! What keys are like: their text, their number, and how people handle them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::duration;

/// What keys are like.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// First word of a key's text.
    pub prefix: String,
    /// Active keys an organization may have in one environment; 0 is no bound.
    pub max_active: u32,
    /// Text of the button that makes one.
    pub create_label: String,
    /// `Revoke` or `Delete`.
    pub revoke_label: String,
    /// Whether a key may get a new text in place. Otherwise people make another key, switch over and end the first.
    pub rotation: bool,
    /// Grace periods offered at rotation.
    #[serde(default, deserialize_with = "duration::list")]
    pub grace: Vec<Duration>,
    /// Columns of the table, where an organization may have more than one key.
    #[serde(default)]
    pub columns: Vec<Column>,
    /// What a column is called, where it is not [`Column::heading`].
    #[serde(default)]
    pub headings: BTreeMap<Column, String>,
    /// None: keys are `{prefix}_…` and live.
    #[serde(default)]
    pub environments: Vec<Environment>,
}

impl Keys {
    /// What a column is called here.
    pub fn heading(&self, column: &Column) -> &str {
        self.headings.get(column).map_or(column.heading(), String::as_str)
    }
}

/// A column of the table of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Column {
    /// What people call it.
    Name,
    /// The first characters of its text; without this column they stand below the name.
    Prefix,
    /// Live or test.
    Environment,
    /// What it may do.
    Permissions,
    /// Active, inactive, ended.
    Status,
    /// When and by whom.
    Created,
    /// When it was last used.
    LastUsed,
    /// How often it was used.
    Requests,
}

impl Column {
    /// As it is called unless the profile says otherwise.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Name => "Name",
            Self::Prefix => "Key",
            Self::Environment => "Environment",
            Self::Permissions => "Permissions",
            Self::Status => "Status",
            Self::Created => "Created",
            Self::LastUsed => "Last used",
            Self::Requests => "Requests",
        }
    }
}

/// A word in a key's text that tells what it works on.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// As in the key and on the screens.
    pub name: String,
    /// Nothing that its keys do costs credits, and their jobs are done by the sandbox worker.
    #[serde(default)]
    pub sandbox: bool,
}
