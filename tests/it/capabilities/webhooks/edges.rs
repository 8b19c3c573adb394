//! What happens seldom: answers that are lost, senders that come late, lists that are long.

use std::time::Duration;

use diesel::sql_types::Uuid as SqlUuid;
use diesel::{RunQueryDsl, sql_query};
use latchkey::actor::Actor;
use latchkey::batch::Decide;
use latchkey::clock;
use latchkey::ids::JobId;
use latchkey::webhooks::retry::Verdict;
use latchkey::webhooks::{self, Claimed, Outcome, Record};

use super::{Hooked, SOON, keyring, outcome, sequence};

fn tell(hooked: &mut Hooked, outcome: Outcome) -> Option<i64> {
    Record::default().decide(&mut hooked.world.conn, &[outcome]).unwrap().remove(0).as_ref().map(sequence)
}

#[test]
fn an_attempt_that_is_told_twice_is_written_once() {
    let mut hooked = Hooked::new();
    let job = hooked.job();
    hooked.publish(job, 1, &["started", "completed"]);
    let first = hooked.claim().remove(0);
    let failed = outcome(&first, Some(500), SOON);
    for _ in 0..2 {
        assert_eq!(tell(&mut hooked, failed.clone()), None);
    }
    assert_eq!((hooked.deliveries(job)[0].attempts, hooked.count("delivery_attempts")), (1, 1));
    hooked.pass(6.0);
    let again = hooked.claim().remove(0);
    assert_eq!(again.failures, 1);
    let arrived = outcome(&again, Some(200), Verdict::Delivered);
    // The answer to the first was lost on its way; the sender goes on as if it had come.
    for _ in 0..2 {
        assert_eq!(tell(&mut hooked, arrived.clone()), Some(2));
    }
    assert_eq!((hooked.deliveries(job)[0].attempts, hooked.count("delivery_attempts")), (2, 2));
    assert_eq!(hooked.count("(SELECT sum(delivered) AS n FROM delivery_minutes) m WHERE n = 1"), 1);
}

/// A job of two events: the first sender was slow with the first one, its claim lapsed, and a second has the lane.
fn taken_over() -> (Hooked, JobId, Claimed, Claimed) {
    let mut hooked = Hooked::new();
    let job = hooked.job();
    hooked.publish(job, 1, &["started", "completed"]);
    let slow = hooked.claim().remove(0);
    hooked.pass(20.1);
    let second = hooked.claim().remove(0);
    (hooked, job, slow, second)
}

/// The first sender's request arrived all the same, and the second sender's failed.
#[test]
fn a_failure_after_the_success_of_a_late_sender_holds_nothing_up() {
    let (mut hooked, job, slow, second) = taken_over();
    assert!(hooked.deliver(&slow).is_none(), "the lane is another's");
    assert_eq!(hooked.states(job), ["delivered", "pending"]);
    let next = hooked.record(&second, Some(500), SOON).expect("the next at once");
    assert_eq!(sequence(&next), 2);
    assert!(hooked.deliver(&next).is_none());
    assert_eq!(hooked.count("delivery_lanes"), 0);
}

/// Also a success that is told by a sender that no longer has the lane says that the endpoint works.
#[test]
fn a_late_success_ends_the_failing() {
    let mut hooked = Hooked::new();
    let (job, other) = (hooked.job(), hooked.job());
    hooked.publish(job, 1, &["started"]);
    let head = hooked.claim().remove(0);
    hooked.record(&head, Some(500), SOON);
    hooked.publish(other, 1, &["started"]);
    let slow = hooked.claim().remove(0);
    hooked.pass(20.1);
    assert_eq!(hooked.claim().len(), 2);
    assert_eq!(hooked.count("webhooks WHERE failing_since IS NOT NULL"), 1);
    hooked.deliver(&slow);
    assert_eq!(hooked.count("webhooks WHERE failing_since IS NOT NULL"), 0);
}

/// On again, what waits for a next try is due, and nothing that is still news is lost, however many lanes there are.
#[test]
fn a_long_list_goes_on_and_is_given_up() {
    let mut hooked = Hooked::new();
    let (organization, actor) = (hooked.world.organization, Actor::command_line());
    let lanes = "
        WITH lane AS (SELECT gen_random_uuid() AS id FROM generate_series(1, 11000)),
        news AS (
            INSERT INTO events (organization_id, id, sequence, event_type, payload, created_at)
            SELECT $1, id, 1, 'analysis.completed', '{}', now() FROM lane),
        queued AS (
            INSERT INTO deliveries (organization_id, event_id, lane, sequence, event_type, state, attempts, failures)
            SELECT $1, id, id, 1, 'analysis.completed', 'pending', 1, 1 FROM lane)
        INSERT INTO delivery_lanes (organization_id, id, due_at) SELECT $1, id, now() + interval '5 hours' FROM lane";
    sql_query(lanes).bind::<SqlUuid, _>(organization).execute(&mut hooked.world.conn).unwrap();
    assert!(hooked.claim().is_empty());
    hooked.switch(false);
    hooked.switch(true);
    assert_eq!(hooked.count("delivery_lanes WHERE due_at <= now()"), 11_000);
    let claimed = hooked.claim().remove(0);
    webhooks::remove(&mut hooked.world.conn, &actor, clock::now(), organization).unwrap();
    assert_eq!(hooked.count("delivery_lanes"), 0);
    assert_eq!(hooked.count("deliveries WHERE state = 'gave_up' AND finished_at IS NOT NULL"), 11_000);
    assert_eq!(hooked.count("(SELECT sum(gave_up) AS n FROM delivery_minutes) m WHERE n = 11000"), 1);
    assert_eq!(hooked.count("webhooks"), 0);
    // What was under way is recorded, and that is all.
    assert!(hooked.record(&claimed, Some(500), Verdict::Retry(Duration::ZERO)).is_none());
    assert_eq!(hooked.count("delivery_lanes"), 0);
}

