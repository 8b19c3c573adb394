//! The Partner API without the delivery edge: a desk in its place takes the errands and says what came of them.

use std::net::SocketAddr;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, web};
use latchkey::admission::{Admit, Settle};
use latchkey::batch::{self, Batch};
use latchkey::clock;
use latchkey::courier::{Answer, Attempt, Courier, Errand, Failure, FailureClass, Laps, Look, Parcel, Place};
use latchkey::db::Db;
use latchkey::metrics::Metrics;
use latchkey::news::News;
use latchkey::partner_api::{self, Partner};
use latchkey::profile::Profile;
use latchkey::sealed::SecretKey;
use latchkey::server::identify;
use latchkey::site::Site;
use latchkey::wake::Wake;
use tokio::sync::oneshot;

use super::client::Client;
use super::database::TestDb;
use super::make::{Key, Make};

/// What a desk was handed.
#[derive(Default)]
struct Book {
    parcels: Vec<Parcel>,
    looked: Vec<String>,
    /// Sends that wait for [`Desk::let_go`].
    held: Vec<(Parcel, oneshot::Sender<Attempt>, Place)>,
}

/// A Partner API behind which everything is sent to a desk. Stops when dropped.
///
/// It goes by the host: `blocked.…` leads inward, `nowhere.…` to no address, `hangs.…` until it is let go, `moved.…` elsewhere,
/// `broken.…` answers 500; all others answer 200.
pub struct Desk {
    pub site: Site,
    address: SocketAddr,
    book: Arc<Mutex<Book>>,
    server: ServerHandle,
    serving: Option<JoinHandle<()>>,
    stages: Option<(batch::Threads<Admit>, batch::Threads<Settle>)>,
    /// Last, so that it is dropped after the server has gone.
    database: TestDb,
}

impl Desk {
    pub fn open() -> Self {
        Self::with(Profile::load("analysis").unwrap(), 8)
    }

    /// With a profile, and a pool of so many connections.
    pub fn with(profile: Profile, pool: u32) -> Self {
        let database = TestDb::new();
        let db = Db::new(database.url(), pool);
        let public_url = "http://127.0.0.1".into();
        let site = Site {
            db,
            profile: Arc::new(profile),
            public_url,
            keyring: SecretKey([7; 32]).into(),
            webhooks: Arc::default(),
            retention: latchkey::site::Retention::default(),
            news: News::default(),
            mail: None,
            leaks: Default::default(),
            proxies: Default::default(),
        };
        let (courier, mut errands) = Courier::open();
        let book = Arc::new(Mutex::new(Book::default()));
        let kept = Arc::clone(&book);
        // Ends with the last courier.
        std::thread::spawn(move || {
            while let Some(errand) = errands.blocking_recv() {
                serve(&mut kept.lock().unwrap(), errand);
            }
        });
        let (admit, admit_threads) = Batch::start("admit", &site.db, 1, Admit, |_| {}).unwrap();
        let (settle, settle_threads) = Batch::start("settle", &site.db, 1, Settle::default(), |_| {}).unwrap();
        let partner = Partner::new(site.clone(), admit, settle, Metrics::new(), Wake::default(), courier);
        let (ready, started) = mpsc::channel();
        let serving = std::thread::spawn(move || run(web::Data::new(partner), &ready));
        let (address, server) = started.recv_timeout(Duration::from_secs(30)).expect("a server that starts");
        Self { site, address, book, server, serving: Some(serving), stages: Some((admit_threads, settle_threads)), database }
    }

    pub fn database(&self) -> &TestDb {
        &self.database
    }

    pub fn make(&self) -> Make {
        Make::new(self.database.conn(), self.site.profile.clone())
    }

    /// A program with an API key.
    pub fn partner(&self, key: &Key) -> Client {
        Client::bearer(&format!("http://{}", self.address), &key.text)
    }

