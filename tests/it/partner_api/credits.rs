//! The ledger as partners read it.

use latchkey::clock;
use serde_json::{Value, json};
use time::Duration;

use crate::support::{App, Client, Desk};

/// Ids of the entries, page after page.
async fn read(client: &Client, query: &str) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("/credits/entries?limit=7&{query}{cursor}")).send().await;
        assert_eq!(page.status, 200, "{query}: {}", page.text());
        let page: Value = page.json();
        ids.extend(page["entries"].as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return ids,
        }
    }
}

#[actix_web::test]
async fn the_ledger_is_filtered_and_paged() {
    let app = App::start();
    let now = clock::now();
    let scene = app.make().org().key().requests_per_minute(1_000).granted(now - Duration::days(9), 50);
    let scene = scene.spent(now - Duration::days(5), 20).granted(now - Duration::days(2), 5).spent(now - Duration::hours(1), 3);
    let partner = app.partner(scene.a_key());
    let all = read(&partner, "").await;
    assert_eq!(all, (1..=48).rev().map(|n| format!("cre_{n}")).collect::<Vec<_>>());
    assert_eq!(read(&partner, "kind=grant").await, ["cre_42", "cre_1"]);
    assert_eq!(read(&partner, "kind=settle").await.len(), 23);
    assert!(read(&partner, "kind=release").await.is_empty());
    // The very moment of an entry is in what begins there, and not in what ends there.
    let entry: Value = partner.get("/credits/entries?kind=grant&limit=1").send().await.json();
    let at = latchkey::clock::rfc3339(now - Duration::days(2) + Duration::MILLISECOND);
    assert_eq!(read(&partner, &format!("from={at}")).await.len(), 6);
    assert_eq!(read(&partner, &format!("to={at}")).await.len(), 42);
    assert_eq!(read(&partner, &format!("kind=grant&to={at}")).await, ["cre_42", "cre_1"]);
    assert_eq!(entry["entries"][0]["note"], json!("Invoice 2026-1009"));
    let whole: Value = partner.get("/credits").send().await.json();
    assert_eq!(whole, json!({"available": 32, "held": 0, "settled": 23}));
}

#[actix_web::test]
async fn a_test_of_running_low_is_sent_as_the_real_one_is() {
    let desk = Desk::open();
    let scene = desk.make().org().key().webhook("https://hooks.example.com/");
    let test = desk.partner(scene.a_key()).post("/webhook/test").json(&json!({"event_type": "credits.low"})).send().await;
    assert_eq!(test.status, 200, "{}", test.text());
    let payload: Value = serde_json::from_str(&desk.parcels()[0].payload).unwrap();
    let at = payload["timestamp"].clone();
    let low = json!({"event_type": "credits.low", "status": "low", "available": 499, "threshold": 500, "sequence": 1, "timestamp": at, "test": true});
    assert_eq!(payload, low);
}