/// The first sender's success is known only after the second's failure: the job does not wait for a try that nobody needs.
#[test]
fn a_late_success_wakes_a_lane_that_waits_for_its_next_try() {
    let (mut hooked, _, slow, second) = taken_over();
    assert!(hooked.record(&second, Some(500), SOON).is_none());
    assert!(hooked.claim().is_empty());
    hooked.deliver(&slow);
    assert_eq!(hooked.claim().iter().map(sequence).collect::<Vec<_>>(), [2]);
}

/// The URL is changed because the old endpoint fails or is gone, often while something is on its way there.
#[test]
fn what_the_old_address_answers_is_not_held_against_the_new_one() {
    for (status, verdict) in [(410, Verdict::Gone), (500, Verdict::Retry(Duration::from_secs(36_000))), (503, Verdict::GaveUp)] {
        let mut hooked = Hooked::new();
        let organization = hooked.world.organization;
        let job = hooked.job();
        hooked.publish(job, 1, &["started"]);
        let old = hooked.claim().remove(0);
        let url = "https://new.motion.example/in".parse().unwrap();
        let actor = Actor::command_line();
        webhooks::save(&mut hooked.world.conn, &actor, clock::now(), organization, &keyring(), &url, None).unwrap();
        assert!(hooked.record(&old, Some(status), verdict).is_none());
        assert_eq!(hooked.count("webhooks WHERE disabled_at IS NULL AND failing_since IS NULL"), 1, "{status}");
        let again = hooked.claim().remove(0);
        assert_eq!((again.url.as_str(), again.event), ("https://new.motion.example/in", old.event));
        // What it answers itself counts.
        hooked.record(&again, Some(status), verdict);
        assert_eq!(hooked.count("webhooks WHERE failing_since IS NOT NULL"), 1, "{status}");
    }
}

/// Gone says nothing of an event: switched on again, it has all its tries.
#[test]
fn gone_is_none_of_the_tries() {
    let mut hooked = Hooked::new();
    let job = hooked.job();
    hooked.publish(job, 1, &["started"]);
    for _ in 0..3 {
        let head = hooked.claim().remove(0);
        assert_eq!(head.failures, 0);
        hooked.record(&head, Some(410), Verdict::Gone);
        assert_eq!(hooked.states(job), ["pending"]);
        hooked.switch(true);
    }
    assert_eq!(hooked.deliveries(job)[0].attempts, 3);
}

/// A server died with it and the webhook was switched off before another took it over: it is nobody's, and waits no longer.
#[test]
fn what_a_dead_sender_had_is_given_up_too() {
    let mut hooked = Hooked::new();
    let (organization, now) = (hooked.world.organization, clock::now());
    let events = super::events(1, &["started"]);
    webhooks::publish(&mut hooked.world.conn, now - time::Duration::days(9), organization, None, true, events).unwrap();
    assert_eq!(hooked.claim().len(), 1);
    hooked.pass(9.0 * 86_400.0);
    webhooks::switch(&mut hooked.world.conn, &Actor::command_line(), now - time::Duration::days(8), organization, false).unwrap();
    while webhooks::forget_old(&mut hooked.world.conn, now).unwrap() {}
    assert_eq!((hooked.count("deliveries WHERE state = 'gave_up'"), hooked.count("delivery_lanes")), (1, 0));
}

/// As above, but what the second sender is told is that the endpoint is gone: that ends its turn at once.
#[test]
fn gone_hands_over_nothing_more_of_a_lane() {
    let (mut hooked, job, slow, second) = taken_over();
    hooked.deliver(&slow);
    assert!(hooked.record(&second, Some(410), Verdict::Gone).is_none());
    assert_eq!(hooked.states(job), ["delivered", "pending"]);
    assert!(hooked.claim().is_empty());
    hooked.switch(true);
    assert_eq!(hooked.claim().iter().map(sequence).collect::<Vec<_>>(), [2]);
}
