//! The way of an event to its webhook, without the sending: what is claimed, what is recorded, what comes next.

mod changes;
mod edges;
mod growth;
mod lanes;
mod races;

use std::time::Duration;

use diesel::sql_types::{Integer, Nullable, Text, Uuid as SqlUuid};
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query};
use latchkey::actor::Actor;
use latchkey::batch::Decide;
use latchkey::courier::{Answer, Attempt, Failure, FailureClass, Laps};
use latchkey::error::Error;
use latchkey::ids::{JobId, OrgId};
use latchkey::raw_json::RawJson;
use latchkey::sealed::{Keyring, SecretKey};
use latchkey::webhooks::retry::Verdict;
use latchkey::webhooks::{self, Claim, Claimed, NewEvent, Outcome, Record, Want};
use latchkey::{clock, jobs};
use serde_json::Value;

use crate::jobs::World;

/// An organization with a webhook, and jobs whose events are published by hand.
pub struct Hooked {
    pub world: World,
}

#[derive(Debug, PartialEq, Eq, QueryableByName)]
pub struct Delivery {
    #[diesel(sql_type = Integer)]
    pub sequence: i32,
    #[diesel(sql_type = Text)]
    pub state: String,
    #[diesel(sql_type = Integer)]
    pub attempts: i32,
    #[diesel(sql_type = Nullable<Integer>)]
    pub last_status: Option<i32>,
}

pub fn keyring() -> Keyring {
    SecretKey([7; 32]).into()
}

impl Hooked {
    pub fn new() -> Self {
        let mut hooked = Self { world: World::new() };
        let organization = hooked.world.organization;
        hooked.hook(organization);
        hooked
    }

    pub fn hook(&mut self, organization: OrgId) {
        let url = "https://hooks.motion.example/in".parse().unwrap();
        webhooks::save(&mut self.world.conn, &Actor::command_line(), clock::now(), organization, &keyring(), &url, None).unwrap();
    }

    pub fn switch(&mut self, enabled: bool) {
        let organization = self.world.organization;
        webhooks::switch(&mut self.world.conn, &Actor::command_line(), clock::now(), organization, enabled).unwrap();
    }

    pub fn job(&mut self) -> JobId {
        self.world.queue(clock::now())
    }

    /// Many, for nothing.
    pub fn jobs(&mut self, count: usize) -> Vec<JobId> {
        let new: Vec<_> = (0..count).map(|_| jobs::NewJob { price: 0, ..self.world.a_job(clock::now()) }).collect();
        jobs::insert_many(&mut self.world.conn, &new).unwrap();
        new.into_iter().map(|job| job.id).collect()
    }

    /// Publishes the next events of a job, of these words, in one transaction.
    pub fn publish(&mut self, job: JobId, first: i32, words: &[&str]) {
        let events = events(first, words);
        webhooks::publish(&mut self.world.conn, clock::now(), self.world.organization, Some(job), true, events).unwrap();
    }

    pub fn claim(&mut self) -> Vec<Claimed> {
        self.claim_with(everywhere(100, Vec::new()))
    }

    pub fn claim_with(&mut self, want: Want) -> Vec<Claimed> {
        Claim::default().decide(&mut self.world.conn, &[want]).unwrap().remove(0).lanes
    }

    pub fn record(&mut self, claimed: &Claimed, status: Option<u16>, verdict: Verdict) -> Option<Claimed> {
        Record::default().decide(&mut self.world.conn, &[outcome(claimed, status, verdict)]).unwrap().remove(0)
    }

    pub fn deliver(&mut self, claimed: &Claimed) -> Option<Claimed> {
        self.record(claimed, Some(200), Verdict::Delivered)
    }

    /// The deliveries of a job in their sequence.
    pub fn deliveries(&mut self, job: JobId) -> Vec<Delivery> {
        sql_query("SELECT sequence, state, attempts, last_status::int FROM deliveries WHERE lane = $1 ORDER BY sequence")
            .bind::<SqlUuid, _>(job)
            .load(&mut self.world.conn)
            .unwrap()
    }

    pub fn states(&mut self, job: JobId) -> Vec<String> {
        self.deliveries(job).into_iter().map(|delivery| delivery.state).collect()
    }

    /// What only the passing of time would do.
    pub fn pass(&mut self, seconds: f64) {
        let later = "UPDATE delivery_lanes SET due_at = due_at - make_interval(secs => $1)";
        sql_query(later).bind::<diesel::sql_types::Double, _>(seconds).execute(&mut self.world.conn).unwrap();
    }

    pub fn count(&mut self, query: &str) -> i64 {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = diesel::sql_types::BigInt)]
            n: i64,
        }
        sql_query(format!("SELECT count(*) AS n FROM {query}")).get_result::<Row>(&mut self.world.conn).unwrap().n
    }
}

pub fn events(first: i32, words: &[&str]) -> Vec<NewEvent> {
    let event = |(place, word): (usize, &&str)| {
        let sequence = first + place as i32;
        let payload = RawJson::object(&format!(r#"{{"sequence":{sequence}}}"#)).unwrap();
        NewEvent { sequence, event_type: format!("analysis.{word}"), payload }
    };
    words.iter().enumerate().map(event).collect()
}

/// Publishes as the changes do that are told: within a transaction that goes on for a moment.
pub fn publish_within(conn: &mut PgConnection, organization: OrgId, job: Option<JobId>, events: Vec<NewEvent>, moment: Duration) {
    let published = conn.transaction(|conn| {
        webhooks::publish(conn, clock::now(), organization, job, true, events)?;
        std::thread::sleep(moment);
        Ok::<_, Error>(())
    });
    published.unwrap();
}

pub fn outcome(claimed: &Claimed, status: Option<u16>, verdict: Verdict) -> Outcome {
    let answer = status.map(|status| Answer {
        status,
        head: format!("HTTP/1.1 {status} \0"),
        body: "text\0".into(),
        is_cut: false,
        retry_after: None,
    });
    let failure = status.is_none().then(|| Failure { class: FailureClass::Timeout, message: "No first byte within 15 s".into() });
    let laps = Laps { total: Duration::from_millis(12), ..Laps::default() };
    let attempt = Attempt { at: clock::now(), request: "POST /in HTTP/1.1".into(), address: None, laps, answer, failure };
    Outcome { claimed: claimed.clone(), attempt, verdict, go_on: true }
}

pub fn sequence(claimed: &Claimed) -> i64 {
    serde_json::from_str::<Value>(&claimed.payload).unwrap()["sequence"].as_i64().unwrap()
}

pub const SOON: Verdict = Verdict::Retry(Duration::from_secs(5));

/// What a sender asks for that walks through all organizations.
pub fn everywhere(free: usize, busy: Vec<(OrgId, usize)>) -> Want {
    Want { free, busy, of: Vec::new(), walk: Some(OrgId(uuid::Uuid::nil())) }
}
