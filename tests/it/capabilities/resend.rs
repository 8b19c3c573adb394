//! Sending deliveries again: what becomes pending, which lanes become due, and what the audit log says.

use diesel::sql_types::{Text, Timestamptz, Uuid as SqlUuid};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};
use latchkey::actor::{Actor, Role};
use latchkey::clock;
use latchkey::error::Error;
use latchkey::ids::{EventId, JobId, OrgId, UserId};
use latchkey::profile::Profile;
use latchkey::webhooks::list::{self, Delivery, State};
use latchkey::webhooks::resend::{MOST_COUNTED, failed_since, resend, resend_failed_since};
use time::{Duration, OffsetDateTime};

use crate::support::{Make, NewDelivery, TestDb, Try, number};

const URL: &str = "https://hooks.example.com/";

fn make(test: &TestDb) -> Make {
    Make::new(test.conn(), Profile::load("analysis").unwrap().into()).org().admin()
}

fn admin(make: &Make) -> Actor {
    Actor::member(make.an_admin().id, "Dana".into(), make.here().id, Role::Admin, String::new(), String::new())
}

fn given_up(job: JobId, sequence: i32) -> NewDelivery {
    NewDelivery { job, sequence, state: "gave_up", tries: vec![Try::Answered(500, 2); 3], ..NewDelivery::default() }
}

fn look(conn: &mut PgConnection, make: &Make, event: EventId) -> Delivery {
    list::one(conn, make.here().id, event).unwrap()
}

#[test]
fn one_that_ended_is_the_head_of_its_lane_again_with_all_its_tries() {
    let test = TestDb::new();
    let (mut conn, mut make, now) = (test.conn(), make(&test).webhook(URL), clock::now());
    let job = JobId::new(now);
    let first = make.delivery(given_up(job, 1));
    let later = make.delivery(NewDelivery { job, sequence: 2, state: "pending", tries: Vec::new(), ..NewDelivery::default() });
    resend(&mut conn, &admin(&make), now, make.here().id, first).unwrap();
    let (first, later) = (look(&mut conn, &make, first), look(&mut conn, &make, later));
    assert_eq!((first.state, first.failures, first.attempts, first.finished_at), (State::Pending, 0, 3, None));
    let turn = first.turn.expect("a turn");
    assert!(turn.head == 1 && turn.due_at <= now + Duration::SECOND && !turn.is_claimed);
    assert_eq!(later.turn.map(|turn| turn.head), Some(1), "the later one waits for it");
}

#[test]
fn one_that_is_retried_is_due_now_and_one_that_is_being_sent_is_left_alone() {
    let test = TestDb::new();
    let (mut conn, mut make, now) = (test.conn(), make(&test).webhook(URL), clock::now());
    let pending = || NewDelivery { state: "pending", tries: vec![Try::Answered(500, 2)], ..NewDelivery::default() };
    let (slow, busy) = (make.delivery(pending()), make.delivery(pending()));
    let lane = look(&mut conn, &make, busy).job.unwrap();
    let claim = "UPDATE delivery_lanes SET claim = gen_random_uuid() WHERE id = $1";
    sql_query(claim).bind::<SqlUuid, _>(lane).execute(&mut conn).unwrap();
    for event in [slow, busy] {
        resend(&mut conn, &admin(&make), now, make.here().id, event).unwrap();
    }
    let (slow, busy) = (look(&mut conn, &make, slow), look(&mut conn, &make, busy));
    assert!(slow.turn.unwrap().due_at <= now + Duration::SECOND && slow.failures == 1, "sooner, in the same round");
    assert!(busy.turn.unwrap().is_claimed && busy.turn.unwrap().due_at > now + Duration::minutes(50), "its claim is not cut short");
}

#[test]
fn only_admins_of_the_organization_may_and_only_with_a_webhook() {
    let test = TestDb::new();
    let (mut conn, mut make, now) = (test.conn(), make(&test), clock::now());
    let (org, event) = (make.here().id, make.delivery(given_up(JobId::new(now), 1)));
    let none = resend(&mut conn, &admin(&make), now, org, event);
    assert!(matches!(none, Err(Error::Conflict(_))), "{none:?}");
    let none = resend_failed_since(&mut conn, &admin(&make), now, org, now - Duration::HOUR);
    assert!(matches!(none, Err(Error::Conflict(_))), "{none:?}");
    let member = |org, role| Actor::member(UserId::new(now), "Tom".into(), org, role, String::new(), String::new());
    for (actor, forbidden) in [(member(org, Role::Member), true), (member(OrgId::new(now), Role::Admin), false)] {
        for refused in
            [resend(&mut conn, &actor, now, org, event).unwrap_err(), resend_failed_since(&mut conn, &actor, now, org, now).unwrap_err()]
        {
            assert!(if forbidden { matches!(refused, Error::Forbidden) } else { matches!(refused, Error::NotFound) }, "{refused:?}");
        }
    }
    assert_eq!(look(&mut conn, &make, event).state, State::GaveUp);
}

