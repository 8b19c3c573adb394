use std::collections::HashSet;
use std::sync::Barrier;

use latchkey::clock;
use latchkey::credits::imbalances;
use latchkey::error::Error;
use latchkey::jobs::{self, LEASE, Status};
use latchkey::raw_json::RawJson;

use super::World;

#[test]
fn thirty_workers_claim_a_hundred_jobs_each_exactly_once() {
    let (mut world, now) = (World::new(), clock::now());
    let new: Vec<_> = (0..100).map(|_| jobs::NewJob { price: 0, ..world.a_job(now) }).collect();
    jobs::insert_many(&mut world.conn, &new).unwrap();
    let (database, profile, barrier) = (&world.database, &*world.profile, Barrier::new(30));
    let claimed: Vec<_> = std::thread::scope(|scope| {
        let work = || {
            let mut conn = database.conn();
            barrier.wait();
            let claim = || jobs::claim(&mut conn, now, profile, &["analysis".to_owned()], false).unwrap();
            std::iter::from_fn(claim).map(|claimed| claimed.job.id).collect::<Vec<_>>()
        };
        let workers: Vec<_> = (0..30).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert_eq!(claimed.len(), 100);
    assert_eq!(claimed.iter().collect::<HashSet<_>>().len(), 100);
    assert!(new.iter().all(|job| world.read(job.id).attempts == 1 && world.events(job.id) == ["analysis.started 0"]));
}

#[test]
fn completion_and_the_end_of_the_last_lease_race_and_one_wins() {
    let (mut completed, mut failed) = (0, 0);
    let mut world = World::charging("on_success");
    for round in 0..10 {
        let mut now = clock::now();
        let id = world.queue(now);
        for _ in 1..jobs::MOST_ATTEMPTS {
            world.claim(now).unwrap();
            now += LEASE;
            jobs::expire_leases(&mut world.conn, now, &world.profile).unwrap();
        }
        let (lease, before) = (world.claim(now).unwrap().lease, world.balance());
        let (database, profile, barrier) = (&world.database, &*world.profile, &Barrier::new(4));
        // Clocks of two machines differ: one sees the lease run out while the worker's report still counts.
        let (on_time, late) = (now, now + LEASE);
        let won: Vec<bool> = std::thread::scope(|scope| {
            let reporters = (0..3).map(|_| {
                scope.spawn(move || {
                    let mut conn = database.conn();
                    barrier.wait();
                    let result = RawJson::object("{}").unwrap();
                    match jobs::complete(&mut conn, on_time, profile, id, lease, result) {
                        Ok(_) => true,
                        Err(Error::Conflict(_)) => false,
                        Err(error) => panic!("{error}"),
                    }
                })
            });
            let reporters: Vec<_> = reporters.collect();
            let keeper = scope.spawn(move || {
                let mut conn = database.conn();
                barrier.wait();
                if round % 2 == 0 {
                    std::thread::yield_now();
                }
                jobs::expire_leases(&mut conn, late, profile).unwrap() == 1
            });
            reporters.into_iter().chain([keeper]).map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(won.iter().filter(|won| **won).count(), 1, "{won:?}");
        let (job, after) = (world.read(id), world.balance());
        assert_eq!(after.held, before.held - 1);
        match job.status() {
            Status::Completed => assert_eq!((after.settled, after.available), (before.settled + 1, before.available)),
            _ => assert_eq!((after.settled, after.available), (before.settled, before.available + 1)),
        }
        *if job.status() == Status::Completed { &mut completed } else { &mut failed } += 1;
        assert_eq!(world.events(id).len(), 2, "started and one end");
        assert!(imbalances(&mut world.conn).unwrap().is_empty());
    }
    assert_eq!(completed + failed, 10);
}

#[test]
fn reports_of_one_worker_at_once_give_each_event_its_own_number() {
    let (mut world, now) = (World::new(), clock::now());
    let id = world.queue(now);
    let lease = world.claim(now).unwrap().lease;
    let (database, profile) = (&world.database, &*world.profile);
    std::thread::scope(|scope| {
        for percentage in [10, 20, 30, 40, 50, 60, 70, 80, 90, 95] {
            scope.spawn(move || jobs::progress(&mut database.conn(), now, profile, id, lease, percentage).unwrap());
        }
    });
    // That the numbers are 1, 2, 3… is checked in there.
    assert_eq!(world.events(id).len(), 10);
    assert_eq!(world.read(id).percentage, 95);
}
