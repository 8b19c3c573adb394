//! The catch-up feed: every event once, in the order of its job, whatever order transactions commit in.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use diesel::sql_types::{Integer, Uuid as SqlUuid};
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query};
use latchkey::clock;
use latchkey::error::Error;
use latchkey::ids::{EventId, JobId, OrgId};
use latchkey::jobs;
use latchkey::raw_json::RawJson;
use latchkey::webhooks::{self, FeedPage, NewEvent, list};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{PLENTY, assert_in_history, number, order};
use crate::jobs::World;
use crate::support::receiver::always;
use crate::support::{Answer, App, Client, Desk, Receiver, Reply};

fn news(sequence: i32, text: &str) -> NewEvent {
    NewEvent { sequence, event_type: "analysis.progress".into(), payload: RawJson::object(text).unwrap() }
}

/// An event of the organization itself.
fn publish(conn: &mut PgConnection, now: OffsetDateTime, organization: OrgId, text: &str) {
    webhooks::publish(conn, now, organization, None, true, vec![news(1, text)]).unwrap();
}

fn page(conn: &mut PgConnection, organization: OrgId, after: Option<EventId>, limit: i64) -> Vec<(EventId, Value)> {
    match webhooks::feed(conn, organization, after, limit).unwrap() {
        FeedPage::Events(events) => {
            events.into_iter().map(|event| (event.id, serde_json::from_str(event.payload.as_str()).unwrap())).collect()
        }
        FeedPage::Behind => panic!("behind"),
    }
}

const WRITERS: usize = 8;
const ROUNDS: usize = 60;

/// Appends one or two events to a job as its worker's reports do: the job's row first, then the events, then its number. The
/// clock is one of several machines.
fn report(conn: &mut PgConnection, organization: OrgId, job: JobId, luck: u64) -> Vec<(JobId, i32)> {
    #[derive(QueryableByName)]
    struct Last {
        #[diesel(sql_type = Integer)]
        last_sequence: i32,
    }
    let wrote = conn.transaction(|conn| {
        let now = clock::now() - time::Duration::milliseconds((luck % 40) as i64);
        let lock = sql_query("SELECT last_sequence FROM jobs WHERE id = $1 FOR NO KEY UPDATE");
        let Last { last_sequence } = lock.bind::<SqlUuid, _>(job).get_result(conn)?;
        let sequences = last_sequence + 1..=last_sequence + 1 + (luck % 2) as i32;
        let events = sequences.clone().map(|sequence| news(sequence, &json!({"job": job.to_string(), "n": sequence}).to_string()));
        webhooks::publish(conn, now, organization, Some(job), false, events.collect())?;
        std::thread::sleep(Duration::from_millis(luck % 13));
        sql_query("UPDATE jobs SET last_sequence = $2 WHERE id = $1")
            .bind::<SqlUuid, _>(job)
            .bind::<Integer, _>(*sequences.end())
            .execute(conn)?;
        if luck.is_multiple_of(5) {
            Err(Error::Conflict("thought better of it".into()))
        } else {
            Ok(sequences.map(|n| (job, n)).collect::<Vec<_>>())
        }
    });
    wrote.unwrap_or_default()
}

/// Reads on until the writers are done and there is nothing more.
fn follow(conn: &mut PgConnection, organization: OrgId, limit: i64, writing: &AtomicUsize) -> Vec<(String, i64)> {
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let done = writing.load(Ordering::SeqCst) == 0;
        let events = page(conn, organization, after, limit);
        after = events.last().map(|(id, _)| *id).or(after);
        let empty = events.is_empty();
        seen.extend(events.into_iter().map(|(_, body)| (body["job"].as_str().unwrap().to_owned(), body["n"].as_i64().unwrap())));
        if done && empty {
            return seen;
        }
    }
}

