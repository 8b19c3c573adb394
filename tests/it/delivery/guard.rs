//! Where nothing ever goes: hostile URLs, hostile names, and listeners on this machine that must not hear of any of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use latchkey::courier::{FailureClass, Look};
use latchkey::delivery::{Resolver, Sender, World};
use latchkey::site::WebhookRules;
use latchkey::webhooks::address::check_url;

use super::hostile::{INSIDE, INSIDE_V6, ODD, spellings};
use super::{Endpoint, OK, always, assert_failed, at_home, parcel, rules, sender};

/// Listens at every address of this machine, of either family, and notes who comes.
struct Ears {
    port: u16,
    /// Ports of those who came.
    heard: Receiver<u16>,
}

impl Ears {
    fn open() -> Self {
        let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (hear, heard) = channel();
        std::thread::spawn(move || listener.incoming().flatten().try_for_each(|stream| hear.send(stream.peer_addr().unwrap().port())));
        Self { port, heard }
    }

    /// How many came since this was asked last. A connection of our own, taken after all that came before it, says when
    /// to look.
    fn heard(&self) -> usize {
        let own = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap().local_addr().unwrap().port();
        let next = || self.heard.recv_timeout(Duration::from_secs(30)).expect("ears that hear");
        std::iter::repeat_with(next).take_while(|port| *port != own).count()
    }
}

fn strict() -> WebhookRules {
    WebhookRules { allow_http: false, ..rules(&[]) }
}

fn hurried(rules: WebhookRules, world: World) -> Sender {
    sender(rules, World { timeout: Duration::from_secs(5), ..world })
}

#[actix_web::test]
async fn no_hostile_url_connects_and_each_is_told_why() {
    let ears = Ears::open();
    let mut hostile: Vec<(String, &str)> = Vec::new();
    let cure = "Use one that the internet can reach.";
    for host in INSIDE.iter().flat_map(|address| spellings(address)) {
        let says = if host.contains('%') { "a % in it" } else { cure };
        hostile.push((format!("https://{host}:{}/", ears.port), says));
    }
    hostile.extend(INSIDE_V6.iter().map(|address| (format!("https://[{address}]:{}/", ears.port), cure)));
    hostile.extend(ODD.iter().map(|(url, says)| (url.replace("PORT", &ears.port.to_string()), *says)));
    hostile.push((format!("https://{}.example/", "a".repeat(64)), "Check its spelling"));
    hostile.push((format!("https://{}example/", "a.".repeat(130)), "Check its spelling"));
    hostile.push((format!("https://example.com/{}", "a".repeat(2_048)), "at most 2048"));
    hostile.push((format!("https://example.com/{}", "%".repeat(10).repeat(300)), "at most 2048"));
    assert!(hostile.len() >= 200, "{}", hostile.len());

    // A resolver that would lead each of them home, if it were asked.
    let sender = hurried(strict(), always(&["127.0.0.1"]));
    for (url, says) in &hostile {
        let told = check_url(url, &strict()).expect_err(url);
        assert!(told.contains(says) && told.ends_with('.'), "{url:?}: {told:?} does not say {says:?}");
        assert!(!told.contains(|c: char| c.is_control()), "{told:?}");
        let attempt = sender.send(&parcel(url)).await;
        assert_failed(&attempt, FailureClass::Blocked, says);
        assert!(attempt.request.is_empty() && attempt.laps.connect.is_none(), "{url}: {attempt:?}");
        assert_eq!(sender.look(url).await, Look::Blocked(told));
    }
    // With http too, which is then no excuse.
    let lenient = hurried(rules(&[]), always(&["127.0.0.1"]));
    for (url, _) in hostile.iter().filter(|(url, _)| url.starts_with("https://")) {
        let attempt = lenient.send(&parcel(&url.replacen("https", "http", 1))).await;
        assert_failed(&attempt, FailureClass::Blocked, "");
    }
    let plain = sender.send(&parcel(&format!("http://hooks.example:{}/", ears.port))).await;
    assert_failed(&plain, FailureClass::Blocked, "unencrypted. Use https://.");
    assert_eq!(ears.heard(), 0);
}

#[actix_web::test]
async fn no_name_that_leads_inside_connects_and_each_is_told_why() {
    let ears = Ears::open();
    let mapped = INSIDE.iter().map(|address| format!("::ffff:{address}"));
    let addresses: Vec<String> = INSIDE.iter().chain(&INSIDE_V6).map(|address| (*address).to_owned()).chain(mapped).collect();
    for address in &addresses {
        let address: IpAddr = address.parse().unwrap();
        let sender = hurried(rules(&[]), always(&[&address.to_string()]));
        for scheme in ["https", "http"] {
            let attempt = sender.send(&parcel(&format!("{scheme}://hooks.example:{}/", ears.port))).await;
            assert_failed(&attempt, FailureClass::Blocked, "hooks.example leads to ");
            assert!(attempt.laps.dns.is_some() && attempt.laps.connect.is_none());
        }
        let Look::Blocked(told) = sender.look("https://hooks.example/").await else { panic!("{address} is open") };
        assert!(told.ends_with("Use one that the internet can reach."), "{told}");
        assert!(!told.contains(&address.to_string()), "what a name means inside is nobody's to ask: {told}");
    }
    // All of them behind one name; and the names that the operating system itself leads home.
    let all: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let attempt = hurried(rules(&[]), always(&all)).send(&parcel(&format!("http://hooks.example:{}/", ears.port))).await;
    assert_failed(&attempt, FailureClass::Blocked, "hooks.example leads to an address of no machine. ");
    for name in ["localhost", "LOCALHOST", "localhost.", "ｌｏｃａｌｈｏｓｔ", "ⓛocalhost"] {
        let attempt = hurried(rules(&[]), World::default()).send(&parcel(&format!("http://{name}:{}/", ears.port))).await;
        assert_failed(&attempt, FailureClass::Blocked, "localhost leads to ");
    }
    assert_eq!(ears.heard(), 0);
}

