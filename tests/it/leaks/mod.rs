//! Keys found in public: how they are found, who may report them, what becomes of them, and who is told.

mod form;
mod partner;
mod pattern;
mod secrecy;
mod signature;
mod standing;
mod telling;

use diesel::prelude::*;
use latchkey::ids::OrgId;
use latchkey::schema::audit_entries;
use latchkey::site::{LeakRules, LeakedKeys};
use serde_json::{Value, json};

use crate::support::{Answer, App, Client};

const PLACE: &str = "https://github.com/octocat/Hello-World/blob/main/config.py";

/// An instance that flags.
fn flagging() -> App {
    App::tweaked(|site| site.leaks = LeakRules { then: LeakedKeys::Flag, ..LeakRules::default() }.into())
}

/// Reports one text as GitHub would.
async fn report(client: &Client, text: &str) -> Answer {
    let token = json!({"token": text, "type": "latchkey_api_key", "url": PLACE, "source": "content"});
    client.post("/leaked-keys").json(&json!([token])).send().await
}

/// What the answer to [`report`] says of the text.
fn label(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()[0]["label"].as_str().unwrap().to_owned()
}

/// Actions and changes in an organization's log, oldest first.
fn entries(app: &App, organization: OrgId) -> Vec<(String, Value)> {
    audit_entries::table
        .filter(audit_entries::chain.eq(organization.0))
        .filter(audit_entries::action.like("key.%"))
        .order(audit_entries::sequence)
        .select((audit_entries::action, audit_entries::changes))
        .load(&mut app.database().conn())
        .unwrap()
}

fn actions(app: &App, organization: OrgId) -> Vec<String> {
    entries(app, organization).into_iter().map(|(action, _)| action).collect()
}

/// Status of a request of the Partner API with this text.
async fn call(app: &App, text: &str) -> u16 {
    Client::bearer(&app.origin(), text).get("/key").send().await.status
}
