use latchkey::clock;
use latchkey::credits::ledger::{Filter, page};
use latchkey::credits::{Balance, imbalances};
use latchkey::ids::JobId;
use latchkey::jobs::{self, LEASE};
use latchkey::raw_json::RawJson;

use super::World;

/// `(kind, actor)` of the job's ledger entries in order, and what the organization has.
fn ledger(world: &mut World, id: JobId) -> (Vec<(String, String)>, (i64, i64, i64)) {
    assert!(imbalances(&mut world.conn).unwrap().is_empty());
    let mut lines = page(&mut world.conn, world.organization, &Filter::default(), None, 100).unwrap().entries;
    lines.retain(|entry| entry.job_id == Some(id));
    lines.reverse();
    let request = world.read(id).request_id;
    assert!(lines.iter().all(|entry| entry.hold_id == Some(id.0) && entry.request_id == Some(request)));
    let Balance { available, held, settled } = world.balance();
    (lines.into_iter().map(|entry| (entry.kind, entry.actor)).collect(), (available, held, settled))
}

fn lines(lines: &[(&str, &str)]) -> Vec<(String, String)> {
    lines.iter().map(|(kind, actor)| (kind.to_string(), actor.to_string())).collect()
}

#[test]
fn charged_at_the_start_it_stays_charged() {
    let (mut world, now) = (World::charging("on_start"), clock::now());
    for fails in [true, false] {
        let id = world.queue(now);
        let lease = world.claim(now).unwrap().lease;
        let before = ledger(&mut world, id);
        assert_eq!(before.0, lines(&[("hold", "Key"), ("settle", "Key")]));
        if fails {
            jobs::fail(&mut world.conn, now, &world.profile, id, lease, "x", "").unwrap();
        } else {
            jobs::complete(&mut world.conn, now, &world.profile, id, lease, RawJson::object("{}").unwrap()).unwrap();
        }
        assert_eq!(ledger(&mut world, id), before);
    }
    assert_eq!(world.balance(), Balance { available: 8, held: 0, settled: 2 });
}

#[test]
fn charged_on_success_it_is_settled_at_completion_and_released_at_failure() {
    let (mut world, now) = (World::charging("on_success"), clock::now());
    let id = world.queue(now);
    let lease = world.claim(now).unwrap().lease;
    assert_eq!(ledger(&mut world, id), (lines(&[("hold", "Key")]), (9, 1, 0)));
    jobs::complete(&mut world.conn, now, &world.profile, id, lease, RawJson::object("{}").unwrap()).unwrap();
    assert_eq!(ledger(&mut world, id), (lines(&[("hold", "Key"), ("settle", "Worker")]), (9, 0, 1)));

    let id = world.queue(now);
    let lease = world.claim(now).unwrap().lease;
    jobs::fail(&mut world.conn, now, &world.profile, id, lease, "x", "").unwrap();
    assert_eq!(ledger(&mut world, id), (lines(&[("hold", "Key"), ("release", "Worker")]), (9, 0, 1)));
}

#[test]
fn a_job_whose_workers_were_lost_costs_nothing_on_success() {
    let (mut world, mut now) = (World::charging("on_success"), clock::now());
    let id = world.queue(now);
    for _ in 0..jobs::MOST_ATTEMPTS {
        assert_eq!(ledger(&mut world, id), (lines(&[("hold", "Key")]), (9, 1, 0)));
        world.claim(now).unwrap();
        now += LEASE;
        jobs::expire_leases(&mut world.conn, now, &world.profile).unwrap();
    }
    assert_eq!(ledger(&mut world, id), (lines(&[("hold", "Key"), ("release", "Latchkey")]), (10, 0, 0)));
}
