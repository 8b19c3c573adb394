//! Neither the customer's key nor the service's token is found anywhere after a call, however it went.

use std::fs::File;
use std::process::Stdio;

use serde_json::json;

use super::{ask, report};
use crate::partner_api::{World, dump};
use crate::support::{Client, Server};

#[actix_web::test]
async fn no_key_and_no_token_is_logged_or_kept() {
    let world =
        World::new(&[("key_parameters = []", "key_parameters = [\"api_key\"]"), ("key_headers = []", "key_headers = [\"X-Api-Key\"]")]);
    let log = std::env::temp_dir().join(format!("latchkey-test-{}.log", latchkey::secret::random_base62(12).unwrap()));
    let variables = [("LATCHKEY_LOG", "trace"), ("LATCHKEY_PROFILE", world.file())];
    let mut server = Server::start_at(world.database.url(), &variables, Stdio::from(File::create(&log).unwrap())).await;
    let mut scene = world.make().org().credits(3).key();
    let (key, token) = (scene.a_key().clone(), scene.service_token());
    let (service, anon) = (Client::bearer(&server.origin(), &token), Client::new(&server.origin()));
    let mut answers = Vec::new();
    for more in
        [json!({"credits": 1}), json!({"credits": 9}), json!({"credits": "x"}), json!({"resource": format!("GET /a?api_key={}", key.text)})]
    {
        answers.push(ask(&service, &key, more).await);
    }
    let id = answers[0].json()["request_id"].clone();
    answers.push(report(&service, &id, json!({"status": 200})).await);
    answers.push(service.post("/verify/v1/keys").json(&json!({"key": [key.text]})).send().await);
    answers.push(
        service.post("/verify/v1/keys").header("content-type", "application/json").body(format!("{{\"key\":\"{}", key.text)).send().await,
    );
    for path in ["/verify/v1/forward", "/verify/v1/forward?x=1"] {
        let forward = || anon.get(path).header("x-latchkey-service-token", &token);
        answers.push(forward().header("authorization", &format!("Bearer {}", key.text)).send().await);
        answers.push(forward().header("x-api-key", &key.text).send().await);
        answers.push(forward().header("x-forwarded-uri", &format!("/reports?api_key={}", key.text)).send().await);
        answers.push(forward().header("x-latchkey-service-token", &format!("{token}x")).send().await);
    }
    let mut places =
        vec![("the answers".to_owned(), answers.iter().map(|answer| format!("{:?} {}\n", answer.headers, answer.text())).collect())];
    places.push(("/metrics".into(), anon.get("/metrics").send().await.text().to_owned()));
    assert!(server.terminate());
    places.extend(dump(&mut world.database.conn()));
    let logged = String::from_utf8_lossy(&std::fs::read(&log).unwrap()).into_owned();
    let _ = std::fs::remove_file(&log);
    assert!(logged.lines().count() > 20 && logged.contains("/verify/v1/keys"), "it was logged");
    places.push(("the log".into(), logged));
    assert!(places.iter().any(|(place, text)| place == "table requests" && text.contains("/reports")), "it was written");
    for secret in [&key.text[12..], &key.text[12..32], &token[4..], &token[10..30]] {
        for (place, text) in &places {
            assert!(!text.contains(secret), "{place} has {secret}");
        }
    }
}
