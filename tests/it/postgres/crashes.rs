//! Processes that are killed at the worst moment, and what they leave.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;

use diesel::{RunQueryDsl, sql_query};
use latchkey::postgres::Cluster;

use super::ground::{Ground, add_row, connect, is_root, rows, signal, until};
use super::process::Other;

#[test]
fn a_killed_owner_leaves_a_server_to_reuse() {
    let ground = Ground::ready();
    let mut other = Other::start("use", &ground.data_dir);
    add_row(&other.hear("url"));
    let postmaster = ground.postmaster().unwrap();
    other.kill_dead();
    let cluster = ground.open();
    assert_eq!(ground.postmaster(), Some(postmaster));
    assert_eq!(rows(&cluster.url()), 1);
    cluster.close().unwrap();
    ground.assert_stopped(postmaster);
}

#[test]
fn ctrl_c_does_not_reach_the_server() {
    let ground = Ground::ready();
    let mut other = Other::start("use", &ground.data_dir);
    let url = other.hear("url");
    let mut conn = connect(&url);
    let script = format!("kill -s INT -- -{}", other.process.id());
    assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
    other.process.wait().unwrap();
    sql_query("SELECT 1").execute(&mut conn).unwrap();
    drop(conn);
    ground.open().close().unwrap();
    assert!(!ground.server_lives());
}

#[test]
fn a_killed_server_starts_again() {
    let ground = Ground::ready();
    let mut other = Other::start("use", &ground.data_dir);
    add_row(&other.hear("url"));
    let postmaster = ground.postmaster().unwrap();
    other.kill_dead();
    assert!(signal("KILL", postmaster));
    // At once: its children are still there.
    let cluster = ground.open();
    assert_ne!(ground.postmaster(), Some(postmaster));
    assert_eq!(rows(&cluster.url()), 1);
    cluster.close().unwrap();
}

#[test]
fn stale_files_with_the_pid_of_a_stranger_do_not_matter() {
    let ground = Ground::ready();
    let cluster = ground.open();
    add_row(&cluster.url());
    let postmaster = ground.postmaster().unwrap();
    let pid_file = ground.cluster().join("postmaster.pid");
    let socket_lock = ground.cluster().join(".s.PGSQL.5432.lock");
    let [pid_text, lock_text] = [&pid_file, &socket_lock].map(|path| fs::read_to_string(path).unwrap());
    cluster.close().unwrap();
    // Of the same account: PostgreSQL itself would disbelieve a stranger of another.
    let owner = fs::metadata(ground.cluster()).unwrap();
    let mut command = Command::new("sleep");
    command.arg("600");
    if is_root() {
        command.uid(owner.uid()).gid(owner.gid());
    }
    let mut stranger = command.spawn().unwrap();
    for (path, text) in [(&pid_file, pid_text), (&socket_lock, lock_text)] {
        fs::write(path, text.replacen(&postmaster.to_string(), &stranger.id().to_string(), 1)).unwrap();
        chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    let outcome = Cluster::open(&ground.data_dir).map(|cluster| {
        assert_eq!(rows(&cluster.url()), 1);
        cluster.close().unwrap();
    });
    let unharmed = stranger.try_wait().unwrap().is_none();
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    outcome.unwrap();
    assert!(unharmed);
}

#[test]
fn housekeeping_brings_a_dead_server_back() {
    let ground = Ground::ready();
    let cluster = ground.open();
    add_row(&cluster.url());
    assert!(!cluster.ensure_running().unwrap());
    let mut idle = connect(&cluster.url());
    let url = cluster.url();
    for _ in 0..2 {
        assert!(signal("KILL", ground.postmaster().unwrap()));
        until(|| cluster.ensure_running().unwrap());
        assert!(!cluster.ensure_running().unwrap());
        assert_eq!(rows(&url), 1);
    }
    assert!(sql_query("SELECT 1").execute(&mut idle).is_err());
    // Several that notice at once start it once.
    assert!(signal("KILL", ground.postmaster().unwrap()));
    until(|| !ground.server_lives());
    let restarts: u32 = thread::scope(|scope| {
        let askers: Vec<_> = (0..4).map(|_| scope.spawn(|| u32::from(cluster.ensure_running().unwrap()))).collect();
        askers.into_iter().map(|asker| asker.join().unwrap()).sum()
    });
    assert_eq!(restarts, 1);
    let postmaster = ground.postmaster().unwrap();
    cluster.close().unwrap();
    ground.assert_stopped(postmaster);
}

#[test]
fn killed_while_making_the_cluster() {
    let ground = Ground::new();
    let other = Other::start("use", &ground.data_dir);
    let begun = || ground.data_dir.exists() && ground.names().iter().any(|name| name.starts_with("postgres.new-"));
    until(begun);
    other.kill_dead();
    ground.open().close().unwrap();
    // The orphan may have outlived the first clearing; the next start clears again.
    until(|| {
        ground.open().close().unwrap();
        !begun()
    });
}

#[test]
fn killed_while_starting_and_while_stopping() {
    let ground = Ground::ready();
    let cluster = ground.open();
    add_row(&cluster.url());
    cluster.close().unwrap();
    let pid_file = ground.cluster().join("postmaster.pid");
    for _ in 0..3 {
        let other = Other::start("use", &ground.data_dir);
        until(|| pid_file.exists());
        other.kill_dead();
        let cluster = ground.open();
        assert_eq!(rows(&cluster.url()), 1);
        let mut other = Other::start("use", &ground.data_dir);
        other.hear("url");
        cluster.close().unwrap();
        other.tell_to_go_on();
        // The server is told to stop at some moment around this one.
        other.kill_dead();
        ground.open().close().unwrap();
        assert!(!ground.server_lives());
    }
}
