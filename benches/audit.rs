//! What the audit log costs, side by side in one run: `cargo bench --bench audit`.
//!
//! Writers deactivate and activate keys, each its own key over its own connection: one, ten and fifty of them, on one organization,
//! whose chain they queue for, and on fifty. In turns they do the whole action; the same transaction without its entry; a plain
//! update of the same row, committed durably; and the transaction with the entry written as it was before, in six round trips (a
//! savepoint, the head made sure of, locked and moved on, the entry, the savepoint's end). Then one server admits requests, alone
//! and with ten of those writers beside it, and the entries are counted. Rounds of short turns (`LATCHKEY_BENCH_ROUNDS`,
//! `LATCHKEY_BENCH_MS`); the medians are printed as Markdown tables. Machines differ and are noisy: read the ratios.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use actix_web::rt::System;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types as sql;
use latchkey::actor::Actor;
use latchkey::db::Db;
use latchkey::delivery::World;
use latchkey::ids::{KeyId, OrgId};
use latchkey::keys::{self, NewKey};
use latchkey::postgres::Cluster;
use latchkey::profile::Profile;
use latchkey::sealed::SecretKey;
use latchkey::server::{Instance, Listener};
use latchkey::site::{Site, WebhookRules};
use latchkey::{audit, clock, credits, orgs};

use beside::{bench_entries, bench_heads};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Requests under way where admission is measured.
const AT_ONCE: usize = 32;
/// Organizations, and keys of the first.
const MANY: usize = 50;

/// What a writer does, twice a turn: there and back.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Plain,
    WithoutEntry,
    SixTrips,
    Whole,
}

const WAYS: [Way; 4] = [Way::Plain, Way::WithoutEntry, Way::SixTrips, Way::Whole];

struct Key {
    organization: OrgId,
    id: KeyId,
    text: String,
}

struct Bench {
    db: Db,
    /// All of one organization, and each of its own.
    together: Vec<Key>,
    apart: Vec<Key>,
}

