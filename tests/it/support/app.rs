//! The assembled server in this process, on a thread and a database of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use latchkey::db::Db;
use latchkey::delivery::{Resolver, World};
use latchkey::mail::Mailer;
use latchkey::profile::Profile;
use latchkey::sealed::SecretKey;
use latchkey::server::{Instance, Listener};
use latchkey::site::{Site, WebhookRules};

use super::client::Client;
use super::database::TestDb;
use super::mailbox::Mailbox;
use super::make::{Key, Make, User};

/// A webhook's URL at an address of this machine where nobody listens: deliveries are refused at once. No test sends anything to an
/// address elsewhere.
pub const NOBODY: &str = "https://127.93.184.34/latchkey";

/// Where no name has an address, so that none is asked for and nothing leaves this machine.
fn no_names() -> World {
    World { resolver: Resolver::Fixed(Arc::new(|_| Some(Vec::new()))), ..World::default() }
}

/// A running instance. Stops when dropped.
pub struct App {
    /// What the instance's edges share.
    pub site: Site,
    address: SocketAddr,
    server: ServerHandle,
    thread: Option<JoinHandle<()>>,
    /// Last, so that it is dropped after the server has gone.
    database: Arc<TestDb>,
}

impl App {
    /// An instance with the default profile and a database of its own.
    pub fn start() -> Self {
        Self::with(Profile::load("analysis").unwrap())
    }

    /// The same with another profile.
    pub fn with(profile: Profile) -> Self {
        Self::on(Arc::new(TestDb::new()), profile)
    }

    /// The same with the default profile's text changed: each pair is replaced by its second.
    pub fn with_changes(changes: &[(&str, &str)]) -> Self {
        let (_, text) = latchkey::profile::BUILT_IN.iter().find(|(name, _)| *name == "analysis").unwrap();
        let mut text = text.to_string();
        for (from, to) in changes {
            assert!(text.contains(from), "the profile has no {from:?}");
            text = text.replace(from, to);
        }
        Self::with(Profile::parse(&text).unwrap())
    }

    /// A second instance on the database, with the profile and the secret key of this one.
    pub fn sibling(&self) -> Self {
        Self::on(self.database.clone(), (*self.site.profile).clone())
    }

    /// The default profile, with webhooks that may go to this machine by http, and that are tried again after these pauses.
    pub fn with_local_webhooks(retries: &[Duration]) -> Self {
        let rules =
            WebhookRules { allow: vec!["127.0.0.0/8".parse().unwrap()], allow_http: true, retries: retries.into(), ..Default::default() };
        Self::at(Arc::new(TestDb::new()), Profile::load("analysis").unwrap(), rules)
    }

    /// An instance on a given database. Its webhooks may go to [`NOBODY`].
    pub fn on(database: Arc<TestDb>, profile: Profile) -> Self {
        Self::at(database, profile, WebhookRules { allow: vec!["127.93.0.0/16".parse().unwrap()], ..Default::default() })
    }

    /// The default profile, with a server that takes mail.
    pub fn with_mail(mailbox: &Mailbox) -> Self {
        let mail = Mailer::new(&mailbox.url(), "Latchkey <console@latchkey.example>").unwrap();
        Self::tweaked(|site| site.mail = Some(mail))
    }

    /// The default profile, with the rest of the site changed.
    pub fn tweaked(tweak: impl FnOnce(&mut Site)) -> Self {
        Self::made(Arc::new(TestDb::new()), Profile::load("analysis").unwrap(), WebhookRules::default(), tweak)
    }

    fn at(database: Arc<TestDb>, profile: Profile, rules: WebhookRules) -> Self {
        Self::made(database, profile, rules, |_| {})
    }

    fn made(database: Arc<TestDb>, profile: Profile, rules: WebhookRules, tweak: impl FnOnce(&mut Site)) -> Self {
        let db = Db::new(database.url(), 8);
        let listener = Listener::bind(&[SocketAddr::from((Ipv4Addr::LOCALHOST, 0))]).unwrap();
        let public_url = format!("http://{}", listener.address());
        let mut site = Site {
            db,
            profile: Arc::new(profile),
            public_url,
            keyring: SecretKey([7; 32]).into(),
            webhooks: Arc::new(rules),
            retention: latchkey::site::Retention::default(),
            news: Default::default(),
            mail: None,
            leaks: Default::default(),
            proxies: Default::default(),
        };
        tweak(&mut site);
        let instance = Instance { site: site.clone(), listener, workers: 2, cluster: None, signals: false, demo: false, world: no_names() };
        let (ready, started) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            instance.run(|address, server| ready.send((address, server)).unwrap()).expect("a server that serves");
        });
        let (address, server) = started.recv_timeout(Duration::from_secs(30)).expect("a server that starts");
        Self { site, address, server, thread: Some(thread), database }
    }

    /// Its database, for a look behind the scenes.
    pub fn database(&self) -> &TestDb {
        &self.database
    }

    /// `http://127.0.0.1:port`.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Puts people, organizations and keys into the database.
    pub fn make(&self) -> Make {
        Make::new(self.database.conn(), self.site.profile.clone())
    }

    /// A program without credentials.
    pub fn anon(&self) -> Client {
        Client::new(&self.origin())
    }

    /// A browser in which this person has signed in.
    pub async fn browser(&self, user: &User) -> Client {
        let browser = Client::browser(&self.origin());
        let form = [("email", user.email.as_str()), ("password", user.password.as_str())];
        let answer = browser.post("/sign-in").form(&form).send().await;
        assert_eq!(answer.status, 303, "signing in as {}: {}", user.email, answer.text());
        browser
    }

    /// A browser in which nobody has signed in.
    pub fn stranger(&self) -> Client {
        Client::browser(&self.origin())
    }

    /// A program with an API key.
    pub fn partner(&self, key: &Key) -> Client {
        Client::bearer(&self.origin(), &key.text)
    }

    /// A service of the company, with a token of its own.
    pub fn service(&self) -> Client {
        Client::bearer(&self.origin(), &self.make().service_token())
    }

    /// A worker, with a token of its own.
    pub fn worker(&self) -> Client {
        Client::bearer(&self.origin(), &self.make().worker_token())
    }
}

impl Drop for App {
    fn drop(&mut self) {
        // Sent at the call; waiting is the thread's end.
        drop(self.server.stop(false));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
