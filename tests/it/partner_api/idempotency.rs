//! `Idempotency-Key`: a repetition is told again and not done again.

use std::collections::BTreeSet;

use serde_json::json;

use super::{NO_CREDITS, PLENTY, World, assert_in_history, at_once, balance, count_of, number, order, partners};
use crate::support::{App, Client};

#[actix_web::test]
async fn a_repetition_is_told_the_same() {
    let app = App::start();
    let scene = app.make().org().credits(5).key();
    let (partner, conn) = (app.partner(scene.a_key()), &mut app.database().conn());
    let first = order(&partner).header("idempotency-key", "a").send().await;
    assert_eq!((first.status, first.header("idempotent-replayed")), (202, ""));
    let again = order(&partner).header("idempotency-key", "a").send().await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (202, "true"));
    assert_eq!(again.body, first.body);
    assert_eq!(again.header("content-type"), first.header("content-type"));
    assert_ne!(again.header("x-request-id"), first.header("x-request-id"));
    // Something else under the same name is refused, and changes nothing.
    let other = partner.post("/analyses").json(&json!({"input": {"other": 1}})).header("idempotency-key", "a").send().await;
    assert_eq!(other.status, 422);
    assert_eq!(other.json()["code"], "invalid_request");
    assert_eq!(other.json()["fields"][0]["field"], "Idempotency-Key");
    // Another name is another order.
    let another = order(&partner).header("idempotency-key", "b").send().await;
    assert_eq!((another.status, another.header("idempotent-replayed")), (202, ""));
    assert_ne!(another.json()["analysis_id"], first.json()["analysis_id"]);
    assert_in_history(conn, [&first, &again, &other, &another]);
    assert_eq!(balance(conn, scene.here().id), (3, 0, 2));
    assert_eq!(number(conn, "SELECT sum(credits) FROM requests"), 2);
    for bad in ["", &"x".repeat(256), "caf\u{e9}", "a\tb"] {
        let answer = order(&partner).header("idempotency-key", bad).send().await;
        assert_eq!((answer.status, &answer.json()["fields"][0]["field"]), (422, &json!("Idempotency-Key")), "{bad:?}");
    }
    let two = order(&partner).header("idempotency-key", "c").also_header("idempotency-key", "d").send().await;
    assert_eq!(two.status, 422);
    assert_eq!(balance(conn, scene.here().id), (3, 0, 2));
}

#[actix_web::test]
async fn a_refusal_is_not_kept() {
    let app = App::start();
    let scene = app.make().org().key();
    let partner = app.partner(scene.a_key());
    let named = || order(&partner).header("idempotency-key", "a");
    for _ in 0..2 {
        let refused = named().send().await;
        assert_eq!((refused.status, refused.text()), (402, NO_CREDITS));
        assert_eq!(refused.header("idempotent-replayed"), "");
    }
    let invalid = partner.post("/analyses").json(&json!({"input": 1})).header("idempotency-key", "a").send().await;
    assert_eq!(invalid.status, 422);
    let scene = scene.credits(1);
    assert_eq!(named().send().await.status, 202, "once there are credits it is done");
    let again = named().send().await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (202, "true"), "and told again without any");
    assert_eq!(order(&partner).send().await.status, 402);
    let org = scene.here().id;
    assert_eq!(balance(&mut app.database().conn(), org), (0, 0, 1));
}

#[actix_web::test]
async fn names_belong_to_their_key() {
    let app = App::start();
    let scene = app.make().org().credits(5).key().key().org().credits(5).key();
    let mut jobs = BTreeSet::new();
    for key in scene.keys() {
        let answer = order(&app.partner(key)).header("idempotency-key", "same").send().await;
        assert_eq!((answer.status, answer.header("idempotent-replayed")), (202, ""));
        jobs.insert(answer.json()["analysis_id"].as_str().unwrap().to_owned());
    }
    assert_eq!(jobs.len(), 3);
}

#[actix_web::test]
async fn fifty_at_once_are_one() {
    at_once_are_one(1).await;
}

#[actix_web::test]
async fn fifty_at_once_on_two_instances_are_one() {
    at_once_are_one(2).await;
}

async fn at_once_are_one(instances: usize) {
    let world = World::new(&[]);
    let servers = world.servers(instances).await;
    let scene = world.make().org().requests_per_minute(PLENTY).credits(10).key();
    let clients: Vec<Client> = partners(&servers, &scene.a_key().text);
    for round in 1..=5 {
        let name = format!("round {round}");
        let answers = at_once(50, &clients, |client| order(client).header("idempotency-key", &name)).await;
        assert_eq!(count_of(&answers, 202), 50, "{answers:?}");
        assert_eq!(answers.iter().map(|answer| &answer.body).collect::<BTreeSet<_>>().len(), 1, "all are told the same");
        assert_eq!(answers.iter().filter(|answer| answer.header("idempotent-replayed") == "true").count(), 49);
        let conn = &mut world.database.conn();
        assert_in_history(conn, &answers);
        assert_eq!(balance(conn, scene.here().id), (10 - round, 0, round));
        assert_eq!(number(conn, "SELECT count(*) FROM jobs"), round);
    }
    // Two different ones under one name: one is done, those that say the other are refused.
    let bodies = [json!({"input": {"a": 1}}), json!({"input": {"a": 2}})];
    let turn = std::cell::Cell::new(0);
    let answers = at_once(40, &clients, |client| {
        // In pairs, so that each instance gets both.
        turn.set(turn.get() + 1);
        client.post("/analyses").json(&bodies[turn.get() / 2 % 2]).header("idempotency-key", "contested")
    })
    .await;
    assert_eq!((count_of(&answers, 202), count_of(&answers, 422)), (20, 20));
    assert_eq!(balance(&mut world.database.conn(), scene.here().id), (4, 0, 6));
}
