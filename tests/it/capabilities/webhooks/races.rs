use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diesel::{Connection, PgConnection};
use latchkey::actor::Actor;
use latchkey::batch::Decide;
use latchkey::clock;
use latchkey::ids::{EventId, JobId};
use latchkey::webhooks::retry::Verdict;
use latchkey::webhooks::{self, Claim, Record};

use super::{Hooked, events, everywhere, keyring, outcome, publish_within, sequence};
use crate::support::number;

/// Publishers add to lanes at the very moment in which senders take the last of them: nothing is left behind, nothing goes twice.
#[test]
fn what_is_published_while_its_lane_ends_is_not_left_behind() {
    const PUBLISHERS: usize = 3;
    const JOBS: usize = 20;
    const EACH: i32 = 4;
    let mut hooked = Hooked::new();
    let organization = hooked.world.organization;
    let jobs = hooked.jobs(PUBLISHERS * JOBS);
    let told: Mutex<HashMap<uuid::Uuid, Vec<(i64, EventId)>>> = Mutex::default();
    let published = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let (mut conn, told, published) = (hooked.world.database.conn(), &told, &published);
            scope.spawn(move || {
                loop {
                    let last = published.load(Ordering::SeqCst);
                    let claimed = Claim::default().decide(&mut conn, &[everywhere(30, Vec::new())]).unwrap().remove(0).lanes;
                    if claimed.is_empty() && last {
                        break;
                    }
                    for mut head in claimed {
                        loop {
                            told.lock().unwrap().entry(head.lane).or_default().push((sequence(&head), head.event));
                            let done = [outcome(&head, Some(200), Verdict::Delivered)];
                            match Record::default().decide(&mut conn, &done).unwrap().remove(0) {
                                Some(next) => head = next,
                                None => break,
                            }
                        }
                    }
                }
            });
        }
        let publishers: Vec<_> = jobs
            .chunks(JOBS)
            .map(|jobs| {
                let mut conn = hooked.world.database.conn();
                scope.spawn(move || {
                    for (place, job) in jobs.iter().enumerate() {
                        for sequence in 1..=EACH {
                            // A job's last is what nothing that comes later would take along.
                            let moment = Duration::from_millis(if sequence == EACH { 2 * place as u64 } else { 1 });
                            publish_within(&mut conn, organization, Some(*job), events(sequence, &["progress"]), moment);
                        }
                    }
                })
            })
            .collect();
        for publisher in publishers {
            publisher.join().unwrap();
        }
        published.store(true, Ordering::SeqCst);
    });
    let told = told.into_inner().unwrap();
    for job in &jobs {
        let sequences: Vec<i64> = told[&job.0].iter().map(|(sequence, _)| *sequence).collect();
        assert_eq!(sequences, (1..=i64::from(EACH)).collect::<Vec<_>>());
    }
    assert_eq!(hooked.count("delivery_lanes") + hooked.count("deliveries WHERE state <> 'delivered'"), 0);
}

/// Saving and removing while events are published: no delivery is queued for a webhook that is gone.
#[test]
fn nothing_is_queued_for_a_webhook_that_is_being_removed() {
    let mut hooked = Hooked::new();
    let organization = hooked.world.organization;
    let jobs: Vec<_> = (0..3).map(|_| hooked.job()).collect();
    std::thread::scope(|scope| {
        for job in &jobs {
            let mut conn = hooked.world.database.conn();
            scope.spawn(move || {
                for sequence in 1..=80 {
                    webhooks::publish(&mut conn, clock::now(), organization, Some(*job), true, events(sequence, &["progress"])).unwrap();
                }
            });
        }
        let mut conn = hooked.world.database.conn();
        scope.spawn(move || {
            let (actor, url) = (Actor::command_line(), "https://hooks.motion.example/in".parse().unwrap());
            for _ in 0..20 {
                webhooks::remove(&mut conn, &actor, clock::now(), organization).unwrap();
                webhooks::save(&mut conn, &actor, clock::now(), organization, &keyring(), &url, None).unwrap();
            }
            webhooks::remove(&mut conn, &actor, clock::now(), organization).unwrap();
        });
    });
    assert_eq!(hooked.count("delivery_lanes") + hooked.count("deliveries WHERE state = 'pending'"), 0);
    assert!(hooked.count("deliveries WHERE state = 'gave_up'") > 0, "some were queued in between");
}

const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";

/// Publishes event 2 of a job, and commits only when `meanwhile`, on another connection, waits for a lock.
fn while_publishing<T: Send>(hooked: &mut Hooked, job: JobId, meanwhile: impl FnOnce(&mut PgConnection) -> T + Send) -> T {
    let (organization, mut other, mut watcher) = (hooked.world.organization, hooked.world.database.conn(), hooked.world.database.conn());
    let conn = &mut hooked.world.conn;
    std::thread::scope(|scope| {
        let (thread, waited) = conn
            .transaction(|conn| {
                webhooks::publish(conn, clock::now(), organization, Some(job), true, events(2, &["completed"])).unwrap();
                let thread = scope.spawn(move || meanwhile(&mut other));
                while !thread.is_finished() && number(&mut watcher, WAITING) == 0 {}
                let waited = !thread.is_finished();
                Ok::<_, diesel::result::Error>((thread, waited))
            })
            .unwrap();
        assert!(waited, "it did not wait for the publisher");
        thread.join().unwrap()
    })
}

#[test]
fn who_ends_a_lane_waits_for_who_adds_to_it() {
    let mut hooked = Hooked::new();
    let job = hooked.job();
    hooked.publish(job, 1, &["started"]);
    let head = hooked.claim().remove(0);
    let done = [outcome(&head, Some(200), Verdict::Delivered)];
    let next = while_publishing(&mut hooked, job, |conn| Record::default().decide(conn, &done).unwrap().remove(0));
    assert_eq!(next.as_ref().map(sequence), Some(2));
}

#[test]
fn who_removes_a_webhook_waits_for_who_publishes_to_it() {
    let mut hooked = Hooked::new();
    let (job, organization) = (hooked.job(), hooked.world.organization);
    while_publishing(&mut hooked, job, |conn| {
        webhooks::remove(conn, &Actor::command_line(), clock::now(), organization).unwrap();
    });
    assert_eq!(hooked.states(job), ["gave_up"]);
    assert_eq!(hooked.count("delivery_lanes"), 0);
}