#[actix_web::test]
async fn a_name_that_changes_its_mind_does_not_get_in() {
    let ears = Ears::open();
    let asked = Arc::<AtomicUsize>::default();
    let count = asked.clone();
    let resolver = Resolver::Fixed(Arc::new(move |_| {
        let inside = count.fetch_add(1, Ordering::SeqCst) > 0;
        Some(vec![if inside { [127, 0, 0, 1].into() } else { [93, 184, 216, 34].into() }])
    }));
    let sender = hurried(rules(&[]), World { resolver, ..World::default() });
    let url = format!("http://hooks.example:{}/", ears.port);
    assert_eq!(sender.look(&url).await, Look::Open);
    let attempt = sender.send(&parcel(&url)).await;
    assert_failed(&attempt, FailureClass::Blocked, "hooks.example leads to a loopback address. ");
    assert_eq!(ears.heard(), 0);
    // Once for the look and once for the attempt: there is no third answer that could be connected to.
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[actix_web::test]
async fn of_mixed_addresses_only_the_permitted_are_tried() {
    let ears = Ears::open();
    let endpoint = Endpoint::answering(OK);
    let world = always(&["127.0.0.1", "::1", "127.7.7.7", "::ffff:127.7.7.7"]);
    let sender = hurried(rules(&["127.7.7.7/32"]), world);
    let attempt = sender.send(&parcel(&format!("http://hooks.example:{}/", endpoint.address.port()))).await;
    // Nobody listens there; who listens next to it hears nothing.
    assert_failed(&attempt, FailureClass::Refused, "127.7.7.7 refused the connection");
    let attempt = sender.send(&parcel(&format!("http://hooks.example:{}/", ears.port))).await;
    assert_eq!(attempt.address, Some(IpAddr::from([127, 7, 7, 7])));
    assert_eq!((endpoint.accepted(), ears.heard()), (0, 1));
}

#[actix_web::test]
async fn the_setting_opens_exactly_its_range() {
    let ears = Ears::open();
    let allowed = || rules(&["127.0.0.0/8"]);
    let url = |host: &str| format!("http://{host}:{}/", ears.port);
    let open = ["127.0.0.1", "127.0.0.2", "127.255.255.254", "2130706433", "0177.1", "localhost"];
    for host in open {
        let attempt = hurried(allowed(), always(&["127.0.0.1"])).send(&parcel(&url(host))).await;
        // The ears hang up: what counts is that they were reached.
        assert_failed(&attempt, FailureClass::Reset, "");
    }
    assert_eq!(ears.heard(), open.len());
    let loopback = |address: &&&str| address.starts_with("127.");
    let shut = INSIDE.iter().filter(|address| !loopback(address)).chain(&INSIDE_V6).map(|address| (*address).to_owned());
    let carried = INSIDE.iter().filter(loopback).flat_map(|address| spellings(address)).filter(|host| host.starts_with('['));
    for host in shut.chain(carried) {
        let plain = host.trim_matches(['[', ']']);
        let literal = if plain.contains(':') { format!("[{plain}]") } else { plain.to_owned() };
        let attempt = hurried(allowed(), always(&["127.0.0.1"])).send(&parcel(&url(&literal))).await;
        assert_failed(&attempt, FailureClass::Blocked, "Use one that the internet can reach.");
        let attempt = hurried(allowed(), always(&[plain])).send(&parcel(&url("hooks.example"))).await;
        assert_failed(&attempt, FailureClass::Blocked, "hooks.example leads to ");
    }
    assert_eq!(ears.heard(), 0);
}

#[actix_web::test]
async fn a_redirect_inward_is_not_followed() {
    let ears = Ears::open();
    for status in [301, 302, 303, 307, 308] {
        let inward = format!("http://127.0.0.1:{}/", ears.port);
        let endpoint = Endpoint::answering(format!(
            "HTTP/1.1 {status} Away\r\nlocation: {inward}\r\nrefresh: 0;url={inward}\r\nalt-svc: h2=\":{}\"\r\ncontent-length: 0\r\n\r\n",
            ears.port
        ));
        let attempt = at_home().send(&parcel(&endpoint.url())).await;
        assert_failed(&attempt, FailureClass::Redirect, &format!("HTTP {status} points elsewhere to {inward}. Redirects are not followed"));
        assert_eq!(attempt.status(), Some(status));
    }
    assert_eq!(ears.heard(), 0);
}
