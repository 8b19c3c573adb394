//! What leaves for an endpoint, and what is made of its answer.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use latchkey::clock;
use latchkey::courier::{Courier, FailureClass, KEPT_ANSWER, Look};
use latchkey::db::Db;
use latchkey::delivery::{self, Resolver, World};
use latchkey::error::Error;
use latchkey::ids::OrgId;
use latchkey::profile::Profile;
use latchkey::sealed::SecretKey;
use latchkey::secret::SigningSecret;
use latchkey::site::Site;

use super::{Endpoint, OK, always, assert_failed, at_home, hold, parcel, read_request, rules, sender};

#[actix_web::test]
async fn the_request_is_what_the_standard_says_and_is_kept_as_it_was_sent() {
    let endpoint = Endpoint::answering(OK);
    let mut sent = parcel(&endpoint.url());
    sent.secrets.push(SigningSecret::from_bytes(vec![8; 24]));
    let attempt = at_home().send(&sent).await;
    assert!(attempt.is_success(), "{attempt:?}");
    assert_eq!((attempt.status(), attempt.address), (Some(200), Some(IpAddr::from([127, 0, 0, 1]))));

    let asked = endpoint.asked().remove(0);
    let (head, body) = asked.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, sent.payload);
    let mut lines: Vec<&str> = head.lines().collect();
    assert_eq!(lines[0], "POST /hook?a=b HTTP/1.1");
    lines[1..].sort_unstable_by_key(|line| line.split(':').next());
    assert_eq!(attempt.request.lines().collect::<Vec<_>>(), lines);

    let signed = format!("{}.{}.{body}", sent.event, attempt.at.unix_timestamp());
    let tag = |byte: u8, length| ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &vec![byte; length]), signed.as_bytes());
    let names: Vec<&str> = lines[1..].iter().map(|line| line.split(':').next().unwrap()).collect();
    let expected = "accept accept-encoding content-length content-type date host user-agent webhook-id webhook-signature webhook-timestamp";
    assert_eq!(names.join(" "), expected);
    for line in [
        format!("host: {}", endpoint.address),
        "content-type: application/json".into(),
        "accept-encoding: identity".into(),
        format!("user-agent: Latchkey/{}", env!("CARGO_PKG_VERSION")),
        format!("webhook-id: {}", sent.event),
        format!("webhook-timestamp: {}", attempt.at.unix_timestamp()),
        format!("webhook-signature: v1,{} v1,{}", BASE64_STANDARD.encode(tag(7, 32)), BASE64_STANDARD.encode(tag(8, 24))),
    ] {
        assert!(lines.contains(&line.as_str()), "{line} is not in {head}");
    }
    let answer = attempt.answer.unwrap();
    assert_eq!((answer.head.as_str(), answer.body.as_str(), answer.is_cut), ("HTTP/1.1 200 OK\ncontent-length: 2", "ok", false));
}

#[actix_web::test]
async fn laps_add_up_and_a_kept_connection_has_fewer() {
    let endpoint = Endpoint::raw(|mut stream, _, _| {
        while read_request(&mut stream).is_some() {
            std::thread::sleep(Duration::from_millis(30));
            stream.write_all(OK).unwrap();
        }
    });
    let sender = at_home();
    let sent = parcel(&format!("http://hooks.example:{}/", endpoint.address.port()));
    let first = sender.send(&sent).await.laps;
    let sum = first.dns.unwrap() + first.connect.unwrap() + first.first_byte.unwrap();
    assert!(first.tls.is_none() && sum <= first.total, "{first:?}");
    assert!(first.first_byte.unwrap() >= Duration::from_millis(30), "{first:?}");
    let second = sender.send(&sent).await;
    assert!(second.is_success());
    assert_eq!((second.laps.dns, second.laps.connect, second.laps.tls), (None, None, None));
    assert!(second.laps.first_byte.unwrap() >= Duration::from_millis(30));
    assert_eq!(second.address, Some(IpAddr::from([127, 0, 0, 1])));
    assert_eq!(endpoint.accepted(), 1);
}

#[actix_web::test]
async fn an_answer_without_a_body_keeps_the_connection() {
    for answer in ["HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"] {
        let endpoint = Endpoint::answering(answer);
        let sender = at_home();
        for _ in 0..3 {
            assert!(sender.send(&parcel(&endpoint.url())).await.is_success());
        }
        assert_eq!(endpoint.accepted(), 1, "{answer:?}");
    }
}

