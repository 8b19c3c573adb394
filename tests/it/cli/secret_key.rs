//! Turning the secret key over, with real processes: while a server runs, and cut off at each step.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use diesel::sql_types::{Binary, Text, Uuid as SqlUuid};
use diesel::{PgConnection, QueryableByName, RunQueryDsl as _, sql_query};
use latchkey::actor::Actor;
use latchkey::clock;
use latchkey::ids::OrgId;
use latchkey::sealed::{KeyFile, Keyring, SecretKey};
use latchkey::webhooks;
use serde_json::{Value, json};

use super::receiver::Receiver;
use super::serving::Serving;
use super::{Cli, Run};
use crate::support::Client;

/// A deployment with the key file of its data directory, and some webhooks.
struct World {
    cli: Cli,
    orgs: Vec<OrgId>,
    /// As they were shown to those who saved them.
    shown: Vec<String>,
}

impl World {
    fn new(webhooks: usize) -> Self {
        let cli = Cli::new();
        KeyFile::at(cli.data_dir().join("secret.key")).ensure().unwrap();
        let mut world = Self { cli, orgs: Vec::new(), shown: Vec::new() };
        for n in 0..webhooks {
            let name = format!("Org {n}");
            world.cli.run(&["org", "create", "--name", &name]).ok();
        }
        #[derive(QueryableByName)]
        struct Id {
            #[diesel(sql_type = SqlUuid)]
            id: uuid::Uuid,
        }
        let ids: Vec<Id> = sql_query("SELECT id FROM organizations ORDER BY id").load(&mut world.conn()).unwrap();
        world.orgs = ids.into_iter().map(|Id { id }| OrgId(id)).collect();
        for org in world.orgs.clone() {
            let secret = save(&mut world.conn(), org, &world.keyring());
            world.shown.push(secret);
        }
        world
    }

    fn conn(&self) -> PgConnection {
        self.cli.database().conn()
    }

    fn path(&self) -> PathBuf {
        self.cli.data_dir().join("secret.key")
    }

    fn lines(&self) -> Vec<String> {
        std::fs::read_to_string(self.path()).unwrap().lines().map(str::to_owned).collect()
    }

    /// As a process that starts now reads it.
    fn keyring(&self) -> Keyring {
        Keyring::of_file(KeyFile::at(self.path())).unwrap()
    }

    /// Every secret opens, and is the one that was shown.
    fn assert_open_with(&self, keyring: &Keyring) {
        for (org, shown) in self.orgs.iter().zip(&self.shown) {
            let secrets = webhooks::secrets(&mut self.conn(), *org, clock::now(), keyring).unwrap();
            assert_eq!(secrets.iter().map(|secret| secret.reveal()).collect::<Vec<_>>(), std::slice::from_ref(shown));
        }
    }

    /// Nothing wants the old key any more, and none is left behind.
    fn assert_turned_over(&self, old: &str) {
        let lines = self.lines();
        assert!(lines.len() == 1 && lines[0] != old, "{} lines", lines.len());
        self.assert_open_with(&self.keyring());
        let mode = std::fs::metadata(self.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let rest: Vec<_> = std::fs::read_dir(self.cli.data_dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(rest, ["secret.key"], "an unfinished file is left");
    }

    fn sealed(&self) -> Vec<Vec<u8>> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Binary)]
            sealed: Vec<u8>,
        }
        let rows: Vec<Row> = sql_query("SELECT sealed FROM webhook_secrets ORDER BY organization_id").load(&mut self.conn()).unwrap();
        rows.into_iter().map(|row| row.sealed).collect()
    }
}

fn save(conn: &mut PgConnection, org: OrgId, keyring: &Keyring) -> String {
    let url = "https://127.0.0.1:1/".parse().unwrap();
    let saved = webhooks::save(conn, &Actor::command_line(), clock::now(), org, keyring, &url, None).unwrap();
    saved.new_secret.expect("a new webhook").reveal()
}

