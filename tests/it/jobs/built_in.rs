use std::time::{Duration, Instant};

use diesel::{Connection, PgConnection, RunQueryDsl, sql_query};
use latchkey::clock;
use latchkey::ids::JobId;
use latchkey::jobs::{self, Job, Status, doorbell};
use latchkey::sandbox::{self, Settings};
use latchkey::wake::Wake;
use serde_json::{Value, json};

use super::World;

const PATIENCE: Duration = Duration::from_secs(30);
const QUICK: Settings = Settings { step: Duration::from_millis(5), ..Settings::SANDBOX };

/// Reads over connections of its own, so that it may look while the database comes and goes.
fn wait_for(world: &World, id: JobId, wanted: impl Fn(&Job) -> bool) -> Job {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let job = world.database.db().run_blocking(|conn| jobs::read(conn, world.organization, id));
        match job {
            Ok(job) if wanted(&job) => return job,
            other => assert!(Instant::now() < deadline, "still {other:?}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn is_finished(job: &Job) -> bool {
    job.finished_at.is_some()
}

#[test]
fn sandbox_jobs_advance_by_tenths_to_a_result_that_their_input_decides() {
    let mut world = World::new();
    let wake = Wake::default();
    let handles = [(), ()].map(|()| sandbox::spawn(world.site(), wake.clone(), QUICK).unwrap());
    let live = world.queue(clock::now());
    let (first, second) = (world.queue_sandbox(r#"{"n": 1.0}"#), world.queue_sandbox(r#"{"n": 1.0}"#));
    let fails = world.queue_sandbox(r#"{"sandbox": "fail"}"#);
    wake.ring();
    let result = wait_for(&world, first, is_finished).result.unwrap();
    let value: Value = serde_json::from_str(result.as_str()).unwrap();
    assert_eq!((&value["sandbox"], &value["echo"]), (&json!(true), &json!({"n": 1.0})));
    assert!(result.as_str().ends_with(r#""echo":{"n": 1.0}}"#));
    assert_eq!(wait_for(&world, second, is_finished).result.unwrap(), result);
    let progress: Vec<String> = (1..=10).map(|tenth| format!("analysis.progress {}", tenth * 10)).collect();
    let expected = [&["analysis.started 0".to_owned()], progress.as_slice(), &["analysis.completed 100".to_owned()]].concat();
    assert_eq!(world.events(first), expected);

    let failed = wait_for(&world, fails, is_finished);
    assert_eq!((failed.status(), failed.error_code.as_deref()), (Status::Failed, Some("sandbox_failure")));
    assert_eq!(world.read(live).status(), Status::Queued);
    assert_eq!(world.balance().held, 0);
    handles.into_iter().for_each(stop);
}

#[test]
fn many_demo_jobs_are_done_at_once() {
    let mut world = World::new();
    let step = Duration::from_millis(100);
    let ids: Vec<JobId> = (0..10).map(|_| world.queue(clock::now())).collect();
    let started = Instant::now();
    let handle = sandbox::spawn(world.site(), Wake::default(), Settings { step, ..Settings::DEMO }).unwrap();
    for id in ids {
        let result = wait_for(&world, id, is_finished).result.unwrap();
        let result: Value = serde_json::from_str(result.as_str()).unwrap();
        assert!(result["summary"].is_string() && result["score"].is_u64() && result["findings"].as_array().is_some_and(|f| f.len() == 3));
    }
    let took = started.elapsed();
    assert!(took >= step * 10 && took < step * 10 * 5, "{took:?}");
    stop(handle);
}

#[test]
fn a_stopped_worker_hands_its_jobs_back_and_the_next_goes_on() {
    let mut world = World::new();
    let slow = Settings { step: Duration::from_millis(50), ..Settings::SANDBOX };
    let id = world.queue_sandbox("{}");
    let handle = sandbox::spawn(world.site(), Wake::default(), slow).unwrap();
    wait_for(&world, id, |job| job.percentage >= 20);
    stop(handle);
    let job = world.read(id);
    assert_eq!((job.status(), job.attempts), (Status::Queued, 0));
    let wake = Wake::default();
    let handle = sandbox::spawn(world.site(), wake.clone(), QUICK).unwrap();
    wait_for(&world, id, is_finished);
    assert_eq!(world.events(id).len(), 12);
    wake.stop();
    stop(handle);
}

/// Cuts every connection and lets none in while `during` runs.
fn away(world: &World, during: impl FnOnce()) {
    let (server, name) = world.database.url().rsplit_once('/').unwrap();
    let (name, query) = name.split_once('?').unwrap_or((name, ""));
    let mut conn = PgConnection::establish(&format!("{server}/postgres?{query}")).unwrap();
    let mut run = |statement: String| sql_query(statement).execute(&mut conn).unwrap();
    run(format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"));
    run(format!("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'"));
    during();
    run(format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"));
}

#[test]
fn worker_and_doorbell_survive_the_database_going_away() {
    let mut world = World::new();
    let (wake, site) = (Wake::default(), world.site());
    let slow = Settings { step: Duration::from_millis(50), ..Settings::SANDBOX };
    let id = world.queue_sandbox("{}");
    let handle = sandbox::spawn(site.clone(), Wake::default(), slow).unwrap();
    let bell = doorbell::spawn(site.db, wake.clone()).unwrap();
    wait_for(&world, id, |job| job.percentage >= 10);
    away(&world, || std::thread::sleep(Duration::from_millis(500)));
    let job = wait_for(&world, id, is_finished);
    assert_eq!((job.status(), job.attempts), (Status::Completed, 1));
    world.conn = wait_for_connection(&world);
    assert_eq!(world.events(id).len(), 12);

    // Connecting rings too, so wait for that first.
    let mut ear = wake.listen();
    let listening = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%' AND state = 'idle'";
    let deadline = Instant::now() + PATIENCE;
    while sql_query(listening).execute(&mut world.conn).unwrap() == 0 {
        assert!(Instant::now() < deadline, "nobody listens again");
        std::thread::sleep(Duration::from_millis(10));
    }
    ear.wait(Duration::from_secs(1));
    let started = Instant::now();
    world.queue_sandbox("{}");
    ear.wait(PATIENCE);
    assert!(started.elapsed() < PATIENCE / 2);
    stop(handle);
    wake.stop();
    bell.join().unwrap();
}

fn wait_for_connection(world: &World) -> PgConnection {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(conn) = PgConnection::establish(world.database.url()) {
            return conn;
        }
        assert!(Instant::now() < deadline, "the database does not come back");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn stop(handle: sandbox::Handle) {
    handle.stop(std::time::Instant::now() + std::time::Duration::from_secs(30));
}
