//! Many at once, by several instances: exact.

use futures_util::future::join_all;
use serde_json::json;

use super::{ON_SUCCESS, ask, entries, ledger, report};
use crate::partner_api::{PLENTY, balance, count_of, order};
use crate::support::{App, Client, number};

#[actix_web::test]
async fn one_credit_lets_one_of_a_hundred_through() {
    for changes in [&[][..], &[ON_SUCCESS]] {
        let first = App::with_changes(changes);
        let second = first.sibling();
        let scene = first.make().org().requests_per_minute(PLENTY).credits(1).key();
        let (org, key) = (scene.here().id, scene.a_key());
        let services = [first.service(), second.service()];
        let told = join_all((0..100).map(|n| ask(&services[n % 2], key, json!({"credits": 1})))).await;
        let told: Vec<_> = told.iter().map(|answer| answer.json()).collect();
        let of = |outcome: &str| told.iter().filter(|value| value["outcome"] == outcome).count();
        assert_eq!((of("accepted"), of("credits")), (1, 99));
        let is_held = i64::from(!changes.is_empty());
        assert_eq!(balance(&mut first.database().conn(), org), (0, is_held, 1 - is_held));
        assert_eq!(number(&mut first.database().conn(), "SELECT count(*) FROM requests WHERE status = 402"), 99);
    }
}

#[actix_web::test]
async fn the_limit_counts_both_apis_on_every_instance_together() {
    let first = App::start();
    let second = first.sibling();
    let scene = first.make().org().key();
    let key = scene.a_key();
    let services = [first.service(), second.service()];
    let partners = [first.partner(key), second.partner(key)];
    let asked = join_all((0..100).map(|n| ask(&services[n % 2], key, json!({}))));
    let called = join_all((0..100).map(|n| partners[n % 2].get("/key").send()));
    let (asked, called) = futures_util::future::join(asked, called).await;
    let valid = asked.iter().filter(|answer| answer.json()["valid"] == true).count();
    assert_eq!(valid + count_of(&called, 200), 60);
}

#[actix_web::test]
async fn of_many_equal_reports_one_is_taken() {
    let first = App::with_changes(&[ON_SUCCESS]);
    let second = first.sibling();
    let scene = first.make().org().credits(10).key();
    let (org, key) = (scene.here().id, scene.a_key());
    let services = [first.service(), second.service()];
    for success in [true, false] {
        let id = ask(&services[0], key, json!({"credits": 3})).await.json()["request_id"].clone();
        let reports = join_all((0..40).map(|n| report(&services[n % 2], &id, json!({"status": 200, "success": success})))).await;
        assert_eq!((count_of(&reports, 200), count_of(&reports, 409)), (1, 39));
        let actor = format!("Key {}…", key.prefix);
        let end = if success { "settle" } else { "release" };
        let conn = &mut first.database().conn();
        assert_eq!(ledger(conn, org, id.as_str().unwrap()), entries(&[("hold", &actor), (end, "Service")]));
    }
    assert_eq!(balance(&mut first.database().conn(), org), (7, 0, 3));
    // Where nothing is held too.
    for _ in 0..5 {
        let id = ask(&services[0], key, json!({})).await.json()["request_id"].clone();
        let reports = join_all((0..40).map(|n| report(&services[n % 2], &id, json!({"status": 200})))).await;
        assert_eq!((count_of(&reports, 200), count_of(&reports, 409)), (1, 39));
    }
}

/// Verifications, reports and jobs lock the same balances and rows: nobody waits for ever, and all adds up.
#[actix_web::test]
async fn questions_reports_and_jobs_go_on_side_by_side() {
    let first = App::with_changes(&[ON_SUCCESS]);
    let second = first.sibling();
    let scenes: Vec<_> = (0..3).map(|_| first.make().org().requests_per_minute(PLENTY).credits(100_000).key()).collect();
    let services: Vec<Client> = vec![first.service(), second.service()];
    let one = async |n: usize| {
        let key = scenes[n % 3].a_key();
        if n.is_multiple_of(5) {
            let app = if n.is_multiple_of(2) { &first } else { &second };
            assert_eq!(order(&app.partner(key)).send().await.status, 202);
            return 1;
        }
        let value = ask(&services[n % 2], key, json!({"credits": 2})).await.json();
        assert_eq!(value["valid"], true, "{value}");
        let is_settled = !n.is_multiple_of(3);
        let told = report(&services[(n + 1) % 2], &value["request_id"], json!({"status": if is_settled { 200 } else { 500 }})).await;
        assert_eq!(told.status, 200, "{}", told.text());
        if is_settled { 2 } else { 0 }
    };
    let spent: i64 = join_all((0..300).map(one)).await.into_iter().sum();
    let conn = &mut first.database().conn();
    let (mut held, mut settled) = (0, 0);
    for scene in &scenes {
        let of = balance(conn, scene.here().id);
        assert_eq!(of.0 + of.1 + of.2, 100_000);
        (held, settled) = (held + of.1, settled + of.2);
    }
    assert_eq!((held, settled), (0, spent));
    assert_eq!(number(conn, "SELECT count(*) FROM request_holds"), 0);
    assert_eq!(number(conn, "SELECT sum(credits) FROM requests"), spent);
}
