//! Asks one server for each size for each page in turn.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use actix_web::rt::System;
use actix_web::rt::time::interval;
use diesel::prelude::*;
use diesel::sql_types as sql;
use latchkey::delivery::{Resolver, World as Net};
use latchkey::ids::{OrgId, RequestId, uuid_floor};
use latchkey::profile::Profile;
use latchkey::sealed::SecretKey;
use latchkey::server::{Instance, Listener};
use latchkey::site::{Site, WebhookRules};
use time::OffsetDateTime;

use super::client::Client;
use super::world::{ONE_PATH, World};
use super::{Failure, Size};

/// Requests of a view that are not measured, and that are.
const WARM_UP: usize = 10;
const TIMES: usize = 200;
/// Requests a second of others, where there are any.
const PACE: u64 = 200;

/// A page, and whether others settle requests meanwhile.
struct View {
    name: &'static str,
    path: String,
    busy: bool,
}

fn views(world: &World, opened: RequestId) -> Vec<View> {
    let days_ago = |days: i64| {
        let at = OffsetDateTime::UNIX_EPOCH + time::Duration::milliseconds(world.now) - time::Duration::days(days);
        RequestId(uuid_floor(at))
    };
    let day = |days: i64| {
        let at = OffsetDateTime::UNIX_EPOCH + time::Duration::milliseconds(world.now) - time::Duration::days(days);
        at.date()
    };
    let World { busiest, rare, few, .. } = world;
    let usage = |name, query: String| View { name, path: format!("usage?{query}"), busy: false };
    vec![
        View { name: "API Keys", path: "api-keys".into(), busy: false },
        usage("Usage, 24 hours", "period=24h".into()),
        usage("7 days", "period=7d".into()),
        usage("30 days", "period=30d".into()),
        usage("90 days", "period=90d".into()),
        usage("10 days of two months ago", format!("period=custom&from={}&to={}", day(70), day(61))),
        usage("90 days, by key", "period=90d&by=key".into()),
        usage("the busiest key", format!("period=90d&key={busiest}")),
        usage("a key that is hardly used", format!("period=90d&key={rare}")),
        usage("a key of few hours", format!("period=90d&key={few}")),
        usage("status 2xx", "period=90d&status=2xx".into()),
        usage("status 4xx", "period=90d&status=4xx".into()),
        usage("status 429", "period=90d&status=429".into()),
        usage("status 5xx", "period=90d&status=5xx".into()),
        usage("the test environment", "period=90d&environment=test".into()),
        usage("a route", "period=90d&path=GET+/usage".into()),
        usage("a path", format!("period=90d&path=/analyses/{ONE_PATH}")),
        usage(
            "a key, a status, a route and an environment at once",
            format!("period=90d&key={busiest}&status=4xx&path=/analyses&environment=live"),
        ),
        usage("page of 60 days ago", format!("period=90d&before={}", days_ago(60))),
        usage("the page newer than that", format!("period=90d&after={}", days_ago(60))),
        usage("status 4xx, 60 days ago", format!("period=90d&status=4xx&before={}", days_ago(60))),
        usage("a row opened: why", format!("period=24h&open={opened}")),
        View { name: "first page while 200 requests a second are settled", path: "usage?period=24h".into(), busy: true },
        View { name: "Webhooks", path: "webhooks".into(), busy: false },
        View { name: "Credits", path: "credits".into(), busy: false },
        View { name: "its page of two months ago", path: format!("credits?period=custom&from={}&to={}", day(70), day(61)), busy: false },
        View { name: "what was granted", path: "credits?kind=grant".into(), busy: false },
    ]
}

/// A server, and a browser in front of it.
struct Seat<'a> {
    size: &'a Size,
    site: Site,
    browser: Client,
    views: Vec<View>,
}

