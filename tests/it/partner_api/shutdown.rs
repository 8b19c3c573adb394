//! SIGTERM: who is under way is answered, nobody new is let in, nothing is lost.

use std::cell::Cell;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use diesel::{RunQueryDsl, sql_query};
use futures_util::future::{join, join_all};

use super::{PLENTY, World, assert_in_history, balance, number, order};
use crate::support::{Answer, Client};

#[actix_web::test]
async fn who_is_under_way_is_answered() {
    const UNDER_WAY: usize = 30;
    let world = World::new(&[]);
    let mut server = world.server().await;
    let scene = world.make().org().credits(100).key();
    let (org, partner) = (scene.here().id, Client::bearer(&server.origin(), &scene.a_key().text));
    // Whoever holds the balance keeps every order waiting between its admission and its answer.
    let (mut holder, mut conn) = (world.database.conn(), world.database.conn());
    let mut transaction = |statement: &str| sql_query(statement).execute(&mut holder).unwrap();
    transaction("BEGIN");
    transaction("SELECT * FROM credit_balances FOR UPDATE");
    let orders = join_all((0..UNDER_WAY).map(|_| order(&partner).send()));
    let ending = async {
        let mut wait_for = async |query: &str, wanted: i64| {
            while number(&mut conn, query) != wanted {
                actix_web::rt::time::sleep(Duration::from_millis(5)).await;
            }
        };
        wait_for("SELECT coalesce(max(used), 0) FROM rate_windows", UNDER_WAY as i64).await;
        wait_for("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'", 1).await;
        assert!(Command::new("kill").args(["-TERM", &server.pid().to_string()]).status().unwrap().success());
        let address = server.origin().trim_start_matches("http://").to_owned();
        while TcpStream::connect(&address).is_ok() {
            actix_web::rt::time::sleep(Duration::from_millis(5)).await;
        }
        transaction("COMMIT");
    };
    let (answers, ()) = join(orders, ending).await;
    assert!(answers.iter().all(|answer| answer.status == 202), "{answers:?}");
    assert!(server.wait(), "exit status 0");
    let conn = &mut world.database.conn();
    assert_in_history(conn, &answers);
    assert_eq!(balance(conn, org), (100 - UNDER_WAY as i64, 0, UNDER_WAY as i64));
}

#[actix_web::test]
async fn nothing_is_lost_when_it_ends_in_mid_load() {
    let world = World::new(&[]);
    let scene = world.make().org().requests_per_minute(PLENTY).credits(100_000).key();
    for _ in 0..3 {
        let mut server = world.server().await;
        let (answered, partner) = (Cell::new(0), Client::bearer(&server.origin(), &scene.a_key().text));
        let callers = (0..16).map(|_| until_it_ends(&partner, &answered));
        let ending = async {
            while answered.get() < 100 {
                actix_web::rt::time::sleep(Duration::from_millis(1)).await;
            }
            // Waiting must not keep the callers from reading their answers.
            actix_web::web::block(move || assert!(server.terminate(), "exit status 0")).await.unwrap();
        };
        let (answers, ()) = join(join_all(callers), ending).await;
        let answers: Vec<Answer> = answers.into_iter().flatten().collect();
        assert!(answers.iter().all(|answer| answer.status == 202), "nobody is told of an error");
        assert_in_history(&mut world.database.conn(), &answers);
    }
    let (conn, org) = (&mut world.database.conn(), scene.here().id);
    let jobs = number(conn, "SELECT count(*) FROM jobs");
    assert_eq!(balance(conn, org), (100_000 - jobs, 0, jobs));
    assert_eq!(number(conn, "SELECT count(*) FROM requests WHERE status = 202"), jobs);
}

async fn until_it_ends(partner: &Client, answered: &Cell<usize>) -> Vec<Answer> {
    let mut answers = Vec::new();
    while let Ok(answer) = order(partner).try_send().await {
        answered.set(answered.get() + 1);
        answers.push(answer);
    }
    answers
}
