//! `messaging`: an access scope for each key, edited, paused and deleted with effect on the next request.

use latchkey::actor::Actor;
use latchkey::clock;
use latchkey::keys::{self, Edit};
use serde_json::{Value, json};

use super::Stage;

async fn may(stage: &Stage, key: &str, permission: &str) -> Value {
    let question = json!({"key": key, "permission": permission});
    stage.service().post("/verify/v1/keys").json(&question).send().await.json()["outcome"].clone()
}

#[actix_web::test]
async fn a_key_goes_by_its_scope_and_state_at_each_request() {
    let stage = Stage::new("messaging", 0);
    let key = stage.key_that_may(&["messages:send".to_owned()]);
    let (conn, actor, organization) = (&mut stage.app.database().conn(), Actor::command_line(), stage.org().id);
    let id = keys::all(conn, organization).unwrap()[0].id;
    assert_eq!(may(&stage, &key, "messages:send").await, "accepted");
    assert_eq!(may(&stage, &key, "contacts:write").await, "permission");
    let edit = Edit { name: "Newsletter".into(), permissions: vec!["contacts:write".into()], expires_at: None };
    keys::edit(conn, &actor, clock::now(), stage.profile(), organization, id, edit).unwrap();
    assert_eq!(may(&stage, &key, "messages:send").await, "permission");
    assert_eq!(may(&stage, &key, "contacts:write").await, "accepted");
    keys::deactivate(conn, &actor, clock::now(), organization, id).unwrap();
    assert_eq!(may(&stage, &key, "contacts:write").await, "inactive");
    keys::activate(conn, &actor, clock::now(), organization, id).unwrap();
    assert_eq!(may(&stage, &key, "contacts:write").await, "accepted");
    keys::revoke(conn, &actor, clock::now(), organization, id).unwrap();
    assert_eq!(may(&stage, &key, "contacts:write").await, "revoked");
}

#[actix_web::test]
async fn keys_are_not_rotated_but_replaced() {
    let stage = Stage::new("messaging", 0);
    let key = stage.key();
    let id = keys::all(&mut stage.app.database().conn(), stage.org().id).unwrap()[0].id;
    let browser = stage.app.browser(stage.make.an_admin()).await;
    let page = browser.get("/orgs/acme-motion/api-keys").send().await;
    assert!(page.text().contains("To replace a key, create another") && !page.text().contains("/rotation"), "{}", page.text());
    let path = format!("/orgs/acme-motion/api-keys/{id}/rotation");
    assert_eq!(browser.get(&path).send().await.status, 409);
    let form = [("grace", "0"), ("generation", "1"), ("once", "0190a3c2-0000-7000-8000-000000000001")];
    let forced = browser.post(&path).form(&form).send().await;
    assert!(forced.status == 409 && forced.text().contains("Keys here are not rotated."), "{}", forced.text());
    assert_eq!(may(&stage, &key, "messages:send").await, "accepted");
}
