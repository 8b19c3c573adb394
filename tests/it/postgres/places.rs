//! Where a cluster can live, as whom, and with which binaries.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use latchkey::postgres::PostgresError;

use super::ground::{Ground, add_row, ask, is_root, rows, signal, user_id};
use super::process::Other;

#[test]
fn a_directory_that_only_root_may_pass() {
    let ground = Ground::with(0o700, "data");
    let cluster = ground.open();
    add_row(&cluster.url());
    let place = fs::canonicalize(ground.cluster()).unwrap();
    if is_root() {
        assert!(place.starts_with("/var/lib/latchkey"), "{}", place.display());
        assert_ne!(fs::metadata(&place).unwrap().uid(), 0);
    } else {
        assert_eq!(place, ground.cluster());
    }
    cluster.close().unwrap();
    let cluster = ground.open();
    assert_eq!(rows(&cluster.url()), 1);
    cluster.close().unwrap();
    if is_root() {
        let away = place.with_extension("away");
        fs::rename(&place, &away).unwrap();
        let said = ground.refusal().to_string();
        fs::rename(&away, &place).unwrap();
        assert!(said.contains(place.to_str().unwrap()) && said.contains("remove the link"), "{said}");
    }
}

#[test]
fn a_cluster_that_came_out_of_reach_is_explained() {
    if !is_root() {
        // An ordinary user runs the server as themselves: there is nothing to be out of reach of.
        return a_directory_that_only_root_may_pass();
    }
    let ground = Ground::ready();
    ground.open().close().unwrap();
    fs::set_permissions(&ground.top, fs::Permissions::from_mode(0o700)).unwrap();
    let said = ground.refusal().to_string();
    assert!(said.contains("may not enter"), "{said}");
}

#[test]
fn a_very_long_path_and_odd_characters() {
    let long = format!("{0}/it's, a \"{0}\" ü%\\/{0}", "long".repeat(15));
    let ground = Ground::ready_in(&long);
    let cluster = ground.open();
    add_row(&cluster.url());
    let url = cluster.url();
    assert!(!url.contains("longlong"), "{url}");
    let mut other = Other::start("use", &ground.data_dir);
    assert_eq!(other.hear("url"), url);
    cluster.close().unwrap();
    let postmaster = ground.postmaster().unwrap();
    assert!(signal("KILL", postmaster));
    let cluster = ground.open();
    assert_eq!((rows(&url), cluster.url()), (1, url.clone()));
    other.kill_dead();
    let socket_dir = PathBuf::from(ask(&url, "current_setting('unix_socket_directories')").trim_matches('"'));
    assert_eq!(fs::metadata(&socket_dir).unwrap().mode() & 0o777, 0o700);
    cluster.close().unwrap();
    assert!(!socket_dir.exists());
    // Somebody else took the name meanwhile: another is chosen, and found by the next.
    fs::create_dir(&socket_dir).unwrap();
    fs::set_permissions(&socket_dir, fs::Permissions::from_mode(0o755)).unwrap();
    let cluster = ground.open();
    let mut other = Other::start("use", &ground.data_dir);
    assert_eq!(other.hear("url"), cluster.url());
    assert_ne!(cluster.url(), url);
    other.close();
    assert_eq!(rows(&cluster.url()), 1);
    cluster.close().unwrap();
    fs::remove_dir(&socket_dir).unwrap();
}

#[test]
fn odd_characters_in_a_short_path() {
    let ground = Ground::ready_in("a 'b\" ü%\\");
    let cluster = ground.open();
    assert!(ground.cluster().join(".s.PGSQL.5432").exists());
    add_row(&cluster.url());
    cluster.close().unwrap();
}

#[test]
fn without_binaries_one_sentence() {
    let ground = Ground::new();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env("LATCHKEY_POSTGRES_BIN", &ground.top);
    let mut other = Other::run(command, "use", &ground.data_dir);
    let said = other.hear("error");
    assert!(said.contains("LATCHKEY_POSTGRES_BIN") && said.contains("does not hold"), "{said}");
    assert!(!ground.cluster().exists());
}

#[test]
fn another_major_version_is_named() {
    let ground = Ground::ready();
    ground.open().close().unwrap();
    let version = ground.cluster().join("PG_VERSION");
    let right = fs::read(&version).unwrap();
    fs::write(&version, "12\n").unwrap();
    let said = ground.refusal().to_string();
    assert!(said.contains("PostgreSQL 12") && said.contains("apt-get install postgresql-12"), "{said}");
    fs::write(&version, right).unwrap();
    ground.open().close().unwrap();
}

#[test]
fn something_else_in_its_place_is_left_alone() {
    let ground = Ground::new();
    fs::create_dir_all(ground.cluster()).unwrap();
    fs::write(ground.cluster().join("letter"), "dear").unwrap();
    assert!(matches!(ground.refusal(), PostgresError::NotACluster { .. }));
    assert!(ground.cluster().join("letter").exists());
}

#[test]
fn an_ordinary_user_and_then_root() {
    let ground = Ground::new();
    // An ordinary user already runs all of this file as one; root becomes one for this test.
    let (user, group) =
        if is_root() { (user_id(&["-u", "nobody"]), user_id(&["-g", "nobody"])) } else { (user_id(&["-u"]), user_id(&["-g"])) };
    chown(&ground.top, Some(user), Some(group)).unwrap();
    // The binary may lie where that user cannot go.
    let program = ground.top.join("it");
    // By another process: a descriptor of ours that is open for writing could be inherited by a child of another test's thread,
    // and as long as that lives the copy is "busy" and can't be started.
    assert!(Command::new("cp").arg(std::env::current_exe().unwrap()).arg(&program).status().unwrap().success());
    for round in 1..=2 {
        let mut command = Command::new(&program);
        command.current_dir("/");
        if is_root() {
            command.uid(user).gid(group);
        }
        let mut other = Other::run(command, "use", &ground.data_dir);
        let url = other.hear("url");
        add_row(&url);
        assert_eq!(rows(&url), 2 * round - 1);
        // Root shares with the user, and the one who stays longer can stop it.
        let cluster = ground.open();
        assert_eq!(cluster.url(), url);
        if round == 1 {
            cluster.close().unwrap();
            other.close();
        } else {
            other.close();
            cluster.close().unwrap();
        }
        assert!(!ground.server_lives());
        // Root alone, on what is the user's: the server still runs as the user.
        let cluster = ground.open();
        add_row(&cluster.url());
        assert_eq!(fs::metadata(ground.cluster().join("postmaster.pid")).unwrap().uid(), user);
        cluster.close().unwrap();
    }
    assert!(fs::symlink_metadata(ground.cluster()).unwrap().is_dir());
    assert_eq!(fs::metadata(ground.cluster()).unwrap().uid(), user);
}
