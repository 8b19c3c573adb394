use diesel::{RunQueryDsl, sql_query};
use latchkey::actor::Actor;
use latchkey::batch::Decide;
use latchkey::webhooks::retry::Verdict;
use latchkey::webhooks::{self, Claim, Want};
use latchkey::{audit, clock};

use super::{Hooked, SOON, everywhere, keyring, sequence};

#[test]
fn a_job_is_told_in_its_sequence_one_at_a_time() {
    let mut hooked = Hooked::new();
    let job = hooked.job();
    hooked.publish(job, 1, &["started", "progress", "progress"]);
    let first = hooked.claim();
    assert_eq!(first.iter().map(sequence).collect::<Vec<_>>(), [1]);
    assert_eq!(first[0].url, "https://hooks.motion.example/in");
    assert_eq!(webhooks::open_secrets(&keyring(), first[0].organization, &first[0].secrets).unwrap().len(), 1);
    // While it is under way nobody gets the rest, also what comes now.
    hooked.publish(job, 4, &["completed"]);
    assert!(hooked.claim().is_empty());
    let second = hooked.deliver(&first[0]).expect("the next of the lane");
    assert_eq!((sequence(&second), second.claim), (2, first[0].claim));
    let third = hooked.deliver(&second).expect("the next");
    let fourth = hooked.deliver(&third).expect("the last");
    assert_eq!(sequence(&fourth), 4);
    assert!(hooked.deliver(&fourth).is_none());
    assert_eq!(hooked.states(job), ["delivered"; 4]);
    assert_eq!(hooked.count("delivery_lanes"), 0);
    assert_eq!(hooked.count("delivery_attempts"), 4);
    // In one minute's row or, at the turn of a minute, in two.
    assert_eq!(
        hooked.count(
            "(SELECT sum(delivered) AS delivered, sum(gave_up) AS gave_up FROM delivery_minutes) m WHERE delivered = 4 AND gave_up = 0"
        ),
        1
    );
    // A lane that was done begins anew.
    hooked.publish(job, 5, &["failed"]);
    assert_eq!(hooked.claim().iter().map(sequence).collect::<Vec<_>>(), [5]);
}

#[test]
fn a_failure_holds_back_its_job_alone_and_outdated_progress_is_dropped() {
    let mut hooked = Hooked::new();
    let (job, other) = (hooked.job(), hooked.job());
    hooked.publish(job, 1, &["started"]);
    hooked.publish(other, 1, &["started"]);
    let claimed = hooked.claim();
    let of = |lane| claimed.iter().find(|claimed| claimed.lane == lane).unwrap().clone();
    assert!(hooked.record(&of(job.0), Some(503), SOON).is_none());
    assert!(hooked.deliver(&of(other.0)).is_none());
    hooked.publish(job, 2, &["progress", "progress", "progress"]);
    hooked.publish(other, 2, &["progress"]);
    // The other job goes on; this one waits for its pause.
    let now = hooked.claim();
    assert_eq!(now.iter().map(|claimed| claimed.lane).collect::<Vec<_>>(), [other.0]);
    hooked.pass(4.9);
    assert!(hooked.claim().is_empty());
    hooked.pass(0.2);
    let again = hooked.claim();
    assert_eq!((again.len(), sequence(&again[0]), again[0].failures), (1, 1, 1));
    assert_eq!(again[0].event, of(job.0).event, "the same id on every attempt");
    let next = hooked.deliver(&again[0]).expect("the newest progress");
    assert_eq!(sequence(&next), 4);
    assert_eq!(hooked.states(job), ["delivered", "overtaken", "overtaken", "pending"]);
    assert_eq!(hooked.deliveries(job)[0].attempts, 2);
}

#[test]
fn progress_that_never_waited_for_a_failure_is_told_step_by_step() {
    let mut hooked = Hooked::new();
    let job = hooked.job();
    hooked.publish(job, 1, &["started", "progress", "progress", "completed"]);
    let mut told = Vec::new();
    let mut head = hooked.claim().pop();
    while let Some(claimed) = head {
        told.push(sequence(&claimed));
        head = hooked.deliver(&claimed);
    }
    assert_eq!(told, [1, 2, 3, 4]);
}

