//! kill -9 in mid-load: what was answered is there, what was not was either done whole or not at all, nothing is paid twice.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use serde_json::json;

use super::{PLENTY, World, assert_in_history, balance, number, order};
use crate::support::{Answer, Client, Request, Server};

const KILLS: usize = 20;
const BUYERS: usize = 8;
const WORKERS: usize = 4;
const CREDITS: i64 = 1_000_000;
/// However long a start takes, the whole must end.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where the server is that runs now, for callers that are to be answered whatever is killed.
#[derive(Default)]
pub struct Target {
    origin: RefCell<String>,
    over: Cell<bool>,
}

impl Target {
    /// Starts servers and kills them one after the other, each after some answers more; the last one is left, and callers may stop.
    pub async fn killed(&self, world: &World, kills: usize, answered: impl Fn() -> usize) -> Server {
        let start = Instant::now();
        for round in 0..kills {
            let mut server = world.server().await;
            self.origin.replace(server.origin());
            // Not always after the same number of answers, and never before there are any.
            let enough = answered() + 20 + round * 7 % 40;
            while answered() < enough {
                assert!(start.elapsed() < PATIENCE, "no answers come");
                actix_web::rt::time::sleep(Duration::from_millis(1)).await;
            }
            server.kill();
        }
        let server = world.server().await;
        self.origin.replace(server.origin());
        self.over.set(true);
        server
    }

    /// Whether callers may stop.
    pub fn is_over(&self) -> bool {
        self.over.get()
    }

