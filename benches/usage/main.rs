//! Every page of the dashboard over histories of several lengths, side by side in one run: `cargo bench --bench usage`.
//!
//! A private PostgreSQL with the settings of every embedded one gets a database for each size (`LATCHKEY_BENCH_ROWS`, 100,000 and
//! 10,000,000 unless said): 90 days of an organization with twenty keys, and of its neighbours. `fill` makes the rows in SQL, with the
//! rhythm of days and weeks, bursts of 429 and of 5xx, and keys that are hardly used; the rollups are the product's own fold of them.
//! Then one whole server for each size is asked for each page in turn, one request at a time, as a signed-in browser asks it;
//! what is measured is the time to the whole answer over loopback. Machines differ and are noisy: read the ratios, and run it
//! with nothing else going on.
//!
//! `LATCHKEY_BENCH_DIR` names a directory for the files: it stays, and what is filled there already is not filled again. 100,000,000
//! rows need 40 GB.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types as sql;
use latchkey::clock;
use latchkey::db::Db;
use latchkey::postgres::Cluster;
use latchkey::profile::Profile;
use world::World;

#[path = "../../tests/it/support/client.rs"]
#[allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used)]
mod client;
mod fill;
#[path = "../../tests/it/support/make.rs"]
#[allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used)]
mod make;
mod measure;
mod world;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A history.
pub struct Size {
    rows: u64,
    db: Db,
    world: World,
    filled_in: Duration,
    bytes: i64,
}

fn main() -> Result<(), Failure> {
    let given = std::env::var("LATCHKEY_BENCH_ROWS").unwrap_or("100000,10000000".into());
    let sizes = given.split(',').map(|rows| rows.trim().parse()).collect::<Result<Vec<u64>, _>>()?;
    let kept = std::env::var_os("LATCHKEY_BENCH_DIR");
    let dir = kept.as_ref().map_or_else(|| std::env::temp_dir().join(format!("latchkey-bench-{}", std::process::id())), Into::into);
    std::fs::create_dir_all(&dir)?;
    let told = run(&dir, &sizes);
    if kept.is_none() {
        std::fs::remove_dir_all(&dir)?;
    }
    if let Err(failure) = &told {
        eprintln!("{failure}");
    }
    // The servers have no end of their own here.
    std::process::exit(i32::from(told.is_err()));
}

fn run(dir: &Path, sizes: &[u64]) -> Result<(), Failure> {
    let profile = Arc::new(Profile::load("analysis")?);
    let cluster = Cluster::open(dir)?;
    let missing = sizes.iter().filter(|rows| !is_filled(&cluster, **rows)).copied().collect::<Vec<_>>();
    let cluster = if missing.is_empty() {
        cluster
    } else {
        // What is lost in a crash here is filled again.
        let fast = "ALTER SYSTEM SET wal_level = minimal; ALTER SYSTEM SET max_wal_senders = 0; ALTER SYSTEM SET fsync = off;
            ALTER SYSTEM SET full_page_writes = off; ALTER SYSTEM SET max_wal_size = '8GB'; ALTER SYSTEM SET checkpoint_timeout = '30min';
            ALTER SYSTEM SET maintenance_work_mem = '512MB'; ALTER SYSTEM SET autovacuum = off";
        let cluster = reopen(dir, cluster, fast)?;
        let filled = missing.iter().try_for_each(|rows| make(&cluster, &profile, *rows));
        let cluster = reopen(dir, cluster, "ALTER SYSTEM RESET ALL")?;
        filled?;
        cluster
    };
    let measured = sizes.iter().map(|rows| open(&cluster, *rows)).collect::<Result<Vec<_>, _>>().and_then(|sizes| {
        for size in &sizes {
            let (gigabytes, seconds) = (size.bytes as f64 / 1e9, size.filled_in.as_secs_f64());
            println!("{} rows: {gigabytes:.2} GB, filled in {seconds:.0} s: {:.0} rows a second", size.rows, size.rows as f64 / seconds);
        }
        measure::measure(&sizes, &profile)
    });
    cluster.close()?;
    measured
}

/// Starts the cluster anew with these settings: some are read at the start alone.
fn reopen(dir: &Path, cluster: Cluster, settings: &str) -> Result<Cluster, Failure> {
    let mut conn = Db::new(&cluster.url(), 1).connect()?;
    for setting in settings.split(';') {
        conn.batch_execute(setting)?;
    }
    conn.batch_execute("CHECKPOINT")?;
    drop(conn);
    cluster.close()?;
    Ok(Cluster::open(dir)?)
}

fn database(rows: u64) -> String {
    format!("bench_{rows}")
}

fn is_filled(cluster: &Cluster, rows: u64) -> bool {
    open(cluster, rows).is_ok()
}

fn make(cluster: &Cluster, profile: &Arc<Profile>, rows: u64) -> Result<(), Failure> {
    let name = database(rows);
    Db::new(&cluster.url(), 1).connect()?.batch_execute(&format!("DROP DATABASE IF EXISTS {name}"))?;
    Db::new(&cluster.url(), 1).connect()?.batch_execute(&format!("CREATE DATABASE {name}"))?;
    let db = Db::new(&cluster.url_for(&name), 2);
    db.migrate()?;
    let (start, mut conn) = (Instant::now(), db.connect()?);
    let world = world::make(db.connect()?, &mut conn, profile, clock::now())?;
    fill::fill(&db, &world, rows)?;
    diesel::sql_query("INSERT INTO bench_world VALUES (json_build_object('world', $1::json, 'seconds', $2))")
        .bind::<sql::Text, _>(serde_json::to_string(&world)?)
        .bind::<sql::Double, _>(start.elapsed().as_secs_f64())
        .execute(&mut conn)?;
    Ok(())
}

fn open(cluster: &Cluster, rows: u64) -> Result<Size, Failure> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = sql::Text)]
        world: String,
        #[diesel(sql_type = sql::Double)]
        seconds: f64,
        #[diesel(sql_type = sql::Int8)]
        bytes: i64,
    }
    let db = Db::new(&cluster.url_for(&database(rows)), 8);
    db.migrate()?;
    let facts = "SELECT (facts -> 'world')::text AS world, (facts ->> 'seconds')::float8 AS seconds,
        pg_database_size(current_database()) AS bytes FROM bench_world";
    let row: Row = diesel::sql_query(facts).get_result(&mut db.connect()?)?;
    let filled_in = Duration::from_secs_f64(row.seconds);
    Ok(Size { rows, db, world: serde_json::from_str(&row.world)?, filled_in, bytes: row.bytes })
}
