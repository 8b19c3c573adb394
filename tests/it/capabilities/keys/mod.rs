//! Keys against a real database.

mod histories;
mod races;
mod rules;

use std::time::Duration as StdDuration;

use diesel::prelude::*;
use latchkey::actor::{Actor, Role};
use latchkey::clock;
use latchkey::error::{Error, FieldError};
use latchkey::ids::{KeyId, OrgId, UserId};
use latchkey::keys::{self, Key, NewKey, PlainKey, Rotation, Status};
use latchkey::outcome::Outcome;
use latchkey::profile::Profile;
use latchkey::schema::{api_key_secrets, audit_entries, organizations};
use latchkey::usage::{self, Record};
use time::OffsetDateTime;

use crate::support::{TestDb, record};

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
    Actor::member(user, "Dana Okafor".into(), organization, role, "203.0.113.24".into(), "Firefox".into()).proved(clock::now())
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
        let status = if outcome == "accepted" { 202 } else { 403 };
        let record = Record {
            generation,
            environment: key.environment.clone(),
            method: "POST".into(),
            path: "/analyses".into(),
            route: "POST /analyses".into(),
            status,
            outcome: Outcome::parse(outcome).expect("an outcome"),
            address: address.into(),
            stale,
            ..record(key.organization, key.id, at)
        };
        usage::make_days(&mut self.conn, at).expect("days");
        usage::insert(&mut self.conn, &[&record]).expect("a request");
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
