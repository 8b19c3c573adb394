//! PostgreSQL goes away in mid-load and comes back: everybody is told in time, and all is well again within a second.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use actix_web::rt::time::sleep;
use actix_web::web::block;
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use futures_util::future::{join, join_all};
use latchkey::db::Db;
use latchkey::postgres::Cluster;
use latchkey::profile::Profile;

use super::{INVALID_KEY, PLENTY, assert_in_history, balance, number, order};
use crate::support::{Answer, Client, Make, Server, key_text};

const AWAY: Duration = Duration::from_secs(3);
/// Nobody waits longer for an answer, with a margin for a busy machine.
const LONGEST: Duration = Duration::from_millis(2_500);
const CREDITS: i64 = 1_000_000;

#[actix_web::test]
async fn a_stopped_postgresql_is_told_and_forgotten() {
    outage(How::Stopped).await;
}

#[actix_web::test]
async fn a_killed_postgresql_is_told_and_forgotten() {
    outage(How::Killed).await;
}

#[derive(Clone, Copy, PartialEq)]
enum How {
    /// In good order, as at an upgrade.
    Stopped,
    /// Dead at once, to recover from its log.
    Killed,
}

/// A data directory with a cluster of the test's own.
struct Ground(PathBuf);

impl Ground {
    fn new() -> Self {
        let name = format!("latchkey-outage-{}", latchkey::secret::random_base62(12).unwrap());
        let top = std::fs::canonicalize(std::env::temp_dir()).unwrap().join(name);
        std::fs::create_dir(&top).unwrap();
        Self(top)
    }

    async fn open(&self) -> Cluster {
        let data = self.0.join("data");
        block(move || Cluster::open(&data).unwrap()).await.unwrap()
    }

    /// kill -9 of the parent, and the end of its children: they see for themselves that it has gone, which on a busy machine takes
    /// them a moment, and until then they answer whoever is connected.
    async fn kill(&self) {
        let pid = std::fs::read_to_string(self.0.join("data/postgres/postmaster.pid")).unwrap();
        assert!(Command::new("kill").args(["-9", pid.lines().next().unwrap()]).status().unwrap().success());
        // Every process of the server holds this lock.
        let lock = self.0.join("data/postgres.server.lock");
        until(|| File::open(&lock).unwrap().try_lock_shared().is_ok()).await;
    }
}

/// Every process of a server, stopped; goes on when dropped, whatever happened.
struct Silence(Vec<String>);

impl Ground {
    fn silence(&self) -> Silence {
        let file = std::fs::read_to_string(self.0.join("data/postgres/postmaster.pid")).unwrap();
        let parent = file.lines().next().unwrap();
        let children = Command::new("ps").args(["-o", "pid=", "--ppid", parent]).output().unwrap().stdout;
        let children = String::from_utf8(children).unwrap();
        let silence = Silence([parent].into_iter().chain(children.split_whitespace()).map(ToOwned::to_owned).collect());
        silence.signal("-STOP");
        silence
    }
}

