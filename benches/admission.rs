//! Admission against its baselines, side by side in one run: `cargo bench --bench admission`.
//!
//! One server with two workers answers, in its own middleware, a static route, one query per request through the pool, and
//! its Partner API and its verify API, while what was settled is folded into the rollups of usage. `wrk` (Debian's package) loads them in turn with the same script and the same 1,000 keys, in several
//! rounds of several seconds (`LATCHKEY_BENCH_ROUNDS`, `LATCHKEY_BENCH_SECONDS`); the medians are printed as a Markdown
//! table. `pgbench -N` on the same cluster and a lone durable insert measure the disk. Machines differ and are noisy: read
//! the ratios, and run it with nothing else going on.
//!
//! What was learned, on two cores shared by `wrk`, the server and PostgreSQL 15, before the history had days and rollups but for the
//! last two:
//!
//! - A sampling profile of the admission route, in hundredths of the processor at 128 and at 512 connections: server workers 29, 34;
//!   PostgreSQL admitting 24, 21 and settling 17, 17; `wrk` 16, 18; deciding threads 7, 6; idle 5, 3. Both cores are
//!   busy: what bounds it is work, and two fifths of that is PostgreSQL's, of which the static route needs none.
//! - Admitting, at 256 keys a statement and without the rest of the server: 12.5 µs a key, of which the window's upsert takes 4.6 and
//!   the look-up of the organization 0.9; describing the key, where a route asks for it, adds 0.9.
//! - Settling, at 128 rows a statement: about 6 µs of PostgreSQL's processor a row, about 3.6 without any index. That was measured
//!   beside other work, with a debug build, and so was `COPY`, which won nothing over `unnest` at batches of 16 to 256.
//! - One thread a stage beats two, in one series of runs: 0.22 of static with one each, 0.19 with two settling, 0.18 with two each.
//! - Ten columns back instead of seventeen, and another allocator, were within the noise.
//! - A lone request, by a trace of the scheduler over three seconds of them (tracing slows it, so read the shares of the time):
//!   PostgreSQL runs 45 of 100, the server's workers 16, the deciding threads 18, `wrk` 4; about 17 are spent waiting for a core
//!   after a wake-up. It is long because two statements run one after the other, not because threads hand it on.
//! - Counting for the rollups: 0.20 of static at 128 connections and 0.24 at 512, but 0.22 and 0.27 without the rows that wait for
//!   them, and 0.21 and 0.25 with one such row a batch, in one series of 3 s each. Keys here are each of its own organization, so that
//!   nothing in a batch is equal. Folding takes another tenth at 512.
//! - A second index of the history, by key: 0.17 and 0.16 of static at 128 where it was 0.20 and 0.19 without, in turns.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use actix_web::{App, HttpResponse, HttpServer, web};
use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use latchkey::actor::Actor;
use latchkey::admission::{Admit, Reports, Settle};
use latchkey::batch::Batch;
use latchkey::clock;
use latchkey::courier::Courier;
use latchkey::credits;
use latchkey::db::Db;
use latchkey::ids::OrgId;
use latchkey::keys::{self, NewKey};
use latchkey::metrics::Metrics;
use latchkey::partner_api::{self, Partner};
use latchkey::postgres::Cluster;
use latchkey::profile::Profile;
use latchkey::programs::{self, Kind, Known};
use latchkey::schema::{api_key_secrets, api_keys, organizations};
use latchkey::sealed::SecretKey;
use latchkey::secret::SecretDigest;
use latchkey::server::{Rollups, identify};
use latchkey::site::Site;
use latchkey::verify_api::{self, Stages, Verify};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const KEYS: usize = 1_000;
const CONNECTIONS: [usize; 4] = [1, 32, 128, 512];

