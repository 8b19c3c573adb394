//! Everything that locks webhooks and lanes, all at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use diesel::PgConnection;
use latchkey::actor::Actor;
use latchkey::batch::Decide;
use latchkey::clock;
use latchkey::error::Error;
use latchkey::ids::{JobId, OrgId};
use latchkey::webhooks::retry::Verdict;
use latchkey::webhooks::{self, Claim, Outcome, Record};

use super::{Hooked, events, everywhere, keyring, outcome, publish_within};
use crate::support::{Make, number};

const PUBLISHERS: usize = 4;
/// Of each publisher.
const JOBS: usize = 12;
/// Of each job.
const EACH: i32 = 8;
const REMOVALS: usize = 12;

/// Pending deliveries that stand in no lane, and lanes in which nothing is pending, at one moment.
const ASTRAY: &str = "SELECT
    (SELECT count(*) FROM deliveries d WHERE state = 'pending' AND NOT EXISTS (SELECT FROM delivery_lanes l WHERE l.id = d.lane))
    + (SELECT count(*) FROM delivery_lanes l WHERE NOT EXISTS (SELECT FROM deliveries d WHERE d.lane = l.id AND d.state = 'pending'))";

/// Counts down however a thread ends.
struct Done<'a>(&'a AtomicUsize);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Done again and again, with the number of the turn.
type Work<'a> = Box<dyn FnMut(&mut PgConnection, usize) + Send + 'a>;

/// No deadlock and no other error, which each call would panic with; and whoever came in between, nothing is left behind.
#[test]
fn outcomes_switches_edits_removals_and_news_at_once() {
    let mut hooked = Hooked::new();
    let two = Make::new(hooked.world.database.conn(), hooked.world.profile.clone()).org();
    let organizations = [hooked.world.organization, two.here().id];
    hooked.hook(organizations[1]);
    let jobs = hooked.jobs(PUBLISHERS * JOBS);
    let (publishing, recorded) = (AtomicUsize::new(PUBLISHERS), AtomicUsize::default());
    let (database, publishing, recorded) = (&hooked.world.database, &publishing, &recorded);
    let mut works: Vec<Work<'_>> = Vec::new();
    works.push(Box::new(|conn, turn| assert_eq!(number(conn, ASTRAY), 0, "at look {turn}")));
    for _ in 0..3 {
        works.push(Box::new(|conn, turn| {
            recorded.fetch_add(send(conn, turn, &[Verdict::Retry(Duration::ZERO), Verdict::GaveUp, Verdict::Gone]), Ordering::SeqCst);
        }));
    }
    for organization in organizations {
        works.push(Box::new(move |conn, turn| save(conn, organization, turn)));
        works.push(Box::new(move |conn, turn| match webhooks::switch(conn, &operator(), clock::now(), organization, turn % 3 > 0) {
            Ok(_) | Err(Error::NotFound) => {}
            Err(error) => panic!("switching: {error}"),
        }));
    }
    std::thread::scope(|scope| {
        for jobs in jobs.chunks(JOBS) {
            let mut conn = database.conn();
            scope.spawn(move || {
                let _done = Done(publishing);
                publish(&mut conn, organizations, jobs);
            });
        }
        for mut work in works {
            let mut conn = database.conn();
            scope.spawn(move || (0..).take_while(|_| publishing.load(Ordering::SeqCst) > 0).for_each(|turn| work(&mut conn, turn)));
        }
        let mut conn = database.conn();
        scope.spawn(move || {
            for (round, organization) in (0..REMOVALS).zip(organizations.iter().cycle()) {
                // So that something has gone out over each.
                let enough = recorded.load(Ordering::SeqCst) + 20;
                while recorded.load(Ordering::SeqCst) < enough && publishing.load(Ordering::SeqCst) > 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
                match webhooks::remove(&mut conn, &operator(), clock::now(), *organization) {
                    Ok(()) | Err(Error::NotFound) => save(&mut conn, *organization, round),
                    Err(error) => panic!("removing: {error}"),
                }
            }
        });
    });
    assert_eq!(number(&mut hooked.world.conn, ASTRAY), 0);
    for what in
        ["deliveries WHERE state = 'gave_up'", "deliveries WHERE state = 'delivered'", "audit_entries WHERE action = 'webhook.removed'"]
    {
        assert!(hooked.count(what) > 0, "no {what}");
    }
    for organization in organizations {
        save(&mut hooked.world.conn, organization, 0);
        webhooks::switch(&mut hooked.world.conn, &operator(), clock::now(), organization, true).unwrap();
    }
    while send(&mut hooked.world.conn, 0, &[]) > 0 {}
    assert_eq!(hooked.count("deliveries WHERE state = 'pending'") + hooked.count("delivery_lanes"), 0);
}

fn operator() -> Actor {
    Actor::command_line()
}

/// News of one job after the other, and between them of another organization.
fn publish(conn: &mut PgConnection, organizations: [OrgId; 2], jobs: &[JobId]) {
    for (place, job) in jobs.iter().enumerate() {
        for sequence in 1..=EACH {
            // A job's last is what nothing that comes later would take along.
            let moment = Duration::from_millis(if sequence == EACH { 3 * place as u64 } else { 1 });
            publish_within(conn, organizations[0], Some(*job), events(2 * sequence, &["progress", "progress"]), moment);
            publish_within(conn, organizations[1], None, events(1, &["started"]), moment);
        }
    }
}

/// Claims lanes and takes them to their end, in batches: most is delivered, of the rest each of `failures` in turn comes of it.
/// Returns how many attempts that were.
fn send(conn: &mut PgConnection, turn: usize, failures: &[Verdict]) -> usize {
    let mut heads = Claim::default().decide(conn, &[everywhere(40, Vec::new())]).unwrap().remove(0).lanes;
    let mut sent = turn;
    while !heads.is_empty() {
        let outcomes: Vec<Outcome> = heads
            .iter()
            .map(|head| {
                sent += 1;
                match failures.get(sent / 7 % 5).filter(|_| sent.is_multiple_of(7)) {
                    None => outcome(head, Some(200), Verdict::Delivered),
                    Some(Verdict::Gone) => outcome(head, Some(410), Verdict::Gone),
                    Some(failure) => outcome(head, Some(500), *failure),
                }
            })
            .collect();
        heads = Record::default().decide(conn, &outcomes).unwrap().into_iter().flatten().collect();
    }
    sent - turn
}

fn save(conn: &mut PgConnection, organization: OrgId, turn: usize) {
    let url = format!("https://hooks.motion.example/{}", turn % 5).parse().unwrap();
    webhooks::save(conn, &operator(), clock::now(), organization, &keyring(), &url, None).unwrap();
}
