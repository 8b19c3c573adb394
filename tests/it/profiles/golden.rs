//! Every outcome of admission, and every route, of each profile: status, headers and body as they go over the wire.
//!
//! The transcripts in `golden/` are the contracts. They were read against SPEC §12 when they were written; a difference is a change of a
//! contract that callers rely on.

use awc::http::Method;
use latchkey::profile::{Action, Profile, Route};
use serde_json::json;

use super::Stage;
use crate::support::{NOBODY, key_text};

#[actix_web::test]
async fn analysis() {
    with_jobs("analysis").await;
}

#[actix_web::test]
async fn assessment() {
    with_jobs("assessment").await;
}

#[actix_web::test]
async fn jobs() {
    with_jobs("jobs").await;
}

#[actix_web::test]
async fn documents() {
    without_jobs("documents").await;
}

#[actix_web::test]
async fn messaging() {
    without_jobs("messaging").await;
}

async fn with_jobs(name: &str) {
    let mut stage = Stage::new(name, 2);
    let create = line(stage.profile(), Action::JobsCreate);
    let order = order(stage.profile());
    refusals(&mut stage, &create, &order).await;
    let key = stage.key();
    mistakes(&mut stage, &create, &key).await;
    job(&mut stage, &create, &order, &key).await;
    readings(&mut stage, &key).await;
    webhook(&mut stage, &key).await;
    verified(&mut stage, &key).await;
    no_credits(&mut stage, &create, &order, &key).await;
    limited(&mut stage, &create, &order, &key).await;
    stage.compare(name);
}

/// The same refusals as a service is told of them, and what only a service can ask for.
async fn verified(stage: &mut Stage, key: &str) {
    let token = stage.app.make().service_token();
    let line = "POST /verify/v1/keys";
    let permissions = stage.profile().permissions.list.clone();
    let never_made = key_text(stage.profile(), stage.profile().default_environment());
    let mut questions = vec![
        ("verified: missing", json!({})),
        ("verified: unknown", json!({"key": never_made})),
        ("verified: accepted", json!({"key": key, "resource": "POST /documents/7", "source": "203.0.113.24"})),
        ("verified: credits", json!({"key": key, "credits": 1000})),
    ];
    if permissions.len() > 1 {
        let lesser = stage.key_that_may(&permissions[..1]);
        questions.push(("verified: permission", json!({"key": lesser, "permission": permissions[1]})));
    }
    for (title, question) in questions {
        stage.ask(title, line, Some(&token), &question.to_string()).await;
    }
    stage.change_key(key, "revoked_at = now(), revoked_by = 'A test'");
    stage.ask("verified: revoked", line, Some(&token), &json!({"key": key}).to_string()).await;
    stage.change_key(key, "revoked_at = NULL, revoked_by = NULL");
    stage.suspend(true);
    stage.ask("verified: suspended", line, Some(&token), &json!({"key": key}).to_string()).await;
    stage.suspend(false);
}

async fn without_jobs(name: &str) {
    let mut stage = Stage::new(name, 2);
    let door = line(stage.profile(), Action::KeyRead);
    refusals(&mut stage, &door, "").await;
    let key = stage.key();
    elsewhere(&mut stage, &door, &key).await;
    readings(&mut stage, &key).await;
    verified(&mut stage, &key).await;
    limited(&mut stage, &door, "", &key).await;
    stage.compare(name);
}

/// `POST /v1/scan`, of the first route that does this.
fn line(profile: &Profile, action: Action) -> String {
    line_of(profile, profile.route_for(action).unwrap())
}

fn line_of(profile: &Profile, route: &Route) -> String {
    format!("{} {}", route.method.as_str(), profile.full_path(route))
}

fn order(profile: &Profile) -> String {
    format!("{{\"input\":{},\"external_reference\":\"order 7\"}}", profile.jobs[0].example_input)
}