fn main() -> Result<(), Failure> {
    let setting = |name: &str, default: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (turn, rounds) = (Duration::from_millis(setting("LATCHKEY_BENCH_MS", 500)), setting("LATCHKEY_BENCH_ROUNDS", 3));
    let dir = std::env::temp_dir().join(format!("latchkey-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let cluster = Cluster::open(&dir)?;
    let told = measure(Db::new(&cluster.url(), 8), turn, rounds);
    cluster.close()?;
    std::fs::remove_dir_all(&dir)?;
    if let Err(failure) = &told {
        eprintln!("{failure}");
    }
    // The server has no end of its own here.
    std::process::exit(i32::from(told.is_err()));
}

fn measure(db: Db, turn: Duration, rounds: u64) -> Result<(), Failure> {
    db.migrate()?;
    let bench = Bench::fill(db)?;
    println!("| writers | | key actions a second | ms each | ÷ without its entry | the entry, ms |\n|---|---|---|---|---|---|");
    for (place, keys) in [("one organization", &bench.together), ("fifty organizations", &bench.apart)] {
        for writers in [1, 10, 50] {
            let mut rates = [const { Vec::new() }; 4];
            for _ in 0..rounds {
                for (way, rates) in WAYS.into_iter().zip(&mut rates) {
                    rates.push(bench.write(&keys[..writers], way, turn)?);
                }
            }
            let [plain, without, six, whole] = rates.map(median);
            let each = |rate: f64| 1_000.0 * writers as f64 / rate;
            for (name, rate) in
                [("plain update", plain), ("without its entry", without), ("entry in six round trips", six), ("whole", whole)]
            {
                let cost = each(rate) - each(without);
                println!("| {writers}, {place} | {name} | {rate:.0} | {:.2} | {:.2} | {cost:+.2} |", each(rate), without / rate);
            }
        }
    }
    let found = bench.db.run_blocking(audit::verify)?;
    let entries = found.entries;
    if found.first_break.is_some() {
        return Err(format!("the chains broke: {:?}", found.first_break).into());
    }
    println!("\nAll {entries} entries in {} chains fit.\n", found.chains);
    bench.admit(turn * 4)
}

impl Bench {
    fn fill(db: Db) -> Result<Self, Failure> {
        let (profile, actor) = (many_keys()?, Actor::command_line());
        let key = |conn: &mut PgConnection, organization: OrgId, n: usize| {
            let (name, environment) = (format!("Bench {n}"), profile.default_environment().to_owned());
            let new = NewKey { organization, name, environment, permissions: Vec::new(), expires_at: None, form_token: None };
            let (key, text) = keys::create(conn, &actor, clock::now(), &profile, new)?;
            Ok::<_, latchkey::error::Error>(Key { organization, id: key.id, text: text.reveal().to_owned() })
        };
        let (together, apart) = db.run_blocking(|conn| {
            let organization = |conn: &mut PgConnection, n: usize| {
                let made = orgs::create(conn, &actor, clock::now(), &format!("Bench {n}"), None, None)?;
                credits::grant(conn, &actor, clock::now(), made.id, 1, "for a bench")?;
                Ok::<_, latchkey::error::Error>(made.id)
            };
            let first = organization(conn, 0)?;
            let together = (0..=MANY).map(|n| key(conn, first, n)).collect::<Result<Vec<_>, _>>()?;
            let apart = (1..=MANY).map(|n| organization(conn, n).and_then(|id| key(conn, id, 0))).collect::<Result<Vec<_>, _>>()?;
            conn.batch_execute(
                "CREATE TABLE bench_heads (LIKE audit_heads INCLUDING ALL); CREATE TABLE bench_entries (LIKE audit_entries INCLUDING ALL);
                 CREATE TRIGGER bench_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON bench_entries
                     FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
            )?;
            Ok((together, apart))
        })?;
        Ok(Self { db, together, apart })
    }

    /// Actions a second of so many writers as there are keys.
    fn write(&self, keys: &[Key], way: Way, time: Duration) -> Result<f64, Failure> {
        let stop = AtomicBool::new(false);
        let (done, start) = self.writing(keys, way, &stop, || std::thread::sleep(time))?;
        Ok(done as f64 / start.as_secs_f64())
    }

    /// Writes while something else goes on; how many actions, in which time.
    fn writing(&self, keys: &[Key], way: Way, stop: &AtomicBool, meanwhile: impl FnOnce()) -> Result<(u64, Duration), Failure> {
        let mut connections = keys.iter().map(|_| self.db.connect()).collect::<Result<Vec<_>, _>>()?;
        let (done, start) = (AtomicU64::new(0), Instant::now());
        let work = |(key, conn): (&Key, &mut PgConnection)| {
            while !stop.load(Ordering::Relaxed) {
                way.act(conn, key, true)?;
                way.act(conn, key, false)?;
                done.fetch_add(2, Ordering::Relaxed);
            }
            Ok::<_, Failure>(())
        };
        let work = &work;
        std::thread::scope(|scope| {
            let writers: Vec<_> = keys.iter().zip(&mut connections).map(|writer| scope.spawn(move || work(writer))).collect();
            meanwhile();
            stop.store(true, Ordering::Relaxed);
            writers.into_iter().try_for_each(|writer| writer.join().map_err(|_| "a writer panicked")?)
        })?;
        Ok((done.load(Ordering::Relaxed), start.elapsed()))
    }

    /// Requests a second, alone and beside writers, and the entries that came of each.
    fn admit(&self, time: Duration) -> Result<(), Failure> {
        let address = serve(self.db.clone())?;
        let entries = || self.db.run_blocking(|conn| Ok(audit::verify(conn)?.entries));
        let key = &self.together[MANY].text;
        System::new().block_on(load(address, key, time / 4))?;
        let before = entries()?;
        let alone = System::new().block_on(load(address, key, time))?;
        let after = entries()?;
        let (stop, mut beside) = (AtomicBool::new(false), Ok(0.0));
        let (actions, _) =
            self.writing(&self.together[..10], Way::Whole, &stop, || beside = System::new().block_on(load(address, key, time)))?;
        let beside = beside?;
        println!("| admissions | a second | key actions | entries |\n|---|---|---|---|");
        println!("| alone | {alone:.0} | 0 | {} |", after - before);
        println!("| beside ten writers of their organization | {beside:.0} | {actions} | {} |", entries()? - after);
        if after != before || entries()? - after != actions {
            return Err("an admission wrote an entry, or an action none".into());
        }
        Ok(())
    }
}

impl Way {
    fn act(self, conn: &mut PgConnection, key: &Key, off: bool) -> Result<(), Failure> {
        let at = off.then(clock::now);
        match self {
            Self::Whole => {
                let change = if off { keys::deactivate } else { keys::activate };
                change(conn, &Actor::command_line(), clock::now(), key.organization, key.id)?;
            }
            Self::Plain => update(conn, key, at)?,
            Self::WithoutEntry => conn.transaction(|conn| locked(conn, key, at))?,
            Self::SixTrips => conn.transaction(|conn| {
                locked(conn, key, at)?;
                conn.transaction(|conn| six_trips(conn, key))
            })?,
        }
        Ok(())
    }
}

type Done = diesel::QueryResult<()>;

fn update(conn: &mut PgConnection, key: &Key, at: Option<time::OffsetDateTime>) -> Done {
    use latchkey::schema::api_keys::dsl::{api_keys, deactivated_at};
    diesel::update(api_keys.find(key.id)).set(deactivated_at.eq(at)).execute(conn).map(drop)
}

/// What the action does but for its entry: the key is locked, its text's start is read, the row is changed.
fn locked(conn: &mut PgConnection, key: &Key, at: Option<time::OffsetDateTime>) -> Done {
    use latchkey::schema::{api_key_secrets as secrets, api_keys};
    let own = api_keys::organization_id.eq(key.organization).and(api_keys::id.eq(key.id));
    let _: String = api_keys::table.filter(own).select(api_keys::name).for_no_key_update().first(conn)?;
    let newest = secrets::table.filter(secrets::key_id.eq(key.id)).order(secrets::generation.desc());
    let _: (i32, String) = newest.select((secrets::generation, secrets::prefix)).first(conn)?;
    update(conn, key, at)
}

/// Tables beside the real ones, whose chains stay whole.
#[allow(missing_docs)]
mod beside {
    diesel::table! {
        bench_heads (chain) {
            chain -> Uuid,
            sequence -> Int8,
            hash -> Bytea,
        }
    }

    diesel::table! {
        bench_entries (chain, sequence) {
            chain -> Uuid,
            sequence -> Int8,
            at -> Timestamptz,
            actor_kind -> Text,
            actor_label -> Text,
            action -> Text,
            target_id -> Text,
            target_label -> Text,
            changes -> Jsonb,
            previous_hash -> Bytea,
            hash -> Bytea,
        }
    }
}

/// An entry as it was written before: the same rows, one statement each.
fn six_trips(conn: &mut PgConnection, key: &Key) -> Done {
    let (chain, zero) = (key.organization.0, vec![0u8; 32]);
    diesel::insert_into(bench_heads::table)
        .values((bench_heads::chain.eq(chain), bench_heads::sequence.eq(0), bench_heads::hash.eq(&zero)))
        .on_conflict_do_nothing()
        .execute(conn)?;
    let head = bench_heads::table.find(chain).select((bench_heads::sequence, bench_heads::hash));
    let (sequence, hash): (i64, Vec<u8>) = head.for_update().first(conn)?;
    let moved = (bench_heads::sequence.eq(sequence + 1), bench_heads::hash.eq(&hash));
    diesel::update(bench_heads::table.find(chain)).set(moved).execute(conn)?;
    let changes = serde_json::json!({"before": {"deactivated_at": null}, "after": {"deactivated_at": "2026-11-20T14:02:09.412Z"}});
    diesel::insert_into(bench_entries::table)
        .values((
            bench_entries::chain.eq(chain),
            bench_entries::sequence.eq(sequence + 1),
            bench_entries::at.eq(diesel::dsl::now.into_sql::<sql::Timestamptz>()),
            bench_entries::actor_kind.eq("command_line"),
            bench_entries::actor_label.eq("Command line"),
            bench_entries::action.eq("key.deactivated"),
            bench_entries::target_id.eq(key.id.to_string()),
            bench_entries::target_label.eq("Bench"),
            bench_entries::changes.eq(changes),
            bench_entries::previous_hash.eq(&hash),
            bench_entries::hash.eq(&hash),
        ))
        .execute(conn)
        .map(drop)
}

/// The default profile with as many keys to an organization as one likes, and without a limit that would be in the way.
fn many_keys() -> Result<Profile, Failure> {
    let (_, text) = latchkey::profile::BUILT_IN.iter().find(|(name, _)| *name == "analysis").ok_or("no default profile")?;
    let text = text.replace("max_active = 1", "max_active = 0").replace("\"Generate API Key\"", "\"Create API Key\"");
    Ok(Profile::parse(&text)?)
}

fn serve(db: Db) -> Result<SocketAddr, Failure> {
    db.run_blocking(|conn| Ok(conn.batch_execute("UPDATE organizations SET requests_per_minute = 2000000000")?))?;
    let site = Site {
        db,
        profile: Arc::new(many_keys()?),
        public_url: "http://127.0.0.1".into(),
        keyring: SecretKey([7; 32]).into(),
        webhooks: Arc::new(WebhookRules::default()),
        retention: latchkey::site::Retention::default(),
        news: Default::default(),
        mail: None,
        leaks: Default::default(),
        proxies: Default::default(),
    };
    let listener = Listener::bind(&[SocketAddr::from((Ipv4Addr::LOCALHOST, 0))])?;
    let instance = Instance { site, listener, workers: 2, cluster: None, signals: false, demo: false, world: World::default() };
    let (ready, started) = mpsc::channel();
    std::thread::spawn(move || {
        instance.run(|address, _| {
            let _ = ready.send(address);
        })
    });
    Ok(started.recv_timeout(Duration::from_secs(30))?)
}

/// Admitted requests a second.
async fn load(address: SocketAddr, key: &str, time: Duration) -> Result<f64, Failure> {
    let (url, start) = (format!("http://{address}/key"), Instant::now());
    let client = |_| async {
        let client = awc::Client::builder().connector(awc::Connector::new().limit(0)).finish();
        let mut admitted = 0_u64;
        while start.elapsed() < time {
            let request = client.get(&url).insert_header(("authorization", format!("Bearer {key}")));
            let mut answer = request.send().await.map_err(|e| e.to_string())?;
            answer.body().await.map_err(|e| e.to_string())?;
            if answer.status().as_u16() != 200 {
                return Err(format!("status {}", answer.status()));
            }
            admitted += 1;
        }
        Ok(admitted)
    };
    let admitted = futures_util::future::try_join_all((0..AT_ONCE).map(client)).await?;
    Ok(admitted.iter().sum::<u64>() as f64 / start.elapsed().as_secs_f64())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
