//! `jobs`: permissions that open routes, limits that an organization's keys share, suspension.

use std::collections::BTreeSet;

use latchkey::orgs;
use latchkey::profile::{Action, Method};

use super::Stage;

const SIX: [&str; 6] = ["classify:create", "scan:create", "jobs:read", "results:read", "credits:read", "webhooks:write"];

#[actix_web::test]
async fn each_permission_opens_its_routes_and_no_other() {
    let stage = Stage::new("jobs", 10);
    let profile = stage.app.site.profile.clone();
    assert_eq!(profile.permissions.list, SIX);
    let mut opened = BTreeSet::new();
    for permission in SIX {
        let key = stage.key_that_may(&[permission.to_owned()]);
        for route in &profile.routes {
            let path = profile.full_path(route).replace("{id}", "job_0000000000000000000001");
            let line = format!("{} {path}", route.method.as_str());
            let answer = stage.call(&line, Some(&key), "").await;
            let opens = route.permission.as_deref().is_none_or(|needed| needed == permission);
            assert_eq!(answer.status == 403, !opens, "{line} with {permission}: {}", answer.text());
            if opens {
                opened.insert(line);
            } else {
                let needed = route.permission.as_deref().unwrap();
                assert!(answer.text().contains(&format!("\"code\":\"INSUFFICIENT_PERMISSIONS\",\"required_permission\":\"{needed}\"")));
            }
        }
    }
    assert_eq!(opened.len(), profile.routes.len(), "every route is opened by something");
}

#[actix_web::test]
async fn prices_differ_by_kind() {
    let stage = Stage::new("jobs", 7);
    let key = stage.key();
    for (path, left) in [("classify", 6), ("scan", 5), ("deep-scan", 0)] {
        assert_eq!(stage.call(&format!("POST /v1/{path}"), Some(&key), "{\"input\":{}}").await.status, 202);
        assert_eq!(stage.call("GET /v1/credits", Some(&key), "").await.json()["available"], left, "after {path}");
    }
    let none = stage.call("POST /v1/deep-scan", Some(&key), "{\"input\":{}}").await;
    assert_eq!(none.text(), r#"{"error":"Insufficient credits","code":"INSUFFICIENT_CREDITS","credits_required":5,"credits_available":0}"#);
}

#[actix_web::test]
async fn limits_are_shared_by_the_keys_of_an_organization() {
    let stage = Stage::new("jobs", 100);
    let keys = [stage.key(), stage.key(), stage.key()];
    let scan = |number: usize| stage.call("POST /v1/scan", Some(&keys[number % 3]), "{\"input\":{}}");
    let answers = futures_util::future::join_all((0..75).map(scan)).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 202).count(), 60, "sixty scans a minute, by whichever key");
    let over = answers.iter().find(|answer| answer.status == 429).unwrap();
    assert!(over.text().starts_with(r#"{"error":"Rate limit exceeded","code":"RATE_LIMIT_EXCEEDED","retry_after":"#), "{}", over.text());
    // The groups of routes have each its own.
    for (line, limit) in [("POST /v1/classify", "180"), ("GET /v1/credits", "360")] {
        let answer = stage.call(line, Some(&keys[0]), "").await;
        assert_eq!((answer.status != 429, answer.header("x-ratelimit-limit")), (true, limit), "{line}");
    }
    let other = stage.app.make().org().credits(1);
    let elsewhere = Stage::on(stage.app.sibling(), other);
    assert_eq!(elsewhere.call("POST /v1/scan", Some(&elsewhere.key()), "{\"input\":{}}").await.status, 202, "another organization");
}

#[actix_web::test]
async fn a_suspended_organization_is_refused_on_all_keys_and_recovers() {
    let stage = Stage::new("jobs", 5);
    let keys: Vec<String> = (0..5).map(|_| stage.key()).collect();
    stage.suspend(true);
    for key in &keys {
        let answer = stage.call("GET /v1/key", Some(key), "").await;
        assert_eq!((answer.status, answer.text()), (403, r#"{"error":"Organization suspended","code":"ORGANIZATION_SUSPENDED"}"#));
    }
    stage.suspend(false);
    for key in &keys {
        assert_eq!(stage.call("GET /v1/key", Some(key), "").await.status, 200);
    }
    // Other organizations never noticed.
    assert!(orgs::list(&mut stage.app.database().conn()).unwrap().iter().all(|org| org.suspended_at.is_none()));
}

#[test]
fn webhooks_are_made_by_post() {
    let profile = latchkey::profile::Profile::load("jobs").unwrap();
    let saves = profile.route_for(Action::WebhookPut).unwrap();
    assert_eq!((saves.method, profile.full_path(saves).as_str()), (Method::Post, "/v1/webhooks"));
}
