//! States, bounds, permissions, and what is kept.

use std::time::Duration as StdDuration;

use diesel::prelude::*;
use latchkey::actor::{Actor, Role};
use latchkey::error::Error;
use latchkey::keys::{self, Edit, NewKey, Rotation, Status};
use latchkey::profile::Grant;
use latchkey::schema::{api_key_secrets, api_keys};
use time::Duration;
use uuid::Uuid;

use super::{HOUR, World, fields, is_conflict, organization, person};

#[test]
fn the_text_is_kept_nowhere() {
    let mut world = World::new();
    let (key, plain) = world.create();
    assert_eq!((key.generation, key.name.as_str(), key.prefix.as_str()), (1, "API key", &plain.reveal()[..12]));
    let digest = keys::parse(&world.profile, plain.reveal()).expect("a key of ours").digest;
    let found: i64 =
        api_key_secrets::table.filter(api_key_secrets::digest.eq(digest)).count().get_result(&mut world.conn).expect("a count");
    assert_eq!(found, 1);
    let random = &plain.reveal()[8..38];
    for table in ["api_keys", "api_key_secrets", "audit_entries"] {
        #[derive(QueryableByName)]
        struct Line {
            #[diesel(sql_type = diesel::sql_types::Text)]
            line: String,
        }
        let lines: Vec<Line> =
            diesel::sql_query(format!("SELECT t::text AS line FROM {table} t")).load(&mut world.conn).expect("a dump of the table");
        assert!(!lines.is_empty() && lines.iter().all(|Line { line }| !line.contains(random)), "{table}");
    }
}

#[test]
fn bad_fields_are_named_together_and_nothing_is_made() {
    let mut world = World::with(|profile| {
        profile.keys.max_active = 0;
        profile.permissions.grant = Grant::Chosen;
        profile.permissions.list = vec!["scan:create".into(), "jobs:read".into()];
    });
    let past = Some(world.now - Duration::SECOND);
    let bad = NewKey { name: "  ".into(), environment: "prod".into(), expires_at: past, ..world.new_key() };
    assert_eq!(fields(world.try_create(bad)), ["name", "environment", "permission", "expires"]);
    for name in ["a\0b", "line\nbreak", &"x".repeat(101)] {
        let bad = NewKey { name: name.into(), permissions: vec!["jobs:read".into()], ..world.new_key() };
        assert_eq!(fields(world.try_create(bad)), ["name"], "{name:?}");
    }
    let bad = NewKey { name: "Batch".into(), permissions: vec!["keys:write".into()], ..world.new_key() };
    assert_eq!(fields(world.try_create(bad)), ["permission"]);
    assert!(world.actions().is_empty());
    let twice = vec!["jobs:read".into(), "scan:create".into(), "jobs:read".into()];
    let good = NewKey { name: format!(" {} ", "é".repeat(100)), permissions: twice, ..world.new_key() };
    let (key, _) = world.try_create(good).expect("a key");
    assert_eq!((key.name.chars().count(), key.permissions), (100, vec!["scan:create".to_owned(), "jobs:read".to_owned()]));
}

#[test]
fn active_and_inactive_keys_fill_the_bound_ended_ones_do_not() {
    let mut world = World::new();
    let actor = Actor::command_line();
    let soon = Some(world.now + Duration::MINUTE);
    let expiring = NewKey { expires_at: soon, ..world.new_key() };
    let (key, _) = world.try_create(expiring).expect("a key");
    let again = world.new_key();
    assert!(is_conflict(&world.try_create(again)));
    keys::deactivate(&mut world.conn, &actor, world.now, world.organization, key.id).expect("paused");
    let again = world.new_key();
    assert!(is_conflict(&world.try_create(again)));
    let test = NewKey { environment: "test".into(), ..world.new_key() };
    world.try_create(test).expect("the other environment has its own bound");
    world.now += Duration::MINUTE;
    assert_eq!(world.status(key.id), Status::Expired);
    let (second, _) = world.create();
    keys::revoke(&mut world.conn, &actor, world.now, world.organization, second.id).expect("revoked");
    world.create();
}

