//! What leaves for an endpoint, what comes back, and where nothing ever goes.

mod guard;
mod hostile;
mod sending;
mod tls;

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use latchkey::clock;
use latchkey::courier::{Attempt, FailureClass, Parcel};
use latchkey::delivery::{Resolver, Sender, World};
use latchkey::ids::EventId;
use latchkey::profile::Profile;
use latchkey::secret::SigningSecret;
use latchkey::site::WebhookRules;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Rules that open these ranges, and http.
fn rules(allow: &[&str]) -> WebhookRules {
    WebhookRules { allow: allow.iter().map(|net| net.parse().unwrap()).collect(), allow_http: true, ..WebhookRules::default() }
}

/// A sender that may reach this machine, and for whom every name leads here.
fn at_home() -> Sender {
    sender(rules(&["127.0.0.0/8"]), always(&["127.0.0.1"]))
}

fn sender(rules: WebhookRules, world: World) -> Sender {
    Sender::new(Arc::new(rules), Arc::new(Profile::load("analysis").unwrap()), world).unwrap()
}

/// A world in which every name leads to these addresses.
fn always(addresses: &[&str]) -> World {
    let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    World { resolver: Resolver::Fixed(Arc::new(move |_| Some(addresses.clone()))), ..World::default() }
}

fn parcel(url: &str) -> Parcel {
    Parcel {
        url: url.into(),
        event: EventId::new(clock::now()),
        payload: "{\"event_type\":\"analysis.started\",\"n\":1}".into(),
        secrets: vec![SigningSecret::from_bytes(vec![7; 32])],
    }
}

#[track_caller]
fn assert_failed(attempt: &Attempt, class: FailureClass, says: &str) {
    let failure = attempt.failure.as_ref().unwrap_or_else(|| panic!("no failure: {attempt:?}"));
    assert_eq!(failure.class, class, "{failure:?}");
    assert!(failure.message.contains(says) && failure.message.ends_with('.'), "{failure:?} does not say {says:?}");
    assert!(!attempt.is_success());
}

/// An endpoint that does as it is told: a thread a connection.
struct Endpoint {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    /// What was asked, whole.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Endpoint {
    /// Lets `serve` have each connection, with its number from 1.
    fn raw(serve: impl Fn(TcpStream, usize, &Mutex<Vec<String>>) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (accepted, asked) = (Arc::<AtomicUsize>::default(), Arc::<Mutex<Vec<String>>>::default());
        let (count, texts, serve) = (accepted.clone(), asked.clone(), Arc::new(serve));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let number = count.fetch_add(1, Ordering::SeqCst) + 1;
                let (texts, serve) = (texts.clone(), serve.clone());
                std::thread::spawn(move || serve(stream, number, &texts));
            }
        });
        Self { address, accepted, asked }
    }

    /// Answers every request with these bytes, over connections that stay open.
    fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::raw(move |mut stream, _, asked| {
            while let Some(request) = read_request(&mut stream) {
                asked.lock().unwrap().push(request);
                let _ = stream.write_all(&answer);
            }
        })
    }

    fn url(&self) -> String {
        format!("http://{}/hook?a=b", self.address)
    }

    fn named(&self, name: &str) -> String {
        format!("https://{name}:{}/hook", self.address.port())
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// One request, head and body; none when the connection ended.
fn read_request(stream: &mut impl std::io::Read) -> Option<String> {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        text.push(byte[0]);
    }
    let head = String::from_utf8(text.clone()).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    text.extend(body);
    Some(String::from_utf8(text).unwrap())
}

/// Holds the connection until the other side ends it.
fn hold(mut stream: TcpStream) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
}
