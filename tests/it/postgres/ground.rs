//! The ground that the tests stand on: data directories, signals, queries.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use diesel::sql_types::{Integer, Text};
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query};
use latchkey::postgres::{Cluster, PostgresError};

const PATIENCE: Duration = Duration::from_secs(60);

/// A finished cluster to copy: making one takes a hundred times as long. It lives as long as somebody uses it.
static TEMPLATE: Mutex<Weak<Ground>> = Mutex::new(Weak::new());

/// A data directory below a directory of its own; nothing of either is left at the end, whatever happened.
pub(super) struct Ground {
    pub(super) top: PathBuf,
    pub(super) data_dir: PathBuf,
    _template: Option<Arc<Ground>>,
}

impl Ground {
    pub(super) fn new() -> Ground {
        Ground::with(0o755, "data")
    }

    pub(super) fn with(mode: u32, data_dir: &str) -> Ground {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("latchkey-it-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let top = fs::canonicalize(std::env::temp_dir()).unwrap().join(name);
        fs::create_dir(&top).unwrap();
        fs::set_permissions(&top, fs::Permissions::from_mode(mode)).unwrap();
        Ground { data_dir: top.join(data_dir), top, _template: None }
    }

    /// A data directory that has a cluster already, stopped.
    pub(super) fn ready() -> Ground {
        Ground::ready_in("data")
    }

    pub(super) fn ready_in(data_dir: &str) -> Ground {
        let mut ground = Ground::with(0o755, data_dir);
        let mut shared = TEMPLATE.lock().unwrap_or_else(PoisonError::into_inner);
        let template = shared.upgrade().unwrap_or_else(|| {
            let template = Ground::new();
            template.open().close().unwrap();
            Arc::new(template)
        });
        *shared = Arc::downgrade(&template);
        drop(shared);
        // A link, when root tests in a place of its own, must not be shared.
        if fs::symlink_metadata(template.cluster()).unwrap().is_dir() {
            fs::create_dir_all(&ground.data_dir).unwrap();
            assert!(Command::new("cp").arg("-a").args([template.cluster(), ground.cluster()]).status().unwrap().success());
        }
        ground._template = Some(template);
        ground
    }

    pub(super) fn open(&self) -> Cluster {
        Cluster::open(&self.data_dir).unwrap()
    }

    pub(super) fn refusal(&self) -> PostgresError {
        Cluster::open(&self.data_dir).map(|_| ()).unwrap_err()
    }

    pub(super) fn cluster(&self) -> PathBuf {
        self.data_dir.join("postgres")
    }

    /// The process id of the server that wrote `postmaster.pid`.
    pub(super) fn postmaster(&self) -> Option<u32> {
        fs::read_to_string(self.cluster().join("postmaster.pid")).ok()?.lines().next()?.parse().ok()
    }

    /// Whether any process of the server lives.
    pub(super) fn server_lives(&self) -> bool {
        File::open(self.data_dir.join("postgres.server.lock")).is_ok_and(|lock| lock.try_lock().is_err())
    }

    pub(super) fn assert_stopped(&self, postmaster: u32) {
        assert!(!self.server_lives() && !lives(postmaster), "a server is left");
        assert!(!self.cluster().join("postmaster.pid").exists());
    }

    pub(super) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.data_dir).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if self.server_lives()
            && let Some(pid) = self.postmaster()
        {
            signal("QUIT", pid);
            until(|| !self.server_lives());
        }
        if let Ok(target) = fs::read_link(self.cluster()) {
            let _ = fs::remove_dir_all(target);
        }
        let _ = fs::remove_dir_all(&self.top);
    }
}

pub(super) fn until(event: impl Fn() -> bool) {
    let start = Instant::now();
    while !event() {
        assert!(start.elapsed() < PATIENCE, "it never happened");
        thread::sleep(Duration::from_millis(1));
    }
}

pub(super) fn signal(name: &str, pid: u32) -> bool {
    let script = format!("kill -s {name} {pid} 2>/dev/null");
    Command::new("sh").args(["-c", &script]).status().unwrap().success()
}

/// A zombie has ended: whoever inherited it from a killed process is slow to collect its status.
pub(super) fn lives(pid: u32) -> bool {
    let output = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().unwrap();
    let state = String::from_utf8(output.stdout).unwrap();
    !matches!(state.trim().chars().next(), None | Some('Z'))
}

pub(super) fn is_root() -> bool {
    user_id(&["-u"]) == 0
}

pub(super) fn user_id(arguments: &[&str]) -> u32 {
    let output = Command::new("id").args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = Integer)]
    n: i32,
}

#[derive(QueryableByName)]
struct Words {
    #[diesel(sql_type = Text)]
    words: String,
}

pub(super) fn connect(url: &str) -> PgConnection {
    PgConnection::establish(url).unwrap()
}

pub(super) fn add_row(url: &str) {
    let mut conn = connect(url);
    sql_query("SET client_min_messages = warning").execute(&mut conn).unwrap();
    // Two processes creating the same table at the same instant can collide in the catalogue.
    sql_query("SELECT pg_advisory_lock(1)").execute(&mut conn).unwrap();
    sql_query("CREATE TABLE IF NOT EXISTS kept (n integer)").execute(&mut conn).unwrap();
    sql_query("INSERT INTO kept VALUES (1)").execute(&mut conn).unwrap();
}

pub(super) fn rows(url: &str) -> i32 {
    sql_query("SELECT count(*)::integer AS n FROM kept").get_result::<Number>(&mut connect(url)).unwrap().n
}

pub(super) fn ask(url: &str, expression: &str) -> String {
    let query = format!("SELECT ({expression})::text AS words");
    sql_query(query).get_result::<Words>(&mut connect(url)).unwrap().words
}