#[test]
fn the_last_failure_gives_up_and_the_job_goes_on() {
    let mut hooked = Hooked::new();
    let job = hooked.job();
    hooked.publish(job, 1, &["started", "completed"]);
    let claimed = hooked.claim().remove(0);
    let next = hooked.record(&claimed, None, Verdict::GaveUp).expect("the next");
    assert_eq!(sequence(&next), 2);
    assert_eq!(hooked.states(job), ["gave_up", "pending"]);
    assert_eq!(hooked.count("delivery_minutes WHERE gave_up = 1"), 1);
    assert_eq!(hooked.count("delivery_attempts WHERE failure = 'timeout' AND status IS NULL"), 1);
}

#[test]
fn a_claim_lapses_and_who_comes_late_only_tells_what_it_did() {
    let mut hooked = Hooked::new();
    let job = hooked.job();
    hooked.publish(job, 1, &["started", "completed"]);
    let dead = hooked.claim().remove(0);
    hooked.pass(19.0);
    assert!(hooked.claim().is_empty());
    hooked.pass(1.1);
    let taken_over = hooked.claim().remove(0);
    assert_eq!(taken_over.event, dead.event);
    assert_ne!(taken_over.claim, dead.claim);
    // It failed, says the one that was thought dead: nothing of that is for it to decide any more.
    assert!(hooked.record(&dead, Some(500), Verdict::GaveUp).is_none());
    assert_eq!(hooked.states(job), ["pending", "pending"]);
    assert!(hooked.claim().is_empty());
    assert_eq!(sequence(&hooked.deliver(&taken_over).expect("the next")), 2);
    assert_eq!(hooked.deliveries(job)[0].attempts, 2);
}

#[test]
fn off_keeps_what_is_published_and_on_sends_what_is_still_news() {
    let mut hooked = Hooked::new();
    let job = hooked.job();
    hooked.switch(false);
    hooked.publish(job, 1, &["started", "progress"]);
    hooked.publish(job, 3, &["progress"]);
    assert!(hooked.claim().is_empty());
    hooked.switch(true);
    let head = hooked.claim().remove(0);
    assert_eq!(hooked.states(job), ["pending", "overtaken", "pending"]);
    // Off in the midst of a lane: the one under way ends, the next waits without a claim.
    hooked.switch(false);
    assert!(hooked.deliver(&head).is_none());
    assert!(hooked.claim().is_empty());
    hooked.switch(true);
    assert_eq!(hooked.claim().iter().map(sequence).collect::<Vec<_>>(), [3]);
}

#[test]
fn without_a_webhook_or_without_the_wish_events_are_kept_and_not_queued() {
    let mut hooked = Hooked::new();
    let (job, organization) = (hooked.job(), hooked.world.organization);
    let publish = |hooked: &mut Hooked, first, notify| {
        let events = super::events(first, &["started"]);
        webhooks::publish(&mut hooked.world.conn, clock::now(), organization, Some(job), notify, events).unwrap();
    };
    publish(&mut hooked, 1, false);
    webhooks::remove(&mut hooked.world.conn, &Actor::command_line(), clock::now(), organization).unwrap();
    publish(&mut hooked, 2, true);
    assert_eq!(hooked.count("events"), 2);
    assert_eq!(hooked.count("deliveries") + hooked.count("delivery_lanes"), 0);
}

#[test]
fn removing_gives_up_what_waits_and_forgets_the_secrets() {
    let mut hooked = Hooked::new();
    let (job, organization) = (hooked.job(), hooked.world.organization);
    hooked.publish(job, 1, &["started", "completed"]);
    let under_way = hooked.claim().remove(0);
    webhooks::remove(&mut hooked.world.conn, &Actor::command_line(), clock::now(), organization).unwrap();
    assert_eq!(hooked.states(job), ["gave_up", "gave_up"]);
    assert_eq!(hooked.count("webhook_secrets") + hooked.count("delivery_lanes"), 0);
    // What had been sent arrived all the same, and is said to have.
    assert!(hooked.deliver(&under_way).is_none());
    assert_eq!(hooked.states(job), ["delivered", "gave_up"]);
    // A new webhook starts with an empty queue.
    hooked.hook(organization);
    assert!(hooked.claim().is_empty());
}

