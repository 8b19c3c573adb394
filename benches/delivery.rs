//! Webhook delivery against its baselines, side by side in one run: `cargo bench --bench delivery`.
//!
//! One whole server delivers to a receiver in this process that answers 200 at once (the one of the tests, which also holds every
//! sender to the order of each job). Measured are what it delivers in a second while workers make events without a pause, for one
//! organization and for ten, and how long an event takes from its commit to its arrival at 50 a second, alone and while many
//! other endpoints are down. Beside it, in the same
//! run: the same requests sent to the same receiver by a bare loop over awc that has no database and keeps no promise, and a
//! lone durable commit. Several rounds (`LATCHKEY_BENCH_ROUNDS`) of several seconds (`LATCHKEY_BENCH_SECONDS`; twice that for the
//! latency); the medians are printed as Markdown tables. Machines differ and are noisy: read the ratios, and run it with
//! nothing else going on.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use actix_web::rt::System;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use latchkey::actor::Actor;
use latchkey::db::Db;
use latchkey::delivery::World;
use latchkey::ids::{JobId, KeyId, OrgId, RequestId};
use latchkey::jobs::{self, Claimed, NewJob};
use latchkey::keys::{self, NewKey};
use latchkey::postgres::Cluster;
use latchkey::profile::Profile;
use latchkey::raw_json::RawJson;
use latchkey::sealed::SecretKey;
use latchkey::server::{Instance, Listener};
use latchkey::site::{Site, WebhookRules};
use latchkey::{clock, credits};
use receiver::{Log, Receiver, Reply, always};

#[path = "../tests/it/support/receiver/mod.rs"]
#[allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]
mod receiver;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Connections on which workers report; enough for the disk to be the same wait for several.
const WORKERS: usize = 8;
/// Jobs that a worker has in hand at a time.
const IN_HAND: usize = 10;
/// Events of a job that goes from nothing to its end: started, ten times progress, completed.
const EVENTS: usize = 12;
/// Workers wait while so many events have not arrived: it is delivery that is measured, not how fast events can be made.
const BACKLOG: usize = 4_000;
/// Requests that the bare loop has under way.
const BARE: usize = 64;
/// Events a second where latency is measured.
const PACE: u64 = 50;
const PATIENCE: Duration = Duration::from_secs(120);
/// Organizations whose endpoints are down while latency is measured once more.
const CROWD: usize = 10_000;

