//! A database a test: cloned from a migrated template, dropped at the end.
//!
//! The cluster is the one that `LATCHKEY_TEST_DATABASE_URL` names (any database of it, as a role that may create databases);
//! without it an embedded one in `LATCHKEY_TEST_DATA_DIR` or `target/test-postgres`, which stays for the next run.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use diesel::sql_types::{BigInt, Bool, Text};
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query};
use latchkey::db::Db;
use latchkey::postgres::Cluster;
use sha2::{Digest, Sha256};

const PREFIX: &str = "latchkey_test_";
/// Databases that a killed test left behind go after an hour.
const LEFTOVER_S: u64 = 3_600;

/// A migrated database of one's own.
pub struct TestDb {
    name: String,
    url: String,
    /// Pools of this size are enough for a test.
    db: Db,
}

impl TestDb {
    /// Clones the template.
    pub fn new() -> Self {
        let place = place();
        let name = format!("{PREFIX}{}_{}", seconds(), latchkey::secret::random_base62(10).unwrap().to_lowercase());
        let mut conn = connect(&place.url);
        execute(&mut conn, &format!("CREATE DATABASE {name} TEMPLATE {}", place.template));
        let url = with_database(&place.url, &name);
        Self { db: Db::new(&url, 4), url, name }
    }

    /// Its address, for a process of its own.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A small pool to it.
    pub fn db(&self) -> Db {
        self.db.clone()
    }

    /// A connection of one's own.
    pub fn conn(&self) -> PgConnection {
        connect(&self.url)
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        // A failing test must show its own message, not one from here.
        if let Ok(mut conn) = PgConnection::establish(&place().url) {
            let _ = sql_query(format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)).execute(&mut conn);
        }
    }
}

/// An empty database without any migration, for those who look at migrating.
pub fn empty_database() -> TestDb {
    let place = place();
    let name = format!("{PREFIX}{}_{}", seconds(), latchkey::secret::random_base62(10).unwrap().to_lowercase());
    execute(&mut connect(&place.url), &format!("CREATE DATABASE {name}"));
    let url = with_database(&place.url, &name);
    TestDb { db: Db::new(&url, 4), url, name }
}

struct Place {
    url: String,
    template: String,
    /// Kept running for as long as this process.
    _cluster: Option<Cluster>,
}

fn place() -> &'static Place {
    static PLACE: OnceLock<Place> = OnceLock::new();
    PLACE.get_or_init(|| {
        let (url, cluster) = match std::env::var("LATCHKEY_TEST_DATABASE_URL") {
            Ok(url) => (url, None),
            Err(_) => {
                let cluster = embedded();
                (cluster.url(), Some(cluster))
            }
        };
        let template = template(&url);
        Place { url, template, _cluster: cluster }
    })
}

fn embedded() -> Cluster {
    let dir = std::env::var_os("LATCHKEY_TEST_DATA_DIR").map_or_else(|| root().join("target/test-postgres"), PathBuf::from);
    let cluster = Cluster::open(&dir).expect("a private cluster for the tests");
    if show(&mut connect(&cluster.url()), "fsync") == "off" {
        return cluster;
    }
    // Nobody's data: speed and many connections matter more than a power cut. max_connections wants a restart.
    for setting in ["fsync = off", "max_connections = 400"] {
        execute(&mut connect(&cluster.url()), &format!("ALTER SYSTEM SET {setting}"));
    }
    cluster.close().expect("a cluster that stops");
    Cluster::open(&dir).expect("a private cluster for the tests")
}

/// The migrated template, named by what it was made of, made by the first who needs it.
fn template(url: &str) -> String {
    let name = format!("latchkey_template_{}", migrations_hash());
    let mut conn = connect(url);
    execute(&mut conn, "SELECT pg_advisory_lock(7238520019)");
    sweep(&mut conn);
    if !exists(&mut conn, &name) {
        let unfinished = format!("{name}_unfinished");
        execute(&mut conn, &format!("DROP DATABASE IF EXISTS {unfinished} WITH (FORCE)"));
        execute(&mut conn, &format!("CREATE DATABASE {unfinished}"));
        let unfinished_url = with_database(url, &unfinished);
        {
            let db = Db::new(&unfinished_url, 1);
            db.migrate().expect("migrations that run");
        }
        // Whatever still holds a connection would keep it from being renamed and cloned.
        execute(&mut conn, &format!("ALTER DATABASE {unfinished} ALLOW_CONNECTIONS false"));
        execute(&mut conn, &format!("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{unfinished}'"));
        execute(&mut conn, &format!("ALTER DATABASE {unfinished} RENAME TO {name}"));
    }
    name
}

fn sweep(conn: &mut PgConnection) {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        datname: String,
    }
    let rows: Vec<Row> = sql_query(format!("SELECT datname::text FROM pg_database WHERE datname LIKE '{PREFIX}%'")).load(conn).unwrap();
    for Row { datname } in rows {
        let made: Option<u64> = datname[PREFIX.len()..].split('_').next().and_then(|seconds| seconds.parse().ok());
        if made.is_some_and(|made| made + LEFTOVER_S < seconds()) {
            let _ = sql_query(format!("DROP DATABASE IF EXISTS {datname} WITH (FORCE)")).execute(conn);
        }
    }
}

fn migrations_hash() -> String {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(root().join("migrations")).unwrap().map(|entry| entry.unwrap().path().join("up.sql")).collect();
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        hash.update(file.file_name().unwrap().as_encoded_bytes());
        hash.update(std::fs::read(&file).unwrap());
    }
    hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

fn exists(conn: &mut PgConnection, name: &str) -> bool {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bool)]
        found: bool,
    }
    let query = format!("SELECT EXISTS (SELECT FROM pg_database WHERE datname = '{name}') AS found");
    sql_query(query).get_result::<Row>(conn).unwrap().found
}

fn show(conn: &mut PgConnection, setting: &str) -> String {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        value: String,
    }
    sql_query(format!("SELECT current_setting('{setting}') AS value")).get_result::<Row>(conn).unwrap().value
}

/// The first column of the first row.
pub fn number(conn: &mut PgConnection, query: &str) -> i64 {
    #[derive(QueryableByName)]
    struct Number {
        #[diesel(sql_type = BigInt)]
        n: i64,
    }
    sql_query(format!("SELECT ({query})::int8 AS n")).get_result::<Number>(conn).unwrap().n
}

/// The same server, another database: the path of the URL is its name.
pub fn with_database(url: &str, name: &str) -> String {
    let start = url.find("://").map(|at| at + 3).expect("a URL");
    let path = url[start..].find('/').map_or(url.len(), |at| start + at);
    let query = url[start..].find('?').map_or(url.len(), |at| start + at);
    format!("{}/{name}{}", &url[..path.min(query)], &url[query..])
}

/// The checked-out repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn connect(url: &str) -> PgConnection {
    PgConnection::establish(url).expect("a database that answers")
}

fn execute(conn: &mut PgConnection, statement: &str) {
    sql_query(statement).execute(conn).unwrap_or_else(|e| panic!("{statement}: {e}"));
}

#[allow(clippy::disallowed_methods)]
fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
