//! A profile on stage: a server, an organization with an admin, keys in every state, and a transcript of what is said.

use std::fmt::Write as _;

use awc::http::Method;
use diesel::{RunQueryDsl, sql_query};
use latchkey::actor::Actor;
use latchkey::clock;
use latchkey::keys::{self, NewKey};
use latchkey::orgs;
use latchkey::profile::Profile;
use regex_lite::Regex;

use crate::support::{Answer, App, Client, Make, Org, root};

/// Headers that say nothing of the contract.
const LEFT_OUT: [&str; 4] = ["content-length", "date", "connection", "transfer-encoding"];

/// What differs from run to run, and what stands for it in a transcript.
const MASKS: [(&str, &str); 9] = [
    // First: an early + or / in it would leave what looks like an id.
    (r"whsec_[A-Za-z0-9+/=]+", "<secret>"),
    (r"\b[a-z]+_[0-9A-Za-z]{22}\b", "<id>"),
    (r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "<time>"),
    (r#""((?:duration|latency|dns|connect|tls|first_byte|total)_ms)":[0-9.]+"#, r#""$1":<ms>"#),
    // What is left of the minute; that it is right is looked at elsewhere.
    (r"again in \d{1,2} s", "again in <60> s"),
    (r#""(retry_after|reset_s)":\d{1,2}\b"#, r#""$1":<60>"#),
    (r#""(x-ratelimit-reset|retry-after)":"\d{1,2}""#, r#""$1":"<60>""#),
    (r";t=\d{1,2}\b", ";t=<60>"),
    (r"(?m)^(x-ratelimit-reset|retry-after): \d{1,2}$", "$1: <60>"),
];

pub struct Stage {
    pub app: App,
    pub make: Make,
    transcript: String,
}

impl Stage {
    /// The profile of this name, an organization with an admin and so many credits.
    pub fn new(profile: &str, credits: i64) -> Self {
        Self::with(Profile::load(profile).unwrap(), credits)
    }

    pub fn with(profile: Profile, credits: i64) -> Self {
        let app = App::with(profile);
        let make = app.make().org_named("acme-motion").admin();
        let make = if credits > 0 { make.credits(credits) } else { make };
        Self { app, make, transcript: String::new() }
    }

    /// Another organization, made last by `make`.
    pub fn on(app: App, make: Make) -> Self {
        Self { app, make, transcript: String::new() }
    }

    pub fn profile(&self) -> &Profile {
        &self.app.site.profile
    }

    pub fn org(&self) -> &Org {
        self.make.here()
    }

    /// The text of a new key with every permission.
    pub fn key(&self) -> String {
        self.key_that_may(&self.profile().permissions.list)
    }

    /// The text of a new key with these permissions.
    pub fn key_that_may(&self, permissions: &[String]) -> String {
        self.key_in(self.profile().default_environment(), permissions)
    }

    pub fn key_in(&self, environment: &str, permissions: &[String]) -> String {
        let new = NewKey {
            organization: self.org().id,
            name: "Nightly batch".into(),
            environment: environment.into(),
            permissions: permissions.to_vec(),
            expires_at: None,
            form_token: None,
        };
        let (conn, profile) = (&mut self.app.database().conn(), self.profile());
        keys::create(conn, &Actor::command_line(), clock::now(), profile, new).unwrap().1.reveal().to_owned()
    }

    /// One of the company's own services, with a token of its own.
    pub fn service(&self) -> Client {
        Client::bearer(&self.app.origin(), &self.app.make().service_token())
    }

    /// Changes the key of this text behind everybody's back.
    pub fn change_key(&self, text: &str, change: &str) {
        let digest = latchkey::secret::SecretDigest::of(text);
        let query = format!("UPDATE api_keys SET {change} WHERE id = (SELECT key_id FROM api_key_secrets WHERE digest = $1)");
        let changed = sql_query(query).bind::<diesel::sql_types::Binary, _>(digest).execute(&mut self.app.database().conn());
        assert_eq!(changed.unwrap(), 1);
    }

    /// Suspends the organization, or lets it go on.
    pub fn suspend(&self, suspend: bool) {
        let (conn, actor, now) = (&mut self.app.database().conn(), Actor::command_line(), clock::now());
        let organization = self.org().id;
        let change = if suspend { orgs::suspend } else { orgs::reinstate };
        change(conn, &actor, now, organization, "for a test").unwrap();
    }

    /// Asks, without a word in the transcript.
    pub async fn call(&self, line: &str, key: Option<&str>, body: &str) -> Answer {
        self.call_with(line, key, body, &[]).await
    }

    async fn call_with(&self, line: &str, key: Option<&str>, body: &str, headers: &[(&str, &str)]) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        let mut request = self.app.anon().request(Method::from_bytes(method.as_bytes()).unwrap(), path);
        if let Some(key) = key {
            request = request.header("authorization", &format!("Bearer {key}"));
        }
        if !body.is_empty() {
            request = request.header("content-type", "application/json").body(body);
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.send().await
    }

    /// Asks, and writes down what was asked and answered.
    pub async fn ask(&mut self, title: &str, line: &str, key: Option<&str>, body: &str) -> Answer {
        self.ask_with(title, line, key, body, &[]).await
    }

    pub async fn ask_with(&mut self, title: &str, line: &str, key: Option<&str>, body: &str, headers: &[(&str, &str)]) -> Answer {
        let answer = self.call_with(line, key, body, headers).await;
        let mut lines: Vec<String> = answer.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.retain(|line| !LEFT_OUT.iter().any(|left_out| line.starts_with(&format!("{left_out}:"))));
        lines.sort();
        let asked: String = if body.len() > 200 { format!("({} bytes)", body.len()) } else { body.into() };
        let (status, told) = (answer.status, answer.text());
        write!(self.transcript, "### {title}\n{line}\n").unwrap();
        for (name, value) in headers {
            writeln!(self.transcript, "{name}: {value}").unwrap();
        }
        if !asked.is_empty() {
            writeln!(self.transcript, "\n{asked}").unwrap();
        }
        write!(self.transcript, "\n{status}\n{}\n\n{told}\n\n", lines.join("\n")).unwrap();
        answer
    }

    /// Compares the transcript with the one that is kept. `LATCHKEY_GOLDEN=write` keeps this one, to be read before it is committed.
    pub fn compare(self, name: &str) {
        let mut text = self.transcript;
        for (pattern, mask) in MASKS {
            text = Regex::new(pattern).unwrap().replace_all(&text, mask).into_owned();
        }
        let key = Regex::new(&format!("{}_([a-z]+_)?[0-9A-Za-z]{{36}}\\b", self.app.site.profile.keys.prefix)).unwrap();
        text = key.replace_all(&text, "<key>").into_owned();
        let prefix = Regex::new(&format!("{}_([a-z]+_)?[0-9A-Za-z]{{4}}\\b", self.app.site.profile.keys.prefix)).unwrap();
        text = prefix.replace_all(&text, "<prefix>").into_owned();
        let file = root().join(format!("tests/it/profiles/golden/{name}.http"));
        if std::env::var("LATCHKEY_GOLDEN").is_ok_and(|value| value == "write") {
            return std::fs::write(file, text).unwrap();
        }
        let kept = std::fs::read_to_string(&file).unwrap_or_default();
        for (said, kept) in text.split("### ").zip(kept.split("### ")) {
            assert_eq!(said, kept, "{name}: not what was said before");
        }
        assert_eq!(text.matches("### ").count(), kept.matches("### ").count(), "{name}: as many exchanges as before");
    }
}
