//! The Partner API as those who try to break it notice it: races, kills, outages, nonsense.

mod bad_input;
mod bad_requests;
mod credits;
mod elsewhere;
mod events;
mod exactness;
mod idempotency;
pub mod kills;
mod outage;
mod revocation;
mod rotation;
mod secrecy;
mod shutdown;
mod webhook;

pub use secrecy::dump;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use diesel::sql_types::{SmallInt, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};
use latchkey::ids::{OrgId, RequestId};
use latchkey::profile::{BUILT_IN, Profile};
use serde_json::json;
use time::OffsetDateTime;

use crate::support::{Answer, Client, Make, Request, Server, TestDb, number};

/// A database and a profile that any number of real servers share.
pub struct World {
    pub profile: Arc<Profile>,
    file: PathBuf,
    pub database: TestDb,
}

impl World {
    /// The default profile with changes of its text: each first is replaced by its second.
    pub fn new(changes: &[(&str, &str)]) -> Self {
        let text = changed(changes);
        let file = std::env::temp_dir().join(format!("latchkey-test-{}.toml", latchkey::secret::random_base62(12).unwrap()));
        std::fs::write(&file, &text).unwrap();
        Self { profile: Arc::new(Profile::parse(&text).unwrap()), file, database: TestDb::new() }
    }

    /// Where the profile's text is, for a server that is started with more.
    pub fn file(&self) -> &str {
        self.file.to_str().unwrap()
    }

    pub fn make(&self) -> Make {
        Make::new(self.database.conn(), self.profile.clone())
    }

    /// One more instance.
    pub async fn server(&self) -> Server {
        Server::start_with(&self.database, &[("LATCHKEY_PROFILE", self.file())]).await
    }

    pub async fn servers(&self, count: usize) -> Vec<Server> {
        futures_util::future::join_all((0..count).map(|_| self.server())).await
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

/// The text of the default profile with changes.
pub fn changed(changes: &[(&str, &str)]) -> String {
    let (_, text) = BUILT_IN.iter().find(|(name, _)| *name == "analysis").unwrap();
    changes.iter().fold(text.to_string(), |text, (from, to)| {
        assert!(text.contains(from), "the profile has no {from:?}");
        text.replace(from, to)
    })
}

/// More than any test sends.
pub const PLENTY: i32 = 10_000_000;
/// What an unknown or revoked key is told.
pub const INVALID_KEY: &str = r#"{"detail":"Invalid API Key"}"#;
/// What a key without credits is told.
pub const NO_CREDITS: &str = r#"{"detail":"Insufficient credits to perform analysis","code":"insufficient_credits"}"#;

pub fn partners(servers: &[Server], key: &str) -> Vec<Client> {
    servers.iter().map(|server| Client::bearer(&server.origin(), key)).collect()
}

/// An order for one analysis.
pub fn order(client: &Client) -> Request {
    client.post("/analyses").json(&json!({"input": {"video_url": "https://cdn.example.com/lift.mp4"}}))
}

/// All at the same time, turn by turn over the clients.
pub async fn at_once(count: usize, clients: &[Client], request: impl Fn(&Client) -> Request) -> Vec<Answer> {
    futures_util::future::join_all((0..count).map(|n| request(&clients[n % clients.len()]).send())).await
}

pub fn count_of(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

/// A row of the history.
#[derive(QueryableByName, Debug, Clone)]
pub struct Row {
    #[diesel(sql_type = SqlUuid)]
    id: uuid::Uuid,
    #[diesel(sql_type = Timestamptz)]
    pub at: OffsetDateTime,
    #[diesel(sql_type = SmallInt)]
    pub status: i16,
    #[diesel(sql_type = Text)]
    pub outcome: String,
    #[diesel(sql_type = Text)]
    pub path: String,
    #[diesel(sql_type = Text)]
    pub method: String,
}

/// The whole history by `X-Request-Id`.
pub fn history(conn: &mut PgConnection) -> HashMap<String, Row> {
    let rows: Vec<Row> = sql_query("SELECT id, at, status, outcome, path, method FROM requests").load(conn).unwrap();
    rows.into_iter().map(|row| (RequestId(row.id).to_string(), row)).collect()
}

/// Every answer is in the history with the status that was given.
pub fn assert_in_history<'a>(conn: &mut PgConnection, answers: impl IntoIterator<Item = &'a Answer>) {
    let history = history(conn);
    for answer in answers {
        let row = history.get(answer.header("x-request-id")).unwrap_or_else(|| panic!("not in the history: {answer:?}"));
        assert_eq!(row.status as u16, answer.status, "{answer:?}");
    }
}

/// Available, held and settled; and that the ledger sums to it.
pub fn balance(conn: &mut PgConnection, organization: OrgId) -> (i64, i64, i64) {
    assert_eq!(latchkey::credits::imbalances(conn).unwrap(), []);
    let balance = latchkey::credits::balance(conn, organization).unwrap();
    (balance.available, balance.held, balance.settled)
}
