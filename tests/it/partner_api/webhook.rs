//! The webhook by the API: what partners read, what they are told when it is wrong, and what nobody gets by trying.

use std::time::Duration;

use actix_web::rt::time::sleep;
use diesel::sql_types::{Nullable, Text, Uuid as SqlUuid};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};
use futures_util::future::join_all;
use latchkey::ids::OrgId;
use latchkey::profile::{BUILT_IN, Profile};
use serde_json::{Value, json};

use super::{PLENTY, assert_in_history, number};
use crate::support::{Answer, Client, Desk, Make};

const HOOK: &str = "https://hooks.example.com/latchkey";

fn scene(desk: &Desk) -> (Make, Client) {
    let scene = desk.make().org().requests_per_minute(PLENTY).key();
    let partner = desk.partner(scene.a_key());
    (scene, partner)
}

async fn put(partner: &Client, body: Value) -> Answer {
    partner.put("/webhook").json(&body).send().await
}

async fn saved(partner: &Client, url: &str) -> Value {
    let answer = put(partner, json!({"url": url})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn members(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

fn refused_fields(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 422, "{}", answer.text());
    let body = answer.json();
    assert_eq!(body["code"], "invalid_request");
    let fields = body["fields"].as_array().unwrap().clone();
    assert!(fields.iter().all(|field| !field["message"].as_str().unwrap().is_empty()), "{body}");
    fields.iter().map(|field| field["field"].as_str().unwrap().to_owned()).collect()
}

/// Actor and action of an organization's audit entries.
fn audited(conn: &mut PgConnection, organization: OrgId) -> Vec<(String, String)> {
    #[derive(QueryableByName)]
    struct Entry {
        #[diesel(sql_type = Text)]
        who: String,
        #[diesel(sql_type = Nullable<SqlUuid>)]
        id: Option<uuid::Uuid>,
        #[diesel(sql_type = Text)]
        action: String,
    }
    let query = "SELECT actor_label AS who, actor_id AS id, action FROM audit_entries WHERE chain = $1 ORDER BY sequence";
    let entries: Vec<Entry> = sql_query(query).bind::<SqlUuid, _>(organization).load(conn).unwrap();
    assert!(entries.iter().all(|entry| !entry.action.starts_with("webhook.") || entry.id.is_some()), "an actor without an id");
    entries.into_iter().map(|entry| (entry.who, entry.action)).collect()
}

#[actix_web::test]
async fn it_is_saved_read_switched_and_removed() {
    let desk = Desk::open();
    let (scene, partner) = scene(&desk);
    let none = partner.get("/webhook").send().await;
    assert_eq!((none.status, none.text()), (200, "{}"));

    let first = put(&partner, json!({"url": HOOK, "enabled": true})).await;
    let made = first.json();
    assert_eq!(members(&made), ["enabled", "secret", "updated_at", "url"]);
    assert_eq!((&made["url"], &made["enabled"]), (&json!(HOOK), &json!(true)));
    assert!(made["secret"].as_str().unwrap().starts_with("whsec_"));
    assert_eq!(desk.looked(), [HOOK]);

    let read = partner.get("/webhook").send().await;
    assert_eq!(read.json(), json!({"url": HOOK, "enabled": true, "updated_at": made["updated_at"]}));
    // The same again is no change, and the secret is told once.
    let again = put(&partner, json!({"url": HOOK, "enabled": true})).await.json();
    assert_eq!(again, read.json());
    assert_eq!(saved(&partner, HOOK).await, read.json());

    let off = put(&partner, json!({"url": HOOK, "enabled": false})).await.json();
    assert_eq!((&off["enabled"], &off["disabled_reason"]), (&json!(false), &json!("switched_off")));
    assert_ne!(off["updated_at"], made["updated_at"]);
    // Without the switch, another URL leaves it where it is.
    let moved = saved(&partner, "https://other.example.com/").await;
    assert_eq!((&moved["url"], &moved["enabled"]), (&json!("https://other.example.com/"), &json!(false)));
    let conn = &mut desk.database().conn();
    sql_query("UPDATE webhooks SET disabled_reason = 'gone'").execute(conn).unwrap();
    assert_eq!(partner.get("/webhook").send().await.json()["disabled_reason"], "gone");

    for _ in 0..2 {
        let removed = partner.delete("/webhook").send().await;
        assert_eq!((removed.status, removed.text()), (200, "{}"));
    }
    assert_eq!(partner.get("/webhook").send().await.text(), "{}");
    assert_ne!(saved(&partner, HOOK).await["secret"], made["secret"], "a new webhook has a secret of its own");
    let key = format!("Key {}…", scene.a_key().prefix);
    let expected = ["webhook.created", "webhook.disabled", "webhook.updated", "webhook.removed", "webhook.created"];
    let entries = audited(conn, scene.here().id);
    assert_eq!(entries, expected.map(|action| (key.clone(), action.to_owned())));
}

#[actix_web::test]
async fn what_is_wrong_is_named_and_changes_nothing() {
    let desk = Desk::open();
    let (_, partner) = scene(&desk);
    let before = {
        saved(&partner, HOOK).await;
        partner.get("/webhook").send().await.json()
    };
    let long = format!("https://hooks.example.com/{}", "x".repeat(3_000));
    // 1,500 characters, of which each becomes nine.
    let grows = format!("https://hooks.example.com/{}", "€".repeat(1_500));
    for (body, fields) in [
        (json!({}), vec!["url"]),
        (json!({"url": null}), vec!["url"]),
        (json!({"url": 5}), vec!["url"]),
        (json!({"url": ["https://a.example"]}), vec!["url"]),
        (json!({"url": ""}), vec!["url"]),
        (json!({"url": "hooks.example.com"}), vec!["url"]),
        (json!({"url": "https://a.example/\0"}), vec!["url"]),
        (json!({"url": long}), vec!["url"]),
        (json!({"url": grows}), vec!["url"]),
        (json!({"url": "http://hooks.example.com/"}), vec!["url"]),
        (json!({"url": "https://blocked.example/"}), vec!["url"]),
        (json!({"url": HOOK, "enabled": "no"}), vec!["enabled"]),
        (json!({"url": HOOK, "enabled": 0}), vec!["enabled"]),
        (json!({"url": HOOK, "secret": "whsec_mine"}), vec!["secret"]),
        (json!({"uri": HOOK, "enabled": 1}), vec!["uri", "enabled", "url"]),
        (json!([]), vec!["body"]),
    ] {
        assert_eq!(refused_fields(&put(&partner, body.clone()).await), fields, "{}", &body.to_string()[..body.to_string().len().min(100)]);
    }
    let blocked = put(&partner, json!({"url": "https://blocked.example/"})).await;
    assert!(blocked.json()["fields"][0]["message"].as_str().unwrap().contains("127.0.0.1"), "{}", blocked.text());
    let raw = |body: Vec<u8>, kind: &str| partner.put("/webhook").header("content-type", kind).body(body).send();
    assert_eq!(raw(b"{".to_vec(), "application/json").await.status, 400);
    assert_eq!(raw(b"{\"url\":\"\xff\"}".to_vec(), "application/json").await.status, 400);
    assert_eq!(raw(b"url=https://a.example".to_vec(), "application/x-www-form-urlencoded").await.status, 415);
    assert_eq!(raw(vec![b' '; 1 << 20], "application/json").await.status, 413);
    assert_eq!(partner.post("/webhook").json(&json!({"url": HOOK})).send().await.status, 405);
    assert_eq!(partner.get("/webhook").send().await.json(), before);
    // A name without an address may get one.
    assert_eq!(saved(&partner, "https://nowhere.example/").await["url"], "https://nowhere.example/");
}

#[actix_web::test]
async fn of_many_who_save_at_once_one_is_told_a_secret() {
    let desk = Desk::open();
    for round in 0..5 {
        let (_, partner) = scene(&desk);
        let answers = join_all((0..20).map(|n| put(&partner, json!({"url": format!("https://hooks.example.com/{n}")})))).await;
        assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
        let told = answers.iter().filter(|answer| answer.json().get("secret").is_some()).count();
        assert_eq!(told, 1, "round {round}");
    }
    // Saving and removing in any order ends in one of both, and every secret that was told was of a webhook of its own.
    let (scene, partner) = scene(&desk);
    let answers = join_all((0..60).map(|n| {
        let partner = partner.clone();
        async move { if n % 2 == 0 { put(&partner, json!({"url": HOOK})).await } else { partner.delete("/webhook").send().await } }
    }))
    .await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    let told = answers.iter().filter(|answer| answer.json().get("secret").is_some()).count();
    let conn = &mut desk.database().conn();
    let created = audited(conn, scene.here().id).into_iter().filter(|(_, action)| action == "webhook.created").count();
    assert_eq!(told, created);
    assert_in_history(conn, &answers);
}

#[actix_web::test]
async fn a_test_says_what_came_of_it() {
    let desk = Desk::open();
    let (_, partner) = scene(&desk);
    let early = partner.post("/webhook/test").send().await;
    assert_eq!(early.status, 409);
    assert!(early.text().contains("save one first"), "{}", early.text());

    let secret = saved(&partner, HOOK).await["secret"].as_str().unwrap().to_owned();
    let tested = partner.post("/webhook/test").send().await;
    let body = tested.json();
    assert_eq!((tested.status, &body["status"], &body["error"]), (200, &json!(200), &Value::Null), "{body}");
    assert_eq!(body["latency_ms"], 12.3);
    let laps = json!({"dns_ms": 1.3, "connect_ms": 2.0, "tls_ms": null, "first_byte_ms": 9.0, "total_ms": 12.3});
    assert_eq!(body["laps"], laps);
    let parcel = desk.parcels().pop().unwrap();
    assert_eq!(parcel.url, HOOK);
    assert_eq!(parcel.secrets.iter().map(|secret| secret.reveal()).collect::<Vec<_>>(), [secret]);
    assert_eq!(
        body["request"],
        json!({"url": HOOK, "head": format!("POST / HTTP/1.1\nwebhook-id: {}", parcel.event), "body": parcel.payload})
    );
    assert_eq!(body["response"], json!({"head": "HTTP/1.1 200\ncontent-type: text/plain", "body": "received", "is_cut": false}));
    let start = r#"{"analysis_id":"an_0000000000000000000000","event_type":"analysis.completed","status":"completed","percentage":100,"sequence":12,"timestamp":""#;
    assert!(parcel.payload.starts_with(start) && parcel.payload.ends_with(r#"","test":true}"#), "{}", parcel.payload);

    for (event, status, percentage) in [("started", "processing", 0), ("progress", "processing", 50), ("failed", "failed", 50)] {
        let name = format!("analysis.{event}");
        let answer = partner.post("/webhook/test").json(&json!({"event_type": name})).send().await;
        let sent: Value = serde_json::from_str(answer.json()["request"]["body"].as_str().unwrap()).unwrap();
        assert_eq!((&sent["event_type"], &sent["status"], &sent["percentage"]), (&json!(name), &json!(status), &json!(percentage)));
    }
    let conn = &mut desk.database().conn();
    for table in ["events", "deliveries", "delivery_lanes", "delivery_attempts"] {
        assert_eq!(number(conn, &format!("SELECT count(*) FROM {table}")), 0, "a test is stored in {table}");
    }
}

#[actix_web::test]
async fn a_test_that_fails_says_how_and_works_while_off() {
    let desk = Desk::open();
    let (_, partner) = scene(&desk);
    let test = || partner.post("/webhook/test").json(&json!({})).send();
    put(&partner, json!({"url": "https://nowhere.example/", "enabled": false})).await;
    let answer = test().await;
    let body = answer.json();
    assert_eq!((answer.status, &body["status"], &body["response"]), (200, &Value::Null, &Value::Null), "{body}");
    assert_eq!(body["error"], json!({"class": "dns", "message": "nowhere.example has no address."}));
    assert_eq!(body["laps"], json!({"dns_ms": null, "connect_ms": null, "tls_ms": null, "first_byte_ms": null, "total_ms": 12.3}));
    saved(&partner, "https://broken.example/").await;
    let body = test().await.json();
    assert_eq!((&body["status"], &body["error"]), (&json!(500), &Value::Null));
    saved(&partner, "https://moved.example/").await;
    let body = test().await.json();
    assert_eq!((&body["status"], &body["error"]["class"]), (&json!(302), &json!("redirect")));
    assert_eq!(desk.parcels().len(), 3, "a test is sent once");

    let test = |body: &str| partner.post("/webhook/test").header("content-type", "application/json").body(body).send();
    for (body, field) in [
        (r#"{"event_type":"analysis.exploded"}"#, "event_type"),
        (r#"{"event_type":"progress"}"#, "event_type"),
        (r#"{"event_type":7}"#, "event_type"),
        (r#"{"event_type":"a\u0000"}"#, "event_type"),
        (r#"{"type":"analysis.completed"}"#, "type"),
        ("7", "body"),
    ] {
        assert_eq!(refused_fields(&test(body).await), [field], "{body}");
    }
    let unknown = test(r#"{"event_type":"x"}"#).await;
    assert!(unknown.text().contains("analysis.started, analysis.progress, analysis.completed, analysis.failed"), "{}", unknown.text());
    assert_eq!(test("{").await.status, 400);
    assert_eq!(partner.post("/webhook/test").header("content-type", "text/plain").body("x").send().await.status, 415);
    assert_eq!(test(&" ".repeat(1 << 20)).await.status, 413);
    assert_eq!(desk.parcels().len(), 3);
}

/// Every connection of the pool would be held by these, if a test held one.
#[actix_web::test]
async fn slow_endpoints_keep_nobody_from_the_database() {
    let desk = Desk::with(Profile::load("analysis").unwrap(), 2);
    let (_scenes, partners): (Vec<Make>, Vec<Client>) = (0..5).map(|_| scene(&desk)).unzip();
    let partner = partners[0].clone();
    let mut tests = Vec::new();
    for partner in &partners {
        saved(partner, "https://hangs.example/").await;
        for _ in 0..2 {
            let partner = partner.clone();
            tests.push(actix_web::rt::spawn(async move { partner.post("/webhook/test").send().await }));
        }
    }
    while desk.held() < 10 {
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(partner.get("/webhook").send().await.status, 200);
    assert_eq!(number(&mut desk.database().conn(), "SELECT count(*) FROM requests WHERE path = '/webhook/test'"), 0);
    desk.let_go();
    let answers: Vec<Answer> = join_all(tests).await.into_iter().map(Result::unwrap).collect();
    assert!(answers.iter().all(|answer| answer.json()["error"]["class"] == "timeout"), "{answers:?}");
    assert_in_history(&mut desk.database().conn(), &answers);
}

#[actix_web::test]
async fn nothing_leaves_unsigned_and_that_is_said() {
    let desk = Desk::open();
    let (_, partner) = scene(&desk);
    saved(&partner, HOOK).await;
    // As when the secret key was lost.
    sql_query("UPDATE webhook_secrets SET sealed = '\\x00'").execute(&mut desk.database().conn()).unwrap();
    let refused = partner.post("/webhook/test").send().await;
    assert_eq!((refused.status, refused.json()["code"].as_str()), (409, Some("conflict")));
    assert!(refused.text().contains("The signing secret can’t be opened"), "{}", refused.text());
    assert!(desk.parcels().is_empty());
}

/// A flood of tests is no way to hold what others need; nor is asking and going away.
#[actix_web::test]
async fn two_tests_of_an_organization_are_under_way_at_most() {
    let desk = Desk::open();
    let (_, partner) = scene(&desk);
    let (_, neighbour) = scene(&desk);
    for partner in [&partner, &neighbour] {
        saved(partner, "https://hangs.example/").await;
    }
    for held in 1..=2 {
        // Gone as soon as it is under way.
        let asked = actix_web::rt::spawn({
            let partner = partner.clone();
            async move { partner.post("/webhook/test").send().await }
        });
        while desk.held() < held {
            sleep(Duration::from_millis(5)).await;
        }
        asked.abort();
    }
    let refused = partner.post("/webhook/test").send().await;
    assert_eq!((refused.status, refused.json()["code"].as_str()), (409, Some("conflict")));
    assert!(refused.text().contains("Two tests of this webhook are under way."), "{}", refused.text());
    let theirs = actix_web::rt::spawn(async move { neighbour.post("/webhook/test").send().await });
    while desk.held() < 3 {
        sleep(Duration::from_millis(5)).await;
    }
    desk.let_go();
    assert_eq!(theirs.await.unwrap().status, 200);
    saved(&partner, HOOK).await;
    assert_eq!(partner.post("/webhook/test").send().await.status, 200);
}

#[actix_web::test]
async fn another_tenant_and_a_suspended_one_get_nothing() {
    let desk = Desk::open();
    let (ours, partner) = scene(&desk);
    let (_, stranger) = scene(&desk);
    saved(&partner, HOOK).await;
    assert_eq!(stranger.get("/webhook").send().await.text(), "{}");
    assert_eq!(stranger.delete("/webhook").send().await.text(), "{}");
    assert_eq!(stranger.post("/webhook/test").send().await.status, 409);
    assert_eq!(partner.get("/webhook").send().await.json()["url"], HOOK);
    sql_query("UPDATE organizations SET suspended_at = now(), suspended_reason = 'unpaid' WHERE id = $1")
        .bind::<SqlUuid, _>(ours.here().id)
        .execute(&mut desk.database().conn())
        .unwrap();
    for answer in [
        partner.get("/webhook").send().await,
        put(&partner, json!({"url": "https://late.example/"})).await,
        partner.delete("/webhook").send().await,
        partner.post("/webhook/test").send().await,
        partner.get("/events").send().await,
    ] {
        assert_eq!((answer.status, answer.json()["code"].as_str()), (403, Some("organization_suspended")));
    }
    assert!(desk.parcels().is_empty());
}

#[actix_web::test]
async fn a_key_needs_the_permission_of_the_route() {
    let text = BUILT_IN[0]
        .1
        .replace("max_active = 1", "max_active = 0")
        .replace("grant = \"none\"\nlist = []", "grant = \"chosen\"\nlist = [\"webhooks:write\", \"jobs:read\"]");
    let text = text.replace("action = \"webhook.put\"", "action = \"webhook.put\"\npermission = \"webhooks:write\"");
    let desk = Desk::with(Profile::parse(&text).unwrap(), 4);
    let (_, partner) = scene(&desk);
    saved(&partner, HOOK).await;
    sql_query("UPDATE api_keys SET permissions = '{jobs:read}'").execute(&mut desk.database().conn()).unwrap();
    assert_eq!(put(&partner, json!({"url": "https://other.example/"})).await.status, 403);
    assert_eq!(partner.get("/webhook").send().await.json()["url"], HOOK);
}
