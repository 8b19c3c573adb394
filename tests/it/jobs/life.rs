use latchkey::clock::{self, rfc3339};
use latchkey::error::Error;
use latchkey::ids::OrgId;
use latchkey::jobs::{self, LEASE, NewJob, Status};
use latchkey::raw_json::RawJson;
use serde_json::json;
use time::Duration;
use uuid::Uuid;

use super::{World, conflict};

const SECOND: Duration = Duration::SECOND;

#[test]
fn a_job_goes_from_queued_to_completed() {
    let (mut world, now) = (World::new(), clock::now());
    let new = NewJob { external_reference: Some("lift \"7\"".into()), ..world.a_job(now) };
    let queued = new.to_job();
    let id = world.buy(now, new);
    let public = world.kind().public_id(id);
    let shape = |world: &mut World| {
        let job = world.read(id);
        serde_json::to_string(&jobs::shape(world.kind(), &job)).unwrap()
    };
    let expected = |status: &str, percentage: i32, started: &str, finished: &str| {
        format!(
            r#"{{"analysis_id":"{public}","status":"{status}","percentage":{percentage},"environment":"live","external_reference":"lift \"7\"","created_at":"{}","started_at":{started},"finished_at":{finished},"error":null}}"#,
            rfc3339(now)
        )
    };
    assert!(public.starts_with("an_"));
    assert_eq!(shape(&mut world), expected("queued", 0, "null", "null"));
    assert_eq!(serde_json::to_string(&jobs::shape(world.kind(), &queued)).unwrap(), shape(&mut world));

    let claimed = world.claim(now + SECOND).unwrap();
    assert_eq!((claimed.job.id, claimed.first, claimed.lease_expires_at), (id, true, now + SECOND + LEASE));
    assert_eq!(claimed.job.input.as_str(), r#"{"n": 1.0}"#);
    let started = format!("\"{}\"", rfc3339(now + SECOND));
    assert_eq!(shape(&mut world), expected("processing", 0, &started, "null"));
    let job = world.read(id);
    assert!(conflict(jobs::results(world.kind(), &job)).contains("not finished"));

    let at = now + 2 * SECOND;
    let standing = jobs::progress(&mut world.conn, at, &world.profile, id, claimed.lease, 20).unwrap();
    assert_eq!((standing.status, standing.percentage), (Status::Processing, 20));
    let result = RawJson::object(r#"{"z": 1.50, "a": [1e2]}"#).unwrap();
    let standing = jobs::complete(&mut world.conn, at, &world.profile, id, claimed.lease, result).unwrap();
    assert_eq!((standing.status, standing.percentage), (Status::Completed, 100));
    let moment = rfc3339(at);
    assert_eq!(shape(&mut world), expected("completed", 100, &started, &format!("\"{moment}\"")));
    let job = world.read(id);
    let results = serde_json::to_string(&jobs::results(world.kind(), &job).unwrap()).unwrap();
    assert_eq!(results, format!(r#"{{"analysis_id":"{public}","status":"completed","result":{{"z": 1.50, "a": [1e2]}}}}"#));

    let event = |word: &str, status: &str, percentage: i32, sequence: i32, at: &str| {
        format!(
            r#"{{"analysis_id":"{public}","event_type":"analysis.{word}","status":"{status}","percentage":{percentage},"sequence":{sequence},"timestamp":"{at}","external_reference":"lift \"7\""}}"#
        )
    };
    let events = [
        event("started", "processing", 0, 1, &rfc3339(now + SECOND)),
        event("progress", "processing", 10, 2, &moment),
        event("progress", "processing", 20, 3, &moment),
        event("completed", "completed", 100, 4, &moment),
    ];
    assert_eq!(world.payloads(id), events);
}

#[test]
fn a_failed_job_tells_why_and_has_no_results() {
    let (mut world, now) = (World::new(), clock::now());
    let id = world.queue(now);
    let lease = world.claim(now).unwrap().lease;
    jobs::progress(&mut world.conn, now, &world.profile, id, lease, 15).unwrap();
    let standing = jobs::fail(&mut world.conn, now, &world.profile, id, lease, "bad_video", "The video can't be read.").unwrap();
    assert_eq!((standing.status, standing.percentage), (Status::Failed, 15));
    let job = world.read(id);
    let shape = serde_json::to_value(jobs::shape(world.kind(), &job)).unwrap();
    assert_eq!(shape["status"], "failed");
    assert_eq!(shape["error"], json!({"code": "bad_video", "message": "The video can't be read."}));
    assert!(conflict(jobs::results(world.kind(), &job)).contains("failed"));
    assert_eq!(world.events(id), ["analysis.started 0", "analysis.progress 10", "analysis.failed 15"]);
    assert!(!world.payloads(id)[0].contains("external_reference"));
}

#[test]
fn another_organization_finds_nothing() {
    let (mut world, now) = (World::new(), clock::now());
    let id = world.queue(now);
    let stranger = OrgId::new(now);
    assert!(matches!(jobs::read(&mut world.conn, stranger, id), Err(Error::NotFound)));
}

#[test]
fn each_tenth_passed_is_told_once_and_progress_never_goes_back() {
    let (mut world, now) = (World::new(), clock::now());
    let id = world.queue(now);
    let lease = world.claim(now).unwrap().lease;
    let mut report = |percentage| jobs::progress(&mut world.conn, now, &world.profile, id, lease, percentage).map(|s| s.percentage);
    for (reported, stands) in [(0, 0), (9, 9), (20, 20), (55, 55), (55, 55), (30, 55), (59, 59), (100, 100)] {
        assert_eq!(report(reported).unwrap(), stands, "{reported}");
    }
    for bad in [-1, 101, i64::MIN, i64::MAX] {
        assert!(matches!(report(bad), Err(Error::Invalid(_))), "{bad}");
    }
    let tenths: Vec<String> = (1..=10).map(|tenth| format!("analysis.progress {}", tenth * 10)).collect();
    assert_eq!(world.events(id), [&["analysis.started 0".to_owned()], tenths.as_slice()].concat());
}

#[test]
fn late_foreign_and_repeated_reports_change_nothing() {
    let (mut world, now) = (World::new(), clock::now());
    let id = world.queue(now);
    let nothing = || RawJson::object("{}").unwrap();
    let reports = |world: &mut World, at, lease| {
        let (conn, profile) = (&mut world.conn, &world.profile);
        [
            conflict(jobs::progress(conn, at, profile, id, lease, 50)),
            conflict(jobs::complete(conn, at, profile, id, lease, nothing())),
            conflict(jobs::fail(conn, at, profile, id, lease, "x", "y")),
            conflict(jobs::hand_back(conn, at, id, lease)),
        ]
    };
    let state = |world: &mut World| (format!("{:?}", world.read(id)), world.payloads(id), world.balance());

    let before = state(&mut world);
    reports(&mut world, now, Uuid::nil());
    assert_eq!(state(&mut world), before, "of a job that nobody holds");

    let lease = world.claim(now).unwrap().lease;
    let before = state(&mut world);
    reports(&mut world, now, Uuid::nil());
    assert!(reports(&mut world, now + LEASE, lease)[0].contains("ran out"));
    assert_eq!(state(&mut world), before, "of a job that another holds, and after the lease");

    jobs::expire_leases(&mut world.conn, now + LEASE, &world.profile).unwrap();
    let next = world.claim(now + LEASE).unwrap().lease;
    let before = state(&mut world);
    reports(&mut world, now + LEASE, lease);
    assert_eq!(state(&mut world), before, "of a job that was given on");

    jobs::complete(&mut world.conn, now + LEASE, &world.profile, id, next, nothing()).unwrap();
    let before = state(&mut world);
    assert!(reports(&mut world, now + LEASE, next)[1].contains("already completed"));
    assert_eq!(state(&mut world), before, "of a job that is completed");
    assert!(matches!(jobs::progress(&mut world.conn, now, &world.profile, latchkey::ids::JobId::new(now), lease, 1), Err(Error::NotFound)));
}

#[test]
fn progress_renews_the_lease_and_a_handed_back_job_loses_no_attempt() {
    let (mut world, now) = (World::new(), clock::now());
    let id = world.queue(now);
    let lease = world.claim(now).unwrap().lease;
    let at = now + LEASE - SECOND;
    jobs::progress(&mut world.conn, at, &world.profile, id, lease, 0).unwrap();
    assert_eq!(jobs::expire_leases(&mut world.conn, at + LEASE - SECOND, &world.profile).unwrap(), 0);
    assert_eq!(world.read(id).status(), Status::Processing);
    jobs::hand_back(&mut world.conn, at, id, lease).unwrap();
    assert_eq!((world.read(id).status(), world.read(id).attempts), (Status::Queued, 0));
    let again = world.claim(at).unwrap();
    assert!(!again.first && again.lease != lease);
    assert_eq!(world.events(id), ["analysis.started 0"]);
}

#[test]
fn a_job_returns_three_times_and_fails_at_the_fourth_lost_lease() {
    let (mut world, mut now) = (World::new(), clock::now());
    let id = world.queue(now);
    for attempt in 1..=4 {
        assert_eq!(world.read(id).status(), Status::Queued, "before attempt {attempt}");
        let claimed = world.claim(now).unwrap();
        assert_eq!((claimed.job.attempts, claimed.first), (attempt, attempt == 1));
        assert!(world.claim(now).is_none(), "held by another");
        jobs::progress(&mut world.conn, now, &world.profile, id, claimed.lease, 30).unwrap();
        now += LEASE;
        assert_eq!(jobs::expire_leases(&mut world.conn, now, &world.profile).unwrap(), 1);
    }
    let job = world.read(id);
    assert_eq!((job.status(), job.error_code.as_deref()), (Status::Failed, Some("worker_lost")));
    assert!(world.claim(now).is_none());
    assert_eq!(jobs::expire_leases(&mut world.conn, now + LEASE, &world.profile).unwrap(), 0);
    let progress = ["analysis.progress 10", "analysis.progress 20", "analysis.progress 30"];
    assert_eq!(world.events(id), [&["analysis.started 0"], progress.as_slice(), &["analysis.failed 30"]].concat());
}

#[test]
fn the_oldest_job_goes_first_and_sandbox_jobs_go_to_the_sandbox() {
    let (mut world, now) = (World::new(), clock::now());
    world.queue_sandbox("{}");
    let (second, first) = (world.queue(now), world.queue(now - SECOND));
    assert_eq!(world.claim(now).unwrap().job.id, first);
    assert_eq!(world.claim(now).unwrap().job.id, second);
    assert!(world.claim(now).is_none());
    for (kinds, says) in [(vec!["dance".to_owned()], "\"dance\""), (vec![], "at least one")] {
        let Err(Error::Invalid(fields)) = jobs::claim(&mut world.conn, now, &world.profile, &kinds, false) else { panic!("{kinds:?}") };
        assert!(fields[0].field == "kinds" && fields[0].message.contains(says) && fields[0].message.contains("analysis"));
    }
}

#[test]
fn codes_and_messages_are_bounded() {
    let (mut world, now) = (World::new(), clock::now());
    let id = world.queue(now);
    let lease = world.claim(now).unwrap().lease;
    let long = "é".repeat(1001);
    for (code, message, field) in
        [("", "", "code"), (&long[..202], "", "code"), ("a\0", "", "code"), ("x", &long, "message"), ("x", "\0", "message")]
    {
        let Err(Error::Invalid(fields)) = jobs::fail(&mut world.conn, now, &world.profile, id, lease, code, message) else {
            panic!("{code:?}")
        };
        assert_eq!((fields.len(), fields[0].field.as_ref()), (1, field));
    }
    jobs::fail(&mut world.conn, now, &world.profile, id, lease, &long[..200], &long[..2000]).unwrap();
}