pub fn measure(sizes: &[Size], profile: &Arc<Profile>) -> Result<(), Failure> {
    System::new().block_on(async {
        let mut seats = Vec::new();
        for size in sizes {
            seats.push(Seat::take(size, profile).await?);
        }
        let mut table = Table::new(sizes);
        let only = std::env::var("LATCHKEY_BENCH_ONLY").unwrap_or_default();
        for place in (0..seats[0].views.len()).filter(|place| seats[0].views[*place].name.contains(&only)) {
            let mut spreads = Vec::new();
            if seats[0].views[place].busy {
                for seat in &seats {
                    let others = Others::start(&seat.site.public_url, &seat.size.world.key)?;
                    let times = turns(std::slice::from_ref(seat), place).await;
                    others.stop()?;
                    spreads.extend(times?);
                }
            } else {
                spreads = turns(&seats, place).await?;
            }
            table.add(seats[0].views[place].name, &spreads);
        }
        println!("{}", table.text);
        if let Some(seat) = seats.last().filter(|_| only.is_empty()) {
            println!("{}", seat.export().await?);
        }
        println!("p99 of the slowest: {:.1} ms. Greatest ratio: {:.2} ({}).", table.slowest, table.ratio.0, table.ratio.1);
        Ok(())
    })
}

/// Each browser asks in its turn, so that whatever else the machine does is shared by all.
async fn turns(seats: &[Seat<'_>], place: usize) -> Result<Vec<Spread>, Failure> {
    let mut times = vec![Vec::with_capacity(TIMES); seats.len()];
    for turn in 0..WARM_UP + TIMES {
        for (seat, times) in seats.iter().zip(&mut times) {
            let took = seat.ask(&seat.views[place]).await?;
            if turn >= WARM_UP {
                times.push(took);
            }
        }
    }
    Ok(times.into_iter().map(Spread::of).collect())
}

impl<'a> Seat<'a> {
    async fn take(size: &'a Size, profile: &Arc<Profile>) -> Result<Self, Failure> {
        let listener = Listener::bind(&[SocketAddr::from((Ipv4Addr::LOCALHOST, 0))])?;
        let site = Site {
            db: size.db.clone(),
            profile: profile.clone(),
            public_url: format!("http://{}", listener.address()),
            keyring: SecretKey([7; 32]).into(),
            webhooks: Arc::new(WebhookRules::default()),
            retention: latchkey::site::Retention::default(),
            news: Default::default(),
            mail: None,
            leaks: Default::default(),
            proxies: Default::default(),
        };
        let world = Net { resolver: Resolver::Fixed(Arc::new(|_| Some(Vec::new()))), ..Net::default() };
        let instance = Instance { site: site.clone(), listener, workers: 2, cluster: None, signals: false, demo: false, world };
        let (ready, started) = mpsc::channel();
        std::thread::spawn(move || {
            instance.run(|_, _| {
                let _ = ready.send(());
            })
        });
        started.recv_timeout(Duration::from_secs(30))?;
        let browser = Client::browser(&site.public_url);
        let form = [("email", size.world.email.as_str()), ("password", size.world.password.as_str())];
        let answer = browser.post("/sign-in").form(&form).send().await;
        if answer.status != 303 {
            return Err(format!("signing in: {} {}", answer.status, answer.text()).into());
        }
        let opened = newest_limited(size, &size.world.slug)?;
        Ok(Self { size, site, browser, views: views(&size.world, opened) })
    }

    /// How long the whole answer took, in milliseconds.
    async fn ask(&self, view: &View) -> Result<f64, Failure> {
        let path = format!("/orgs/{}/{}", self.size.world.slug, view.path);
        let request = self.browser.get(&path).header("accept-encoding", "gzip");
        let start = Instant::now();
        let answer = request.try_send().await?;
        let took = start.elapsed().as_secs_f64() * 1_000.0;
        if answer.status == 200 { Ok(took) } else { Err(format!("{path}: {} {}", answer.status, answer.text()).into()) }
    }
}

/// Rows of a file that are read.
const EXPORTED: usize = 5_000_000;

impl Seat<'_> {
    /// Reads a file of so many rows: when it began, how fast it came, and what this process, the server with its reader, grew by meanwhile.
    async fn export(&self) -> Result<String, Failure> {
        let path = format!("/orgs/{}/usage/requests.csv?period=90d", self.size.world.slug);
        let (start, before) = (Instant::now(), resident());
        let mut answer = self.browser.get(&path).open().await;
        let (mut lines, mut bytes, mut began, mut most) = (0, 0, None, before);
        while lines <= EXPORTED {
            let Some(chunk) = answer.chunk().await else { break };
            lines += chunk.iter().filter(|byte| **byte == b'\n').count();
            bytes += chunk.len();
            if lines > 1 && began.is_none() {
                began = Some(start.elapsed());
            }
            most = most.max(resident());
        }
        let seconds = start.elapsed().as_secs_f64();
        Ok(format!(
            "A file of {lines} rows, {:.2} GB: the first after {:.0} ms, {:.0} a second; resident {before} MB before, {most} MB at most.",
            bytes as f64 / 1e9,
            began.unwrap_or_default().as_secs_f64() * 1_000.0,
            lines as f64 / seconds
        ))
    }
}