#[test]
fn one_form_makes_one_key_and_one_rotation() {
    let mut world = World::with(|profile| profile.keys.max_active = 0);
    let form = Some(Uuid::from_u128(1));
    let new = NewKey { name: "Batch".into(), form_token: form, ..world.new_key() };
    let (key, _) = world.try_create(new.clone()).expect("a key");
    match world.try_create(new) {
        Err(Error::Conflict(sentence)) => assert!(sentence.contains("sent before"), "{sentence}"),
        other => panic!("{:?}", other.map(|_| ())),
    }
    assert_eq!(api_keys::table.count().get_result::<i64>(&mut world.conn).expect("a count"), 1);
    let rotation = |expected_generation| Rotation { grace: None, expected_generation, form_token: Some(Uuid::from_u128(2)) };
    let actor = Actor::command_line();
    let (now, organization) = (world.now, world.organization);
    keys::rotate(&mut world.conn, &actor, now, &world.profile, organization, key.id, rotation(1)).expect("rotated");
    for generation in [1, 2] {
        assert!(is_conflict(&keys::rotate(&mut world.conn, &actor, now, &world.profile, organization, key.id, rotation(generation))));
    }
    assert_eq!(world.working(key.id, now), [2]);
    assert_eq!(world.actions(), ["key.created", "key.rotated"]);
}

#[test]
fn rotation_keeps_the_key_and_ends_the_old_secret_at_once() {
    let mut world = World::new();
    let (key, old) = world.create();
    let (rotated, new) = world.rotate(&key, None, 1).expect("rotated");
    assert_eq!((rotated.id, &rotated.name, rotated.expires_at, rotated.generation), (key.id, &key.name, key.expires_at, 2));
    assert_ne!(old.reveal(), new.reveal());
    assert_eq!(world.working(key.id, world.now), [2]);
    assert_eq!(world.working(key.id, world.now - Duration::SECOND), [1, 2], "the end is not written into the past");
}

#[test]
fn grace_is_one_of_the_list_and_never_outlives_the_key() {
    let mut world = World::new();
    let expiry = world.now + Duration::minutes(30);
    let new = NewKey { expires_at: Some(expiry), ..world.new_key() };
    let (key, _) = world.try_create(new).expect("a key");
    assert_eq!(fields(world.rotate(&key, Some(StdDuration::from_secs(61)), 1)), ["grace"]);
    world.rotate(&key, Some(HOUR), 1).expect("rotated");
    assert_eq!(world.working(key.id, expiry - Duration::SECOND), [1, 2]);
    assert_eq!(world.working(key.id, expiry), [2]);
    assert!(is_conflict(&world.rotate(&key, None, 2)), "a second rotation during grace");
    let sooner = world.now + Duration::minutes(5);
    let edit = Edit { name: "Shorter".into(), permissions: Vec::new(), expires_at: Some(sooner) };
    let edited = keys::edit(&mut world.conn, &Actor::command_line(), world.now, &world.profile, world.organization, key.id, edit);
    assert_eq!(edited.expect("edited").name, "Shorter");
    assert_eq!(world.working(key.id, sooner), [2]);
    keys::end_grace(&mut world.conn, &Actor::command_line(), world.now, world.organization, key.id).expect("ended");
    assert_eq!(world.working(key.id, world.now), [2]);
    assert!(is_conflict(&keys::end_grace(&mut world.conn, &Actor::command_line(), world.now, world.organization, key.id)));
    world.rotate(&key, None, 2).expect("rotated again");
    assert_eq!(world.actions(), ["key.created", "key.rotated", "key.edited", "key.grace_ended", "key.rotated"]);
}