#[test]
fn gone_switches_off_and_says_so() {
    let mut hooked = Hooked::new();
    let job = hooked.job();
    hooked.publish(job, 1, &["started", "completed"]);
    let head = hooked.claim().remove(0);
    assert!(hooked.record(&head, Some(410), Verdict::Gone).is_none());
    let webhook = webhooks::read(&mut hooked.world.conn, hooked.world.organization, clock::now()).unwrap().unwrap();
    assert_eq!(webhook.off.map(|(_, off)| off), Some(webhooks::Off::Gone));
    assert_eq!(hooked.states(job), ["pending", "pending"], "it waits like the rest");
    assert_eq!(hooked.count("audit_entries WHERE action = 'webhook.disabled' AND actor_kind = 'system'"), 1);
    assert!(audit::verify(&mut hooked.world.conn).unwrap().first_break.is_none());
    hooked.switch(true);
    assert_eq!(hooked.claim().iter().map(sequence).collect::<Vec<_>>(), [1]);
}

#[test]
fn five_days_of_nothing_but_failures_switch_off_and_one_success_starts_afresh() {
    let mut hooked = Hooked::new();
    let job = hooked.job();
    hooked.publish(job, 1, &["started"]);
    let read = |hooked: &mut Hooked| webhooks::read(&mut hooked.world.conn, hooked.world.organization, clock::now()).unwrap().unwrap();
    let fail = |hooked: &mut Hooked| {
        let head = hooked.claim().remove(0);
        hooked.record(&head, Some(500), SOON);
        hooked.pass(6.0);
    };
    let age = |hooked: &mut Hooked, interval: &str| {
        let older = format!("UPDATE webhooks SET failing_since = failing_since - interval '{interval}'");
        sql_query(older).execute(&mut hooked.world.conn).unwrap();
    };
    fail(&mut hooked);
    assert!(read(&mut hooked).failing_since.is_some());
    age(&mut hooked, "4 days 23 hours");
    fail(&mut hooked);
    assert!(read(&mut hooked).is_enabled());
    let head = hooked.claim().remove(0);
    hooked.deliver(&head);
    assert!(read(&mut hooked).failing_since.is_none());
    hooked.publish(job, 2, &["completed"]);
    // Failures that rare say little: one event must have failed again and again.
    fail(&mut hooked);
    age(&mut hooked, "5 days");
    for _ in 0..2 {
        fail(&mut hooked);
        assert!(read(&mut hooked).is_enabled());
    }
    fail(&mut hooked);
    assert_eq!(read(&mut hooked).off.map(|(_, off)| off), Some(webhooks::Off::Failing));
    assert!(hooked.claim().is_empty());
}

#[test]
fn an_organization_never_takes_all_slots() {
    let mut hooked = Hooked::new();
    let first = hooked.world.organization;
    for _ in 0..9 {
        let job = hooked.job();
        hooked.publish(job, 1, &["started"]);
    }
    let third = hooked.claim_with(everywhere(12, Vec::new()));
    assert_eq!(third.len(), 4, "a third of what is free");
    let fewer = hooked.claim_with(everywhere(8, vec![(first, 4)]));
    assert!(fewer.is_empty(), "it has its share: {}", fewer.len());
    // However few are free, one who has none gets one.
    let other = latchkey::ids::OrgId::new(clock::now());
    let one = hooked.claim_with(everywhere(1, vec![(other, 500)]));
    assert_eq!(one.len(), 1);
}