fn main() -> Result<(), Failure> {
    let setting = |name: &str, default: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (seconds, rounds) = (setting("LATCHKEY_BENCH_SECONDS", 10), setting("LATCHKEY_BENCH_ROUNDS", 3));
    let dir = std::env::temp_dir().join(format!("latchkey-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let cluster = Cluster::open(&dir)?;
    let told = measure(Db::new(&cluster.url(), 16), seconds, rounds);
    // The server has no end of its own here; its database has, and so have the files.
    cluster.close()?;
    std::fs::remove_dir_all(&dir)?;
    if let Err(failure) = &told {
        eprintln!("{failure}");
    }
    std::process::exit(i32::from(told.is_err()));
}

fn measure(db: Db, seconds: u64, rounds: u64) -> Result<(), Failure> {
    db.migrate()?;
    db.run_blocking(|conn| Ok(conn.batch_execute("CREATE TABLE bench_commits (at timestamptz)")?))?;
    let bench = Bench::start(db)?;
    let (mut one, mut ten, mut bare, mut pace, mut bare_pace, mut commit) = (vec![], vec![], vec![], vec![], vec![], vec![]);
    for round in 1..=rounds {
        bare.push(bare_loop(BARE, Duration::ZERO, Duration::from_secs(seconds))?.0);
        one.push(bench.sustained(1, Duration::from_secs(seconds))?);
        ten.push(bench.sustained(10, Duration::from_secs(seconds))?);
        pace.push(bench.latency(Duration::from_secs(2 * seconds))?);
        bare_pace.push(bare_loop(1, Duration::from_millis(1_000 / PACE), Duration::from_secs(seconds))?.1);
        commit.push(lone_commit(&bench.site.db)?);
        let last = round as usize - 1;
        eprintln!(
            "round {round}: bare {:.0}/s, one organization {:.0}/s, ten {:.0}/s, p50 {:.2} ms, p99 {:.2} ms",
            bare[last], one[last], ten[last], pace[last].from_commit.p50, pace[last].from_commit.p99
        );
    }
    bench.crowd()?;
    let crowded = (0..rounds).map(|_| bench.latency(Duration::from_secs(2 * seconds))).collect::<Result<Vec<_>, _>>()?;
    let (one, ten, bare, commit) = (median(one), median(ten), median(bare), Spread::median(commit.iter()));
    println!("| to a fast local endpoint | per second | ÷ bare loop | ÷ durable commits, one after the other |\n|---|---|---|---|");
    for (name, rate) in [("deliveries, one organization", one), ("deliveries, ten organizations", ten), ("bare loop over awc", bare)] {
        println!("| {name} | {rate:.0} | {:.2} | {:.2} |", rate / bare, rate * commit.p50 / 1_000.0);
    }
    let from_commit = Spread::median(pace.iter().map(|latency| &latency.from_commit));
    let from_report = Spread::median(pace.iter().map(|latency| &latency.from_report));
    let bare_pace = Spread::median(bare_pace.iter());
    println!("\n| at {PACE} a second | p50, ms | p99, ms | p50 ÷ a durable commit |\n|---|---|---|---|");
    for (name, spread) in [
        ("from an event's commit to its arrival", from_commit),
        ("the same while 10,000 other endpoints are down", Spread::median(crowded.iter().map(|latency| &latency.from_commit))),
        ("from a worker's call to the event's arrival", from_report),
        ("bare loop over awc, to arrival", bare_pace),
        ("one durable single-row commit", commit),
    ] {
        println!("| {name} | {:.2} | {:.2} | {:.1} |", spread.p50, spread.p99, spread.p50 / commit.p50);
    }
    let kept = one >= 3_000.0 && ten >= 3_000.0 && from_commit.p50 <= 5.0 && from_commit.p99 <= 25.0;
    println!("\nAsked for: 3000/s; p50 5 ms, p99 25 ms. {}", if kept { "Kept." } else { "NOT KEPT." });
    Ok(())
}

/// The server, and the means to make work for it.
struct Bench {
    site: Site,
    address: SocketAddr,
}

/// Organizations with one webhook's receiver.
struct Scene {
    receiver: Receiver,
    tenants: Vec<(OrgId, KeyId)>,
}

struct Latency {
    from_commit: Spread,
    from_report: Spread,
}

/// Milliseconds.
#[derive(Clone, Copy)]
struct Spread {
    p50: f64,
    p99: f64,
}

impl Bench {
    fn start(db: Db) -> Result<Self, Failure> {
        let allow = vec!["127.0.0.0/8".parse()?];
        let site = Site {
            db,
            profile: Arc::new(Profile::load("analysis")?),
            public_url: "http://127.0.0.1".into(),
            keyring: SecretKey([7; 32]).into(),
            webhooks: Arc::new(WebhookRules { allow, allow_http: true, ..WebhookRules::default() }),
            retention: latchkey::site::Retention::default(),
            news: Default::default(),
            mail: None,
            leaks: Default::default(),
            proxies: Default::default(),
        };
        let listener = Listener::bind(&[SocketAddr::from((Ipv4Addr::LOCALHOST, 0))])?;
        let instance =
            Instance { site: site.clone(), listener, workers: 2, cluster: None, signals: false, demo: false, world: World::default() };
        let (ready, started) = mpsc::channel();
        std::thread::spawn(move || {
            instance.run(|address, _| {
                let _ = ready.send(address);
            })
        });
        Ok(Self { site, address: started.recv_timeout(Duration::from_secs(30))? })
    }

    /// New organizations, whose webhook is saved as a partner saves it.
    fn scene(&self, organizations: usize) -> Result<Scene, Failure> {
        let receiver = Receiver::start(always(Reply::Status(200)));
        let mut tenants = Vec::with_capacity(organizations);
        for _ in 0..organizations {
            let (organization, key, text) = self.site.db.run_blocking(|conn| {
                let (now, profile) = (clock::now(), &self.site.profile);
                let id = OrgId::new(now);
                diesel::sql_query(format!(
                    "INSERT INTO organizations (id, slug, name, created_at) VALUES ('{0}', 'bench-{0}', 'Bench', now())",
                    id.0
                ))
                .execute(conn)?;
                credits::open_account(conn, id)?;
                let name = "Bench".into();
                let environment = profile.default_environment().to_owned();
                let new = NewKey { organization: id, name, environment, permissions: Vec::new(), expires_at: None, form_token: None };
                let (key, text) = keys::create(conn, &Actor::command_line(), now, profile, new)?;
                Ok((id, key.id, text.reveal().to_owned()))
            })?;
            let put = awc_put(format!("http://{}/webhook", self.address), text, receiver.url());
            System::new().block_on(put)?;
            tenants.push((organization, key));
        }
        Ok(Scene { receiver, tenants })
    }

    /// Deliveries a second while workers make as many events as are taken off their hands.
    fn sustained(&self, organizations: usize, time: Duration) -> Result<f64, Failure> {
        let scene = self.scene(organizations)?;
        let (made, until) = (AtomicUsize::new(0), Instant::now() + time);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(|| self.work(&scene, &made, until))).collect();
            workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a worker panicked")?)
        })?;
        let made = made.load(Ordering::Relaxed);
        let behind = made - scene.receiver.look(|log| log.accepted.len()).min(made);
        let limit = if behind > BACKLOG / 2 { "delivery" } else { "the workers" };
        eprintln!("{made} events for {organizations} organization(s), {behind} still to come when the workers stop: the limit is {limit}");
        System::new().block_on(scene.receiver.wait_for("end of the backlog", PATIENCE, move |log| log.accepted.len() >= made));
        scene.assert_order()?;
        Ok(scene.receiver.look(|log| {
            let (first, last) = (log.requests[0].arrived, log.requests[log.requests.len() - 1].arrived);
            log.requests.len() as f64 / (last - first).as_secs_f64()
        }))
    }

    fn work(&self, scene: &Scene, made: &AtomicUsize, until: Instant) -> Result<(), Failure> {
        let (mut conn, profile) = (self.site.db.connect()?, &*self.site.profile);
        let mut turn = 0;
        while Instant::now() < until {
            if made.load(Ordering::Relaxed) > scene.receiver.look(|log| log.accepted.len()) + BACKLOG {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            }
            turn += 1;
            self.queue(&mut conn, scene.tenants[turn % scene.tenants.len()], IN_HAND)?;
            let claimed = (0..IN_HAND).map(|_| self.claim(&mut conn)).collect::<Result<Vec<Claimed>, Failure>>()?;
            for Claimed { job, lease, .. } in &claimed {
                jobs::progress(&mut conn, clock::now(), profile, job.id, *lease, 100)?;
                self.site.news.ring(job.organization_id);
            }
            for Claimed { job, lease, .. } in &claimed {
                jobs::complete(&mut conn, clock::now(), profile, job.id, *lease, object("{}")?)?;
                self.site.news.ring(job.organization_id);
            }
            made.fetch_add(IN_HAND * EVENTS, Ordering::Relaxed);
        }
        Ok(())
    }

    /// One event after the other, at a pace.
    fn latency(&self, time: Duration) -> Result<Latency, Failure> {
        let (scene, mut conn) = (self.scene(1)?, self.site.db.connect()?);
        let count = (time.as_secs() * PACE) as usize;
        self.queue(&mut conn, scene.tenants[0], count)?;
        let (mut told, mut held) = (HashMap::with_capacity(count), Vec::new());
        let start = Instant::now();
        for turn in 0..count {
            let due = start + Duration::from_millis(1_000 / PACE) * turn as u32;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let called = Instant::now();
            let Claimed { job, lease, .. } = self.claim(&mut conn)?;
            told.insert(self.site.profile.jobs[0].public_id(job.id), (called, Instant::now()));
            held.push((job.id, lease));
        }
        System::new().block_on(scene.receiver.wait_for("last event", PATIENCE, move |log| log.accepted.len() >= count));
        scene.assert_order()?;
        let measured = scene.receiver.look(|log| {
            let mut since = (Vec::new(), Vec::new());
            for request in &log.requests {
                let (called, committed) = request.job.as_ref().and_then(|job| told.get(job)).ok_or("an event of no job")?;
                since.0.push(milliseconds(request.arrived.saturating_duration_since(*committed)));
                since.1.push(milliseconds(request.arrived - *called));
            }
            Ok(Latency { from_commit: Spread::of(since.0), from_report: Spread::of(since.1) })
        });
        // Else their leases run out, and the next measurement's workers find them in the queue.
        for (job, lease) in held {
            jobs::complete(&mut conn, clock::now(), &self.site.profile, job, lease, object("{}")?)?;
        }
        self.site.news.ring(scene.tenants[0].0);
        System::new().block_on(scene.receiver.wait_for("their ends", PATIENCE, move |log| log.accepted.len() >= 2 * count));
        measured
    }

    /// Organizations whose endpoints are down: each has a delivery that waits for its next try.
    fn crowd(&self) -> Result<(), Failure> {
        let crowd = include_str!("crowd.sql").replace("{}", &CROWD.to_string());
        Ok(self.site.db.run_blocking(|conn| Ok(conn.batch_execute(&crowd)?))?)
    }

    fn queue(&self, conn: &mut PgConnection, (organization, key): (OrgId, KeyId), count: usize) -> Result<(), Failure> {
        let (now, kind) = (clock::now(), &self.site.profile.jobs[0]);
        let input = object(r#"{"video_url":"https://cdn.example.com/lift.mp4"}"#)?;
        let job = || NewJob {
            id: JobId::new(now),
            organization,
            key,
            request_id: RequestId::new(now),
            kind: kind.kind.clone(),
            environment: "live".into(),
            sandbox: false,
            input: input.clone(),
            external_reference: None,
            notify_via_webhook: true,
            price: 0,
            charge: kind.charge,
            created_at: now,
        };
        Ok(jobs::insert_many(conn, &(0..count).map(|_| job()).collect::<Vec<_>>())?)
    }

    /// There is one for everybody, though not always at the first look: another worker may just be taking the oldest.
    fn claim(&self, conn: &mut PgConnection) -> Result<Claimed, Failure> {
        let (profile, kinds) = (&self.site.profile, [self.site.profile.jobs[0].kind.clone()]);
        loop {
            if let Some(claimed) = jobs::claim(conn, clock::now(), profile, &kinds, false)? {
                // As the worker API does after its commit.
                self.site.news.ring(claimed.job.organization_id);
                return Ok(claimed);
            }
        }
    }
}