#[test]
fn revoked_and_expired_are_for_ever() {
    let mut world = World::new();
    let actor = Actor::command_line();
    let (revoked, _) = world.create();
    world.rotate(&revoked, Some(HOUR), 1).expect("rotated");
    keys::revoke(&mut world.conn, &actor, world.now, world.organization, revoked.id).expect("revoked");
    assert!(world.working(revoked.id, world.now).is_empty(), "the secret in grace ends too");
    let soon = Some(world.now + Duration::SECOND);
    let new = NewKey { expires_at: soon, ..world.new_key() };
    let (expired, _) = world.try_create(new).expect("a key");
    world.now += Duration::SECOND;
    for (key, status) in [(&revoked, Status::Revoked), (&expired, Status::Expired)] {
        assert_eq!(world.status(key.id), status);
        let (now, organization) = (world.now, world.organization);
        assert!(is_conflict(&keys::revoke(&mut world.conn, &actor, now, organization, key.id)));
        assert!(is_conflict(&keys::activate(&mut world.conn, &actor, now, organization, key.id)));
        assert!(is_conflict(&keys::deactivate(&mut world.conn, &actor, now, organization, key.id)));
        let edit = Edit { name: "Back".into(), permissions: Vec::new(), expires_at: None };
        assert!(is_conflict(&keys::edit(&mut world.conn, &actor, now, &world.profile, organization, key.id, edit)));
        assert!(is_conflict(&world.rotate(key, None, 1)));
        assert!(is_conflict(&world.rotate(key, None, 2)));
    }
}

#[test]
fn a_paused_key_comes_back_and_may_be_rotated_meanwhile() {
    let mut world = World::new();
    let actor = Actor::command_line();
    let (key, _) = world.create();
    let (now, organization) = (world.now, world.organization);
    assert!(is_conflict(&keys::activate(&mut world.conn, &actor, now, organization, key.id)));
    keys::deactivate(&mut world.conn, &actor, now, organization, key.id).expect("paused");
    assert!(is_conflict(&keys::deactivate(&mut world.conn, &actor, now, organization, key.id)));
    world.rotate(&key, None, 1).expect("rotated");
    assert_eq!(world.status(key.id), Status::Inactive);
    keys::activate(&mut world.conn, &actor, now, organization, key.id).expect("back");
    assert_eq!(world.status(key.id), Status::Active);
}

#[test]
fn members_may_not_and_strangers_learn_nothing() {
    let mut world = World::new();
    let (key, _) = world.create();
    let elsewhere = organization(&mut world.conn, "borealis");
    let (now, own) = (world.now, world.organization);
    let member = person(own, Role::Member);
    let stranger = person(elsewhere, Role::Admin);
    let new = world.new_key();
    assert!(matches!(keys::create(&mut world.conn, &member, now, &world.profile, new.clone()), Err(Error::Forbidden)));
    assert!(matches!(keys::create(&mut world.conn, &stranger, now, &world.profile, new), Err(Error::NotFound)));
    assert!(matches!(keys::revoke(&mut world.conn, &member, now, own, key.id), Err(Error::Forbidden)));
    for organization in [own, elsewhere] {
        assert!(matches!(keys::revoke(&mut world.conn, &stranger, now, organization, key.id), Err(Error::NotFound)));
        assert!(matches!(keys::deactivate(&mut world.conn, &stranger, now, organization, key.id), Err(Error::NotFound)));
        assert!(matches!(keys::end_grace(&mut world.conn, &stranger, now, organization, key.id), Err(Error::NotFound)));
        let rotation = Rotation { grace: None, expected_generation: 1, form_token: None };
        let rotated = keys::rotate(&mut world.conn, &stranger, now, &world.profile, organization, key.id, rotation);
        assert!(matches!(rotated, Err(Error::NotFound)));
    }
    assert!(matches!(keys::find(&mut world.conn, elsewhere, key.id, now), Err(Error::NotFound)));
    assert!(keys::list(&mut world.conn, elsewhere, now).expect("a list").is_empty());
    keys::revoke(&mut world.conn, &person(own, Role::Admin), now, own, key.id).expect("an admin may");
}
