//! Webhooks as their receivers notice them: real servers send, [`Receiver`]s take it or not, and remember.

mod backlog;
mod chaos;
mod instances;
mod kills;
mod receiver;
mod verifiers;

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::rt::time::sleep;
use diesel::sql_types::{Integer, Nullable, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use futures_util::future::{join, join_all};
use latchkey::actor::Actor;
use latchkey::ids::{EventId, OrgId};
use latchkey::profile::Profile;
use latchkey::sealed::SecretKey;
use latchkey::secret::random_base62;
use latchkey::{clock, webhooks};
use serde_json::json;

use crate::support::{Answer, Client, Make, Receiver, Request, Server, TestDb};

/// However busy the machine is, it doesn't take longer.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// More than any test asks for.
const PLENTY: i32 = 10_000_000;
/// That of every [`Server`].
const SECRET_KEY: SecretKey = SecretKey([7; 32]);
const BUYERS: usize = 2;
const WORKERS: usize = 6;
/// What workers report before the end, and whether that is good; by turns.
const COURSES: [(&[i64], bool); 3] = [(&[100], true), (&[35, 70], true), (&[20, 45], false)];

/// A database, the servers that run on it, and those who make work for them.
pub struct Stage {
    servers: RefCell<Vec<Server>>,
    profile: Arc<Profile>,
    worker: String,
    /// Jobs that were ended, and the answer heard.
    ended: Cell<usize>,
    /// Last, so that it is dropped after the servers.
    pub database: TestDb,
}

/// An organization with a webhook.
pub struct Tenant {
    pub org: OrgId,
    pub key: String,
    pub secret: String,
}

impl Stage {
    /// Without any server.
    pub fn empty() -> Self {
        let (database, profile) = (TestDb::new(), Arc::new(Profile::load("analysis").unwrap()));
        let worker = Make::new(database.conn(), profile.clone()).worker_token();
        Self { servers: RefCell::default(), profile, worker, ended: Cell::default(), database }
    }

    /// With one.
    pub async fn start() -> Self {
        let stage = Self::empty();
        stage.serve().await;
        stage
    }

    /// One more server. It tries again after each second, twenty times.
    pub async fn serve(&self) {
        let retries = ["1"; 20].join(",");
        let reach = [("LATCHKEY_WEBHOOK_ALLOW", "127.0.0.0/8"), ("LATCHKEY_WEBHOOK_ALLOW_HTTP", "true")];
        let variables = [reach[0], reach[1], ("LATCHKEY_WEBHOOK_RETRY_S", &retries)];
        let server = Server::start_with(&self.database, &variables).await;
        self.servers.borrow_mut().push(server);
    }

    /// kill -9 of the one that was started first.
    pub fn kill(&self) {
        self.servers.borrow_mut().remove(0).kill();
    }

    /// An organization whose webhook leads there.
    pub async fn tenant(&self, receiver: &Receiver) -> Tenant {
        let make = Make::new(self.database.conn(), self.profile.clone()).org().requests_per_minute(PLENTY).credits(1_000_000).key();
        let mut tenant = Tenant { org: make.here().id, key: make.a_key().text.clone(), secret: String::new() };
        let answer = self.client(&tenant).put("/webhook").json(&json!({"url": receiver.url(), "enabled": true})).send().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        tenant.secret = answer.json()["secret"].as_str().expect("the secret, the first time").into();
        tenant
    }

    /// Another secret, beside which the old one goes on signing for a while.
    pub fn rotate_secret(&self, tenant: &Tenant) -> String {
        let (conn, actor, overlap) = (&mut self.database.conn(), Actor::command_line(), Some(webhooks::OVERLAP));
        webhooks::rotate_secret(conn, &actor, clock::now(), tenant.org, &SECRET_KEY.into(), overlap).unwrap().reveal()
    }

    pub fn client(&self, tenant: &Tenant) -> Client {
        Client::bearer(&self.servers.borrow()[0].origin(), &tenant.key)
    }

    /// Jobs from their order to their end, those of all tenants mixed.
    pub async fn produce(&self, orders: &[(&Tenant, usize)]) {
        let (before, total) = (self.ended.get(), orders.iter().map(|(_, jobs)| jobs).sum::<usize>());
        let buyers = orders.iter().flat_map(|(tenant, jobs)| (0..BUYERS).map(move |n| (*tenant, (jobs + n) / BUYERS)));
        let buying = join_all(buyers.map(|(tenant, jobs)| self.buy(tenant, move |bought| bought < jobs)));
        join(buying, self.work(|| self.ended.get() < before + total)).await;
    }

    /// Orders, and repeats each until it is answered.
    pub async fn buy(&self, tenant: &Tenant, more: impl Fn(usize) -> bool) {
        let (caller, buyer) = (Caller::new(self, &tenant.key), random_base62(10).unwrap());
        for turn in (0..).take_while(|turn| more(*turn)) {
            let name = format!("{buyer} {turn}");
            let order = |client: &Client| client.post("/analyses").header("idempotency-key", &name).json(&json!({"input": {}}));
            let answer = caller.insist(order).await;
            assert_eq!(answer.status, 202, "{}", answer.text());
        }
    }

    /// Claims jobs and brings them to their end.
    pub async fn work(&self, more: impl Fn() -> bool) {
        let more = &more;
        join_all((0..WORKERS).map(|n| async move {
            let caller = Caller::new(self, &self.worker);
            for turn in n.. {
                if !more() {
                    return;
                }
                let Some((id, lease)) = caller.claim().await else { continue };
                let (reports, good) = COURSES[turn % COURSES.len()];
                for percentage in reports {
                    caller.report(&id, "progress", json!({"lease": lease, "percentage": percentage})).await;
                }
                match good {
                    true => caller.report(&id, "complete", json!({"lease": lease, "result": {}})).await,
                    false => caller.report(&id, "fail", json!({"lease": lease, "code": "broken", "message": "It broke."})).await,
                }
                self.ended.set(self.ended.get() + 1);
            }
        }))
        .await;
    }

    /// Claims this many jobs, one after the other, and leaves them at that: each is one event.
    pub async fn claim(&self, jobs: usize) {
        let caller = Caller::new(self, &self.worker);
        for _ in 0..jobs {
            while caller.claim().await.is_none() {}
        }
        // However long the test takes, nobody gets them a second time.
        let held = "UPDATE jobs SET lease_expires_at = now() + interval '1 hour' WHERE lease IS NOT NULL";
        sql_query(held).execute(&mut self.database.conn()).unwrap();
    }

    /// Waits until nothing is left to send to these.
    pub async fn until_sent(&self, tenants: &[&Tenant]) {
        let (mut conn, deadline) = (self.database.conn(), Instant::now() + 3 * PATIENCE);
        let orgs: Vec<String> = tenants.iter().map(|tenant| format!("'{}'", tenant.org.0)).collect();
        let pending = format!("SELECT count(*) FROM deliveries WHERE state = 'pending' AND organization_id IN ({})", orgs.join(","));
        loop {
            let left = crate::support::number(&mut conn, &pending);
            if left == 0 {
                return;
            }
            assert!(Instant::now() < deadline, "{left} deliveries are still pending after {:?}", 3 * PATIENCE);
            // Only the sender knows what it dropped, and it says so in the database alone.
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Every event of the organization was accepted as it was written, or was progress that a newer accepted event has overtaken; and
    /// the sender did nothing on the way that it may not.
    pub fn assert_all_arrived(&self, tenant: &Tenant, receiver: &Receiver) -> Tally {
        let events: Vec<Event> = sql_query(EVENTS).bind::<SqlUuid, _>(tenant.org).load(&mut self.database.conn()).unwrap();
        receiver.look(|log| {
            log.assert_proper();
            let id = |event: &Event| EventId(event.id).to_string();
            let mut newest: HashMap<Option<uuid::Uuid>, i32> = HashMap::new();
            let accepted = |event: &&Event| log.accepted.contains_key(&id(event));
            for event in events.iter().filter(accepted) {
                let newest = newest.entry(event.job_id).or_default();
                *newest = event.sequence.max(*newest);
            }
            for event in &events {
                match (event.state.as_deref(), log.accepted.get(&id(event))) {
                    (Some("delivered"), Some(at)) => assert_eq!(log.requests[*at].body[..], *event.payload.as_bytes()),
                    (Some("overtaken"), _) => {
                        assert!(event.event_type.ends_with(".progress"), "{event:?} is no progress");
                        assert!(newest.get(&event.job_id).is_some_and(|newest| *newest > event.sequence), "{event:?}: by what?");
                    }
                    (_, at) => panic!("{event:?} is lost, or was {at:?} after all"),
                }
            }
            let ours: HashSet<String> = events.iter().map(id).collect();
            let strange = log.requests.iter().find(|request| !ours.contains(&request.id) && request.job.is_some());
            assert!(strange.is_none(), "{strange:?} is nobody's event");
            let overtaken = events.iter().filter(|event| event.state.as_deref() == Some("overtaken")).count();
            Tally { events: events.len(), overtaken, requests: log.requests.len() }
        })
    }
}

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tally {
    pub events: usize,
    pub overtaken: usize,
    pub requests: usize,
}

const EVENTS: &str = "SELECT e.id, e.job_id, e.sequence, e.event_type, e.payload::text AS payload, d.state
    FROM events e LEFT JOIN deliveries d ON d.organization_id = e.organization_id AND d.event_id = e.id
    WHERE e.organization_id = $1";

#[derive(QueryableByName, Debug)]
struct Event {
    #[diesel(sql_type = SqlUuid)]
    id: uuid::Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    job_id: Option<uuid::Uuid>,
    #[diesel(sql_type = Integer)]
    sequence: i32,
    #[diesel(sql_type = Text)]
    event_type: String,
    #[diesel(sql_type = Text)]
    payload: String,
    #[diesel(sql_type = Nullable<Text>)]
    state: Option<String>,
}

/// A program that asks until it is answered, by whichever server runs; by turns where there are several.
struct Caller<'a> {
    stage: &'a Stage,
    secret: String,
    turn: Cell<usize>,
    clients: RefCell<HashMap<String, Client>>,
}

impl<'a> Caller<'a> {
    fn new(stage: &'a Stage, secret: &str) -> Self {
        Self { stage, secret: secret.into(), turn: Cell::default(), clients: RefCell::default() }
    }

    fn client(&self) -> Option<Client> {
        let servers = self.stage.servers.borrow();
        self.turn.set(self.turn.get() + 1);
        let origin = servers.get(self.turn.get() % servers.len().max(1))?.origin();
        Some(self.clients.borrow_mut().entry(origin).or_insert_with_key(|origin| Client::bearer(origin, &self.secret)).clone())
    }

    async fn insist(&self, request: impl Fn(&Client) -> Request) -> Answer {
        loop {
            if let Some(client) = self.client()
                && let Ok(answer) = request(&client).try_send().await
                && answer.status != 503
            {
                return answer;
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    async fn claim(&self) -> Option<(String, String)> {
        let answer = self.insist(|client| client.post("/worker/v1/claim").json(&json!({"kinds": ["analysis"], "wait_s": 0}))).await;
        if answer.status == 204 {
            sleep(Duration::from_millis(5)).await;
            return None;
        }
        assert_eq!(answer.status, 200, "{}", answer.text());
        let text = |field: &str| answer.json()["job"][field].as_str().unwrap().to_owned();
        Some((text("id"), text("lease")))
    }

    /// Late is fine: a report whose answer was killed is repeated.
    async fn report(&self, job: &str, what: &str, body: serde_json::Value) {
        let answer = self.insist(|client| client.post(&format!("/worker/v1/jobs/{job}/{what}")).json(&body)).await;
        assert!(matches!(answer.status, 200 | 409), "{}", answer.text());
    }
}
