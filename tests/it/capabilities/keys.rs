//! Keys against a real database: states, bounds, races, receipts.

use std::sync::Barrier;
use std::time::Duration as StdDuration;

use diesel::prelude::*;
use latchkey::actor::{Actor, Role};
use latchkey::clock;
use latchkey::error::{Error, FieldError};
use latchkey::ids::{KeyId, OrgId, RequestId, UserId};
use latchkey::keys::{self, Edit, EndReason, Key, NewKey, PlainKey, Quiet, Refused, Rotation, Status};
use latchkey::profile::{Grant, Profile};
use latchkey::schema::{api_key_secrets, api_keys, audit_entries, organizations, requests};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::support::TestDb;

struct World {
    database: TestDb,
    conn: PgConnection,
    profile: Profile,
    organization: OrgId,
    now: OffsetDateTime,
}

fn organization(conn: &mut PgConnection, slug: &str) -> OrgId {
    let now = clock::now();
    let id = OrgId::new(now);
    diesel::insert_into(organizations::table)
        .values((
            organizations::id.eq(id),
            organizations::slug.eq(slug),
            organizations::name.eq("Acme Motion"),
            organizations::created_at.eq(now),
        ))
        .execute(conn)
        .expect("an organization");
    id
}

fn person(organization: OrgId, role: Role) -> Actor {
    let user = UserId::new(clock::now());
    Actor::member(user, "Dana Okafor".into(), organization, role, "203.0.113.24".into(), "Firefox".into())
}

impl World {
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut Profile)) -> Self {
        let database = TestDb::new();
        let mut conn = database.conn();
        let mut profile = Profile::load("analysis").expect("the built-in profile");
        change(&mut profile);
        let organization = organization(&mut conn, "acme-motion");
        Self { database, conn, profile, organization, now: clock::now() }
    }

    fn new_key(&self) -> NewKey {
        NewKey {
            organization: self.organization,
            name: String::new(),
            environment: "live".into(),
            permissions: Vec::new(),
            expires_at: None,
            form_token: None,
        }
    }

    fn try_create(&mut self, new: NewKey) -> Result<(Key, PlainKey), Error> {
        keys::create(&mut self.conn, &Actor::command_line(), self.now, &self.profile, new)
    }

    fn create(&mut self) -> (Key, PlainKey) {
        let new = self.new_key();
        self.try_create(new).expect("a key")
    }

    fn rotate(&mut self, key: &Key, grace: Option<StdDuration>, expected_generation: i32) -> Result<(Key, PlainKey), Error> {
        let rotation = Rotation { grace, expected_generation, form_token: None };
        keys::rotate(&mut self.conn, &Actor::command_line(), self.now, &self.profile, self.organization, key.id, rotation)
    }

    fn status(&mut self, key: KeyId) -> Status {
        keys::find(&mut self.conn, self.organization, key, self.now).expect("the key").status
    }

    fn actions(&mut self) -> Vec<String> {
        audit_entries::table.order(audit_entries::sequence).select(audit_entries::action).load(&mut self.conn).expect("the audit log")
    }

    /// Generations that work at `at`.
    fn working(&mut self, key: KeyId, at: OffsetDateTime) -> Vec<i32> {
        api_key_secrets::table
            .filter(api_key_secrets::key_id.eq(key))
            .filter(api_key_secrets::ends_at.is_null().or(api_key_secrets::ends_at.gt(at)))
            .order(api_key_secrets::generation)
            .select(api_key_secrets::generation)
            .load(&mut self.conn)
            .expect("secrets")
    }

    fn request(&mut self, key: &Key, generation: i32, at: OffsetDateTime, outcome: &str, stale: bool) {
        self.request_from(key, generation, at, outcome, stale, "203.0.113.24");
    }

    fn request_from(&mut self, key: &Key, generation: i32, at: OffsetDateTime, outcome: &str, stale: bool, address: &str) {
        let status: i16 = if outcome == "accepted" { 202 } else { 403 };
        diesel::insert_into(requests::table)
            .values((
                requests::organization_id.eq(key.organization),
                requests::id.eq(RequestId::new(at)),
                requests::at.eq(at),
                requests::key_id.eq(key.id),
                requests::generation.eq(generation),
                requests::environment.eq(&key.environment),
                requests::method.eq("POST"),
                requests::path.eq("/analyses"),
                requests::status.eq(status),
                requests::outcome.eq(outcome),
                requests::duration_us.eq(1_000),
                requests::credits.eq(0i64),
                requests::address.eq(address),
                requests::user_agent.eq("python-httpx/0.28"),
                requests::stale.eq(stale),
            ))
            .execute(&mut self.conn)
            .expect("a request");
    }
}

