//! What is kept of events and deliveries, for how long, and what becomes of what waits.

use diesel::sql_types::{BigInt, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{PgConnection, RunQueryDsl, sql_query};
use latchkey::actor::Actor;
use latchkey::clock;
use latchkey::ids::OrgId;
use latchkey::raw_json::RawJson;
use latchkey::sealed::{Keyring, SecretKey};
use latchkey::webhooks::{self, NewEvent};
use time::{Duration, OffsetDateTime};

use crate::jobs::World;
use crate::support::number;

fn forget(conn: &mut PgConnection, now: OffsetDateTime) {
    while webhooks::forget_old(conn, now).unwrap() {}
}

fn hook(conn: &mut PgConnection, now: OffsetDateTime, organization: OrgId, enabled: bool) {
    let (keyring, url) = (Keyring::from(SecretKey([7; 32])), "https://hooks.example.com/".parse().unwrap());
    webhooks::save(conn, &Actor::command_line(), now, organization, &keyring, &url, Some(enabled)).unwrap();
}

fn publish(conn: &mut PgConnection, at: OffsetDateTime, organization: OrgId) {
    let event = NewEvent { sequence: 1, event_type: "credits.low".into(), payload: RawJson::object("{}").unwrap() };
    webhooks::publish(conn, at, organization, None, true, vec![event]).unwrap();
}

fn states(conn: &mut PgConnection, state: &str) -> i64 {
    number(conn, &format!("SELECT count(*) FROM deliveries WHERE state = '{state}'"))
}

#[test]
fn what_is_over_goes_after_ninety_days_and_what_is_pending_stays() {
    let world = World::new();
    let (conn, now, org) = (&mut world.database.conn(), clock::now(), world.organization);
    let (old, young) = (now - Duration::days(90) - Duration::HOUR, now - Duration::days(90) + Duration::HOUR);
    publish(conn, old, org); // Before there was a webhook.
    hook(conn, old, org, true);
    for at in [old, old, young] {
        publish(conn, at, org);
    }
    // One of the old ones is still to be sent, as after a resend.
    let first = "(SELECT event_id FROM deliveries ORDER BY event_id LIMIT 1)";
    sql_query(format!("UPDATE deliveries SET state = 'delivered', finished_at = now() WHERE event_id <> {first}")).execute(conn).unwrap();
    sql_query(
        "INSERT INTO delivery_attempts (organization_id, event_id, number, at, request, answer_is_cut, total_us)
         SELECT organization_id, event_id, 1, now(), '', false, 1 FROM deliveries",
    )
    .execute(conn)
    .unwrap();
    for hours in [1, 47, 49] {
        sql_query("INSERT INTO delivery_minutes VALUES ($1, $2, 1, 0)")
            .bind::<SqlUuid, _>(org)
            .bind::<Timestamptz, _>(now - Duration::hours(hours))
            .execute(conn)
            .unwrap();
    }
    forget(conn, now);
    assert_eq!(number(conn, "SELECT count(*) FROM events"), 2, "the pending one and the young one");
    assert_eq!((states(conn, "pending"), states(conn, "delivered")), (1, 1));
    assert_eq!(number(conn, "SELECT count(*) FROM delivery_attempts"), 2);
    assert_eq!(number(conn, "SELECT count(*) FROM delivery_minutes"), 2);
    forget(conn, now + Duration::days(1));
    assert_eq!(number(conn, "SELECT count(*) FROM events e JOIN deliveries d ON d.event_id = e.id"), 1);
}

#[test]
fn a_long_history_goes_in_pieces() {
    let world = World::new();
    let (conn, now) = (&mut world.database.conn(), clock::now());
    let start = (now - Duration::days(91)).unix_timestamp_nanos() / 1_000_000;
    let id = "lpad(to_hex($2 + n), 12, '0') || '70008000000000000000'";
    sql_query(format!(
        "INSERT INTO events (organization_id, id, sequence, event_type, payload, created_at)
         SELECT $1, ({id})::uuid, 1, $3, '{{}}', now() FROM generate_series(1, 12000) n"
    ))
    .bind::<SqlUuid, _>(world.organization)
    .bind::<BigInt, _>(start as i64)
    .bind::<Text, _>("x")
    .execute(conn)
    .unwrap();
    let mut left = vec![12_000];
    while webhooks::forget_old(conn, now).unwrap() {
        left.push(number(conn, "SELECT count(*) FROM events"));
    }
    assert_eq!(left, [12_000, 7_000, 2_000]);
    assert_eq!(number(conn, "SELECT count(*) FROM events"), 0);
}

#[test]
fn what_waits_a_week_for_a_webhook_that_is_off_is_given_up() {
    let world = World::new();
    let (conn, now, org) = (&mut world.database.conn(), clock::now(), world.organization);
    hook(conn, now, org, false);
    publish(conn, now, org);
    publish(conn, now + Duration::days(3), org);
    forget(conn, now + Duration::days(6));
    assert_eq!(states(conn, "pending"), 2);
    forget(conn, now + Duration::days(7) + Duration::HOUR);
    assert_eq!((states(conn, "gave_up"), states(conn, "pending")), (1, 1));
    assert_eq!(number(conn, "SELECT count(*) FROM delivery_lanes"), 1, "a lane is there for what is pending");
    assert_eq!(number(conn, "SELECT count(*) FROM deliveries WHERE state = 'gave_up' AND finished_at IS NULL"), 0);
    // On, nothing is given up, however old it is.
    hook(conn, now + Duration::days(8), org, true);
    forget(conn, now + Duration::days(30));
    assert_eq!(states(conn, "pending"), 1);
}

/// A lane of several: the old ones go, the others keep it.
#[test]
fn a_lane_stays_for_what_is_young_in_it() {
    let mut world = World::new();
    let (now, org) = (clock::now(), world.organization);
    let job = world.queue(now);
    let conn = &mut world.database.conn();
    hook(conn, now, org, false);
    for (day, sequence) in [(0, 1), (1, 2), (6, 3)] {
        let event = NewEvent { sequence, event_type: "analysis.progress".into(), payload: RawJson::object("{}").unwrap() };
        webhooks::publish(conn, now + Duration::days(day), org, Some(job), true, vec![event]).unwrap();
    }
    forget(conn, now + Duration::days(8) + Duration::HOUR);
    assert_eq!((states(conn, "gave_up"), states(conn, "pending")), (2, 1));
    assert_eq!(number(conn, "SELECT count(*) FROM delivery_lanes"), 1);
}

#[test]
fn a_reader_who_has_read_everything_finds_its_place_however_long_nothing_happens() {
    let world = World::new();
    let (conn, now, org) = (&mut world.database.conn(), clock::now(), world.organization);
    let read = |conn: &mut PgConnection, after| match webhooks::feed(conn, org, after, 10) {
        Ok(webhooks::FeedPage::Events(events)) => events.into_iter().map(|event| event.id).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    for _ in 0..3 {
        publish(conn, now, org);
    }
    let last = *read(conn, None).last().unwrap();
    forget(conn, now + Duration::days(91));
    assert_eq!(number(conn, "SELECT count(*) FROM events"), 1);
    assert!(read(conn, Some(last)).is_empty());
    publish(conn, now + Duration::days(92), org);
    assert_eq!(read(conn, Some(last)).len(), 1);
    // Past it, it goes as everything does.
    forget(conn, now + Duration::days(93));
    assert_eq!(number(conn, "SELECT count(*) FROM events"), 1);
}

/// A delivery that is sent again while the webhook is off waits its week from then on.
#[test]
fn what_is_asked_for_again_waits_a_week_of_its_own() {
    let world = World::new();
    let (conn, now, org) = (&mut world.database.conn(), clock::now(), world.organization);
    hook(conn, now - Duration::days(30), org, true);
    publish(conn, now - Duration::days(20), org);
    sql_query("UPDATE deliveries SET state = 'gave_up', finished_at = now()").execute(conn).unwrap();
    sql_query("DELETE FROM delivery_lanes").execute(conn).unwrap();
    hook(conn, now - Duration::days(10), org, false);
    let id = latchkey::ids::EventId(uuid(conn));
    webhooks::resend::resend(conn, &Actor::command_line(), now, org, id).unwrap();
    forget(conn, now + Duration::days(6));
    assert_eq!(states(conn, "pending"), 1);
    forget(conn, now + Duration::days(7) + Duration::HOUR);
    assert_eq!((states(conn, "gave_up"), number(conn, "SELECT count(*) FROM delivery_lanes")), (1, 0));
}

fn uuid(conn: &mut PgConnection) -> uuid::Uuid {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = SqlUuid)]
        event_id: uuid::Uuid,
    }
    sql_query("SELECT event_id FROM deliveries").get_result::<Row>(conn).unwrap().event_id
}