#[test]
fn readers_who_follow_miss_nothing_that_commits_late() {
    let (world, now) = (World::new(), clock::now());
    let jobs: Vec<JobId> = {
        let new: Vec<_> = (0..12).map(|_| jobs::NewJob { price: 0, ..world.a_job(now) }).collect();
        jobs::insert_many(&mut world.database.conn(), &new).unwrap();
        new.into_iter().map(|job| job.id).collect()
    };
    let (committed, writing) = (Mutex::new(Vec::new()), AtomicUsize::new(WRITERS));
    let (database, organization) = (&world.database, world.organization);
    let seen: Vec<Vec<(String, i64)>> = std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (jobs, committed, writing) = (&jobs, &committed, &writing);
            scope.spawn(move || {
                let mut conn = database.conn();
                for round in 0..ROUNDS {
                    let luck = (writer * 7_919 + round * 104_729) as u64 % 1_009;
                    let wrote = report(&mut conn, organization, jobs[luck as usize % jobs.len()], luck);
                    committed.lock().unwrap().extend(wrote);
                }
                writing.fetch_sub(1, Ordering::SeqCst);
            });
        }
        let readers = [1, 7, 100].map(|limit| {
            let writing = &writing;
            scope.spawn(move || follow(&mut database.conn(), organization, limit, writing))
        });
        readers.into_iter().map(|reader| reader.join().unwrap()).collect()
    });
    let mut expected: Vec<(String, i64)> =
        committed.into_inner().unwrap().into_iter().map(|(job, n)| (job.to_string(), i64::from(n))).collect();
    assert!(expected.len() > WRITERS * ROUNDS / 2, "{}", expected.len());
    let mut last: HashMap<&str, i64> = HashMap::new();
    for (job, n) in &seen[0] {
        assert_eq!(last.insert(job, *n).unwrap_or(0) + 1, *n, "out of the order of its job");
    }
    assert!(seen.iter().all(|other| *other == seen[0]), "two readers, two orders");
    let mut all = seen[0].clone();
    all.sort();
    expected.sort();
    assert_eq!(all, expected);
    // The threads did get in each other's way: ids alone would have been another order.
    let conn = &mut world.database.conn();
    let turned = "SELECT count(*) FROM (SELECT number, row_number() OVER (ORDER BY id) AS place FROM events) e WHERE number <> place";
    assert!(number(conn, turned) > 0);
}

#[test]
fn an_event_known_from_the_webhook_is_a_place_to_start() {
    let world = World::new();
    let (conn, start, org) = (&mut world.database.conn(), clock::now(), world.organization);
    for n in 0..50 {
        publish(conn, start + time::Duration::milliseconds(n), org, &format!("{{\"n\":{n}}}"));
    }
    #[derive(QueryableByName)]
    struct Id {
        #[diesel(sql_type = SqlUuid)]
        id: uuid::Uuid,
    }
    let ids: Vec<Id> = sql_query("SELECT id FROM events ORDER BY id").load(conn).unwrap();
    let after = page(conn, org, Some(EventId(ids[39].id)), 5);
    assert_eq!(after.iter().map(|(_, body)| body["n"].as_i64().unwrap()).collect::<Vec<_>>(), [40, 41, 42, 43, 44]);
    // What was before it is still there for who starts at the beginning, and in the same order.
    let all: Vec<i64> = page(conn, org, None, 100).iter().map(|(_, body)| body["n"].as_i64().unwrap()).collect();
    assert_eq!(all, (0..50).collect::<Vec<_>>());
}