impl Silence {
    fn signal(&self, name: &str) {
        let _ = Command::new("kill").arg(name).args(&self.0).status();
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        self.signal("-CONT");
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if let Ok(target) = std::fs::read_link(self.0.join("data/postgres")) {
            let _ = std::fs::remove_dir_all(target);
        }
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Call {
    sent_at: Instant,
    took: Duration,
    answer: Answer,
}

async fn outage(how: How) {
    let ground = Ground::new();
    let cluster = ground.open().await;
    let url = cluster.url();
    Db::new(&url, 1).migrate().unwrap();
    let profile = std::sync::Arc::new(Profile::load("analysis").unwrap());
    let connect = || PgConnection::establish(&url).unwrap();
    let scene = Make::new(connect(), profile.clone()).org().requests_per_minute(PLENTY).credits(CREDITS).admin().key();
    let (org, admin, key) = (scene.here().clone(), scene.an_admin().clone(), scene.a_key().text.clone());
    drop(scene);
    let mut server = Server::start_at(&url, &[("LATCHKEY_LOG", "off")], Stdio::inherit()).await;
    let partner = Client::bearer(&server.origin(), &key);
    let browser = Client::browser(&server.origin());
    let page = format!("/orgs/{}/api-keys", org.slug);
    let form = [("email", admin.email.as_str()), ("password", admin.password.as_str())];
    assert_eq!(browser.post("/sign-in").form(&form).send().await.status, 303);
    assert_eq!(browser.get(&page).send().await.status, 200);

    let (over, calls) = (Cell::new(false), RefCell::new(Vec::<Call>::new()));
    let load = join_all((0..8).map(|n| call(&partner, n, &over, &calls)));
    let outage = async {
        until(|| calls.borrow().len() >= 100).await;
        let cluster = match how {
            How::Stopped => {
                block(move || cluster.close().unwrap()).await.unwrap();
                None
            }
            How::Killed => {
                ground.kill().await;
                Some(cluster)
            }
        };
        let gone_at = Instant::now();
        while_away(&server.origin(), &profile, &browser, &page).await;
        sleep(AWAY.saturating_sub(gone_at.elapsed())).await;
        let cluster = match cluster {
            None => ground.open().await,
            Some(cluster) => {
                let (started, cluster) = block(move || (cluster.ensure_running().unwrap(), cluster)).await.unwrap();
                assert!(started, "what was killed runs");
                cluster
            }
        };
        let back_at = Instant::now();
        let well_at = back_at + Duration::from_secs(1);
        until(|| calls.borrow().iter().filter(|call| call.sent_at >= well_at).count() >= 100).await;
        over.set(true);
        (cluster, well_at)
    };
    let (_, (cluster, well_at)) = join(load, outage).await;
    let calls = calls.into_inner();
    let mut told = 0;
    for Call { sent_at, took, answer } in &calls {
        assert!(*took < LONGEST, "{took:?}: {answer:?}");
        assert!(answer.header("x-request-id").starts_with("req_"));
        if answer.status == 503 {
            assert!(*sent_at < well_at, "still away {:?} after a second", *sent_at - well_at);
            assert_eq!((answer.header("retry-after"), answer.json()["code"].as_str()), ("1", Some("unavailable")));
            told += 1;
        } else {
            assert!(matches!(answer.status, 200 | 202), "{answer:?}");
        }
    }
    assert!(told > 20, "{told}");
    let shown = browser.get(&page).send().await;
    assert_eq!(shown.status, 200, "the session survives");
    let mut conn = connect();
    let made = calls.iter().filter(|call| call.answer.status == 202).count() as i64;
    let jobs = number(&mut conn, "SELECT count(*) FROM jobs");
    // Those that were told 503 in the very moment of its going may have been made all the same.
    assert!((made..=made + 8).contains(&jobs), "{made} answers, {jobs} jobs");
    assert_eq!(balance(&mut conn, org.id), (CREDITS - jobs, 0, jobs));
    assert_in_history(&mut conn, calls.iter().map(|call| &call.answer).filter(|answer| answer.status != 503));
    assert!(server.terminate());
    drop(conn);
    cluster.close().unwrap();
}

/// What needs no database goes on; what does says so, as JSON or as a page.
async fn while_away(origin: &str, profile: &Profile, browser: &Client, page: &str) {
    let start = Instant::now();
    let shown = browser.get(page).send().await;
    assert_eq!((shown.status, shown.header("retry-after")), (503, "1"));
    assert!(shown.header("content-type").starts_with("text/html") && shown.text().contains("The database is out of reach"));
    assert!(!browser.cookies().is_empty(), "nobody is signed out");
    assert!(start.elapsed() < LONGEST, "{:?}", start.elapsed());
    let anon = Client::new(origin);
    assert_eq!(anon.get("/healthz").send().await.status, 200);
    assert_eq!(anon.get("/readyz").send().await.status, 503);
    assert_eq!(anon.get("/sign-in").send().await.status, 200);
    // Refused without a query.
    let good = key_text(profile, "live");
    let wrong = format!("{}{}", &good[..good.len() - 1], if good.ends_with('x') { 'y' } else { 'x' });
    let foreign = good.replacen("lk_", "xk_", 1);
    for (key, status, body) in
        [(Some(&wrong), 403, INVALID_KEY), (Some(&foreign), 403, INVALID_KEY), (None, 401, r#"{"detail":"API Key is missing"}"#)]
    {
        let client = key.map_or_else(|| anon.clone(), |key| Client::bearer(origin, key));
        let answer = order(&client).send().await;
        assert_eq!((answer.status, answer.text()), (status, body), "{key:?}");
    }
    let unknown = order(&Client::bearer(origin, &good)).send().await;
    assert_eq!((unknown.status, unknown.header("retry-after")), (503, "1"), "only the database knows");
    assert_eq!(Client::bearer(origin, "lkw_x").post("/worker/v1/claim").send().await.header("content-type"), "application/json");
    let asked = Client::bearer(origin, "lks_x").post("/verify/v1/keys").json(&serde_json::json!({"key": good})).send().await;
    let forwarded = Client::bearer(origin, &good).get("/verify/v1/forward").send().await;
    for answer in [asked, forwarded] {
        assert_eq!((answer.status, answer.header("retry-after"), answer.json()["code"].as_str()), (503, "1", Some("unavailable")));
    }
}

async fn call(partner: &Client, n: usize, over: &Cell<bool>, calls: &RefCell<Vec<Call>>) {
    while !over.get() {
        let sent_at = Instant::now();
        let request = match n % 4 {
            0 => partner.get("/key"),
            1 => partner.get("/credits"),
            2 => partner.get("/usage?limit=1"),
            _ => order(partner),
        };
        let answer = request.send().await;
        calls.borrow_mut().push(Call { sent_at, took: sent_at.elapsed(), answer });
        sleep(Duration::from_millis(3)).await;
    }
}

async fn until(event: impl Fn() -> bool) {
    let start = Instant::now();
    while !event() {
        assert!(start.elapsed() < Duration::from_secs(40), "it never happened");
        sleep(Duration::from_millis(2)).await;
    }
}

/// Worse than gone: PostgreSQL takes connections and says nothing.
#[actix_web::test]
async fn a_silent_postgresql_is_told_too() {
    let ground = Ground::new();
    let cluster = ground.open().await;
    let url = cluster.url();
    Db::new(&url, 1).migrate().unwrap();
    let profile = std::sync::Arc::new(Profile::load("analysis").unwrap());
    let mut scene = Make::new(PgConnection::establish(&url).unwrap(), profile).org().requests_per_minute(PLENTY).credits(CREDITS).key();
    let (org, key, token) = (scene.here().id, scene.a_key().text.clone(), scene.service_token());
    drop(scene);
    let mut server = Server::start_at(&url, &[("LATCHKEY_LOG", "off")], Stdio::inherit()).await;
    let (partner, service) = (Client::bearer(&server.origin(), &key), Client::bearer(&server.origin(), &token));
    let ask = || service.post("/verify/v1/keys").json(&serde_json::json!({"key": key})).send();
    assert_eq!(order(&partner).send().await.status, 202);
    let passed = ask().await.json()["request_id"].as_str().unwrap().to_owned();
    let silence = ground.silence();
    for _ in 0..2 {
        let start = Instant::now();
        let told = super::at_once(20, std::slice::from_ref(&partner), order).await;
        assert!(start.elapsed() < LONGEST + Duration::from_secs(1), "{:?}", start.elapsed());
        for answer in told {
            assert_eq!((answer.status, answer.header("retry-after")), (503, "1"), "{answer:?}");
        }
    }
    let report = service.post(&format!("/verify/v1/requests/{passed}/outcome")).json(&serde_json::json!({"status": 500})).send();
    for answer in [ask().await, report.await] {
        assert_eq!((answer.status, answer.header("retry-after")), (503, "1"), "{answer:?}");
    }
    let asked_at = Instant::now();
    assert_eq!(Client::new(&server.origin()).get("/readyz").send().await.status, 503);
    assert!(asked_at.elapsed() < LONGEST + Duration::from_secs(1), "{:?}", asked_at.elapsed());
    drop(silence);
    let back_at = Instant::now();
    while order(&partner).send().await.status != 202 {
        assert!(back_at.elapsed() < LONGEST);
        sleep(Duration::from_millis(5)).await;
    }
    // None of those who were told that it was not done is done now.
    let mut conn = PgConnection::establish(&url).unwrap();
    assert_eq!(number(&mut conn, "SELECT count(*) FROM jobs"), 2);
    assert_eq!(balance(&mut conn, org), (CREDITS - 2, 0, 2));
    assert!(server.terminate());
    drop(conn);
    cluster.close().unwrap();
}

#[actix_web::test]
async fn a_silent_postgresql_does_not_hold_up_the_end() {
    let ground = Ground::new();
    let cluster = ground.open().await;
    Db::new(&cluster.url(), 1).migrate().unwrap();
    let mut server = Server::start_at(&cluster.url(), &[("LATCHKEY_LOG", "off")], Stdio::inherit()).await;
    let silence = ground.silence();
    // Every thread is now in the midst of a question, or will be when it is told to stop.
    let _ = order(&Client::bearer(&server.origin(), &key_text(&Profile::load("analysis").unwrap(), "live"))).send().await;
    let started = Instant::now();
    let ended = block(move || server.end_within(Duration::from_secs(30))).await.unwrap();
    assert!(ended, "still there after {:?}", started.elapsed());
    drop(silence);
    cluster.close().unwrap();
}

/// 503 means that nothing was done: an order that is being written is waited for, those behind it are taken back.
#[actix_web::test]
async fn an_order_that_is_being_written_is_waited_for() {
    let world = super::World::new(&[]);
    let server = world.server().await;
    let scene = world.make().org().credits(10).key();
    let (org, partner) = (scene.here().id, Client::bearer(&server.origin(), &scene.a_key().text));
    let (mut holder, mut conn) = (world.database.conn(), world.database.conn());
    holder.batch_execute("BEGIN; SELECT * FROM credit_balances FOR UPDATE").unwrap();
    let first = actix_web::rt::spawn(order(&partner).send());
    let blocked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while number(&mut conn, blocked) == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    let start = Instant::now();
    let behind = super::at_once(5, std::slice::from_ref(&partner), order).await;
    assert!(behind.iter().all(|answer| answer.status == 503 && answer.header("retry-after") == "1"));
    assert!(start.elapsed() < LONGEST + Duration::from_secs(1), "{:?}", start.elapsed());
    holder.batch_execute("COMMIT").unwrap();
    let first = first.await.unwrap();
    assert_eq!(first.status, 202);
    assert_eq!(order(&partner).send().await.status, 202);
    assert_eq!(number(&mut conn, "SELECT count(*) FROM jobs"), 2);
    assert_eq!(number(&mut conn, "SELECT count(*) FROM requests"), 2);
    assert_eq!(balance(&mut conn, org), (8, 0, 2));
    assert_in_history(&mut conn, [&first]);
}