#[test]
fn who_looks_for_one_finds_what_that_one_has() {
    let mut hooked = Hooked::new();
    let first = hooked.world.organization;
    let job = hooked.job();
    hooked.publish(job, 1, &["started"]);
    let of = |organizations| Want { free: 9, busy: Vec::new(), of: organizations, walk: None };
    let other = latchkey::ids::OrgId::new(clock::now());
    assert!(hooked.claim_with(of(vec![])).is_empty());
    assert!(hooked.claim_with(of(vec![other])).is_empty());
    assert_eq!(hooked.claim_with(of(vec![other, first])).len(), 1);
}

#[test]
fn what_waits_is_known_to_those_who_watch() {
    let mut hooked = Hooked::new();
    let backlog = |hooked: &mut Hooked| webhooks::backlog(&mut hooked.world.conn).unwrap();
    assert_eq!(backlog(&mut hooked), webhooks::Backlog { lanes: 0, lag_s: 0.0 });
    for _ in 0..2 {
        let job = hooked.job();
        hooked.publish(job, 1, &["started", "completed"]);
    }
    hooked.pass(60.0);
    let late = backlog(&mut hooked);
    assert!(late.lanes == 2 && (60.0..90.0).contains(&late.lag_s), "{late:?}");
    // What is under way or waits for its next try is not late, and what is off is nobody's concern.
    let claimed = hooked.claim();
    hooked.record(&claimed[0], Some(500), SOON);
    assert_eq!(backlog(&mut hooked), webhooks::Backlog { lanes: 2, lag_s: 0.0 });
    hooked.pass(60.0);
    hooked.switch(false);
    assert_eq!(backlog(&mut hooked), webhooks::Backlog { lanes: 2, lag_s: 0.0 });
}

#[test]
fn a_walk_comes_to_everybody_a_stretch_at_a_time() {
    let mut hooked = Hooked::new();
    let crowd = include_str!("../../../../benches/crowd.sql").replace("{}", "1100").replace("interval '5 hours'", "interval '-1 minute'");
    diesel::connection::SimpleConnection::batch_execute(&mut hooked.world.conn, &crowd).unwrap();
    let claim = |hooked: &mut Hooked, want| Claim::default().decide(&mut hooked.world.conn, &[want]).unwrap().remove(0);
    let (mut stretches, mut given) = (Vec::new(), claim(&mut hooked, everywhere(10_000, Vec::new())));
    while let Some(reached) = given.reached {
        stretches.push(given.lanes.len());
        given = claim(&mut hooked, Want { walk: Some(reached), ..everywhere(10_000, Vec::new()) });
    }
    stretches.push(given.lanes.len());
    assert_eq!(stretches, [500, 500, 100]);
    // With fewer slots than organizations, who has waited longest comes first.
    hooked.pass(60.0);
    let longest = "UPDATE delivery_lanes SET due_at = due_at - interval '1 hour' WHERE id = (SELECT id FROM delivery_lanes ORDER BY random() LIMIT 1) RETURNING organization_id";
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::Uuid)]
        organization_id: uuid::Uuid,
    }
    let longest = sql_query(longest).get_result::<Row>(&mut hooked.world.conn).unwrap().organization_id;
    let all = sql_query("SELECT organization_id FROM delivery_lanes").load::<Row>(&mut hooked.world.conn).unwrap();
    let of = all.iter().map(|row| latchkey::ids::OrgId(row.organization_id)).collect();
    let first = claim(&mut hooked, Want { free: 1, busy: Vec::new(), of, walk: None });
    assert_eq!(first.lanes.iter().map(|claimed| claimed.organization.0).collect::<Vec<_>>(), [longest]);
    // Before all of those, whose endpoints fail, comes one that works.
    let job = hooked.job();
    hooked.publish(job, 1, &["started"]);
    let working = hooked.world.organization;
    let of = all.iter().map(|row| latchkey::ids::OrgId(row.organization_id)).chain([working]).collect();
    let first = claim(&mut hooked, Want { free: 1, busy: Vec::new(), of, walk: None });
    assert_eq!(first.lanes.iter().map(|claimed| claimed.organization).collect::<Vec<_>>(), [working]);
}
