//! Jobs from the queue to their end, as their workers, their buyers and their payers notice them.

mod built_in;
mod credits;
mod life;
mod races;
mod worker_api;

use std::sync::Arc;

use diesel::sql_types::{Text, Uuid as SqlUuid};
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query};
use latchkey::clock;
use latchkey::credits::{Balance, Books, Purpose, balance};
use latchkey::error::Error;
use latchkey::ids::{JobId, KeyId, OrgId, RequestId};
use latchkey::jobs::{self, Claimed, Job, NewJob};
use latchkey::profile::{BUILT_IN, Charge, JobKind, Profile};
use latchkey::raw_json::RawJson;
use latchkey::sealed::SecretKey;
use latchkey::site::Site;
use serde_json::Value;
use time::OffsetDateTime;

use crate::support::{Make, TestDb};

/// An organization with ten credits, a key, and a profile with one kind of job.
pub struct World {
    pub profile: Arc<Profile>,
    pub organization: OrgId,
    pub key: KeyId,
    pub make: Make,
    pub conn: PgConnection,
    /// Last, so that it is dropped after its connections.
    pub database: TestDb,
}

impl World {
    pub fn new() -> Self {
        Self::charging("on_start")
    }

    pub fn charging(charge: &str) -> Self {
        let (_, text) = BUILT_IN.iter().find(|(name, _)| *name == "analysis").unwrap();
        assert!(text.contains("charge = \"on_start\""));
        let profile = Arc::new(Profile::parse(&text.replace("charge = \"on_start\"", &format!("charge = \"{charge}\""))).unwrap());
        let database = TestDb::new();
        let make = Make::new(database.conn(), profile.clone()).org().credits(10).key();
        let (organization, key) = (make.here().id, make.a_key().id);
        Self { profile, organization, key, make, conn: database.conn(), database }
    }

    pub fn kind(&self) -> &JobKind {
        &self.profile.jobs[0]
    }

    pub fn site(&self) -> Site {
        Site {
            db: self.database.db(),
            profile: self.profile.clone(),
            public_url: "http://127.0.0.1".into(),
            keyring: SecretKey([7; 32]).into(),
            webhooks: Arc::default(),
            retention: latchkey::site::Retention::default(),
            news: Default::default(),
            mail: None,
            leaks: Default::default(),
            proxies: Default::default(),
        }
    }

    /// A live job for one credit.
    pub fn queue(&mut self, now: OffsetDateTime) -> JobId {
        let job = self.a_job(now);
        self.buy(now, job)
    }

    /// A sandbox job with this input.
    pub fn queue_sandbox(&mut self, input: &str) -> JobId {
        let now = clock::now();
        let input = RawJson::object(input).unwrap();
        let job = NewJob { sandbox: true, environment: "test".into(), price: 0, input, ..self.a_job(now) };
        self.buy(now, job)
    }

    pub fn a_job(&self, now: OffsetDateTime) -> NewJob {
        NewJob {
            id: JobId::new(now),
            organization: self.organization,
            key: self.key,
            request_id: RequestId::new(now),
            kind: self.kind().kind.clone(),
            environment: "live".into(),
            sandbox: false,
            input: RawJson::object(r#"{"n": 1.0}"#).unwrap(),
            external_reference: None,
            notify_via_webhook: true,
            price: 1,
            charge: self.kind().charge,
            created_at: now,
        }
    }

    /// As admission does it: the job and its credits in one transaction.
    pub fn buy(&mut self, now: OffsetDateTime, job: NewJob) -> JobId {
        let (id, organization) = (job.id, job.organization);
        let made = self.conn.transaction(|conn| {
            jobs::insert_many(conn, std::slice::from_ref(&job))?;
            if job.price > 0 {
                let purpose =
                    Purpose { hold_id: id.0, request_id: Some(job.request_id), job_id: Some(id), actor: "Key".into(), note: String::new() };
                let mut books = Books::open(conn, now, [organization])?;
                assert!(books.hold(organization, job.price, &purpose));
                if job.charge == Charge::OnStart {
                    books.settle(organization, job.price, &purpose);
                }
                books.close(conn)?;
            }
            Ok::<_, Error>(())
        });
        made.unwrap();
        id
    }

    pub fn claim(&mut self, now: OffsetDateTime) -> Option<Claimed> {
        let kinds = [self.kind().kind.clone()];
        jobs::claim(&mut self.conn, now, &self.profile, &kinds, false).unwrap()
    }

    pub fn read(&mut self, id: JobId) -> Job {
        jobs::read(&mut self.conn, self.organization, id).unwrap()
    }

    pub fn balance(&mut self) -> Balance {
        balance(&mut self.conn, self.organization).unwrap()
    }

    /// Texts of the payloads of a job's events, in their sequence.
    pub fn payloads(&mut self, id: JobId) -> Vec<String> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Text)]
            payload: String,
        }
        let query = "SELECT payload::text AS payload FROM events WHERE job_id = $1 ORDER BY sequence";
        let rows: Vec<Row> = sql_query(query).bind::<SqlUuid, _>(id).load(&mut self.conn).unwrap();
        rows.into_iter().map(|row| row.payload).collect()
    }

    /// `analysis.progress 30` and so on; the sequences are checked to be 1, 2, 3….
    pub fn events(&mut self, id: JobId) -> Vec<String> {
        let payloads = self.payloads(id);
        let events = payloads.iter().zip(1..).map(|(payload, sequence)| {
            let event: Value = serde_json::from_str(payload).unwrap();
            assert_eq!(event["sequence"], sequence, "{payloads:?}");
            format!("{} {}", event["event_type"].as_str().unwrap(), event["percentage"])
        });
        events.collect()
    }
}

/// The sentence of a refusal; panics when there is none.
pub fn conflict<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::Conflict(sentence)) => sentence,
        other => panic!("no conflict: {other:?}"),
    }
}
