//! What supervisors, load balancers and slow or curious clients notice of an instance.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{App, Client, Server, TestDb};

#[actix_web::test]
async fn a_running_instance_is_alive_and_ready() {
    let app = App::start();
    let alive = app.anon().get("/healthz").send().await;
    assert_eq!((alive.status, alive.text()), (200, "ok"));
    let ready = app.anon().get("/readyz").send().await;
    assert_eq!((ready.status, ready.json()["status"].as_str()), (200, Some("ready")));
}

#[test]
fn a_database_behind_a_black_hole_is_given_up() {
    let hole = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgresql://x@{}/x", hole.local_addr().unwrap());
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || tell.send(latchkey::db::Db::new(&url, 1).connect().is_err()));
    assert!(told.recv_timeout(Duration::from_secs(5)).expect("given up"));
}

#[actix_web::test]
async fn a_supervisor_may_ask_with_head() {
    let app = App::start();
    for path in ["/healthz", "/readyz", "/metrics"] {
        let answer = app.anon().request(awc::http::Method::HEAD, path).send().await;
        assert_eq!((answer.status, answer.body.is_empty()), (200, true), "{path}");
    }
}

#[actix_web::test]
async fn every_answer_has_a_request_id_of_its_own() {
    let app = App::start();
    let mut seen = std::collections::BTreeSet::new();
    for path in ["/healthz", "/readyz", "/metrics", "/", "/sign-in", "/analyses", "/nothing/here", "/worker/v1/claim", "/assets/none.css"] {
        let answer = app.anon().get(path).header("x-request-id", "req_mine").send().await;
        let id = answer.header("x-request-id").to_owned();
        assert!(id.starts_with("req_") && id.len() == 26, "{path}: {id:?}");
        assert!(seen.insert(id), "{path} repeats an id");
    }
}

#[actix_web::test]
async fn what_nobody_answers_is_json_for_programs_and_a_page_for_people() {
    let app = App::start();
    let program = app.anon().get("/nothing/here").send().await;
    assert_eq!((program.status, program.header("content-type")), (404, "application/json"));
    assert_eq!(program.json()["code"], "not_found");
    let person = app.stranger().get("/nothing/here").send().await;
    assert_eq!(person.status, 404);
    assert!(person.header("content-type").starts_with("text/html") && person.text().contains("<html"), "{}", person.text());
}

#[actix_web::test]
async fn metrics_count_admissions_by_outcome() {
    let app = App::start();
    let make = app.make().org().credits(1).key();
    let partner = app.partner(make.a_key());
    for expected in [202, 402] {
        assert_eq!(partner.post("/analyses").json(&json!({"input": {}})).send().await.status, expected);
    }
    app.anon().get("/credits").send().await;
    let page = app.anon().get("/metrics").send().await;
    let lines: Vec<&str> = page.text().lines().collect();
    for line in [
        "latchkey_admissions_total{outcome=\"accepted\"} 1",
        "latchkey_admissions_total{outcome=\"credits\"} 1",
        "latchkey_admissions_total{outcome=\"missing\"} 1",
        "latchkey_unknown_key_requests_total 1",
    ] {
        assert!(lines.contains(&line), "{line} is not in {lines:#?}");
    }
    for line in [
        "latchkey_admission_duration_seconds_count 2",
        "latchkey_request_duration_seconds_count 2",
        "latchkey_admit_waiting 0",
        "latchkey_settle_waiting 0",
        "latchkey_queued_jobs 1.0",
        "latchkey_delivery_lanes 0.0",
        "latchkey_delivery_lag_seconds 0.0",
    ] {
        assert!(lines.contains(&line), "{line} is not in {lines:#?}");
    }
}

#[actix_web::test]
async fn a_lease_that_ran_out_is_given_back_by_the_server_itself() {
    let app = App::start();
    let make = app.make().org().credits(1).key();
    let made = app.partner(make.a_key()).post("/analyses").json(&json!({"input": {}})).send().await;
    assert_eq!(made.status, 202);
    let worker = app.worker();
    let claim = json!({"kinds": ["analysis"], "wait_s": 5});
    assert_eq!(worker.post("/worker/v1/claim").json(&claim).send().await.status, 200);
    let mut conn = app.database().conn();
    let late = "UPDATE jobs SET lease_expires_at = now() - interval '1 second'";
    diesel::RunQueryDsl::execute(diesel::sql_query(late), &mut conn).unwrap();
    // Housekeeping looks each second, and the queue rings at once.
    assert_eq!(worker.post("/worker/v1/claim").json(&claim).send().await.status, 200);
}

#[actix_web::test]
async fn sigterm_finishes_what_is_under_way_and_exits_with_0() {
    let database = TestDb::new();
    let mut server = Server::start(&database).await;
    let make = crate::support::Make::new(database.conn(), std::sync::Arc::new(latchkey::profile::Profile::load("analysis").unwrap()));
    let token = { make }.worker_token();
    let worker = Client::bearer(&server.origin(), &token);
    // A worker that waits for work, a browser that keeps its connection open for nothing.
    let waiting = actix_web::rt::spawn(async move {
        worker.post("/worker/v1/claim").json(&json!({"kinds": ["analysis"], "wait_s": 30})).send().await.status
    });
    let mut idle = TcpStream::connect(server.origin().trim_start_matches("http://")).unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let _ = idle.read(&mut [0; 1_024]).unwrap();
    actix_web::rt::time::sleep(Duration::from_millis(300)).await;
    let started = Instant::now();
    let ended = actix_web::web::block(move || (server.terminate(), server)).await.unwrap();
    assert!(ended.0, "the exit status is not 0");
    assert!(started.elapsed() < Duration::from_secs(10), "it took {:?}", started.elapsed());
    assert_eq!(waiting.await.unwrap(), 204, "the waiting worker was not answered");
}

#[actix_web::test]
async fn a_body_that_never_ends_is_cut_off() {
    let app = App::start();
    let make = app.make().org().credits(1).key();
    let head = format!(
        "POST /analyses HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{{",
        make.a_key().text
    );
    let origin = app.origin();
    let answer = actix_web::web::block(move || {
        let mut stream = TcpStream::connect(origin.trim_start_matches("http://")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // The end, or a reset: both are ends.
        let ended = stream.read_to_end(&mut answer);
        assert!(ended.is_ok() || ended.is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset), "still open");
        String::from_utf8(answer).unwrap()
    })
    .await
    .unwrap();
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer:?}");
}
