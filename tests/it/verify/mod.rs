//! The verify API as services, proxies and those who try to break it notice it.

mod bad_input;
mod forward;
mod kills;
mod nginx;

mod outcomes;
mod races;
mod reports;
mod secrecy;

use diesel::sql_types::{BigInt, Integer, Nullable, Text, Uuid};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};
use latchkey::ids::{OrgId, RequestId};
use serde_json::{Value, json};

use crate::support::{Answer, Client, Key};

/// Keys hold chosen permissions, and `GET /key` needs one of them.
pub const PERMISSIONS: &[(&str, &str)] = &[
    ("max_active = 1", "max_active = 0"),
    ("grant = \"none\"\nlist = []", "grant = \"chosen\"\nlist = [\"reports:read\", \"reports:write\"]"),
    ("action = \"key.read\"", "action = \"key.read\"\npermission = \"reports:read\""),
];
/// Held credits wait for a report.
pub const ON_SUCCESS: (&str, &str) = ("charge = \"on_start\"\nreport_within", "charge = \"on_success\"\nreport_within");

/// Asks about a key, with more fields.
pub async fn ask(service: &Client, key: &Key, more: Value) -> Answer {
    let mut body = json!({"key": key.text});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    service.post("/verify/v1/keys").json(&body).send().await
}

/// The same of a question that is one: what is told.
pub async fn told(service: &Client, key: &Key, more: Value) -> Value {
    let answer = ask(service, key, more).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// Reports what became of a request.
pub async fn report(service: &Client, id: &Value, body: Value) -> Answer {
    service.post(&format!("/verify/v1/requests/{}/outcome", id.as_str().unwrap())).json(&body).send().await
}

/// A row of the history.
#[derive(QueryableByName, Debug, Clone, PartialEq)]
pub struct Row {
    #[diesel(sql_type = Text)]
    pub method: String,
    #[diesel(sql_type = Text)]
    pub path: String,
    #[diesel(sql_type = Text)]
    pub route: String,
    #[diesel(sql_type = Integer)]
    pub status: i32,
    #[diesel(sql_type = Text)]
    pub outcome: String,
    #[diesel(sql_type = BigInt)]
    pub credits: i64,
    #[diesel(sql_type = Integer)]
    pub duration_us: i32,
    #[diesel(sql_type = Text)]
    pub address: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub detail: Option<String>,
}

/// The row of a request.
pub fn row(conn: &mut PgConnection, id: &str) -> Option<Row> {
    let id = RequestId::parse(id).unwrap_or_else(|| panic!("{id} is no id"));
    let query =
        "SELECT method, path, route, status::int4, outcome, credits, duration_us, address, detail::text FROM requests WHERE id = $1";
    let mut rows: Vec<Row> = sql_query(query).bind::<Uuid, _>(id).load(conn).unwrap();
    assert!(rows.len() <= 1);
    rows.pop()
}

/// Kinds and actors of the ledger's entries of a request, in order; each names it and nothing else.
pub fn ledger(conn: &mut PgConnection, organization: OrgId, id: &str) -> Vec<(String, String)> {
    #[derive(QueryableByName)]
    struct Entry {
        #[diesel(sql_type = Text)]
        kind: String,
        #[diesel(sql_type = Text)]
        actor: String,
    }
    let entries: Vec<Entry> = sql_query(
        "SELECT kind, actor FROM credit_entries WHERE organization_id = $1 AND request_id = $2 AND hold_id = $2 AND job_id IS NULL
         ORDER BY sequence",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Uuid, _>(RequestId::parse(id).unwrap())
    .load(conn)
    .unwrap();
    entries.into_iter().map(|entry| (entry.kind, entry.actor)).collect()
}

pub fn entries(entries: &[(&str, &str)]) -> Vec<(String, String)> {
    entries.iter().map(|(kind, actor)| (kind.to_string(), actor.to_string())).collect()
}