/// The ways to be refused before it is asked what for.
async fn refusals(stage: &mut Stage, door: &str, body: &str) {
    stage.ask("missing", door, None, body).await;
    stage.ask("missing: an empty credential", door, Some(""), body).await;
    stage.ask("unknown: no key of anybody's", door, Some("sk_live_4eC39HqLyjWDarjtT1zdp7dc"), body).await;
    let mut wrong_sum = key_text(stage.profile(), stage.profile().default_environment());
    let last = if wrong_sum.pop() == Some('x') { 'y' } else { 'x' };
    wrong_sum.push(last);
    stage.ask("unknown: a wrong checksum", door, Some(&wrong_sum), body).await;
    let never_made = key_text(stage.profile(), stage.profile().default_environment());
    stage.ask("unknown: right, and never made", door, Some(&never_made), body).await;
    let key = stage.key();
    stage.suspend(true);
    stage.ask("suspended", door, Some(&key), body).await;
    stage.suspend(false);
    for (title, change) in [
        ("inactive", "deactivated_at = now(), expires_at = NULL"),
        ("expired", "expires_at = now() - interval '1 day', deactivated_at = NULL"),
        ("revoked", "expires_at = NULL, revoked_at = now(), revoked_by = 'A test'"),
    ] {
        stage.change_key(&key, change);
        stage.ask(title, door, Some(&key), body).await;
    }
    lacking(stage).await;
}

/// Each permission that opens a route: without it the route names it.
async fn lacking(stage: &mut Stage) {
    let profile = stage.app.site.profile.clone();
    let gated: Vec<_> = profile.routes.iter().filter(|route| route.permission.is_some()).collect();
    for route in gated.iter().filter(|_| profile.permissions.list.len() > 1) {
        let needed = route.permission.as_ref().unwrap();
        let others: Vec<String> = profile.permissions.list.iter().filter(|one| *one != needed).cloned().collect();
        let key = stage.key_that_may(&others);
        let line = line_of(&profile, route).replace("{id}", "job_00000000000000000000");
        stage.ask(&format!("permission: {needed}"), &line, Some(&key), "").await;
    }
}

async fn mistakes(stage: &mut Stage, create: &str, key: &str) {
    elsewhere(stage, create, key).await;
    stage.ask("wrong type", create, Some(key), "").await;
    stage.ask("broken JSON", create, Some(key), "{\"input\":").await;
    stage.ask("no object", create, Some(key), "[1]").await;
    let fields = json!({"input": 1, "external_reference": 2, "notify_via_webhook": 3, "priority": 4});
    stage.ask("wrong fields", create, Some(key), &fields.to_string()).await;
    stage.ask("too large", create, Some(key), &json!({"input": {"text": "x".repeat(70_000)}}).to_string()).await;
}

async fn elsewhere(stage: &mut Stage, line: &str, key: &str) {
    let path = line.split_once(' ').unwrap().1.to_owned();
    stage.ask("nobody's address", &format!("GET {path}/nothing"), Some(key), "").await;
    stage.ask("wrong method", &format!("{} {path}", Method::PATCH), Some(key), "").await;
}

/// A job from order to results, and one that fails.
async fn job(stage: &mut Stage, create: &str, order: &str, key: &str) {
    let profile = stage.app.site.profile.clone();
    let once = [("idempotency-key", "order-7")];
    let made = stage.ask_with("a job", create, Some(key), order, &once).await;
    assert_eq!(made.status, 202);
    stage.ask_with("the same again", create, Some(key), order, &once).await;
    stage.ask_with("another under the same name", create, Some(key), "{\"input\":{}}", &once).await;
    let id = made.json()[&profile.jobs[0].id_field].as_str().unwrap().to_owned();
    let of = |action| line(&profile, action).replace("{id}", &id);
    stage.ask("it waits", &of(Action::JobsRead), Some(key), "").await;
    stage.ask("it has no results yet", &of(Action::JobsResults), Some(key), "").await;
    let worker = stage.app.worker();
    let claimed = worker.post("/worker/v1/claim").json(&json!({"kinds": [profile.jobs[0].kind]})).send().await.json();
    let lease = &claimed["job"]["lease"];
    let report = |verb: &str, body: serde_json::Value| worker.post(&format!("/worker/v1/jobs/{id}/{verb}")).json(&body);
    assert_eq!(report("progress", json!({"lease": lease, "percentage": 45})).send().await.status, 200);
    stage.ask("it is under way", &of(Action::JobsRead), Some(key), "").await;
    assert_eq!(report("complete", json!({"lease": lease, "result": {"score": 87}})).send().await.status, 200);
    stage.ask("it is done", &of(Action::JobsRead), Some(key), "").await;
    stage.ask("its results", &of(Action::JobsResults), Some(key), "").await;
    let second = stage.call(create, Some(key), order).await;
    assert_eq!(second.status, 202, "{}", second.text());
    let id = second.json()[&profile.jobs[0].id_field].as_str().unwrap().to_owned();
    let claimed = worker.post("/worker/v1/claim").json(&json!({"kinds": [profile.jobs[0].kind]})).send().await.json();
    let failed = json!({"lease": claimed["job"]["lease"], "code": "unreadable", "message": "The video has no sound."});
    assert_eq!(worker.post(&format!("/worker/v1/jobs/{id}/fail")).json(&failed).send().await.status, 200);
    let of = |action| line(&profile, action).replace("{id}", &id);
    stage.ask("it failed", &of(Action::JobsRead), Some(key), "").await;
    stage.ask("it has no results", &of(Action::JobsResults), Some(key), "").await;
    let stranger = line(&profile, Action::JobsRead).replace("{id}", &format!("{}_0000000000000000000001", profile.jobs[0].id_prefix));
    stage.ask("nobody's job", &stranger, Some(key), "").await;
}