fn main() -> Result<(), Failure> {
    let seconds: u64 = std::env::var("LATCHKEY_BENCH_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let rounds: usize = std::env::var("LATCHKEY_BENCH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    if Command::new("wrk").arg("-v").output().is_err() {
        return Err("wrk is not installed: apt-get install wrk".into());
    }
    let dir = std::env::temp_dir().join(format!("latchkey-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let cluster = Cluster::open(&dir)?;
    let db = Db::new(&cluster.url(), 8);
    db.migrate()?;
    let profile = Arc::new(Profile::load("analysis")?);
    let keys = make_keys(&db, &profile)?;
    let token = db.run_blocking(|conn| programs::create_token(conn, &Actor::command_line(), clock::now(), Kind::Service, "bench"))?;
    let bearer = |key: &String| format!("wrk.format(nil, nil, {{[\"Authorization\"] = \"Bearer {key}\"}})");
    let question = |key: &String| {
        let headers = format!("{{[\"Authorization\"] = \"Bearer {}\", [\"Content-Type\"] = \"application/json\"}}", token.reveal());
        format!("wrk.format(\"POST\", nil, {headers}, '{{\"key\":\"{key}\"}}')")
    };
    let script = write_script(&dir, &keys, bearer)?;
    let one_script = write_script(&dir.join("one"), &keys[..1], bearer)?;
    let verify_script = write_script(&dir.join("verify"), &keys, question)?;
    let site = Site {
        db: db.clone(),
        profile,
        public_url: "http://127.0.0.1".into(),
        keyring: SecretKey([7; 32]).into(),
        webhooks: Default::default(),
        retention: latchkey::site::Retention::default(),
        news: Default::default(),
        mail: None,
        leaks: Default::default(),
        proxies: Default::default(),
    };
    let address = serve(site)?;

    let paths = [
        ("static route", "/static", &script),
        ("one query per request", "/one-query", &script),
        // No such job: told after admission and written to the history like every answer, with nothing else to do.
        ("admission", "/analyses/none", &script),
        ("admission, one hot key", "/analyses/none", &one_script),
        ("`GET /key`", "/key", &script),
        ("verify API", "/verify/v1/keys", &verify_script),
    ];
    let mut table = String::from("| connections |");
    for (name, ..) in &paths {
        write!(table, " {name} |")?;
    }
    writeln!(
        table,
        " admission ÷ static | admission ÷ one query | p50 / p99 of admission, ms |\n|---|---|---|---|---|---|---|---|---|---|"
    )?;
    for connections in CONNECTIONS {
        let mut measured = vec![Vec::new(); paths.len()];
        for _ in 0..rounds {
            for (index, (_, path, script)) in paths.iter().enumerate() {
                measured[index].push(wrk(connections, seconds, script, &format!("http://{address}{path}"))?);
            }
        }
        let best: Vec<Load> = measured.into_iter().map(median).collect();
        write!(table, "| {connections} |")?;
        for load in &best {
            write!(table, " {:.1} k/s |", load.rate / 1_000.0)?;
        }
        let ratio = |a: usize, b: usize| best[a].rate / best[b].rate;
        writeln!(table, " {:.2} | {:.1} | {:.2} / {:.2} |", ratio(2, 0), ratio(2, 1), best[2].p50_ms, best[2].p99_ms)?;
    }
    println!("{table}");
    println!("pgbench -N, 32 clients: {:.1} k commits/s", pgbench(&cluster, seconds)? / 1_000.0);
    let (p50, p99) = lone_commit(&db)?;
    println!("one durable single-row commit: p50 {p50:.3} ms, p99 {p99:.3} ms");
    // The server has no end of its own here; its database has, and so have the files.
    cluster.close()?;
    std::fs::remove_dir_all(&dir)?;
    std::process::exit(0);
}

fn make_keys(db: &Db, profile: &Profile) -> Result<Vec<String>, Failure> {
    let actor = Actor::command_line();
    let keys = db.run_blocking(|conn| {
        let mut keys = Vec::with_capacity(KEYS);
        for number in 0..KEYS {
            let now = clock::now();
            let organization = OrgId::new(now);
            diesel::sql_query(format!(
                "INSERT INTO organizations VALUES ('{}', 'bench-{number}', 'Bench {number}', 1000000000, NULL, NULL, now())",
                organization.0
            ))
            .execute(conn)?;
            credits::open_account(conn, organization)?;
            let new = NewKey {
                organization,
                name: "Bench".into(),
                environment: "live".into(),
                permissions: Vec::new(),
                expires_at: None,
                form_token: None,
            };
            keys.push(keys::create(conn, &actor, now, profile, new)?.1.reveal().to_owned());
        }
        conn.batch_execute("CREATE TABLE bench_commits (at timestamptz)")?;
        Ok(keys)
    })?;
    Ok(keys)
}

/// A script that asks with each key in turn; `request` is how, in Lua.
fn write_script(dir: &Path, keys: &[String], request: impl Fn(&String) -> String) -> Result<PathBuf, Failure> {
    std::fs::create_dir_all(dir)?;
    let list = keys.iter().enumerate().map(|(place, key)| format!("requests[{}] = {}", place + 1, request(key))).collect::<Vec<_>>();
    let script = dir.join("keys.lua");
    std::fs::write(
        &script,
        format!(
            "local requests = {{}}\nlocal at = 0\nfunction init() math.randomseed(os.time())\n{}\nat = math.random(#requests) end\n\
             function request() at = at % #requests + 1 return requests[at] end\n\
             function done(summary, latency) print(string.format(\"result %f %f %f %d\", \
             summary.requests * 1e6 / summary.duration, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, \
             summary.errors.connect + summary.errors.read + summary.errors.timeout)) end\n",
            list.join("\n")
        ),
    )?;
    Ok(script)
}

fn serve(site: Site) -> Result<std::net::SocketAddr, Failure> {
    let metrics = Metrics::new();
    let (admit_sizes, settle_sizes) = (metrics.admit_batch_size.clone(), metrics.settle_batch_size.clone());
    let (admit, admit_threads) = Batch::start("admit", &site.db, 1, Admit, move |size| admit_sizes.observe(size as f64))?;
    let (settle, settle_threads) = Batch::start("settle", &site.db, 1, Settle::default(), move |size| settle_sizes.observe(size as f64))?;
    let (report, report_threads) = Batch::start("report", &site.db, 1, Reports { within: time::Duration::HOUR }, |_| {})?;
    let (services, services_threads) = Batch::start("services", &site.db, 1, Known(Kind::Service), |_| {})?;
    // The threads live as long as the process.
    std::mem::forget((admit_threads, settle_threads, report_threads, services_threads, Rollups::start(site.clone())?));
    let stages = Stages { admit: admit.clone(), settle: settle.clone(), report, services };
    let verify = web::Data::new(Verify::new(site.clone(), stages, metrics.clone(), Default::default()));
    let partner = web::Data::new(Partner::new(site.clone(), admit, settle, metrics, Default::default(), Courier::open().0));
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let site = web::Data::new(site);
            let server = HttpServer::new(move || {
                App::new()
                    .app_data(site.clone())
                    .wrap_fn(identify)
                    .route("/static", web::get().to(|| async { HttpResponse::Ok().body("hello") }))
                    .route("/one-query", web::get().to(one_query))
                    .configure(|config| verify_api::configure(config, &verify))
                    .configure(|config| partner_api::configure(config, &partner))
            })
            .workers(2)
            .backlog(2_048)
            .bind("127.0.0.1:0")
            .map_err(|e| e.to_string())?;
            let _ = sender.send(server.addrs()[0]);
            server.run().await.map_err(|e| e.to_string())
        })
    });
    Ok(receiver.recv_timeout(Duration::from_secs(10))?)
}

