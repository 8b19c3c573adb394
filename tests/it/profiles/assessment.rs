//! `assessment`: a success costs a credit, a failure nothing; sixty requests a minute; live and test apart.

use serde_json::{Value, json};

use super::Stage;
use crate::support::Client;

async fn assess(stage: &Stage, key: &str) -> crate::support::Answer {
    stage.call("POST /api/v1/assess", Some(key), "{\"input\":{\"candidate\":\"c-1042\"}}").await
}

async fn credits(stage: &Stage, key: &str) -> Value {
    stage.call("GET /api/v1/credits", Some(key), "").await.json()
}

async fn claim(worker: &Client) -> Value {
    worker.post("/worker/v1/claim").json(&json!({"kinds": ["assessment"]})).send().await.json()["job"].clone()
}

#[actix_web::test]
async fn success_costs_a_credit_and_failure_nothing() {
    let stage = Stage::new("assessment", 2);
    let (key, worker) = (stage.key(), stage.app.worker());
    assert_eq!(assess(&stage, &key).await.status, 202);
    assert_eq!(credits(&stage, &key).await, json!({"available": 1, "held": 1, "settled": 0}), "held while it runs");
    let job = claim(&worker).await;
    let path = |verb: &str| format!("/worker/v1/jobs/{}/{verb}", job["id"].as_str().unwrap());
    let done = json!({"lease": job["lease"], "result": {"level": "B2"}});
    assert_eq!(worker.post(&path("complete")).json(&done).send().await.status, 200);
    assert_eq!(credits(&stage, &key).await, json!({"available": 1, "held": 0, "settled": 1}));
    assert_eq!(assess(&stage, &key).await.status, 202);
    assert_eq!(assess(&stage, &key).await.text(), r#"{"error":"Insufficient credits","credits_required":1,"credits_available":0}"#);
    let job = claim(&worker).await;
    let path = format!("/worker/v1/jobs/{}/fail", job["id"].as_str().unwrap());
    let failed = json!({"lease": job["lease"], "code": "unreadable", "message": "Nobody speaks."});
    assert_eq!(worker.post(&path).json(&failed).send().await.status, 200);
    assert_eq!(credits(&stage, &key).await, json!({"available": 1, "held": 0, "settled": 1}), "given back");
    let page = stage.app.browser(stage.make.an_admin()).await.get("/orgs/acme-motion/credits").send().await;
    assert!(page.text().contains("id=\"credits-available\">1<"), "{}", page.text());
}

#[actix_web::test]
async fn sixty_pass_and_the_next_is_told_when() {
    let stage = Stage::new("assessment", 1);
    let key = stage.key();
    let balance = || stage.call("GET /api/v1/credits", Some(&key), "");
    let start = std::time::Instant::now();
    for number in 1..=60 {
        let answer = balance().await;
        assert_eq!((answer.status, answer.header("x-ratelimit-remaining")), (200, (60 - number).to_string().as_str()));
    }
    let over = balance().await;
    assert_eq!(over.status, 429);
    let seconds: u32 = over.header("retry-after").parse().unwrap();
    let gone = start.elapsed().as_secs() as u32 + 1;
    assert!((60 - gone.min(59)..=60).contains(&seconds), "{seconds} s are left of a minute that began {gone} s ago at most");
    assert_eq!(over.text(), format!(r#"{{"error":"Rate limit exceeded","retry_after":{seconds},"limit":60}}"#));
    // Another key has a window of its own.
    assert_eq!(stage.call("GET /api/v1/credits", Some(&stage.key()), "").await.status, 200);
}

#[actix_web::test]
async fn live_and_test_are_apart() {
    let stage = Stage::new("assessment", 0);
    let (live, test) = (stage.key_in("live", &[]), stage.key_in("test", &[]));
    assert!(live.starts_with("ckiq_live_") && test.starts_with("ckiq_test_"));
    assert_eq!(assess(&stage, &live).await.status, 402, "no credits");
    let made = assess(&stage, &test).await;
    assert_eq!((made.status, made.json()["environment"].as_str()), (202, Some("test")), "tests cost nothing");
    let path = format!("GET /api/v1/assessments/{}", made.json()["assessment_id"].as_str().unwrap());
    assert_eq!(stage.call(&path, Some(&test), "").await.status, 200);
    assert_eq!(stage.call(&path, Some(&live), "").await.status, 404, "a live key knows nothing of it");
    let claimed = stage.app.worker().post("/worker/v1/claim").json(&json!({"kinds": ["assessment"]})).send().await;
    assert_eq!(claimed.status, 204, "and real workers neither");
}
