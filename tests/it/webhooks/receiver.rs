//! The receiver itself, before anybody is judged by it.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::PATIENCE;
use crate::support::receiver::{Log, Receiver, Reply, always, chaos};

/// A sender that knows nothing: one connection, raw bytes.
struct Sender(TcpStream);

impl Sender {
    fn to(receiver: &Receiver) -> Self {
        let address = receiver.url().trim_start_matches("http://").trim_end_matches("/hook").to_owned();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    fn post(&mut self, id: &str, job: &str, sequence: i64) {
        let body = format!(r#"{{"analysis_id":"{job}","event_type":"analysis.progress","sequence":{sequence}}}"#);
        let head = format!("POST /hook HTTP/1.1\r\nHost: x\r\nWebhook-Id: {id}\r\nContent-Length: {}\r\n\r\n", body.len());
        self.0.write_all(format!("{head}{body}").as_bytes()).unwrap();
    }

    /// Up to the end of a short answer, or what became of the connection.
    fn read(&mut self) -> Result<String, ErrorKind> {
        let mut text = Vec::new();
        while !text.ends_with(b"\r\n\r\nok") {
            let mut bytes = [0; 4_096];
            match self.0.read(&mut bytes).map_err(|e| e.kind())? {
                0 => break,
                read => text.extend(&bytes[..read]),
            }
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

#[actix_web::test]
async fn it_keeps_what_came_and_what_was_answered() {
    let receiver = Receiver::start(always(Reply::Status(200)));
    let mut sender = Sender::to(&receiver);
    for (id, sequence) in [("a", 1), ("b", 2)] {
        sender.post(id, "job", sequence);
        assert!(sender.read().unwrap().starts_with("HTTP/1.1 200 "));
    }
    receiver.behave(always(Reply::RetryAfter(429, 7)));
    sender.post("c", "job", 3);
    assert!(sender.read().unwrap().contains("retry-after: 7\r\n"));
    receiver.wait_for("three requests", PATIENCE, |log| log.requests.len() == 3 && log.under_way == 0).await;
    receiver.look(|log| {
        assert_eq!(log.breaches(), [""; 0]);
        assert_eq!(log.connections.len(), 1, "kept alive");
        assert_eq!((log.accepted["a"], log.accepted["b"], log.accepted.len()), (0, 1, 2));
        let last = &log.requests[2];
        assert_eq!((last.job.as_deref(), last.sequence, last.event_type.as_str()), (Some("job"), Some(3), "analysis.progress"));
        assert_eq!((last.header("webhook-id").as_str(), last.accepted), ("c", false));
        assert!(last.ended.unwrap() >= last.arrived && last.arrived >= log.requests[1].ended.unwrap());
    });
}

#[actix_web::test]
async fn it_misbehaves_as_told() {
    let receiver = Receiver::start(always(Reply::Reset));
    let mut asked = 0;
    let mut ask = |reply: Reply| {
        receiver.behave(always(reply));
        let mut sender = Sender::to(&receiver);
        asked += 1;
        sender.post(&format!("e{asked}"), &format!("j{asked}"), 1);
        sender
    };
    assert_eq!(ask(Reply::Reset).read(), Err(ErrorKind::ConnectionReset));
    assert_eq!(ask(Reply::Close).read(), Ok(String::new()));
    assert!(ask(Reply::Redirect).read().unwrap().contains("\r\nlocation: /elsewhere\r\n"));
    assert!(!ask(Reply::Garbage).read().unwrap().contains("HTTP"));
    assert!(ask(Reply::Huge).read_all() > 10 << 20);
    assert!(ask(Reply::Trickle(Duration::from_millis(50))).read().unwrap().starts_with("HTTP/1.1 200 "));
    assert!(ask(Reply::After(Duration::from_millis(5), 503)).read().unwrap().starts_with("HTTP/1.1 503 "));
    let hung = ask(Reply::Hang);
    receiver.wait_for("a hang", PATIENCE, |log| log.under_way == 1 && log.requests.len() == 8).await;
    drop(hung);
    receiver.wait_for("its end", PATIENCE, |log| log.under_way == 0).await;
    let accepted: Vec<bool> = receiver.look(|log| log.requests.iter().map(|request| request.accepted).collect());
    assert_eq!(accepted, [false, false, false, false, true, true, false, false]);
    // A redirect that is followed, and a request that is none, are held against the sender.
    let mut sender = Sender::to(&receiver);
    sender.0.write_all(b"POST /elsewhere HTTP/1.1\r\nWebhook-Id: x\r\nContent-Length: 0\r\n\r\n").unwrap();
    receiver.wait_for("a complaint", PATIENCE, |log| !log.complaints.is_empty()).await;
    assert!(matches!(&receiver.look(Log::breaches)[..], [one] if one.contains("nobody should make")));
}

impl Sender {
    fn read_all(mut self) -> usize {
        let (mut bytes, mut all) = (vec![0; 1 << 20], 0);
        while all <= 10 << 20 {
            all += self.0.read(&mut bytes).unwrap();
        }
        all
    }
}

#[actix_web::test]
async fn it_notices_what_a_sender_may_not_do() {
    let breaches = |posts: &'static [(&str, &str, i64)]| {
        let receiver = Receiver::start(always(Reply::Status(500)));
        let mut sender = Sender::to(&receiver);
        for (id, job, sequence) in posts {
            sender.post(id, job, *sequence);
            sender.read().unwrap();
        }
        receiver.look(Log::breaches)
    };
    assert_eq!(breaches(&[("a", "j", 1), ("x", "k", 1), ("a", "j", 1), ("c", "j", 3), ("y", "k", 2)]), [""; 0]);
    assert!(breaches(&[("b", "j", 2), ("a", "j", 1)])[0].contains("came after"), "out of order");
    assert!(breaches(&[("a", "j", 1), ("b", "j", 2), ("a", "j", 1)])[0].contains("came after"), "again, too late");
    assert!(breaches(&[("a", "j", 1), ("b", "j", 1)])[0].contains("came after"), "another id");
    assert!(breaches(&[("a", "j", 1), ("a", "k", 1)])[0].contains("two bodies"));
    let receiver = Receiver::start(always(Reply::Hang));
    let (mut one, mut other) = (Sender::to(&receiver), Sender::to(&receiver));
    one.post("a", "j", 1);
    receiver.wait_for("the first", PATIENCE, |log| log.under_way == 1).await;
    receiver.behave(always(Reply::Status(200)));
    other.post("a", "j", 1);
    other.read().unwrap();
    assert!(receiver.look(Log::breaches).iter().any(|breach| breach.contains("under way")));
}

#[actix_web::test]
async fn chaos_is_the_same_for_the_same_seed_and_keeps_to_its_budget() {
    const WEIGHTS: &[(u32, Reply)] = &[(1, Reply::Hang), (2, Reply::Status(200)), (1, Reply::Reset)];
    let receiver = Receiver::start(always(Reply::Status(200)));
    let mut sender = Sender::to(&receiver);
    sender.post("a", "j", 1);
    sender.read().unwrap();
    let request = receiver.look(|log| log.requests[0].clone());
    let draw = |seed, budget| {
        let mut policy = chaos(seed, WEIGHTS, budget);
        (0..200).map(|_| policy(&request)).collect::<Vec<_>>()
    };
    let drawn = draw(1, 5);
    assert_eq!(drawn, draw(1, 5));
    assert_ne!(drawn, draw(2, 5));
    assert_eq!(drawn.iter().filter(|reply| **reply == Reply::Hang).count(), 5);
    assert!((20..80).contains(&drawn.iter().filter(|reply| **reply == Reply::Reset).count()));
    assert!(!draw(1, 0).contains(&Reply::Hang));
}
