//! schemathesis asks a real server whatever its document allows and what it does not, and compares what comes with what it says.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use latchkey::profile::{Action, Profile};
use serde_json::Value;

use super::{closed, installed};
use crate::partner_api::PLENTY;
use crate::support::receiver::{Receiver, Reply, always};
use crate::support::{Client, Make, Server, TestDb, root};

/// More than a run takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

#[actix_web::test]
async fn the_default_profile_serves_what_it_says() {
    // In the sandbox jobs are done: there are results, and events.
    let seen = ask_all("analysis", "test").await;
    let expected = [
        "POST /analyses 202",
        "POST /analyses 400",
        "POST /analyses 415",
        "POST /analyses 422",
        "GET /analyses/{id} 200",
        "GET /analyses/{id} 404",
        "GET /credits 200",
        "GET /credits/entries 200",
        "GET /credits/entries 422",
        "GET /usage 200",
        "GET /usage 422",
        "GET /key 200",
        "GET /key 401",
        "GET /webhook 200",
        "PUT /webhook 200",
        "PUT /webhook 422",
        "DELETE /webhook 200",
        "POST /webhook/test 200",
        "POST /webhook/test 409",
        "POST /webhook/test 422",
        "GET /events 200",
        "GET /events 422",
    ];
    assert_seen(&seen, &expected);
}

#[actix_web::test]
async fn a_profile_with_permissions_and_many_kinds_serves_what_it_says() {
    let seen = ask_all("jobs", "live").await;
    let expected = [
        "POST /v1/classify 202",
        "POST /v1/scan 202",
        "POST /v1/deep-scan 202",
        "POST /v1/deep-scan 422",
        "GET /v1/jobs/{id} 200",
        "GET /v1/jobs/{id}/results 409",
        "GET /v1/credits 200",
        "GET /v1/credits/entries 200",
        "GET /v1/usage 200",
        "GET /v1/key 200",
        "POST /v1/webhooks 200",
        "POST /v1/webhooks/test 200",
        "GET /v1/events 200",
    ];
    assert_seen(&seen, &expected);
}

fn assert_seen(seen: &BTreeSet<String>, expected: &[&str]) {
    let missed: Vec<&&str> = expected.iter().filter(|answer| !seen.contains(**answer)).collect();
    assert!(missed.is_empty(), "these answers never came: {missed:?}; there were {seen:#?}");
}

/// Every answer that came, if each was as it should be.
async fn ask_all(profile: &str, environment: &str) -> BTreeSet<String> {
    let (database, contract) = (TestDb::new(), Arc::new(Profile::load(profile).unwrap()));
    let receiver = Receiver::start(always(Reply::Status(204)));
    let endpoint = receiver.url();
    let port = receiver.address().port().to_string();
    // Nothing goes anywhere but to the receiver: a URL with another port is refused before anybody asks what it leads to.
    let variables = [
        ("LATCHKEY_PROFILE", profile),
        ("LATCHKEY_WEBHOOK_ALLOW", "127.0.0.0/8"),
        ("LATCHKEY_WEBHOOK_ALLOW_HTTP", "true"),
        ("LATCHKEY_WEBHOOK_PORTS", port.as_str()),
    ];
    let server = Server::start_with(&database, &variables).await;
    let scene = Make::new(database.conn(), contract.clone()).org().requests_per_minute(PLENTY).credits(1_000_000).key_in(environment);
    let key = scene.a_key().text.clone();
    let partner = Client::bearer(&server.origin(), &key);
    let webhook = contract.route_for(Action::WebhookRead).unwrap();
    assert_eq!(partner.get(&contract.full_path(webhook)).send().await.status, 200, "the key is good");
    let document: Value = partner.get("/openapi.json").send().await.json();
    let place = std::env::temp_dir().join(format!("latchkey-schemathesis-{}", latchkey::secret::random_base62(12).unwrap()));
    std::fs::create_dir(&place).unwrap();
    std::fs::write(place.join("openapi.json"), closed(document).to_string()).unwrap();
    let log = std::fs::File::create(place.join("log")).unwrap();
    let mut command = Command::new(installed().join("bin/st"));
    command
        .arg("--config-file")
        .arg(root().join("tests/outside/schemathesis.toml"))
        .args(["--no-color", "run", "openapi.json", "--url", &server.origin(), "--header", &format!("Authorization: Bearer {key}")])
        .current_dir(&place)
        .env("SCHEMATHESIS_HOOKS", "schemathesis_hooks")
        .env("PYTHONPATH", root().join("tests/outside"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("LATCHKEY_ENDPOINT", &endpoint)
        .env("LATCHKEY_SEEN", place.join("seen"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    let mut process = command.spawn().unwrap();
    let start = Instant::now();
    let status = loop {
        match process.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if start.elapsed() > PATIENCE => {
                process.kill().unwrap();
                process.wait().unwrap();
                break None;
            }
            None => actix_web::rt::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let log = std::fs::read_to_string(place.join("log")).unwrap();
    let seen = std::fs::read_to_string(place.join("seen")).unwrap_or_default().lines().map(str::to_owned).collect();
    std::fs::remove_dir_all(&place).unwrap();
    eprintln!("{:?}", start.elapsed());
    assert!(status.is_some_and(|status| status.success()), "schemathesis ended with {status:?}:\n{log}");
    seen
}
