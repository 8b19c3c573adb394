//! The routes of the Partner API: what a profile may offer, and by which methods.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One line of the Partner API.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// HTTP method.
    pub method: Method,
    /// Below the base path; `{id}` stands for a job's id.
    pub path: String,
    /// What it does.
    pub action: Action,
    /// For the actions that concern one kind of job; reading routes may serve all kinds by leaving it out.
    #[serde(default)]
    pub job: Option<String>,
    /// The permission it needs.
    #[serde(default)]
    pub permission: Option<String>,
    /// The limit it counts in.
    #[serde(default)]
    pub limit: Option<String>,
    /// Of a list: what its parameters and the members of its answer are called here, where it is not what Latchkey calls them.
    #[serde(default)]
    pub names: BTreeMap<String, String>,
}

impl Route {
    /// What this route calls a parameter or a member of its answer.
    pub fn name<'a>(&'a self, word: &'a str) -> &'a str {
        self.names.get(word).map_or(word, String::as_str)
    }
}

/// HTTP methods of the Partner API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads.
    Get,
    /// Creates.
    Post,
    /// Sets.
    Put,
    /// Removes.
    Delete,
}

impl Method {
    /// As on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// What a route can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
pub enum Action {
    /// Make a job.
    #[serde(rename = "jobs.create")]
    JobsCreate,
    /// Read one.
    #[serde(rename = "jobs.read")]
    JobsRead,
    /// Read what came of it.
    #[serde(rename = "jobs.results")]
    JobsResults,
    /// The balance.
    #[serde(rename = "credits.read")]
    CreditsRead,
    /// The ledger.
    #[serde(rename = "credits.entries")]
    CreditsEntries,
    /// The request history.
    #[serde(rename = "usage.read")]
    UsageRead,
    /// What am I.
    #[serde(rename = "key.read")]
    KeyRead,
    /// Where events go.
    #[serde(rename = "webhook.read")]
    WebhookRead,
    /// Say where events go.
    #[serde(rename = "webhook.put")]
    WebhookPut,
    /// Let them go nowhere.
    #[serde(rename = "webhook.delete")]
    WebhookDelete,
    /// Send a test event.
    #[serde(rename = "webhook.test")]
    WebhookTest,
    /// Catch up on events.
    #[serde(rename = "events.read")]
    EventsRead,
}

impl Action {
    /// The parameters and members of its answer that a route may call by other names.
    pub fn renamable(self) -> &'static [&'static str] {
        match self {
            Self::CreditsEntries => &["kind", "from", "to", "limit", "cursor", "entries", "next_cursor"],
            Self::UsageRead => &["key", "status", "environment", "path", "from", "to", "limit", "cursor", "requests", "next_cursor"],
            _ => &[],
        }
    }

    /// The query parameters that it reads.
    pub fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::CreditsEntries => &["kind", "from", "to", "limit", "cursor"],
            Self::UsageRead => &["key", "status", "environment", "path", "from", "to", "limit", "cursor"],
            Self::EventsRead => &["after", "limit"],
            _ => &[],
        }
    }

    /// The members of its answer that keep their names beside those that may be called otherwise.
    pub fn fixed(self) -> &'static [&'static str] {
        match self {
            Self::CreditsEntries => &["id", "at", "amount", "held_amount", "available_after", "request_id", "job_id", "note"],
            _ => &[],
        }
    }

    /// The methods that it may be called by.
    pub fn methods(self) -> &'static [Method] {
        match self {
            Self::JobsCreate | Self::WebhookTest => &[Method::Post],
            // One webhook an organization: PUT says what it is. Some contracts speak of making it, with POST.
            Self::WebhookPut => &[Method::Put, Method::Post],
            Self::WebhookDelete => &[Method::Delete],
            Self::JobsRead
            | Self::JobsResults
            | Self::CreditsRead
            | Self::CreditsEntries
            | Self::UsageRead
            | Self::KeyRead
            | Self::WebhookRead
            | Self::EventsRead => &[Method::Get],
        }
    }
}