/// Megabytes of this process that are in memory; none where there is no `/proc`.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1_024
}

/// The newest request that was over its limit.
fn newest_limited(size: &Size, slug: &str) -> Result<RequestId, Failure> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = sql::Uuid)]
        id: RequestId,
    }
    let organization: OrgId = latchkey::orgs::by_slug(&mut size.db.connect()?, slug)?.id;
    let newest = "SELECT id FROM requests WHERE organization_id = $1 AND status >= 400 AND status = 429 ORDER BY id DESC LIMIT 1";
    let row: Row = diesel::sql_query(newest).bind::<sql::Uuid, _>(organization).get_result(&mut size.db.connect()?)?;
    Ok(row.id)
}

/// A partner's program that asks on and on.
struct Others {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Result<(), String>>,
}

impl Others {
    fn start(origin: &str, key: &str) -> Result<Self, Failure> {
        let (stop, origin, key) = (Arc::new(AtomicBool::new(false)), origin.to_owned(), key.to_owned());
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || System::new().block_on(call(&origin, &key, &stopped)));
        // Until its first rows wait for the rollups.
        std::thread::sleep(Duration::from_millis(1_500));
        Ok(Self { stop, thread })
    }

    fn stop(self) -> Result<(), Failure> {
        self.stop.store(true, Ordering::Relaxed);
        Ok(self.thread.join().map_err(|_| "the others panicked")??)
    }
}

async fn call(origin: &str, key: &str, stop: &AtomicBool) -> Result<(), String> {
    let client = Client::bearer(origin, key);
    let mut ticks = interval(Duration::from_micros(1_000_000 / PACE));
    let mut calls = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        calls.push(actix_web::rt::spawn(client.get("/analyses/none").try_send()));
    }
    for call in calls {
        let status = call.await.map_err(|e| e.to_string())??.status;
        if status != 404 {
            return Err(format!("the others were told {status}"));
        }
    }
    Ok(())
}

/// Milliseconds.
struct Spread {
    p50: f64,
    p99: f64,
}

impl Spread {
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        Self { p50: times[times.len() / 2], p99: times[times.len() * 99 / 100] }
    }
}

struct Table {
    text: String,
    slowest: f64,
    ratio: (f64, &'static str),
}

impl Table {
    fn new(sizes: &[Size]) -> Self {
        let heads: String = sizes.iter().map(|size| format!(" {} rows: p50 | p99 |", size.rows)).collect();
        Self {
            text: format!("| ms |{heads} ratio of p50 |\n|---|{}---|\n", "---|---|".repeat(sizes.len())),
            slowest: 0.0,
            ratio: (0.0, ""),
        }
    }

    fn add(&mut self, name: &'static str, spreads: &[Spread]) {
        let cells: String = spreads.iter().map(|spread| format!(" {:.1} | {:.1} |", spread.p50, spread.p99)).collect();
        let ratio = spreads[spreads.len() - 1].p50 / spreads[0].p50;
        let line = format!("| {name} |{cells} {ratio:.2} |\n");
        eprint!("{line}");
        self.text += &line;
        self.slowest = spreads.iter().fold(self.slowest, |slowest, spread| slowest.max(spread.p99));
        if ratio > self.ratio.0 {
            self.ratio = (ratio, name);
        }
    }
}
