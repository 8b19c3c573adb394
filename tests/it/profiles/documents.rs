//! `documents`: a key may do what the person may do who made it, as that person's role is at each request.

use diesel::{RunQueryDsl, sql_query};
use latchkey::actor::{Actor, Role};
use latchkey::clock;
use latchkey::orgs;
use serde_json::{Value, json};

use super::Stage;
use crate::support::{Client, User};

const INVALID: &str = r#"{"error":{"message":"This API key is not valid.","code":"invalid_key"}}"#;

/// A key that this person makes in the browser.
async fn made_by(stage: &Stage, user: &User) -> String {
    let browser = stage.app.browser(user).await;
    let form = [("name", "Import"), ("once", "0190a3c2-0000-7000-8000-000000000001")];
    let page = browser.post("/orgs/acme-motion/api-keys").form(&form).send().await;
    let (_, rest) = page.text().split_once("<code id=\"new-key-text\">").unwrap_or_else(|| panic!("no key: {}", page.text()));
    rest.split_once('<').unwrap().0.to_owned()
}

async fn verify(service: &Client, key: &str, permission: &str) -> Value {
    let answer = service.post("/verify/v1/keys").json(&json!({"key": key, "permission": permission})).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn set_role(stage: &Stage, user: &User, role: Role) {
    let conn = &mut stage.app.database().conn();
    orgs::set_role(conn, &Actor::command_line(), clock::now(), stage.org().id, user.id, role).unwrap();
}

fn remove(stage: &Stage, user: &User) {
    let conn = &mut stage.app.database().conn();
    orgs::remove_member(conn, &Actor::command_line(), clock::now(), stage.org().id, user.id).unwrap();
}

/// Two admins, so that one may go.
fn stage() -> (Stage, User, Client) {
    let mut stage = Stage::new("documents", 3);
    let dana = stage.make.an_admin().clone();
    stage.make = stage.make.admin();
    let service = stage.service();
    (stage, dana, service)
}

#[actix_web::test]
async fn who_is_demoted_takes_the_key_along_at_once() {
    let (stage, dana, service) = stage();
    let key = made_by(&stage, &dana).await;
    let admitted = verify(&service, &key, "templates:write").await;
    assert_eq!((admitted["valid"].as_bool(), admitted["permissions"].as_array().unwrap().len()), (Some(true), 6), "{admitted}");
    set_role(&stage, &dana, Role::Member);
    let refused = verify(&service, &key, "templates:write").await;
    assert_eq!((refused["outcome"].as_str(), refused["status"].as_u64()), (Some("permission"), Some(403)), "{refused}");
    assert_eq!(refused["body"]["error"]["message"], "This API key lacks the permission templates:write.");
    assert_eq!(refused["permissions"], json!(["documents:read", "documents:write", "templates:read"]), "as a member has them");
    assert_eq!(verify(&service, &key, "documents:read").await["valid"], true, "what members may do it still may");
    set_role(&stage, &dana, Role::Admin);
    assert_eq!(verify(&service, &key, "templates:write").await["valid"], true);
}

#[actix_web::test]
async fn who_is_removed_leaves_a_dead_key() {
    let (stage, dana, service) = stage();
    let key = made_by(&stage, &dana).await;
    let question = json!({"key": key, "permission": "documents:write", "credits": 1, "resource": "POST /documents"});
    let under_way = service.post("/verify/v1/keys").json(&question).send().await.json();
    assert_eq!(under_way["valid"], true, "{under_way}");
    remove(&stage, &dana);
    let refused = verify(&service, &key, "documents:read").await;
    assert_eq!((refused["outcome"].as_str(), refused["status"].as_u64()), (Some("revoked"), Some(401)), "{refused}");
    assert_eq!(refused["body"].to_string(), serde_json::from_str::<Value>(INVALID).unwrap().to_string());
    let direct = stage.call("GET /v1/key", Some(&key), "").await;
    assert_eq!((direct.status, direct.text()), (401, INVALID));
    // What was admitted before finishes, and is paid.
    let report = format!("/verify/v1/requests/{}/outcome", under_way["request_id"].as_str().unwrap());
    let told = service.post(&report).json(&json!({"status": 201, "duration_ms": 40, "success": true})).send().await;
    assert_eq!(told.status, 200, "{}", told.text());
    let balance = latchkey::credits::balance(&mut stage.app.database().conn(), stage.org().id).unwrap();
    assert_eq!((balance.available, balance.held, balance.settled), (2, 0, 1));
    let page = stage.app.browser(stage.make.an_admin()).await.get("/orgs/acme-motion/api-keys").send().await;
    assert!(page.text().contains(">Revoked<"), "{}", page.text());
}

#[actix_web::test]
async fn a_membership_that_is_gone_however_is_enough() {
    let (stage, dana, service) = stage();
    let key = made_by(&stage, &dana).await;
    let conn = &mut stage.app.database().conn();
    sql_query("DELETE FROM memberships WHERE user_id = $1").bind::<diesel::sql_types::Uuid, _>(dana.id).execute(conn).unwrap();
    assert_eq!(verify(&service, &key, "documents:read").await["outcome"], "revoked");
    sql_query("DELETE FROM users WHERE id = $1").bind::<diesel::sql_types::Uuid, _>(dana.id).execute(conn).unwrap();
    assert_eq!(verify(&service, &key, "documents:read").await["outcome"], "revoked", "also when the account is");
}

#[actix_web::test]
async fn no_key_reaches_members_billing_keys_or_settings() {
    let (stage, dana, service) = stage();
    for key in [made_by(&stage, &dana).await, stage.key()] {
        for permission in ["members:write", "billing:read", "keys:write", "settings:write", "documents:anything"] {
            assert_eq!(verify(&service, &key, permission).await["outcome"], "permission", "{permission}");
        }
    }
}

#[actix_web::test]
async fn an_edit_brings_a_lesser_key_no_more() {
    let (stage, dana, service) = stage();
    let key = stage.key_that_may(&["documents:read".to_owned()]);
    assert_eq!(verify(&service, &key, "documents:write").await["outcome"], "permission");
    let id = latchkey::keys::all(&mut stage.app.database().conn(), stage.org().id).unwrap()[0].id;
    let form = [("name", "Renamed"), ("permission", "documents:write")];
    for form in [&form[..1], &form[..]] {
        let saved = stage.app.browser(&dana).await.post(&format!("/orgs/acme-motion/api-keys/{id}")).form(form).send().await;
        assert_eq!(saved.status, 303, "{}", saved.text());
        assert_eq!(verify(&service, &key, "documents:write").await["outcome"], "permission");
        assert_eq!(verify(&service, &key, "documents:read").await["outcome"], "accepted");
    }
}

#[actix_web::test]
async fn a_hundred_a_minute_for_the_whole_organization() {
    let (stage, dana, service) = stage();
    let keys = [made_by(&stage, &dana).await, stage.key()];
    let ask = |number: usize| {
        let question = json!({"key": keys[number % 2]});
        service.post("/verify/v1/keys").json(&question).send()
    };
    let answers = futures_util::future::join_all((0..130).map(ask)).await;
    let valid = answers.iter().filter(|answer| answer.json()["valid"] == true).count();
    assert_eq!(valid, 100, "of both keys together");
    assert_eq!(stage.call("GET /v1/key", Some(&keys[0]), "").await.status, 429, "the same window");
}