#[test]
fn a_rotation_changes_the_key_and_keeps_every_secret() {
    let world = World::new(3);
    let (old, before, owner) = (world.lines(), world.sealed(), std::fs::metadata(world.path()).unwrap().uid());
    let run = world.cli.run(&["secret-key", "rotate", "--json"]);
    assert!(!run.out.contains(&old[0]) && !run.err.contains(&old[0]), "a key is shown");
    assert_eq!(run.json()["sealed_again"], 3);
    world.assert_turned_over(&old[0]);
    assert_eq!(std::fs::metadata(world.path()).unwrap().uid(), owner);
    assert!(world.sealed().iter().zip(&before).all(|(now, before)| now != before));
    // The old key opens nothing: that is what it was turned over for.
    let old_ring = Keyring::from(SecretKey(hex(&old[0])));
    assert!(webhooks::secrets(&mut world.conn(), world.orgs[0], clock::now(), &old_ring).is_err());
    let again = world.cli.run(&["secret-key", "rotate"]).ok();
    assert!(again.out.contains("sealed 3 secrets again") && !again.out.contains(&world.lines()[0]), "{again:?}");
}

#[test]
fn one_who_holds_the_old_key_goes_on() {
    let mut world = World::new(2);
    let (running, old) = (world.keyring(), world.lines());
    world.assert_open_with(&running);
    world.cli.run(&["secret-key", "rotate"]).ok();
    world.assert_open_with(&running);
    // What it seals now, a process that starts now opens.
    let org = world.cli.run(&["org", "create", "--name", "Late", "--json"]).json();
    let org = OrgId::parse(org["id"].as_str().or(org["organization_id"].as_str()).expect("an id")).unwrap();
    let shown = save(&mut world.conn(), org, &running);
    world.orgs.push(org);
    world.shown.push(shown);
    world.assert_turned_over(&old[0]);
}

/// A server that only looked at what it can't open would seal its next secret with the key that is gone.
#[test]
fn one_who_holds_the_old_key_seals_with_the_new() {
    let mut world = World::new(1);
    let (running, old) = (world.keyring(), world.lines());
    world.cli.run(&["secret-key", "rotate"]).ok();
    let actor = Actor::command_line();
    let secret = webhooks::rotate_secret(&mut world.conn(), &actor, clock::now(), world.orgs[0], &running, None).unwrap();
    world.shown = vec![secret.reveal()];
    world.assert_turned_over(&old[0]);
}

/// A real server, told nothing of the rotation: what it sends is signed as before, and nobody is signed out.
#[actix_web::test]
async fn a_server_that_runs_goes_on() {
    let (mut world, receiver) = (World::new(1), Receiver::open());
    let old = world.lines();
    sql_query("UPDATE webhooks SET url = $1").bind::<Text, _>(&receiver.url).execute(&mut world.conn()).unwrap();
    let person = ["user", "create", "--email", "ann@example.com", "--org", "org-0", "--role", "admin", "--password-stdin"];
    world.cli.run_with_input(&person, "a long enough password\n").ok();
    let key = world.cli.run(&["key", "create", "--org", "org-0", "--environment", "test", "--json"]).json();
    let settings = [("LATCHKEY_WEBHOOK_ALLOW", "127.0.0.1"), ("LATCHKEY_WEBHOOK_ALLOW_HTTP", "true")];
    let mut server = Serving::with(&world.cli, "serve", "warn", &settings);
    let said = server.until(" serves ");
    let origin = said.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
    let (browser, partner) = (Client::browser(&origin), Client::bearer(&origin, key["key"].as_str().unwrap()));
    let form = [("email", "ann@example.com"), ("password", "a long enough password")];
    assert_eq!(browser.post("/sign-in").form(&form).send().await.status, 303);
    // Started, ten times progress, completed: by the sandbox worker, delivered by the server.
    let order = || partner.post("/analyses").json(&json!({"input": {}})).send();
    assert_eq!(order().await.status, 202);
    wait_until(|| receiver.count() == 12);
    world.cli.run(&["secret-key", "rotate"]).ok();
    assert_eq!(order().await.status, 202);
    wait_until(|| receiver.count() == 24);
    let tested = partner.post("/webhook/test").send().await.json();
    assert_eq!((tested["status"].as_u64(), receiver.count()), (Some(200), 25), "{tested}");
    receiver.assert_signed_with(&world.shown[0]);
    // A new one, made by the server after the rotation, is sealed with the new key.
    assert_eq!(partner.delete("/webhook").send().await.status, 200);
    let saved = partner.put("/webhook").json(&json!({"url": receiver.url})).send().await.json();
    world.shown = vec![saved["secret"].as_str().unwrap().to_owned()];
    let page = browser.get("/orgs/org-0/api-keys").send().await;
    assert_eq!(page.status, 200, "signed out, to {}", page.location());
    assert_eq!(server.stop(), Some(0));
    let log = std::fs::read_to_string(world.cli.data_dir().join("log")).unwrap();
    assert!(!log.contains(&old[0]) && !log.contains(&world.lines()[0]), "a key is in the log");
    std::fs::remove_file(world.cli.data_dir().join("log")).unwrap();
    world.assert_turned_over(&old[0]);
}