/// The work of one call is bounded, and what it does not finish the next one goes on with.
#[test]
fn a_start_far_behind_what_was_read_takes_several_calls() {
    let world = World::new();
    let (conn, org) = (&mut world.database.conn(), world.organization);
    sql_query(
        "INSERT INTO events (organization_id, id, sequence, event_type, payload, created_at)
         SELECT $1, ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 1, 'x', '{}', now() FROM generate_series(1, 45000) n",
    )
    .bind::<SqlUuid, _>(org)
    .execute(conn)
    .unwrap();
    let begun = Instant::now();
    let last = EventId("00000000-0000-7000-8000-000000045000".parse().unwrap());
    let mut calls = 0;
    let rest = loop {
        calls += 1;
        match webhooks::feed(conn, org, Some(last), 10).unwrap() {
            FeedPage::Events(events) => break events,
            FeedPage::Behind => assert!(calls < 5, "it comes no further"),
        }
    };
    assert!(calls > 1 && rest.is_empty(), "{calls} calls");
    // A join in the wrong order, which is what a planner without statistics likes, takes a minute.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

async fn ask(partner: &Client, query: &str) -> Answer {
    partner.get(&format!("/events{query}")).send().await
}

#[actix_web::test]
async fn pages_follow_each_other_with_the_very_payloads() {
    let desk = Desk::open();
    let scene = desk.make().org().requests_per_minute(PLENTY).key();
    let (partner, org, conn) = (desk.partner(scene.a_key()), scene.here().id, &mut desk.database().conn());
    let empty = ask(&partner, "").await;
    assert_eq!((empty.status, empty.text()), (200, r#"{"events":[],"next_after":null}"#));
    // There is no webhook, and there are events all the same.
    let odd = r#"{"b": 1.0,  "a":12345678901234567890123, "é":"\u00e9"}"#;
    publish(conn, clock::now(), org, odd);
    for n in 1..7 {
        publish(conn, clock::now() + time::Duration::milliseconds(n), org, &format!("{{\"n\":{n}}}"));
    }
    let first = ask(&partner, "?limit=1").await;
    assert!(first.text().contains(&format!("\"payload\":{odd}")), "{}", first.text());
    let (mut after, mut seen) = (first.json()["next_after"].as_str().unwrap().to_owned(), 1);
    loop {
        let page = ask(&partner, &format!("?limit=2&after={after}")).await;
        let body = page.json();
        let events = body["events"].as_array().unwrap();
        for event in events {
            assert_eq!(event["payload"]["n"], seen);
            assert!(event["id"].as_str().unwrap().starts_with("evt_"));
            seen += 1;
        }
        if events.is_empty() {
            assert_eq!(body["next_after"], after, "the place to go on from");
            assert_in_history(conn, [&page]);
            break;
        }
        assert_eq!(body["next_after"], events.last().unwrap()["id"]);
        after = body["next_after"].as_str().unwrap().to_owned();
    }
    assert_eq!(seen, 7);
}

#[actix_web::test]
async fn anothers_event_is_no_place_to_start() {
    let desk = Desk::open();
    let (ours, theirs) = (desk.make().org().requests_per_minute(PLENTY).key(), desk.make().org().key());
    let (partner, conn) = (desk.partner(ours.a_key()), &mut desk.database().conn());
    publish(conn, clock::now(), theirs.here().id, r#"{"whose":"theirs"}"#);
    let foreign = ask(&desk.partner(theirs.a_key()), "").await.json()["next_after"].as_str().unwrap().to_owned();
    assert_eq!(ask(&partner, "").await.text(), r#"{"events":[],"next_after":null}"#);
    let unknown = EventId::new(clock::now()).to_string();
    let long = "evt_".to_owned() + &"x".repeat(7_000);
    let nul = "evt_%00";
    for after in [&foreign, &unknown, &long, nul, "an_0000000000000000000000", "1", "'; DROP TABLE events; --"] {
        let answer = ask(&partner, &format!("?after={}", after.replace([' ', '\''], "+"))).await;
        assert_eq!(answer.status, 422, "{after}: {}", answer.text());
        assert_eq!(answer.json()["fields"][0]["field"], "after");
        assert!(answer.body.len() < 1_000);
    }
    for limit in ["0", "101", "-1", "x", "1e2", "99999999999999999999"] {
        assert_eq!(ask(&partner, &format!("?limit={limit}")).await.json()["fields"][0]["field"], "limit", "{limit}");
    }
    assert_eq!(ask(&partner, "?limit=1&limit=2").await.status, 422);
    assert_eq!(partner.post("/events").send().await.status, 405);
}

/// Why a job failed is told alike in what is sent, in what the dashboard shows of it, and in the feed.
#[actix_web::test]
async fn a_failed_job_is_told_with_its_error() {
    let app = App::with_local_webhooks(&[]);
    let receiver = Receiver::start(always(Reply::Status(200)));
    let scene = app.make().org().requests_per_minute(PLENTY).credits(1).key().webhook(&receiver.url());
    let (partner, worker, org) = (app.partner(scene.a_key()), app.worker(), scene.here().id);
    assert_eq!(order(&partner).send().await.status, 202);
    let job = worker.post("/worker/v1/claim").json(&json!({"kinds": ["analysis"], "wait_s": 0})).send().await.json()["job"].clone();
    let why = json!({"code": "unreadable_video", "message": "Frame 7 of “lift.mp4” is \"broken\"."});
    let report = json!({"lease": job["lease"], "code": why["code"], "message": why["message"]});
    assert_eq!(worker.post(&format!("/worker/v1/jobs/{}/fail", job["id"].as_str().unwrap())).json(&report).send().await.status, 200);
    receiver.wait_for("two events", Duration::from_secs(30), |log| log.accepted.len() == 2).await;
    let (id, sent) = receiver.look(|log| (log.requests[1].id.clone(), String::from_utf8(log.requests[1].body.to_vec()).unwrap()));
    let body: Value = serde_json::from_str(&sent).unwrap();
    assert_eq!((&body["event_type"], &body["status"], &body["error"]), (&json!("analysis.failed"), &json!("failed"), &why));
    let shown = list::history(&mut app.database().conn(), org, EventId::parse(&id).unwrap()).unwrap();
    assert_eq!(shown.payload.as_str(), sent);
    let feed = ask(&partner, "").await;
    let events = feed.json()["events"].as_array().unwrap().clone();
    assert_eq!((&events[1]["id"], &events[1]["payload"]["error"]), (&json!(id), &why));
    assert!(feed.text().contains(&format!("\"payload\":{sent}")), "{}", feed.text());
    assert!(events[0]["payload"].get("error").is_none() && events[0]["payload"]["event_type"] == "analysis.started");
}