#[actix_web::test]
async fn a_kept_connection_that_has_died_is_no_failure() {
    // The first connection answers once, and closes when it is asked again.
    let endpoint = Endpoint::raw(|mut stream, number, asked| {
        while let Some(request) = read_request(&mut stream) {
            asked.lock().unwrap().push(request);
            if number == 1 && asked.lock().unwrap().len() > 1 {
                return;
            }
            stream.write_all(OK).unwrap();
        }
    });
    let sender = at_home();
    assert!(sender.send(&parcel(&endpoint.url())).await.is_success());
    let second = sender.send(&parcel(&endpoint.url())).await;
    assert!(second.is_success(), "{second:?}");
    assert!(second.laps.connect.is_some());
    assert_eq!((endpoint.accepted(), endpoint.asked().len()), (2, 3));
    // But a connection of its own that is closed is one, and is not tried again.
    let closing = Endpoint::raw(|mut stream, _, _| drop(read_request(&mut stream)));
    assert_failed(&sender.send(&parcel(&closing.url())).await, FailureClass::Reset, "before an answer");
    assert_eq!(closing.accepted(), 1);
}

#[actix_web::test]
async fn statuses_decide() {
    for (status, success, class) in [
        (200, true, None),
        (299, true, None),
        (301, false, Some(FailureClass::Redirect)),
        (304, false, Some(FailureClass::Redirect)),
        (308, false, Some(FailureClass::Redirect)),
        (404, false, None),
        (410, false, None),
        (500, false, None),
        (999, false, None),
    ] {
        let endpoint =
            Endpoint::answering(format!("HTTP/1.1 {status} Said\r\nlocation: https://elsewhere.example/\r\ncontent-length: 0\r\n\r\n"));
        let attempt = at_home().send(&parcel(&endpoint.url())).await;
        assert_eq!((attempt.status(), attempt.is_success()), (Some(status), success));
        assert_eq!(attempt.failure.map(|failure| failure.class), class, "{status}");
    }
    let busy = Endpoint::answering("HTTP/1.1 429 Busy\r\nRetry-After: 17\r\nContent-Length: 0\r\n\r\n");
    let attempt = at_home().send(&parcel(&busy.url())).await;
    assert_eq!(attempt.answer.unwrap().retry_after, Some(Duration::from_secs(17)));
}

#[actix_web::test]
async fn nobody_listens() {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let attempt = at_home().send(&parcel(&format!("http://{free}/"))).await;
    assert_failed(&attempt, FailureClass::Refused, &format!("127.0.0.1 refused the connection on port {}", free.port()));
    assert!(attempt.request.is_empty() && attempt.answer.is_none() && attempt.laps.connect.is_none());
}

#[actix_web::test]
async fn the_next_address_is_tried() {
    let endpoint = Endpoint::answering(OK);
    let sender = sender(rules(&["127.0.0.0/8"]), always(&["127.0.0.2", "10.0.0.1", "127.0.0.1"]));
    let attempt = sender.send(&parcel(&format!("http://hooks.example:{}/", endpoint.address.port()))).await;
    assert!(attempt.is_success(), "{attempt:?}");
    assert_eq!(attempt.address, Some(IpAddr::from([127, 0, 0, 1])));
}

#[actix_web::test]
async fn a_name_without_an_address() {
    let attempt = sender(rules(&[]), always(&[])).send(&parcel("https://hooks.example/")).await;
    assert_failed(&attempt, FailureClass::Dns, "hooks.example has no address");
    assert!(attempt.laps.dns.is_some() && attempt.laps.connect.is_none());
    // RFC 6761: this name has none, whoever is asked.
    let attempt = sender(rules(&[]), World::default()).send(&parcel("https://hooks.invalid/")).await;
    assert_failed(&attempt, FailureClass::Dns, "hooks.invalid has no address");
}

