//! kill -9 in mid-load: what was told is in the history and in the ledger, and each hold ends once.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use serde_json::{Value, json};

use super::{ON_SUCCESS, ledger, row};
use crate::partner_api::{PLENTY, World, balance};
use crate::support::{Answer, Client, Request, number};

const KILLS: usize = 10;
const SERVICES: usize = 8;
const CREDITS: i64 = 1_000_000;
/// However long a start takes, the whole must end.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Default)]
struct Seen {
    origin: RefCell<String>,
    over: Cell<bool>,
    /// Requests that were told to pass, and what was reported of them and answered.
    passed: RefCell<Vec<(String, Option<bool>)>>,
}

#[actix_web::test]
async fn ten_kills_between_question_answer_and_report() {
    let world = World::new(&[ON_SUCCESS]);
    let mut scene = world.make().org().requests_per_minute(PLENTY).credits(CREDITS).key();
    let (org, key, token) = (scene.here().id, scene.a_key().text.clone(), scene.service_token());
    let seen = Seen::default();
    let asking = join_all((0..SERVICES).map(|n| ask_and_report(n, &key, &token, &seen)));
    let killing = async {
        let start = Instant::now();
        for round in 0..KILLS {
            let mut server = world.server().await;
            seen.origin.replace(server.origin());
            let enough = seen.passed.borrow().len() + 20 + round * 7 % 40;
            while seen.passed.borrow().len() < enough {
                assert!(start.elapsed() < PATIENCE, "no answers come");
                actix_web::rt::time::sleep(Duration::from_millis(1)).await;
            }
            server.kill();
        }
        let server = world.server().await;
        seen.origin.replace(server.origin());
        seen.over.set(true);
        server
    };
    let (_server, _) = join(killing, asking).await;
    let conn = &mut world.database.conn();
    for (id, reported) in seen.passed.borrow().iter() {
        let row = row(conn, id).unwrap_or_else(|| panic!("{id} is lost"));
        let kinds: Vec<String> = ledger(conn, org, id).into_iter().map(|(kind, _)| kind).collect();
        match reported {
            None => assert_eq!((row.status, kinds.as_slice()), (200, &["hold".to_owned()][..]), "{id}"),
            Some(true) => assert_eq!((row.status, row.credits, kinds.join(" ").as_str()), (201, 2, "hold settle"), "{id}"),
            Some(false) => assert_eq!((row.status, row.credits, kinds.join(" ").as_str()), (500, 0, "hold release"), "{id}"),
        }
    }
    let (available, held, settled) = balance(conn, org);
    assert_eq!((available + held + settled, settled), (CREDITS, number(conn, "SELECT sum(credits) FROM requests WHERE status = 201")));
    assert_eq!(held, number(conn, "SELECT coalesce(sum(credits), 0) FROM request_holds"));
    assert_eq!(held, number(conn, "SELECT coalesce(sum(credits), 0) FROM requests WHERE status = 200"), "what nobody reported is held");
    // Whenever it was killed, each row is counted once: by the rollups, or by what waits for them.
    let counted = "SELECT (SELECT coalesce(sum(requests), 0) FROM usage_hours WHERE key_id = '00000000-0000-0000-0000-000000000000'
        AND route = '*')::int8 + (SELECT coalesce(sum(requests), 0) FROM usage_pending)::int8";
    assert_eq!(number(conn, counted), number(conn, "SELECT count(*) FROM requests"));
}

async fn ask_and_report(n: usize, key: &str, token: &str, seen: &Seen) {
    for turn in 0.. {
        if seen.over.get() {
            return;
        }
        let body = json!({"key": key, "credits": 2});
        // A question that was not answered is another one when it is asked again.
        let answer = insist(token, seen, |client| client.post("/verify/v1/keys").json(&body)).await;
        let value: Value = answer.json();
        assert_eq!(value["valid"], true, "{value}");
        let id = value["request_id"].as_str().unwrap().to_owned();
        let success = (n + turn).is_multiple_of(2);
        let reported = !(n + turn).is_multiple_of(3);
        if reported {
            let path = format!("/verify/v1/requests/{id}/outcome");
            let body = json!({"status": if success { 201 } else { 500 }});
            // Tried again after a kill it may have been told already.
            let told = insist(token, seen, |client| client.post(&path).json(&body)).await;
            assert!(matches!(told.status, 200 | 409), "{}", told.text());
        }
        seen.passed.borrow_mut().push((id, reported.then_some(success)));
    }
}

/// Sends until there is an answer, to whichever server runs.
async fn insist(token: &str, seen: &Seen, request: impl Fn(&Client) -> Request) -> Answer {
    loop {
        let origin = seen.origin.borrow().clone();
        if !origin.is_empty()
            && let Ok(answer) = request(&Client::bearer(&origin, token)).try_send().await
            && answer.status != 503
        {
            return answer;
        }
        actix_web::rt::time::sleep(Duration::from_millis(5)).await;
    }
}