    /// What was handed over to be sent, in order.
    pub fn parcels(&self) -> Vec<Parcel> {
        self.book.lock().unwrap().parcels.clone()
    }

    /// What was looked at, in order.
    pub fn looked(&self) -> Vec<String> {
        self.book.lock().unwrap().looked.clone()
    }

    /// How many sends hang.
    pub fn held(&self) -> usize {
        self.book.lock().unwrap().held.len()
    }

    /// Those that hang get the answer of a timeout.
    pub fn let_go(&self) {
        for (parcel, answer, _place) in self.book.lock().unwrap().held.drain(..) {
            let failure = Failure { class: FailureClass::Timeout, message: "No answer within 15 s.".into() };
            let _ = answer.send(attempt(&parcel, None, Some(failure)));
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        drop(self.server.stop(false));
        let deadline = std::time::Instant::now() + Duration::from_secs(5);
        if let Some(serving) = self.serving.take() {
            let _ = serving.join();
        }
        if let Some((admit, settle)) = self.stages.take() {
            admit.stop(deadline);
            settle.stop(deadline);
        }
    }
}

fn run(partner: web::Data<Partner>, ready: &Sender<(SocketAddr, ServerHandle)>) {
    actix_web::rt::System::new().block_on(async move {
        let app = move || {
            let partner = partner.clone();
            App::new().wrap_fn(identify).configure(|config| {
                partner_api::configure(config, &partner);
                config.app_data(partner.clone()).default_service(web::to(partner_api::not_found));
            })
        };
        let server = HttpServer::new(app).workers(2).disable_signals().shutdown_timeout(1).bind(("127.0.0.1", 0)).unwrap();
        let address = server.addrs()[0];
        let server = server.run();
        ready.send((address, server.handle())).unwrap();
        server.await.unwrap();
    });
}

fn serve(book: &mut Book, errand: Errand) {
    match errand {
        Errand::Look(url, answer) => {
            let look = match host(&url).as_str() {
                "blocked" => Look::Blocked("blocked.example leads to 127.0.0.1, an address inside. Use a public one.".into()),
                "nowhere" => Look::Unresolved,
                _ => Look::Open,
            };
            book.looked.push(url);
            let _ = answer.send(look);
        }
        Errand::Send(parcel, answer, place) => {
            book.parcels.push((*parcel).clone());
            let failure = |class, message: &str| Some(Failure { class, message: message.into() });
            let attempt = match host(&parcel.url).as_str() {
                "hangs" => return book.held.push((*parcel, answer, place)),
                "moved" => attempt(&parcel, Some(302), failure(FailureClass::Redirect, "It answered 302, which is not followed.")),
                "nowhere" => attempt(&parcel, None, failure(FailureClass::Dns, "nowhere.example has no address.")),
                "broken" => attempt(&parcel, Some(500), None),
                _ => attempt(&parcel, Some(200), None),
            };
            drop(place);
            let _ = answer.send(attempt);
        }
    }
}

/// The first label of the URL's host.
fn host(url: &str) -> String {
    url.split("://").nth(1).unwrap_or_default().split(['.', '/', ':']).next().unwrap_or_default().to_owned()
}

fn attempt(parcel: &Parcel, status: Option<u16>, failure: Option<Failure>) -> Attempt {
    let lap = |micros| status.map(|_| Duration::from_micros(micros));
    let answer = |status| Answer {
        status,
        head: format!("HTTP/1.1 {status}\ncontent-type: text/plain"),
        body: "received".into(),
        is_cut: false,
        retry_after: None,
    };
    Attempt {
        at: clock::now(),
        request: format!("POST / HTTP/1.1\nwebhook-id: {}", parcel.event),
        address: None,
        laps: Laps { dns: lap(1_250), connect: lap(2_000), tls: None, first_byte: lap(9_049), total: Duration::from_micros(12_349) },
        answer: status.map(answer),
        failure,
    }
}
