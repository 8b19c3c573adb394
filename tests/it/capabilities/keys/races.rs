//! Many at once.

use std::sync::Barrier;

use diesel::PgConnection;
use latchkey::actor::Actor;
use latchkey::clock;
use latchkey::error::Error;
use latchkey::keys::{self, Rotation};
use time::Duration;

use super::{HOUR, World, is_conflict};

/// Does `work` twenty times at the same moment; how often it was done. Every other time it was a conflict.
fn twenty_at_once<T>(world: &World, work: impl Fn(&mut PgConnection) -> Result<T, Error> + Sync) -> usize {
    // Connected before anybody waits: a connection that can't be had fails the test instead of leaving the others waiting.
    let connections: Vec<PgConnection> = (0..20).map(|_| world.database.conn()).collect();
    let start = Barrier::new(connections.len());
    let (work, start) = (&work, &start);
    std::thread::scope(|scope| {
        let at_once = |mut conn: PgConnection| {
            scope.spawn(move || {
                start.wait();
                let result = work(&mut conn);
                assert!(result.is_ok() || is_conflict(&result), "{:?}", result.err());
                result.is_ok()
            })
        };
        let threads: Vec<_> = connections.into_iter().map(at_once).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).filter(|&done| done).count()
    })
}

#[test]
fn twenty_creates_at_once_make_one_key() {
    let world = World::new();
    let (profile, new) = (&world.profile, &world.new_key());
    let made = twenty_at_once(&world, |conn| keys::create(conn, &Actor::command_line(), clock::now(), profile, new.clone()));
    assert_eq!(made, 1);
}

#[test]
fn twenty_rotations_at_once_make_one_secret() {
    for grace in [None, Some(HOUR)] {
        let mut world = World::new();
        let (key, _) = world.create();
        let (profile, organization) = (&world.profile, world.organization);
        let made = twenty_at_once(&world, |conn| {
            let rotation = Rotation { grace, expected_generation: 1, form_token: None };
            keys::rotate(conn, &Actor::command_line(), clock::now(), profile, organization, key.id, rotation)
        });
        assert_eq!(made, 1);
        let at = clock::now();
        assert_eq!(world.working(key.id, at), if grace.is_none() { vec![2] } else { vec![1, 2] });
        assert_eq!(world.working(key.id, at + Duration::hours(2)), [2]);
    }
}
