//! The real binary on a database of its own, and the people and programs around it.

use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::rt::{System, SystemRunner};
use latchkey::profile::Profile;
use serde_json::Value;

use crate::driver::Setup;
use crate::person::Person;
use crate::support::{Answer, Client, Make, Request, Server, TestDb, User};

/// A running `latchkey serve`.
pub struct World {
    runtime: Rc<SystemRunner>,
    server: Server,
    database: TestDb,
    profile: Arc<Profile>,
}

impl World {
    /// With the default profile.
    pub fn start() -> Self {
        Self::with_changes(&[])
    }

    /// With the profile of this name.
    pub fn of(profile: &str) -> Self {
        Self::changed(profile, &[])
    }

    /// With the default profile's text changed: each pair is replaced by its second.
    pub fn with_changes(changes: &[(&str, &str)]) -> Self {
        Self::changed("analysis", changes)
    }

    fn changed(profile: &str, changes: &[(&str, &str)]) -> Self {
        let (_, text) = latchkey::profile::BUILT_IN.iter().find(|(name, _)| *name == profile).unwrap();
        let mut text = text.to_string();
        for (from, to) in changes {
            assert!(text.contains(from), "the profile has no {from:?}");
            text = text.replace(from, to);
        }
        let file = std::env::temp_dir().join(format!("latchkey-profile-{}.toml", latchkey::secret::random_base62(12).unwrap()));
        std::fs::write(&file, &text).unwrap();
        let runtime = Rc::new(System::new());
        let database = TestDb::new();
        // Receivers of tests are on this machine, and nobody waits for a retry.
        let settings = [
            ("LATCHKEY_PROFILE", file.to_str().unwrap()),
            ("LATCHKEY_WEBHOOK_ALLOW", "127.0.0.0/8"),
            ("LATCHKEY_WEBHOOK_ALLOW_HTTP", "true"),
            ("LATCHKEY_WEBHOOK_RETRY_S", "1,300,1800,7200"),
        ];
        let server = runtime.block_on(Server::start_with(&database, &settings));
        let _ = std::fs::remove_file(file);
        Self { runtime, server, database, profile: Arc::new(Profile::parse(&text).unwrap()) }
    }

    /// Many keys to an organization, with permissions.
    pub fn with_many_keys() -> Self {
        Self::with_changes(&[
            ("max_active = 1", "max_active = 0"),
            ("create_label = \"Generate API Key\"", "create_label = \"Create API Key\""),
            ("grant = \"none\"\nlist = []", "grant = \"chosen\"\nlist = [\"analyses:write\", \"analyses:read\", \"credits:read\"]"),
            ("action = \"jobs.create\"", "permission = \"analyses:write\"\naction = \"jobs.create\""),
            ("action = \"credits.read\"", "permission = \"credits:read\"\naction = \"credits.read\""),
        ])
    }

    /// Puts people, organizations and keys into the database.
    pub fn make(&self) -> Make {
        Make::new(self.database.conn(), self.profile.clone())
    }

    /// Somebody of the staff opens an organization, and says why.
    pub fn visit(&self, actor: &latchkey::actor::Actor, slug: &str, reason: &str) {
        latchkey::support::open(&mut self.database.conn(), actor, latchkey::clock::now(), slug, reason).unwrap();
    }

    pub fn origin(&self) -> String {
        self.server.origin()
    }

    /// Somebody at a desk, not signed in.
    pub fn person(&self) -> Person {
        self.person_with(Setup::default())
    }

    pub fn person_with(&self, setup: Setup) -> Person {
        Person::new(&self.runtime, &self.origin(), setup)
    }

    /// Somebody who has just signed in.
    pub fn signed_in(&self, user: &User) -> Person {
        let person = self.person();
        person.sign_in(user);
        person
    }

    /// A program with an API key.
    pub fn partner(&self, key: &str) -> Client {
        self.runtime.block_on(async { Client::bearer(&self.origin(), key) })
    }

    /// A worker with a token of its own.
    pub fn worker(&self) -> Client {
        let token = self.make().worker_token();
        self.runtime.block_on(async { Client::bearer(&self.origin(), &token) })
    }

    /// The answer to a program's request.
    pub fn answer(&self, request: Request) -> Answer {
        self.runtime.block_on(request.send())
    }

    /// Everybody's last proof of a password is over an hour ago.
    pub fn an_hour_passes(&self) {
        let age = "UPDATE sessions SET proved_at = proved_at - interval '61 minutes'";
        diesel::RunQueryDsl::execute(diesel::sql_query(age), &mut self.database.conn()).unwrap();
    }

    /// Whether a key opens the door, asked without spending anything.
    pub fn admits(&self, key: &str) -> bool {
        match self.answer(self.partner(key).get("/key")).status {
            200 => true,
            403 => false,
            other => panic!("status {other}"),
        }
    }
}

/// What a shell printed for a `curl` line.
pub struct Printed {
    pub status: u16,
    pub request_id: String,
    pub body: Value,
}

/// Pastes a line into a shell, as the page invites to.
pub fn paste(line: &str) -> Printed {
    let shell = Command::new("sh").args(["-c", &format!("{line} --silent --show-error --include")]).output().unwrap();
    let printed = String::from_utf8(shell.stdout).unwrap();
    assert!(shell.status.success(), "{line}\n{}", String::from_utf8_lossy(&shell.stderr));
    let (head, body) = printed.split_once("\r\n\r\n").expect("a head and a body");
    let header = |name: &str| {
        head.lines().find_map(|line| line.split_once(": ").filter(|(found, _)| found.eq_ignore_ascii_case(name))).map(|(_, value)| value)
    };
    Printed {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        request_id: header("x-request-id").expect("a request id").trim().to_owned(),
        body: serde_json::from_str(body).unwrap(),
    }
}