/// What tells of credits, usage, the key, events.
async fn readings(stage: &mut Stage, key: &str) {
    let profile = stage.app.site.profile.clone();
    let readings = [Action::CreditsRead, Action::CreditsEntries, Action::KeyRead, Action::EventsRead];
    for action in readings {
        for route in profile.routes.iter().filter(|route| route.action == action) {
            stage.ask(&format!("{action:?}"), &line_of(&profile, route), Some(key), "").await;
        }
    }
    if let Some(route) = profile.route_for(Action::CreditsEntries) {
        let (kind, from, to, limit) = (route.name("kind"), route.name("from"), route.name("to"), route.name("limit"));
        let line = line_of(&profile, route);
        stage
            .ask("its filters", &format!("{line}?{kind}=grant&{from}=2020-01-01&{to}=2099-12-31T00:00:00Z&{limit}=1"), Some(key), "")
            .await;
        stage.ask("wrong filters", &format!("{line}?{kind}=gift&{from}=soon&{to}=never&{limit}=1000"), Some(key), "").await;
    }
    let usage = line(&profile, Action::UsageRead);
    stage.ask("usage", &format!("{usage}?status=402"), Some(key), "").await;
    stage.ask("wrong filters of usage", &format!("{usage}?status=x&from=y&start=y&cursor=z"), Some(key), "").await;
}

async fn webhook(stage: &mut Stage, key: &str) {
    let profile = stage.app.site.profile.clone();
    let of = |action| line(&profile, action);
    stage.ask("no webhook", &of(Action::WebhookRead), Some(key), "").await;
    stage.ask("no webhook to test", &of(Action::WebhookTest), Some(key), "").await;
    let address = json!({"url": NOBODY, "enabled": true}).to_string();
    stage.ask("a webhook", &of(Action::WebhookPut), Some(key), &address).await;
    stage.ask("an address inside", &of(Action::WebhookPut), Some(key), "{\"url\":\"https://10.0.4.17/\"}").await;
    stage.ask("the webhook", &of(Action::WebhookRead), Some(key), "").await;
    stage.ask("a webhook removed", &of(Action::WebhookDelete), Some(key), "").await;
}

/// Credits held and spent, down to none.
async fn no_credits(stage: &mut Stage, create: &str, order: &str, key: &str) {
    for _ in 0..2 {
        let made = stage.call(create, Some(key), order).await;
        if made.status != 202 {
            break;
        }
    }
    stage.ask("credits", create, Some(key), order).await;
    let balance = line(stage.profile(), Action::CreditsRead);
    stage.ask("nothing left", &balance, Some(key), "").await;
}

/// One more than pass in a window.
async fn limited(stage: &mut Stage, door: &str, body: &str, key: &str) {
    for _ in 0..400 {
        if stage.call(door, Some(key), body).await.status == 429 {
            break;
        }
    }
    stage.ask("rate_limited", door, Some(key), body).await;
}
