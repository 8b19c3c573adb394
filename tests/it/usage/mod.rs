//! Usage against a real database: that all numbers agree, that days come and go, that nothing reads the history from end to end.

mod agreement;
mod days;
mod migration;
mod plans;

use diesel::pg::PgConnection;
use latchkey::actor::Actor;
use latchkey::ids::{KeyId, OrgId};
use latchkey::keys::{self, NewKey};
use latchkey::orgs;
use latchkey::outcome::Outcome;
use latchkey::profile::Profile;
use latchkey::usage::{self, Record};
use rand::RngExt;
use rand::rngs::StdRng;
use time::{Duration, OffsetDateTime};

use crate::support::{TestDb, record};

const ROUTES: [(&str, &str, &str); 5] = [
    ("POST", "/analyses", "POST /analyses"),
    ("GET", "/analyses/an_1", "GET /analyses/{id}"),
    ("GET", "/analyses/an_1/results", "GET /analyses/{id}/results"),
    ("GET", "/credits", "GET /credits"),
    ("GET", "/nowhere", ""),
];
const STATUSES: [(u16, Outcome); 8] = [
    (200, Outcome::Accepted),
    (202, Outcome::Accepted),
    (402, Outcome::Credits),
    (403, Outcome::Revoked),
    (404, Outcome::Accepted),
    (429, Outcome::RateLimited),
    (500, Outcome::Accepted),
    (503, Outcome::Accepted),
];

/// Two organizations with keys, and who fills their history.
struct World {
    // Dropped first: the database can't be while somebody is connected.
    conn: PgConnection,
    #[allow(dead_code, reason = "it is there for as long as the world")]
    database: TestDb,
    profile: Profile,
    organizations: Vec<(OrgId, Vec<(KeyId, &'static str)>)>,
}

impl World {
    fn new(now: OffsetDateTime) -> Self {
        let database = TestDb::new();
        let mut conn = database.conn();
        let profile = Profile::load("analysis").expect("the built-in profile");
        let actor = Actor::command_line();
        let organizations = ["acme", "brook"].map(|slug| {
            let organization = orgs::create(&mut conn, &actor, now, slug, None, None).expect("an organization").id;
            let keys = ["live", "test"].map(|environment| {
                let new = NewKey {
                    organization,
                    name: String::new(),
                    environment: environment.into(),
                    permissions: Vec::new(),
                    expires_at: None,
                    form_token: None,
                };
                (keys::create(&mut conn, &actor, now, &profile, new).expect("a key").0.id, environment)
            });
            (organization, keys.to_vec())
        });
        Self { conn, database, profile, organizations: organizations.to_vec() }
    }

    fn organization(&self) -> OrgId {
        self.organizations[0].0
    }

    /// A request of anybody's, at this moment.
    fn record(&self, random: &mut StdRng, at: OffsetDateTime) -> Record {
        let (organization, keys) = &self.organizations[random.random_range(0..self.organizations.len())];
        let (key, environment) = keys[random.random_range(0..keys.len())];
        let (method, path, route) = ROUTES[random.random_range(0..ROUTES.len())];
        let (status, outcome) = STATUSES[random.random_range(0..STATUSES.len())];
        Record {
            environment: environment.into(),
            method: method.into(),
            path: path.into(),
            route: route.into(),
            status,
            outcome,
            duration_us: random.random_range(50..3_000_000),
            credits: i64::from(status == 202),
            ..record(*organization, key, at)
        }
    }

    /// So many, at random between two moments, in batches.
    fn fill(&mut self, random: &mut StdRng, from: OffsetDateTime, to: OffsetDateTime, count: usize) {
        let span = (to - from).whole_milliseconds() as i64;
        let at = |random: &mut StdRng| from + Duration::milliseconds(random.random_range(0..span));
        let records: Vec<Record> = (0..count)
            .map(|_| {
                let at = at(random);
                self.record(random, at)
            })
            .collect();
        for batch in records.chunks(97) {
            for record in batch {
                usage::make_days(&mut self.conn, record.at).expect("days");
            }
            usage::insert(&mut self.conn, &batch.iter().collect::<Vec<_>>()).expect("a batch");
        }
    }
}