#[test]
fn cut_off_after_the_new_key_was_written_it_goes_on() {
    let world = World::new(3);
    let (running, old) = (world.keyring(), world.lines());
    // Somebody holds one of the rows: the rotation has written the file by the time that it waits for it.
    let mut holder = world.conn();
    holder.batch_execute("BEGIN; SELECT 1 FROM webhook_secrets LIMIT 1 FOR UPDATE").unwrap();
    let mut rotation = world.cli.command(&["secret-key", "rotate"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until(|| world.lines().len() == 2);
    rotation.kill().unwrap();
    rotation.wait().unwrap();
    holder.batch_execute("ROLLBACK").unwrap();
    assert_eq!(world.lines()[1], old[0], "the old key stays below the new one");
    world.assert_open_with(&running);
    world.assert_open_with(&world.keyring());
    let new = world.lines().swap_remove(0);
    assert_eq!(world.cli.run(&["secret-key", "rotate", "--json"]).json()["sealed_again"], 3);
    assert_eq!(world.lines(), [new], "it goes on with the key that it had begun with");
    world.assert_turned_over(&old[0]);
    world.assert_open_with(&running);
}

#[test]
fn cut_off_before_the_old_key_was_dropped_it_goes_on() {
    let world = World::new(3);
    let old = world.lines();
    world.cli.run(&["secret-key", "rotate"]).ok();
    let new = world.lines();
    std::fs::write(world.path(), format!("{}\n{}\n", new[0], old[0])).unwrap();
    std::fs::set_permissions(world.path(), PermissionsExt::from_mode(0o600)).unwrap();
    assert!(world.cli.run(&["doctor"]).ok().out.contains("2 of them"), "the doctor sees that it is not done");
    assert_eq!(world.cli.run(&["secret-key", "rotate", "--json"]).json()["sealed_again"], 0);
    assert_eq!(world.lines(), new);
    world.assert_turned_over(&old[0]);
}

#[test]
fn many_rotations_at_once_lose_nothing() {
    let world = World::new(4);
    let (running, old) = (world.keyring(), world.lines());
    let rotate = || world.cli.command(&["secret-key", "rotate"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let rotations: Vec<_> = (0..6).map(|_| rotate()).collect();
    for rotation in rotations {
        let run = Run::from(rotation.wait_with_output().unwrap());
        assert_eq!(run.status, 0, "{run:?}");
    }
    world.assert_turned_over(&old[0]);
    world.assert_open_with(&running);
}

/// Webhooks that are saved while the key is turned over, again and again, by one who holds the first key.
#[test]
fn what_is_written_meanwhile_is_never_lost() {
    let mut world = World::new(1);
    let old = world.lines();
    for n in 0..40 {
        sql_query("INSERT INTO organizations (id, slug, name, created_at) SELECT gen_random_uuid(), $1, $1, now()")
            .bind::<Text, _>(format!("late-{n}"))
            .execute(&mut world.conn())
            .unwrap();
    }
    #[derive(QueryableByName)]
    struct Id {
        #[diesel(sql_type = SqlUuid)]
        id: uuid::Uuid,
    }
    let ids: Vec<Id> = sql_query("SELECT id FROM organizations WHERE slug LIKE 'late-%'").load(&mut world.conn()).unwrap();
    let running = world.keyring();
    let mut conn = world.conn();
    let rotations = std::thread::scope(|scope| {
        let writer = scope.spawn(move || {
            ids.into_iter()
                .map(|Id { id }| {
                    std::thread::sleep(Duration::from_millis(10));
                    (OrgId(id), save(&mut conn, OrgId(id), &running))
                })
                .collect::<Vec<_>>()
        });
        let mut rotations = 0;
        while !writer.is_finished() {
            world.cli.run(&["secret-key", "rotate"]).ok();
            rotations += 1;
        }
        for (org, shown) in writer.join().unwrap() {
            world.orgs.push(org);
            world.shown.push(shown);
        }
        rotations
    });
    assert!(rotations > 1);
    world.assert_turned_over(&old[0]);
}

#[test]
fn a_setting_is_explained_and_a_list_of_keys_turned_over() {
    let world = World::new(2);
    let old = world.lines().swap_remove(0);
    let rotate = |key: &str, json: bool| {
        let mut command = world.cli.command(if json { &["secret-key", "rotate", "--json"] } else { &["secret-key", "rotate"] });
        Run::of({
            command.env("LATCHKEY_SECRET_KEY", key);
            command
        })
    };
    let told = rotate(&old, false);
    assert_eq!(told.status, 2, "{told:?}");
    assert!(told.err.contains("NEW,OLD") && told.err.contains("restart"), "{}", told.err);
    let fresh = told.out.trim().to_owned();
    assert_eq!((fresh.len(), fresh == old), (64, false));
    let json: Value = serde_json::from_str(&rotate(&old, true).out).unwrap();
    assert_eq!(json["fresh_key"].as_str().unwrap().len(), 64);
    let before = world.sealed();
    assert_eq!(rotate(&format!("{fresh},{old}"), true).json()["sealed_again"], 2);
    assert_ne!(world.sealed(), before);
    world.assert_open_with(&Keyring::from(SecretKey(hex(&fresh))));
    // The file was not meant.
    assert_eq!(world.lines(), std::slice::from_ref(&old));
    for wrong in ["abc", &format!("{fresh},"), &format!("{fresh};{old}"), &fresh[..63]] {
        let run = rotate(wrong, false);
        assert_eq!(run.status, 2);
        assert!(run.err.contains("LATCHKEY_SECRET_KEY"), "{run:?}");
    }
}

#[test]
fn a_key_that_does_not_open_everything_changes_nothing() {
    let world = World::new(2);
    let before = world.sealed();
    let stranger = SecretKey::generate().unwrap().hex();
    let named = world.cli.data_dir().join("named");
    std::fs::write(&named, format!("{stranger}\n")).unwrap();
    let rotate = |arguments: &[&str]| world.cli.run(&[&["secret-key", "rotate"], arguments].concat());
    let run = rotate(&["--secret-key-file", named.to_str().unwrap()]);
    assert_eq!((run.status, run.out.as_str()), (1, ""), "{run:?}");
    assert!(run.err.contains("sealed with another secret key"), "{run:?}");
    assert_eq!(world.sealed(), before);
    assert!(std::fs::read_to_string(&named).unwrap().contains(&stranger), "a key was dropped");
    let doctor = world.cli.run(&["doctor", "--secret-key-file", named.to_str().unwrap()]);
    assert_eq!(doctor.status, 1);
    assert!(doctor.out.contains("2 of 2 secrets of webhooks and of two-factor sign-in do not open"), "{doctor:?}");
    assert!(world.cli.run(&["doctor"]).ok().out.contains("all 2 secrets of webhooks and of two-factor sign-in open"));
    // With the right one behind it, everything is sealed with the first, as the doctor says.
    std::fs::write(&named, format!("{stranger}\n{}\n", world.lines()[0])).unwrap();
    rotate(&["--secret-key-file", named.to_str().unwrap()]).ok();
    world.assert_open_with(&Keyring::of_file(KeyFile::at(&named)).unwrap());
    for content in ["", "\n", "zz", &"0".repeat(63), &"ab".repeat(40)] {
        std::fs::write(&named, content).unwrap();
        rotate(&["--secret-key-file", named.to_str().unwrap()]).fails(2, "LATCHKEY_SECRET_KEY_FILE");
    }
}

fn hex(text: &str) -> [u8; 32] {
    std::array::from_fn(|n| u8::from_str_radix(&text[2 * n..2 * n + 2], 16).unwrap())
}

fn wait_until(done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "it does not come about");
        std::thread::sleep(Duration::from_millis(5));
    }
}
