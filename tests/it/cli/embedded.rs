//! Without DATABASE_URL: the private cluster, its sharing, the demo, the end.

use std::os::unix::fs::PermissionsExt as _;

use diesel::RunQueryDsl as _;
use serde_json::Value;

use super::serving::Serving;
use super::{Cli, Run};
use crate::support::Client;

#[test]
fn commands_share_the_running_cluster_and_a_second_serve_is_refused() {
    let cli = Cli::embedded();
    // The first command starts the cluster for its own length.
    cli.run(&["org", "create", "--name", "Before"]).ok();
    let mut serving = Serving::start(&cli, "serve");
    serving.until("serves");
    cli.run(&["org", "create", "--name", "During"]).ok();
    cli.run(&["serve", "--listen", "127.0.0.1:0"]).fails(1, "already runs on the data directory");
    assert_eq!(cli.run(&["org", "list", "--json"]).json().as_array().unwrap().len(), 2);
    let mode = cli.data_dir().join("secret.key").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let key = std::fs::read(cli.data_dir().join("secret.key")).unwrap();
    assert_eq!(serving.stop(), Some(0));
    // It left nothing that keeps the next one from starting, and the key is still the same.
    let mut again = Serving::start(&cli, "serve");
    again.until("serves");
    assert_eq!(std::fs::read(cli.data_dir().join("secret.key")).unwrap(), key);
    assert_eq!(again.stop(), Some(0));
    assert_eq!(cli.run(&["doctor"]).ok().out.lines().count(), 7);
}

#[actix_web::test]
async fn the_demo_is_the_same_at_each_start_and_its_curl_line_works() {
    let cli = Cli::new();
    for start in 1..=2 {
        let mut demo = Serving::start(&cli, "demo");
        let said = demo.until("Ctrl-C");
        assert!(said.contains("admin@acme.example") && said.contains("acme-admin-demo"), "{said}");
        let made = curl(&said).await;
        assert_eq!(made["status"], "queued", "start {start}: {made}");
        assert_eq!(demo.stop(), Some(0));
    }
    let orgs = cli.run(&["org", "list", "--json"]).json();
    let slugs: Vec<&str> = orgs.as_array().unwrap().iter().map(|org| org["slug"].as_str().unwrap()).collect();
    assert_eq!(slugs, ["acme-motion", "globex"]);
    let mut conn = cli.database().conn();
    for (count, what) in [(4, "users"), (3, "memberships"), (2, "api_keys")] {
        let query = format!("SELECT count(*) AS n FROM {what}");
        assert_eq!(diesel::sql_query(query).get_result::<Count>(&mut conn).unwrap().n, count, "{what}");
    }
}

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    n: i64,
}

/// Does what the printed line does.
async fn curl(said: &str) -> Value {
    let after = |start: &str, end: char| {
        let from = said.find(start).unwrap_or_else(|| panic!("no {start:?} in {said}")) + start.len();
        said[from..].split(end).next().unwrap().to_owned()
    };
    let url = after("curl http", ' ');
    let url = format!("http{url}");
    let origin = url.rsplit_once('/').unwrap().0.to_owned();
    let request = Client::bearer(&origin, &after("Bearer ", '"')).post(&url);
    let answer = request.header("content-type", "application/json").body(after("-d '", '\'')).send().await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.json()
}

#[test]
fn a_program_has_the_cluster_for_its_length() {
    let cli = Cli::embedded();
    let mut command = cli.command(&["database", "exec", "--", "sh", "-c", "\"$0\" migrate && \"$0\" org list --json"]);
    command.arg(env!("CARGO_BIN_EXE_latchkey"));
    let run = Run::of(command).ok();
    assert!(run.out.ends_with("[]\n"), "{run:?}");
}