fn fields<T>(result: Result<T, Error>) -> Vec<String> {
    match result {
        Err(Error::Invalid(fields)) => fields.into_iter().map(|FieldError { field, .. }| field.into_owned()).collect(),
        Err(other) => panic!("{other:?}"),
        Ok(_) => Vec::new(),
    }
}

fn is_conflict<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Conflict(_)))
}

const HOUR: StdDuration = StdDuration::from_secs(3_600);

#[test]
fn the_text_is_kept_nowhere() {
    let mut world = World::new();
    let (key, plain) = world.create();
    assert_eq!((key.generation, key.name.as_str(), key.prefix.as_str()), (1, "API key", &plain.reveal()[..12]));
    let digest = keys::parse(&world.profile, plain.reveal()).expect("a key of ours");
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
fn twenty_creates_at_once_make_one_key() {
    let world = World::new();
    let db = world.database.db();
    let start = Barrier::new(20);
    let (profile, new) = (&world.profile, &world.new_key());
    let results: Vec<bool> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..20)
            .map(|_| {
                scope.spawn(|| {
                    let mut conn = db.connect().expect("a connection");
                    start.wait();
                    let result = keys::create(&mut conn, &Actor::command_line(), clock::now(), profile, new.clone());
                    assert!(result.is_ok() || is_conflict(&result), "{:?}", result.err());
                    result.is_ok()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert_eq!(results.iter().filter(|&&made| made).count(), 1);
}

#[test]
fn twenty_rotations_at_once_make_one_secret() {
    for grace in [None, Some(HOUR)] {
        let mut world = World::new();
        let (key, _) = world.create();
        let db = world.database.db();
        let start = Barrier::new(20);
        let (profile, organization) = (&world.profile, world.organization);
        let made = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..20)
                .map(|_| {
                    scope.spawn(|| {
                        let mut conn = db.connect().expect("a connection");
                        start.wait();
                        let rotation = Rotation { grace, expected_generation: 1, form_token: None };
                        let actor = Actor::command_line();
                        let result = keys::rotate(&mut conn, &actor, clock::now(), profile, organization, key.id, rotation);
                        assert!(result.is_ok() || is_conflict(&result), "{:?}", result.err());
                        result.is_ok()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).filter(|&made| made).count()
        });
        assert_eq!(made, 1);
        let at = clock::now();
        assert_eq!(world.working(key.id, at), if grace.is_none() { vec![2] } else { vec![1, 2] });
        assert_eq!(world.working(key.id, at + Duration::hours(2)), [2]);
    }
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

#[test]
fn the_list_tells_last_use_and_a_day_by_the_hour() {
    let mut world = World::new();
    world.now -= Duration::days(2);
    let (key, _) = world.create();
    world.now += Duration::days(2);
    let now = world.now;
    world.request(&key, 1, now - Duration::hours(25), "accepted", false);
    world.request(&key, 1, now - Duration::minutes(90), "accepted", false);
    world.request(&key, 1, now - Duration::minutes(2), "rate_limited", false);
    let view = keys::find(&mut world.conn, world.organization, key.id, now).expect("the key");
    let mut expected = vec![0; 24];
    (expected[22], expected[23]) = (1, 1);
    assert_eq!((view.by_hour.clone(), view.requests_24h()), (expected, 2));
    let last = view.last_use.expect("a use");
    assert_eq!((last.at, last.path.as_str()), (now - Duration::minutes(2), "/analyses"));
    world.rotate(&key, None, 1).expect("rotated");
    world.request(&key, 1, now + Duration::SECOND, "revoked", true);
    let view = keys::find(&mut world.conn, world.organization, key.id, now + Duration::MINUTE).expect("the key");
    assert_eq!(view.last_use.map(|last| last.at), Some(now - Duration::minutes(2)), "a refused old key is no use of the key");
}

#[test]
fn a_receipt_tells_what_passed_and_who_still_calls() {
    let mut world = World::new();
    world.now -= Duration::HOUR;
    let (key, _) = world.create();
    let at = |seconds| clock::now() - Duration::minutes(10) + Duration::seconds(seconds);
    let times: Vec<_> = (0..8).map(at).collect();
    world.request(&key, 1, times[0], "accepted", false);
    world.request(&key, 1, times[1], "accepted", false);
    world.now = times[2];
    let (rotated, _) = world.rotate(&key, None, 1).expect("rotated");
    world.request(&key, 1, times[3], "revoked", true);
    world.request(&rotated, 2, times[4], "accepted", false);
    world.request_from(&key, 1, times[5], "revoked", true, "198.51.100.7");
    world.now = times[6];
    keys::revoke(&mut world.conn, &Actor::command_line(), world.now, world.organization, key.id).expect("revoked");
    world.request(&rotated, 2, times[7], "revoked", true);
    let former = keys::former(&mut world.conn, world.organization, clock::now()).expect("former keys");
    let [second, first] = former.as_slice() else { panic!("{former:?}") };
    assert_eq!((second.reason, second.generation, first.reason, first.generation), (EndReason::Revoked, 2, EndReason::Rotated, 1));
    assert_eq!((&first.prefix, first.ended_at, first.ended_by.as_deref()), (&key.prefix, times[2], Some("Command line")));
    assert_eq!(first.receipt.last_accepted.as_ref().map(|call| call.at), Some(times[1]));
    assert_eq!(first.receipt.first_refused.as_ref().map(|call| call.at), Some(times[3]));
    assert_eq!(first.receipt.refused, Refused::Exactly(2));
    let latest = first.receipt.latest.as_ref().expect("a caller");
    assert_eq!((latest.at, latest.address.as_str(), latest.status), (times[5], "198.51.100.7", 403));
    assert_eq!(second.receipt.last_accepted.as_ref().map(|call| call.at), Some(times[4]));
    assert_eq!(second.receipt.refused, Refused::Exactly(1));
}

#[test]
fn an_expired_key_has_a_receipt_without_an_ender() {
    let mut world = World::new();
    let expiry = world.now + Duration::MINUTE;
    let new = NewKey { expires_at: Some(expiry), ..world.new_key() };
    world.try_create(new).expect("a key");
    assert!(keys::former(&mut world.conn, world.organization, expiry - Duration::SECOND).expect("former keys").is_empty());
    let former = keys::former(&mut world.conn, world.organization, expiry).expect("former keys");
    assert_eq!((former[0].reason, former[0].ended_at, former[0].ended_by.as_deref()), (EndReason::Expired, expiry, None));
    assert_eq!(former[0].receipt.refused, Refused::Exactly(0));
}

#[test]
fn the_meter_tells_who_still_uses_the_old_secret() {
    let mut world = World::new();
    let now = world.now;
    world.now = now - Duration::hours(3);
    let (key, _) = world.create();
    let rotated_at = world.now + Duration::MINUTE;
    world.now = rotated_at;
    assert!(keys::cut_over(&mut world.conn, world.organization, key.id, world.now).expect("a meter").is_none());
    let (rotated, _) = world.rotate(&key, Some(HOUR * 24), 1).expect("rotated");
    let meter =
        |world: &mut World, at| keys::cut_over(&mut world.conn, world.organization, key.id, at).expect("a meter").expect("in grace");
    assert_eq!(meter(&mut world, rotated_at + Duration::MINUTE).quiet, Quiet::Unused);
    assert_eq!(meter(&mut world, rotated_at + Duration::HOUR).quiet, Quiet::Since(rotated_at));
    for minutes in [1, 2, 25] {
        world.request(&key, 1, rotated_at + Duration::minutes(minutes), "accepted", true);
    }
    world.request_from(&key, 1, rotated_at + Duration::minutes(26), "accepted", true, "198.51.100.7");
    world.request(&rotated, 2, rotated_at + Duration::minutes(27), "accepted", false);
    let shown = meter(&mut world, rotated_at + Duration::minutes(30));
    assert_eq!((shown.new_requests, shown.old_requests, shown.quiet), (1, 4, Quiet::NotYet));
    assert_eq!((shown.by_bucket, shown.bucket), (vec![2, 0, 2, 0], Duration::minutes(10)));
    let users: Vec<_> = shown.old_users.iter().map(|user| (user.address.as_str(), user.requests)).collect();
    assert_eq!(users, [("203.0.113.24", 3), ("198.51.100.7", 1)]);
    let last = rotated_at + Duration::minutes(26);
    assert_eq!(meter(&mut world, last + Duration::HOUR).quiet, Quiet::Since(last));
    let overview = keys::overview(&mut world.conn, world.organization, now).expect("an overview");
    assert_eq!((overview.keys.len(), overview.cut_overs.len(), overview.former.len()), (1, 1, 0));
}
