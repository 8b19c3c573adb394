//! A balance of one lets one through, a limit of 60 lets 60 through: on one instance and on two.

use std::collections::BTreeSet;
use std::time::Duration;

use diesel::sql_types::Timestamptz;
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use latchkey::clock;
use time::OffsetDateTime;

use super::{NO_CREDITS, PLENTY, World, assert_in_history, at_once, balance, count_of, history, number, order, partners};
use crate::support::{Answer, App};

#[actix_web::test]
async fn one_credit_and_a_hundred_at_once() {
    one_credit(1).await;
}

#[actix_web::test]
async fn one_credit_and_a_hundred_at_once_on_two_instances() {
    one_credit(2).await;
}

async fn one_credit(instances: usize) {
    let world = World::new(&[]);
    let servers = world.servers(instances).await;
    for _ in 0..3 {
        let scene = world.make().org().requests_per_minute(PLENTY).credits(1).key();
        let clients = partners(&servers, &scene.a_key().text);
        let answers = at_once(100, &clients, order).await;
        assert_eq!((count_of(&answers, 202), count_of(&answers, 402)), (1, 99));
        for answer in answers.iter().filter(|answer| answer.status == 402) {
            assert_eq!(answer.text(), NO_CREDITS);
            assert_eq!(answer.header("content-type"), "application/json");
        }
        let (conn, org) = (&mut world.database.conn(), scene.here().id);
        assert_eq!(balance(conn, org), (0, 0, 1));
        assert_in_history(conn, &answers);
        let of_org = format!("FROM requests WHERE organization_id = '{}'", org.0);
        assert_eq!(number(conn, &format!("SELECT count(*) {of_org} AND outcome = 'credits' AND credits = 0")), 99);
        assert_eq!(number(conn, &format!("SELECT sum(credits) {of_org}")), 1);
        assert_eq!(number(conn, &format!("SELECT count(*) FROM jobs WHERE organization_id = '{}'", org.0)), 1);
    }
}

#[actix_web::test]
async fn a_limit_of_sixty_and_two_hundred_at_once() {
    limit_of_sixty(1).await;
}

#[actix_web::test]
async fn a_limit_of_sixty_and_two_hundred_at_once_on_two_instances() {
    limit_of_sixty(2).await;
}

/// A window long enough that two hundred requests fit into it on a busy machine.
const WINDOW_S: i64 = 8;

async fn limit_of_sixty(instances: usize) {
    let world = World::new(&[("window = \"1m\"", "window = \"8s\"")]);
    let servers = world.servers(instances).await;
    let scene = world.make().org().key();
    let clients = partners(&servers, &scene.a_key().text);
    let answers = at_once(200, &clients, |client| client.get("/key")).await;
    let answered_at = clock::now();
    let window_ends_at = window_end(&world);
    assert_eq!((count_of(&answers, 200), count_of(&answers, 429)), (60, 140));
    let places: BTreeSet<&str> =
        answers.iter().filter(|answer| answer.status == 200).map(|answer| answer.header("x-ratelimit-remaining")).collect();
    assert_eq!(places.len(), 60, "each that passed has a place of its own");
    let arrivals = history(&mut world.database.conn());
    for answer in &answers {
        check_fields(answer, 60, WINDOW_S);
    }
    for answer in answers.iter().filter(|answer| answer.status == 429) {
        let wait = time::Duration::seconds(retry_after(answer));
        let arrived_at = arrivals[answer.header("x-request-id")].at;
        assert!(answered_at + wait >= window_ends_at, "a retry after {wait} would still be refused");
        assert!(arrived_at + wait < window_ends_at + time::Duration::SECOND, "{wait} is longer than need be");
    }
    assert_in_history(&mut world.database.conn(), &answers);
    // One more now is refused; one sent after as many seconds as it says passes.
    let refused = clients[0].get("/key").send().await;
    assert_eq!(refused.status, 429);
    actix_web::rt::time::sleep(Duration::from_secs(retry_after(&refused) as u64)).await;
    let passed = clients[clients.len() - 1].get("/key").send().await;
    assert_eq!(passed.status, 200);
    assert_eq!(passed.header("x-ratelimit-remaining"), "59", "a fresh window");
    check_fields(&passed, 60, WINDOW_S);
}

#[actix_web::test]
async fn the_default_limit_is_sixty_a_minute() {
    let app = App::start();
    let scene = app.make().org().key().key_in("test");
    let partner = app.partner(&scene.keys()[0]);
    let answers = at_once(61, std::slice::from_ref(&partner), |client| client.get("/key")).await;
    assert_eq!((count_of(&answers, 200), count_of(&answers, 429)), (60, 1));
    answers.iter().for_each(|answer| check_fields(answer, 60, 60));
    assert_eq!(app.partner(&scene.keys()[1]).get("/key").send().await.status, 200, "each key has its own");
}

/// What the fields say of the limit agrees, and with the body of a refusal too.
pub fn check_fields(answer: &Answer, limit: i64, window_s: i64) {
    let number = |name: &str| answer.header(name).parse::<i64>().unwrap_or_else(|_| panic!("{name} of {answer:?}"));
    let (remaining, reset) = (number("x-ratelimit-remaining"), number("x-ratelimit-reset"));
    assert!((1..=window_s).contains(&reset), "{reset}");
    assert!((0..limit).contains(&remaining));
    assert_eq!(number("x-ratelimit-limit"), limit);
    assert_eq!(answer.header("ratelimit-policy"), format!("\"default\";q={limit};w={window_s}"));
    assert_eq!(answer.header("ratelimit"), format!("\"default\";r={remaining};t={reset}"));
    if answer.status == 429 {
        assert_eq!((retry_after(answer), remaining), (reset, 0));
        let body = format!(r#"{{"detail":"Rate limit exceeded","code":"rate_limited","retry_after":{reset},"limit":{limit}}}"#);
        assert_eq!(answer.text(), body);
    } else {
        assert_eq!(answer.header("retry-after"), "");
    }
}

fn retry_after(answer: &Answer) -> i64 {
    answer.header("retry-after").parse().unwrap()
}

fn window_end(world: &World) -> OffsetDateTime {
    #[derive(QueryableByName)]
    struct Window {
        #[diesel(sql_type = Timestamptz)]
        ends_at: OffsetDateTime,
    }
    sql_query("SELECT ends_at FROM rate_windows").get_result::<Window>(&mut world.database.conn()).unwrap().ends_at
}
