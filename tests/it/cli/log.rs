//! The log: one line a request, and no secret in any.

use serde_json::{Value, json};

use super::Cli;
use super::serving::Serving;
use crate::support::Client;

#[actix_web::test]
async fn each_request_is_one_line_without_a_secret() {
    let cli = Cli::new();
    cli.run(&["org", "create", "--name", "Acme", "--credits", "5"]).ok();
    let key = cli.run(&["key", "create", "--org", "acme"]).ok().out.trim().to_owned();
    let link = cli.run(&["user", "create", "--email", "a@b.example", "--org", "acme", "--role", "admin", "--json"]).json();
    let token = link["invitation"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let mut serving = Serving::logging(&cli, "serve", "info");
    let said = serving.until("serves");
    let origin = said.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();

    let partner = Client::bearer(&origin, &key);
    let made = partner.post("/analyses").json(&json!({"input": {"password": "hunter2"}})).send().await;
    assert_eq!(made.status, 202, "{}", made.text());
    partner.get(&format!("/credits?key={key}")).send().await;
    assert_eq!(Client::browser(&origin).get(&format!("/invitations/{token}")).send().await.status, 200);
    assert_eq!(serving.stop(), Some(0));

    let log = std::fs::read_to_string(cli.data_dir().join("log")).unwrap();
    for secret in [key.as_str(), token.as_str(), "hunter2"] {
        assert!(!log.contains(secret), "{secret} is in {log}");
    }
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect();
    let of = |path: &str| lines.iter().filter(|line| line["path"] == path).collect::<Vec<_>>();
    assert_eq!((of("/analyses").len(), of("/credits").len(), of("/invitations/").len()), (1, 1, 1), "{log}");
    let line = of("/analyses")[0];
    assert_eq!((line["method"].as_str(), line["status"].as_u64()), (Some("POST"), Some(202)));
    assert_eq!(line["request_id"], made.header("x-request-id"));
}