#[actix_web::test]
async fn time_runs_out_and_the_sentence_says_where() {
    let hurried = |world: World| sender(rules(&["127.0.0.0/8"]), World { timeout: Duration::from_millis(300), ..world });
    let silent = Endpoint::raw(|stream, _, _| hold(stream));
    let attempt = hurried(always(&["127.0.0.1"])).send(&parcel(&silent.url())).await;
    assert_failed(&attempt, FailureClass::Timeout, "No first byte within 0.3 s");
    assert!(attempt.laps.connect.is_some() && attempt.laps.first_byte.is_none());
    assert!((300..2_000).contains(&attempt.laps.total.as_millis()), "{:?}", attempt.laps);
    assert!(attempt.request.starts_with("POST /hook"));

    let attempt = hurried(always(&["127.0.0.1"])).send(&parcel(&silent.named("hooks.example"))).await;
    assert_failed(&attempt, FailureClass::Timeout, "No secure connection to hooks.example within 0.3 s");
    assert!(attempt.laps.connect.is_some() && attempt.laps.tls.is_none());

    let unresolved = World { resolver: Resolver::Fixed(Arc::new(|_| None)), ..World::default() };
    let attempt = hurried(unresolved).send(&parcel(&silent.named("hooks.example"))).await;
    assert_failed(&attempt, FailureClass::Timeout, "The address of hooks.example was not found within 0.3 s");

    let slow = Endpoint::raw(|mut stream, _, _| {
        let _ = read_request(&mut stream);
        while stream.write_all(b"H").is_ok() {
            std::thread::sleep(Duration::from_secs(1));
        }
    });
    let attempt = hurried(always(&["127.0.0.1"])).send(&parcel(&slow.url())).await;
    assert_failed(&attempt, FailureClass::Timeout, "head was not complete");
}

#[actix_web::test]
async fn what_is_not_http_is_a_reset() {
    let endless_head = [b"HTTP/1.1 200 OK\r\nx: ".as_slice(), &[b'a'; 200_000]].concat();
    let many_headers = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(5_000));
    for (bytes, says) in [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec(), "does not speak HTTP"),
        (vec![0, 1, 2, 3, b'\r', b'\n', b'\r', b'\n'], "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n".to_vec(), "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\ncontent-".to_vec(), "in the middle"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec(), "HTTP 100 is no last answer"),
        (endless_head, "longer than 128 KiB"),
        (many_headers.into_bytes(), "more than 96 headers"),
    ] {
        let start = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
        let endpoint = Endpoint::raw(move |mut stream, _, _| {
            let _ = read_request(&mut stream);
            let _ = stream.write_all(&bytes);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            hold(stream);
        });
        let attempt = at_home().send(&parcel(&endpoint.url())).await;
        assert_failed(&attempt, FailureClass::Reset, says);
        assert_eq!(endpoint.accepted(), 1, "{start}");
    }
}

#[actix_web::test]
async fn an_answer_is_never_read_as_the_one_to_the_next_request() {
    // A body without a length, and an interim answer: what comes late would be the next answer's start.
    for first in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 103 Early Hints\r\n\r\n"] {
        let endpoint = Endpoint::raw(move |mut stream, number, _| {
            while read_request(&mut stream).is_some() {
                let answer = if number == 1 { first.as_bytes() } else { OK };
                let _ = stream.write_all(answer);
            }
        });
        let sender = at_home();
        let _ = sender.send(&parcel(&endpoint.url())).await;
        assert!(sender.send(&parcel(&endpoint.url())).await.is_success());
        assert_eq!(endpoint.accepted(), 2, "{first:?}");
    }
}

#[actix_web::test]
async fn a_body_that_ends_with_the_connection_is_shown() {
    for version in ["1.0", "1.1"] {
        let endpoint = Endpoint::raw(move |mut stream, _, _| {
            let _ = read_request(&mut stream);
            let _ = stream.write_all(format!("HTTP/{version} 500 Oh\r\nconnection: close\r\n\r\nno database").as_bytes());
        });
        let attempt = at_home().send(&parcel(&endpoint.url())).await;
        assert_eq!(attempt.answer.unwrap().body, "no database", "{version}");
    }
}