#[derive(QueryableByName)]
struct Entry {
    #[diesel(sql_type = Text)]
    action: String,
    #[diesel(sql_type = Text)]
    changes: String,
}

#[test]
fn many_are_queued_chunk_by_chunk_and_audited_once() {
    let test = TestDb::new();
    let (mut conn, make, now) = (test.conn(), make(&test).webhook(URL), clock::now());
    let org = make.here().id;
    // 1,200 in 400 jobs within the hour, one before it, and one that was delivered.
    let fill = "INSERT INTO deliveries (organization_id, event_id, lane, sequence, event_type, state, attempts, failures, finished_at)
        SELECT $1, gen_random_uuid(), md5((n / 3)::text)::uuid, n % 3 + 1, 'analysis.progress',
            CASE n WHEN 1201 THEN 'delivered' ELSE 'gave_up' END, 8, 8, $2 - CASE n WHEN 1200 THEN interval '2 h' ELSE interval '1 min' END
        FROM generate_series(0, 1201) AS n";
    sql_query(fill).bind::<SqlUuid, _>(org).bind::<Timestamptz, _>(now).execute(&mut conn).unwrap();
    let before: OffsetDateTime = now - Duration::HOUR;
    assert_eq!(resend_failed_since(&mut conn, &admin(&make), now, org, before).unwrap(), 1_200);
    let count = |conn: &mut PgConnection, what: &str| number(conn, &format!("SELECT count(*) FROM {what}"));
    assert_eq!(count(&mut conn, "deliveries WHERE state = 'pending' AND failures = 0 AND finished_at IS NULL"), 1_200);
    assert_eq!(count(&mut conn, "deliveries WHERE state = 'gave_up'"), 1);
    assert_eq!(count(&mut conn, "delivery_lanes"), 400);
    assert_eq!(resend_failed_since(&mut conn, &admin(&make), now, org, before).unwrap(), 0);
    let told = "SELECT action, changes::text AS changes FROM audit_entries WHERE action LIKE 'deliver%' ORDER BY sequence";
    let told: Vec<Entry> = sql_query(told).load(&mut conn).unwrap();
    assert_eq!(told.iter().map(|entry| entry.action.as_str()).collect::<Vec<_>>(), ["deliveries.resent"], "nothing to do leaves no trace");
    assert!(told[0].changes.contains("1200") && told[0].changes.contains("since"), "{}", told[0].changes);
}

#[test]
fn more_than_anybody_counts_are_counted_to_ten_thousand_and_all_sent() {
    let test = TestDb::new();
    let (mut conn, make, now) = (test.conn(), make(&test).webhook(URL), clock::now());
    let org = make.here().id;
    let fill = "INSERT INTO deliveries (organization_id, event_id, lane, sequence, event_type, state, attempts, failures, finished_at)
        SELECT $1, gen_random_uuid(), md5((n / 50)::text)::uuid, n % 50 + 1, 'analysis.progress', 'gave_up', 8, 8, $2 - interval '1 min'
        FROM generate_series(0, 10049) AS n";
    sql_query(fill).bind::<SqlUuid, _>(org).bind::<Timestamptz, _>(now).execute(&mut conn).unwrap();
    let times = [now - Duration::HOUR, now - Duration::SECOND];
    assert_eq!(failed_since(&mut conn, org, &times).unwrap(), [MOST_COUNTED + 1, 0]);
    assert_eq!(resend_failed_since(&mut conn, &admin(&make), now, org, times[0]).unwrap(), 10_050);
    let told = "SELECT action, changes::text AS changes FROM audit_entries WHERE action = 'deliveries.resent'";
    let told: Vec<Entry> = sql_query(told).load(&mut conn).unwrap();
    assert!(told.len() == 1 && told[0].changes.contains("more than 10000"), "{}", told[0].changes);
}