impl Scene {
    fn assert_order(&self) -> Result<(), Failure> {
        let breaches = self.receiver.look(Log::breaches);
        if breaches.is_empty() { Ok(()) } else { Err(format!("{} breaches, the first: {}", breaches.len(), breaches[0]).into()) }
    }
}

fn object(text: &str) -> Result<RawJson, Failure> {
    Ok(RawJson::object(text)?)
}

async fn awc_put(url: String, key: String, hook: String) -> Result<(), Failure> {
    let request = awc::Client::new().put(url).insert_header(("authorization", format!("Bearer {key}")));
    let mut answer = request.send_json(&serde_json::json!({"url": hook, "enabled": true})).await.map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&answer.body().await?).into_owned();
    if answer.status().as_u16() == 200 { Ok(()) } else { Err(format!("PUT /webhook: {} {text}", answer.status()).into()) }
}

/// Requests like deliveries without what makes them such: a second's worth, and how long each took to arrive.
fn bare_loop(at_once: usize, pause: Duration, time: Duration) -> Result<(f64, Spread), Failure> {
    let receiver = Receiver::start(always(Reply::Status(200)));
    let (url, until) = (receiver.url(), Instant::now() + time);
    let client = |n: usize| {
        let url = url.clone();
        async move {
            let client = awc::Client::builder().connector(awc::Connector::new().limit(0)).finish();
            let mut sent = Vec::new();
            while Instant::now() < until {
                let id = format!("bare-{n}-{}", sent.len());
                let body = format!(
                    r#"{{"analysis_id":"an_{id:0>22}","event_type":"analysis.progress","status":"processing","percentage":50,"sequence":1,"timestamp":"2026-11-21T12:00:00.000000Z"}}"#
                );
                let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
                let request = client.post(&url).insert_header(("webhook-id", id.as_str())).insert_header(("webhook-signature", signature));
                let request = request.insert_header(("webhook-timestamp", "1614265330")).content_type("application/json");
                sent.push((id, Instant::now()));
                request.send_body(body).await.map_err(|e| e.to_string())?.body().await.map_err(|e| e.to_string())?;
                if !pause.is_zero() {
                    actix_web::rt::time::sleep(pause).await;
                }
            }
            Ok::<_, String>(sent)
        }
    };
    let start = Instant::now();
    let sent = System::new().block_on(futures_util::future::try_join_all((0..at_once).map(client)))?;
    let rate = receiver.look(|log| log.requests.len()) as f64 / start.elapsed().as_secs_f64();
    let at: HashMap<String, Instant> = sent.into_iter().flatten().collect();
    let taken = receiver.look(|log| log.requests.iter().map(|request| milliseconds(request.arrived - at[&request.id])).collect());
    Ok((rate, Spread::of(taken)))
}

impl Spread {
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
        Self { p50: at(0.5), p99: at(0.99) }
    }

    fn median<'a>(spreads: impl Iterator<Item = &'a Self>) -> Self {
        let (p50, p99): (Vec<f64>, Vec<f64>) = spreads.map(|spread| (spread.p50, spread.p99)).unzip();
        Self { p50: median(p50), p99: median(p99) }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

fn lone_commit(db: &Db) -> Result<Spread, Failure> {
    let times = db.run_blocking(|conn| {
        let commit = |_| {
            let start = Instant::now();
            diesel::sql_query("INSERT INTO bench_commits VALUES (now())").execute(conn)?;
            Ok(milliseconds(start.elapsed()))
        };
        (0..300).map(commit).collect::<latchkey::error::Result<Vec<f64>>>()
    })?;
    Ok(Spread::of(times))
}