    /// Sends until there is an answer, to whichever server runs.
    pub async fn insist(&self, secret: &str, request: impl Fn(&Client) -> Request) -> Answer {
        loop {
            let origin = self.origin.borrow().clone();
            if !origin.is_empty()
                && let Ok(answer) = request(&Client::bearer(&origin, secret)).try_send().await
                && answer.status != 503
            {
                return answer;
            }
            actix_web::rt::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[actix_web::test]
async fn twenty_kills_with_jobs_paid_at_their_start() {
    let world = World::new(&[]);
    killed_under_load(&world, 0).await;
}

#[actix_web::test]
async fn twenty_kills_with_jobs_paid_on_success() {
    let world = World::new(&[("charge = \"on_start\"", "charge = \"on_success\"")]);
    killed_under_load(&world, WORKERS).await;
}

/// What the callers share over all kills.
#[derive(Default)]
struct Seen {
    target: Target,
    answers: RefCell<Vec<Answer>>,
    /// `Idempotency-Key` and the job that it came to.
    orders: RefCell<Vec<(String, String)>>,
    completed: RefCell<Vec<String>>,
}

async fn killed_under_load(world: &World, workers: usize) {
    let mut scene = world.make().org().requests_per_minute(PLENTY).credits(CREDITS).key();
    let (org, key, token) = (scene.here().id, scene.a_key().text.clone(), scene.worker_token());
    let seen = Seen::default();
    let buyers = join_all((0..BUYERS).map(|n| buy(n, &key, &seen)));
    let working = join_all((0..workers).map(|_| work(&token, &seen)));
    let killing = seen.target.killed(world, KILLS, || seen.answers.borrow().len());
    let (server, _) = join(killing, join(buyers, working)).await;
    check(world, org, &seen, workers > 0);
    drop::<Server>(server);
}

/// Orders under an `Idempotency-Key` and repeats each until it is answered.
async fn buy(n: usize, key: &str, seen: &Seen) {
    for turn in 0.. {
        if seen.target.is_over() {
            return;
        }
        let name = format!("buyer {n}, order {turn}");
        let answer = seen.target.insist(key, |client| order(client).header("idempotency-key", &name)).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        let job = answer.json()["analysis_id"].as_str().unwrap().to_owned();
        seen.orders.borrow_mut().push((name, job));
        seen.answers.borrow_mut().push(answer);
    }
}

async fn work(token: &str, seen: &Seen) {
    while !seen.target.is_over() {
        let claim = seen.target.insist(token, |client| client.post("/worker/v1/claim").json(&json!({"kinds": ["analysis"], "wait_s": 0})));
        let claimed = claim.await;
        assert!(matches!(claimed.status, 200 | 204), "{}", claimed.text());
        if claimed.status == 204 {
            actix_web::rt::time::sleep(Duration::from_millis(5)).await;
            continue;
        }
        let job = claimed.json()["job"].clone();
        let (id, lease) = (job["id"].as_str().unwrap(), job["lease"].as_str().unwrap());
        // Tried again after a kill the report may be late: then the first one counted.
        let report = seen
            .target
            .insist(token, |client| client.post(&format!("/worker/v1/jobs/{id}/complete")).json(&json!({"lease": lease, "result": {}})));
        let told = report.await;
        assert!(matches!(told.status, 200 | 409), "{}", told.text());
        seen.completed.borrow_mut().push(id.to_owned());
    }
}

fn check(world: &World, org: latchkey::ids::OrgId, seen: &Seen, on_success: bool) {
    let conn = &mut world.database.conn();
    let (answers, orders) = (seen.answers.borrow(), seen.orders.borrow());
    assert_in_history(conn, answers.iter());
    let ids: HashSet<&str> = answers.iter().map(|answer| answer.header("x-request-id")).collect();
    assert_eq!(ids.len(), answers.len());
    let jobs: HashMap<String, (bool, i64)> = jobs(world);
    for (name, job) in orders.iter() {
        assert!(jobs.contains_key(job), "the job of {name} is lost");
    }
    // An order that was repeated after a kill is one job, and every job is somebody's order.
    assert_eq!(orders.iter().map(|(_, job)| job).collect::<HashSet<_>>().len(), orders.len());
    assert_eq!(jobs.len(), orders.len());
    assert!(jobs.values().all(|(_, charges)| *charges <= 1), "a job was charged twice");
    assert_eq!(number(conn, "SELECT count(*) FROM credit_entries WHERE kind = 'hold'"), jobs.len() as i64);
    assert_eq!(number(conn, "SELECT sum(credits) FROM requests"), jobs.len() as i64);
    // Whenever it was killed, each row is counted once: by the rollups, or by what waits for them.
    let counted = "SELECT (SELECT coalesce(sum(requests), 0) FROM usage_hours WHERE key_id = '00000000-0000-0000-0000-000000000000'
        AND route = '*')::int8 + (SELECT coalesce(sum(requests), 0) FROM usage_pending)::int8";
    assert_eq!(number(conn, counted), number(conn, "SELECT count(*) FROM requests"));
    let finished = jobs.values().filter(|(finished, _)| *finished).count() as i64;
    let (available, held, settled) = balance(conn, org);
    assert_eq!(available + held + settled, CREDITS);
    if on_success {
        assert_eq!((held, settled), (jobs.len() as i64 - finished, finished));
        assert!(jobs.values().all(|(finished, charges)| *finished == (*charges == 1)));
        assert!(seen.completed.borrow().len() >= KILLS, "{}", seen.completed.borrow().len());
        assert!(seen.completed.borrow().iter().all(|job| jobs[job].0), "a report that was answered is lost");
    } else {
        assert_eq!((held, settled), (0, jobs.len() as i64));
    }
}

/// Whether each job is finished, and how often it was charged.
fn jobs(world: &World) -> HashMap<String, (bool, i64)> {
    use diesel::sql_types::{BigInt, Bool, Uuid as SqlUuid};
    use diesel::{QueryableByName, RunQueryDsl, sql_query};
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = SqlUuid)]
        id: uuid::Uuid,
        #[diesel(sql_type = Bool)]
        finished: bool,
        #[diesel(sql_type = BigInt)]
        charges: i64,
    }
    let rows: Vec<Row> = sql_query(
        "SELECT id, finished_at IS NOT NULL AS finished,
             (SELECT count(*) FROM credit_entries c WHERE c.job_id = j.id AND c.kind = 'settle') AS charges
         FROM jobs j",
    )
    .load(&mut world.database.conn())
    .unwrap();
    let kind = &world.profile.jobs[0];
    rows.into_iter().map(|row| (kind.public_id(latchkey::ids::JobId(row.id)), (row.finished, row.charges))).collect()
}