/// What most peers do: look the key up, one query a request, through the pool.
async fn one_query(request: actix_web::HttpRequest, site: web::Data<Site>) -> HttpResponse {
    let token =
        request.headers().get("authorization").and_then(|value| value.to_str().ok()).and_then(|value| value.strip_prefix("Bearer "));
    let digest = SecretDigest::of(token.unwrap_or(""));
    let found = site.db.run(move |conn| look_up(conn, digest)).await;
    if found.is_ok() { HttpResponse::Ok().body("hello") } else { HttpResponse::Forbidden().finish() }
}

fn look_up(conn: &mut PgConnection, digest: SecretDigest) -> latchkey::error::Result<OrgId> {
    Ok(api_key_secrets::table
        .inner_join(api_keys::table.inner_join(organizations::table))
        .filter(api_key_secrets::digest.eq(digest))
        .select(organizations::id)
        .first(conn)?)
}

#[derive(Clone)]
struct Load {
    rate: f64,
    p50_ms: f64,
    p99_ms: f64,
}

fn wrk(connections: usize, seconds: u64, script: &Path, url: &str) -> Result<Load, Failure> {
    let threads = connections.min(2).to_string();
    let output = Command::new("wrk")
        .args(["-t", &threads, "-c", &connections.to_string(), "-d", &format!("{seconds}s"), "--timeout", "10s", "-s"])
        .arg(script)
        .arg(url)
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("result ")).ok_or_else(|| format!("wrk said: {text}"))?;
    let numbers: Vec<f64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
    if numbers.len() != 4 || numbers[3] > 0.0 {
        return Err(format!("{url}: {line}").into());
    }
    eprintln!("{connections:>4} connections  {url}  {:>9.0}/s  p50 {:.2} ms  p99 {:.2} ms", numbers[0], numbers[1], numbers[2]);
    Ok(Load { rate: numbers[0], p50_ms: numbers[1], p99_ms: numbers[2] })
}

fn median(mut loads: Vec<Load>) -> Load {
    loads.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    loads[loads.len() / 2].clone()
}

/// Beside the server's other programs, where no PATH leads on Debian.
fn pgbench_program() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions.map(|version| version.path().join("bin/pgbench")).filter(|program| program.exists()).collect();
    found.sort();
    found.pop().or_else(|| Command::new("pgbench").arg("-V").output().is_ok().then(|| "pgbench".into()))
}

fn pgbench(cluster: &Cluster, seconds: u64) -> Result<f64, Failure> {
    let program = pgbench_program().ok_or("pgbench is not installed")?;
    let url = cluster.url();
    Command::new(&program).args(["-i", "-q", "-s", "10", &url]).output()?;
    let output = Command::new(&program).args(["-N", "-c", "32", "-j", "2", "-T", &seconds.to_string(), &url]).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rate = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    rate.ok_or_else(|| format!("pgbench said: {text}").into())
}

fn lone_commit(db: &Db) -> Result<(f64, f64), Failure> {
    const TIMES: u32 = 3_000;
    let mut times: Vec<f64> = db.run_blocking(|conn| {
        (0..TIMES)
            .map(|_| {
                let start = Instant::now();
                diesel::sql_query("INSERT INTO bench_commits VALUES (now())").execute(conn)?;
                Ok(start.elapsed().as_secs_f64() * 1_000.0)
            })
            .collect()
    })?;
    times.sort_by(f64::total_cmp);
    Ok((times[times.len() / 2], times[times.len() * 99 / 100]))
}
