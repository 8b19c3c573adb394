//! The embedded database: real servers, real second processes, real kill -9.

mod crashes;
mod ground;
mod places;
mod process;

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;

use diesel::{RunQueryDsl, sql_query};
use latchkey::postgres::{Cluster, PostgresError, ServeLock};

use self::ground::{Ground, add_row, ask, connect, rows};
use self::process::Other;

#[test]
fn a_first_start_makes_a_durable_private_cluster() {
    let ground = Ground::new();
    let cluster = ground.open();
    let show = |name: &str| ask(&cluster.url(), &format!("current_setting('{name}')"));
    assert_eq!(ask(&cluster.url(), "current_user || ' ' || current_database()"), "latchkey latchkey");
    assert_eq!(ask(&cluster.url(), "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"), "true");
    assert_eq!(ask(&cluster.url(), "lower('ÄÖ')"), "äö");
    assert_eq!(ask(&cluster.url_for("postgres"), "current_database()"), "postgres");
    for (name, value) in [
        ("listen_addresses", ""),
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("data_checksums", "on"),
        ("server_encoding", "UTF8"),
        ("max_connections", "60"),
        ("unix_socket_permissions", "0700"),
        ("logging_collector", "on"),
        ("shared_preload_libraries", ""),
        ("TimeZone", "UTC"),
    ] {
        assert_eq!(show(name), value, "{name}");
    }
    let directory = fs::metadata(ground.cluster()).unwrap();
    assert_eq!(directory.mode() & 0o777, 0o700);
    assert_ne!(directory.uid(), 0);
    assert_eq!(ask(&cluster.url(), "SELECT count(*) FROM pg_hba_file_rules WHERE type <> 'local'"), "0");
    cluster.close().unwrap();
}

#[test]
fn data_survives_and_the_last_out_stops() {
    let ground = Ground::ready();
    for round in 1..=3 {
        let cluster = ground.open();
        add_row(&cluster.url());
        assert_eq!(rows(&cluster.url()), round);
        let postmaster = ground.postmaster().unwrap();
        // Once explicitly, once by going out of scope.
        if round == 2 {
            drop(cluster)
        } else {
            cluster.close().unwrap()
        }
        ground.assert_stopped(postmaster);
    }
}

#[test]
fn settings_are_renewed_and_old_logs_go() {
    let ground = Ground::ready();
    let cluster = ground.open();
    sql_query("ALTER SYSTEM SET work_mem = '21MB'").execute(&mut connect(&cluster.url())).unwrap();
    sql_query("ALTER SYSTEM SET port = 5999").execute(&mut connect(&cluster.url())).unwrap();
    cluster.close().unwrap();
    fs::write(ground.cluster().join("latchkey.conf"), "max_connections = 7\n").unwrap();
    let logs = ground.cluster().join("log");
    (10..40).for_each(|day| fs::write(logs.join(format!("postgresql-2001-01-{day}.log")), "old\n").unwrap());
    let cluster = ground.open();
    assert_eq!(ask(&cluster.url(), "current_setting('work_mem')"), "21MB");
    assert_eq!(ask(&cluster.url(), "current_setting('max_connections')"), "60");
    let kept: Vec<PathBuf> = fs::read_dir(&logs).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(kept.len(), 12, "{kept:?}");
    let knocked = |path: &PathBuf| fs::read_to_string(path).unwrap().contains("starting up");
    assert!(!kept.iter().any(knocked), "starting leaves no errors in the log");
    cluster.close().unwrap();
}

#[test]
fn a_second_process_shares() {
    let ground = Ground::ready();
    let cluster = ground.open();
    let postmaster = ground.postmaster().unwrap();
    let mut other = Other::start("use", &ground.data_dir);
    assert_eq!(other.hear("url"), cluster.url());
    // Two in one process count as two, and going first through another path is the same directory.
    let link = ground.top.join("link");
    symlink(&ground.data_dir, &link).unwrap();
    let third = Cluster::open(&link).unwrap();
    cluster.close().unwrap();
    add_row(&third.url());
    third.close().unwrap();
    assert!(ground.server_lives(), "the other process still uses it");
    assert_eq!(ground.postmaster(), Some(postmaster));
    other.close();
    ground.assert_stopped(postmaster);
}

#[test]
fn a_server_that_refuses_is_quoted() {
    let ground = Ground::ready();
    let cluster = ground.open();
    sql_query("ALTER SYSTEM SET shared_preload_libraries = 'no_such_library'").execute(&mut connect(&cluster.url())).unwrap();
    cluster.close().unwrap();
    let said = ground.refusal().to_string();
    assert!(said.contains("no_such_library"), "{said}");
    // Said by the log collector rather than on the standard error.
    fs::write(ground.cluster().join("postgresql.auto.conf"), "").unwrap();
    fs::rename(ground.cluster().join("global/pg_control"), ground.cluster().join("global/away")).unwrap();
    let said = ground.refusal().to_string();
    assert!(said.contains("pg_control") || said.contains("could not find the database system"), "{said}");
    fs::rename(ground.cluster().join("global/away"), ground.cluster().join("global/pg_control")).unwrap();
    ground.open().close().unwrap();
}

#[test]
fn eight_at_once_make_one_cluster() {
    let ground = Ground::new();
    let mut others: Vec<Other> = (0..8).map(|_| Other::start("use", &ground.data_dir)).collect();
    let urls: Vec<String> = others.iter_mut().map(|other| other.hear("url")).collect();
    urls.iter().for_each(|url| add_row(url));
    assert_eq!(rows(&urls[0]), 8);
    let postmaster = ground.postmaster().unwrap();
    others.iter_mut().for_each(Other::tell_to_go_on);
    for mut other in others {
        other.hear("closed");
    }
    ground.assert_stopped(postmaster);
}

#[test]
fn coming_and_going_at_once() {
    let ground = Ground::ready();
    let mut others: Vec<Other> = (0..4).map(|_| Other::start("churn", &ground.data_dir)).collect();
    others.iter_mut().for_each(|other| drop(other.hear("closed")));
    assert!(!ground.server_lives());
    let cluster = ground.open();
    assert_eq!(rows(&cluster.url()), 32);
    cluster.close().unwrap();
}

#[test]
fn one_serve_to_a_data_directory() {
    let ground = Ground::new();
    let mut other = Other::start("serve", &ground.data_dir);
    other.hear("serving");
    let link = ground.top.join("link");
    symlink(&ground.data_dir, &link).unwrap();
    // At once, because each waits a while for one that dies.
    std::thread::scope(|scope| {
        for path in [ground.data_dir.clone(), link.clone(), ground.data_dir.join("../data/.")] {
            scope.spawn(move || {
                let said = ServeLock::acquire(&path).unwrap_err().to_string();
                assert!(said.contains("Another `latchkey serve`"), "{said}");
            });
        }
    });
    other.kill_dead();
    let lock = ServeLock::acquire(&link).unwrap();
    assert!(matches!(ServeLock::acquire(&ground.data_dir), Err(PostgresError::AlreadyServing { .. })));
    drop(lock);
    drop(ServeLock::acquire(&ground.data_dir).unwrap());
}

#[test]
fn who_starts_at_once_after_a_kill_serves() {
    let ground = Ground::new();
    for _ in 0..10 {
        let mut other = Other::start("serve", &ground.data_dir);
        other.hear("serving");
        // Not waited for: its lock goes with it, and it goes when the kernel gets round to it.
        other.process.kill().unwrap();
        drop(ServeLock::acquire(&ground.data_dir).unwrap());
    }
}