#[actix_web::test]
async fn a_long_or_endless_body_costs_neither_memory_nor_the_success() {
    let sender = at_home();
    let long = Endpoint::raw(|mut stream, _, _| {
        while read_request(&mut stream).is_some() {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10485760\r\n\r\n");
            let _ = (0..160).try_for_each(|_| stream.write_all(&[b'x'; 65_536]));
        }
    });
    for number in 1..=2 {
        let attempt = sender.send(&parcel(&long.url())).await;
        assert!(attempt.is_success(), "{attempt:?}");
        let answer = attempt.answer.unwrap();
        assert_eq!((answer.body.len(), answer.is_cut), (KEPT_ANSWER, true));
        // The rest of it was not waited for, and is nobody's answer.
        assert_eq!(long.accepted(), number);
    }
    let endless = Endpoint::raw(|mut stream, _, _| {
        let _ = read_request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        while stream.write_all(b"1\r\nx\r\n").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let attempt = sender.send(&parcel(&endless.url())).await;
    assert!(attempt.is_success() && attempt.answer.unwrap().is_cut);
    assert!(attempt.laps.total < Duration::from_secs(4), "{:?}", attempt.laps);
    let broken = Endpoint::raw(|mut stream, _, _| {
        let _ = read_request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
    });
    let attempt = sender.send(&parcel(&broken.url())).await;
    assert!(attempt.is_success(), "{attempt:?}");
    let answer = attempt.answer.unwrap();
    assert_eq!((answer.body.as_str(), answer.is_cut), ("half", true));
}

#[actix_web::test]
async fn what_is_kept_of_an_answer_is_text() {
    let endpoint =
        Endpoint::answering(b"HTTP/1.1 200 O\x80K\r\nx: a\xff\x80b\r\ncontent-length: 9\r\n\r\n\0\x1b[1m\xff\n\xc3\xa4".to_vec());
    let answer = at_home().send(&parcel(&endpoint.url())).await.answer.unwrap();
    assert_eq!(answer.body, "\u{fffd}\u{fffd}[1m\u{fffd}\nä");
    assert_eq!(answer.head.lines().count(), 3);
    assert!(answer.head.contains("\nx: a\u{fffd}\u{fffd}b\n"), "{:?}", answer.head);
}

#[actix_web::test]
async fn endpoints_that_hang_hold_up_nobody() {
    let silent = Endpoint::raw(|stream, _, _| hold(stream));
    let good = Endpoint::answering(OK);
    let sender = sender(rules(&["127.0.0.0/8"]), World { timeout: Duration::from_secs(3), ..always(&["127.0.0.1"]) });
    let url = silent.url();
    let hanging = futures_util::future::join_all((0..300).map(|_| async { sender.send(&parcel(&url)).await }));
    let quick = async {
        let begun = Instant::now();
        for _ in 0..20 {
            assert!(sender.send(&parcel(&good.url())).await.is_success());
        }
        begun.elapsed()
    };
    let (hanging, quick) = futures_util::future::join(hanging, quick).await;
    assert!(quick < Duration::from_secs(3), "{quick:?}");
    hanging.iter().for_each(|attempt| assert_failed(attempt, FailureClass::Timeout, "No first byte within 3 s"));
}

/// A server that holds the body back until the head is acknowledged, as TCP does by itself (Nagle), must not wait the 40 ms and
/// more by which systems delay that.
#[actix_web::test]
async fn an_answer_in_two_parts_takes_no_longer_than_one_in_one() {
    let sender = at_home();
    let mut medians = Vec::new();
    for parts in [vec![OK], vec![&OK[..OK.len() - 2], &OK[OK.len() - 2..]]] {
        let endpoint = Endpoint::raw(move |mut stream, _, _| {
            while read_request(&mut stream).is_some() {
                parts.iter().for_each(|part| stream.write_all(part).unwrap());
            }
        });
        let mut took = Vec::new();
        for _ in 0..41 {
            let attempt = sender.send(&parcel(&endpoint.url())).await;
            assert_eq!(attempt.answer.as_ref().map(|answer| answer.body.as_str()), Some("ok"), "{attempt:?}");
            took.push(attempt.laps.total);
        }
        assert_eq!(endpoint.accepted(), 1, "kept alive");
        took.sort();
        medians.push(took[20]);
    }
    assert!(medians[1] < 3 * medians[0] + Duration::from_millis(20), "at once and in two parts: {medians:?}");
}

#[actix_web::test]
async fn the_desk_serves_until_it_is_stopped() {
    let endpoint = Endpoint::answering(OK);
    let site = Site {
        db: Db::new("postgres://nobody@127.0.0.1:1/none", 1),
        profile: Arc::new(Profile::load("analysis").unwrap()),
        public_url: "http://127.0.0.1:1".into(),
        keyring: SecretKey([7; 32]).into(),
        retention: latchkey::site::Retention::default(),
        news: Default::default(),
        mail: None,
        leaks: Default::default(),
        proxies: Default::default(),
        webhooks: Arc::new(rules(&["127.0.0.0/8"])),
    };
    let (courier, errands) = Courier::open();
    let handle = delivery::spawn(&site, &Default::default(), errands, always(&["127.0.0.1"])).unwrap();
    assert!(courier.send(OrgId::new(clock::now()), parcel(&endpoint.url())).await.unwrap().is_success());
    assert_eq!(courier.look("https://hooks.example/").await.unwrap(), Look::Open);
    assert!(
        matches!(courier.look("https://10.0.0.1/").await.unwrap(), Look::Blocked(why) if why.contains("10.0.0.1 is a private address"))
    );
    handle.stop(Instant::now() + Duration::from_secs(10));
    assert!(matches!(courier.look("https://hooks.example/").await, Err(Error::Unavailable(_))));
}
