//! kill -9 in mid-load: what was told is in the history and in the ledger, and each hold ends once.

use std::cell::RefCell;

use futures_util::future::{join, join_all};
use serde_json::{Value, json};

use super::{ON_SUCCESS, ledger, row};
use crate::partner_api::{PLENTY, World, balance, kills::Target};
use crate::support::number;

const KILLS: usize = 10;
const SERVICES: usize = 8;
const CREDITS: i64 = 1_000_000;

#[derive(Default)]
struct Seen {
    target: Target,
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
    let killing = seen.target.killed(&world, KILLS, || seen.passed.borrow().len());
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
        if seen.target.is_over() {
            return;
        }
        let body = json!({"key": key, "credits": 2});
        // A question that was not answered is another one when it is asked again.
        let answer = seen.target.insist(token, |client| client.post("/verify/v1/keys").json(&body)).await;
        let value: Value = answer.json();
        assert_eq!(value["valid"], true, "{value}");
        let id = value["request_id"].as_str().unwrap().to_owned();
        let success = (n + turn).is_multiple_of(2);
        let reported = !(n + turn).is_multiple_of(3);
        if reported {
            let path = format!("/verify/v1/requests/{id}/outcome");
            let body = json!({"status": if success { 201 } else { 500 }});
            // Tried again after a kill it may have been told already.
            let told = seen.target.insist(token, |client| client.post(&path).json(&body)).await;
            assert!(matches!(told.status, 200 | 409), "{}", told.text());
        }
        seen.passed.borrow_mut().push((id, reported.then_some(success)));
    }
}
