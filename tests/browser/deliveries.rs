//! The deliveries on the tab Webhooks: the list, which keeps itself current, and what really arrives.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use latchkey::clock;
use latchkey::ids::JobId;
use serde_json::{Value, json};
use time::Duration;

use crate::driver::Setup;
use crate::person::{Person, not_yet};
use crate::support::{Make, NOBODY, NewDelivery, Try};
use crate::webhooks::NO_SCRIPT;
use crate::world::World;

/// Deliveries in every state, the newest first: waiting, retrying, overtaken, delivered, given up.
pub fn in_every_state(make: &mut Make) -> JobId {
    let now = clock::now();
    let (fine, slow, dead) = (JobId::new(now), JobId::new(now), JobId::new(now));
    let at = |minutes| now - Duration::minutes(minutes);
    let progress =
        || NewDelivery { job: slow, event_type: "analysis.progress".into(), state: "pending", tries: Vec::new(), ..NewDelivery::default() };
    let failed = vec![Try::Answered(500, 212); 8];
    make.delivery(NewDelivery { job: dead, at: at(1_900), state: "gave_up", tries: failed, ..NewDelivery::default() });
    make.delivery(NewDelivery { job: fine, sequence: 12, at: at(14), event_type: "analysis.completed".into(), ..NewDelivery::default() });
    make.delivery(NewDelivery { sequence: 6, at: at(3), state: "overtaken", ..progress() });
    let tries = vec![Try::Answered(503, 88), Try::Failed("timeout", "No first byte within 15 s", 15_000)];
    let answer = ("HTTP/1.1 503 Service Unavailable\nretry-after: 3\ncontent-type: text/plain".into(), "upstream connect error".into());
    make.delivery(NewDelivery { sequence: 7, at: at(2), tries, due_in: Duration::seconds(151), answer, ..progress() });
    make.delivery(NewDelivery { sequence: 8, at: at(1), ..progress() });
    slow
}

#[test]
fn the_list_keeps_itself_current_and_open_rows_open() {
    let world = World::start();
    let mut scene = world.make().org().admin().webhook(NOBODY);
    in_every_state(&mut scene);
    let person = world.signed_in(scene.an_admin());
    person.click("Webhooks");
    person.see("1 job behind a retry");
    assert_eq!(person.count("[data-delivery-id]"), 5);
    open_row(&person, 1);
    person.see("then after 30 min and 2 h");
    let opened = person.ask("return document.querySelector('tr.open').dataset.deliveryId", json!([]));
    let place = || person.ask("return document.querySelector('tr.open').getBoundingClientRect().top", json!([]));
    let before = place();
    person.ask("document.querySelector('tr.open .opens').focus()", json!([]));
    // A menu that is open stays so, too.
    person.ask("document.querySelector('details.account').open = true", json!([]));
    scene.delivery(NewDelivery { event_type: "analysis.failed".into(), ..NewDelivery::default() });
    assert!(person.text("#endpoint").contains("1 of 1"));
    person.see("Newer ones are in.");
    let in_sight = "const at = document.querySelector('.pinned').getBoundingClientRect(); return at.top > 0 && at.bottom <= innerHeight";
    assert_eq!(person.ask(in_sight, json!([])), json!(true), "beside what is read");
    person.see("2 of 2");
    assert_eq!(person.count("tr.open"), 1);
    assert_eq!(person.ask("return document.querySelector('tr.open').dataset.deliveryId", json!([])), opened);
    assert_eq!(place(), before, "and where it was");
    person.see_focus("Attempts of analysis.progress");
    assert_eq!(person.count("details.account[open]"), 1);
    person.inspect("webhooks-newer");
    open_row(&person, 1);
    person.until("the new row", || if person.count("[data-delivery-id]") == 6 { Ok(()) } else { Err(not_yet()) });
}

#[test]
fn what_is_sent_again_stays_in_the_list_that_it_was_found_in() {
    for setup in [Setup::default(), NO_SCRIPT] {
        let world = World::start();
        let mut scene = world.make().org().admin().webhook(NOBODY);
        in_every_state(&mut scene);
        let person = world.person_with(setup);
        person.sign_in(scene.an_admin());
        person.click("Webhooks");
        person.pick("State", "Gave up");
        if !person.has_script {
            person.click("Apply");
        }
        person.until("the one that was given up", || if person.count("[data-delivery-id]") == 1 { Ok(()) } else { Err(not_yet()) });
        person.click("Resend");
        person.see("The delivery is sent again.");
        assert_eq!(person.count("[data-delivery-id]"), 1);
        assert!(!person.text("#deliveries tr.open .status").contains("Gave up"));
        // The ninth may have been made by now, and then its own is the one that is open.
        person.see("of attempt 8");
    }
}

/// Opens the row at this place.
pub fn open_row(person: &Person, place: usize) {
    let name = "return document.querySelectorAll('.opens')[arguments[0]].getAttribute('aria-label')";
    let name = person.ask(name, json!([place]));
    person.click(name.as_str().unwrap());
}

/// A receiver on this machine, which answers what it is told to and keeps what arrived.
struct Receiver {
    port: u16,
    arrived: Arc<Mutex<Vec<Value>>>,
    answer: Arc<Mutex<&'static str>>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (arrived, answer) = (Arc::<Mutex<Vec<Value>>>::default(), Arc::new(Mutex::new("200 OK")));
        let (kept, told) = (arrived.clone(), answer.clone());
        // Ends with the process of the test.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, told) = (kept.clone(), told.clone());
                std::thread::spawn(move || receive(stream, &kept, &told));
            }
        });
        Self { port, arrived, answer }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn count(&self) -> usize {
        self.arrived.lock().unwrap().len()
    }
}

/// One connection: requests until it is closed.
fn receive(stream: TcpStream, kept: &Mutex<Vec<Value>>, told: &Mutex<&'static str>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let (mut length, mut line, mut first) = (0, String::new(), String::new());
        loop {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if first.is_empty() {
                first = line.trim().to_owned();
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let event: Value = serde_json::from_slice(&body).unwrap();
        kept.lock().unwrap().push(json!({ "request": first, "event": event }));
        let status = *told.lock().unwrap();
        let _ = (&stream).write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nok").as_bytes());
    }
}

#[test]
fn what_is_sent_arrives() {
    deliver(Setup::default());
}

#[test]
fn what_is_sent_arrives_without_script() {
    deliver(NO_SCRIPT);
}

fn deliver(setup: Setup) {
    let (world, receiver) = (World::start(), Receiver::start());
    let scene = world.make().org().credits(9).admin().key();
    let person = world.person_with(setup);
    person.sign_in(scene.an_admin());
    person.click("Webhooks");
    person.fill("Endpoint URL", &receiver.url("/first"));
    person.click("Save Webhook");
    person.see("Webhook saved.");
    test_event(&person, &receiver, "POST /first");

    person.click("Enabled");
    person.see("Webhook switched off.");
    let before = receiver.count();
    let job = analysis(&world, &scene.a_key().text);
    person.open(&format!("/orgs/{}/webhooks", scene.here().slug));
    person.see("Waiting (off)");
    assert_eq!(receiver.count(), before, "nothing arrives while it is off");
    person.click("Enabled");
    person.see("Webhook switched on.");
    let all = || receiver.arrived.lock().unwrap()[before..].to_vec();
    person.until("its events", || {
        if all().last().is_some_and(|last| last["event"]["status"] == "completed") { Ok(()) } else { Err(not_yet()) }
    });
    assert!(all().iter().all(|one| one["event"]["analysis_id"] == job), "{:?}", all());
    let sequences: Vec<i64> = all().iter().filter_map(|one| one["event"]["sequence"].as_i64()).collect();
    assert!(sequences.is_sorted(), "{sequences:?}");

    person.click("Edit URL");
    person.fill("Endpoint URL", &receiver.url("/second"));
    person.click("Update Webhook");
    person.see("Webhook updated.");
    test_event(&person, &receiver, "POST /second");

    *receiver.answer.lock().unwrap() = "302 Found\r\nlocation: http://127.0.0.1/";
    person.click("Send Test Event");
    person.see("Redirect");
    *receiver.answer.lock().unwrap() = "500 Internal Server Error";
    person.click("Send Test Event");
    person.see("HTTP 500");
    analysis(&world, &scene.a_key().text);
    person.open(&format!("/orgs/{}/webhooks", scene.here().slug));
    person.until("a delivery that is retried", || {
        if !person.has_script {
            person.reload();
        }
        if person.text("#deliveries").contains("Retrying") { Ok(()) } else { Err(not_yet()) }
    });
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    person.click("Edit URL");
    person.fill("Endpoint URL", &format!("http://{nobody}/"));
    person.click("Update Webhook");
    person.see("Webhook updated.");
    person.click("Send Test Event");
    person.see("Refused");
    if person.has_script {
        person.inspect("webhooks-test-refused");
    }
}

/// Sends a test event and reads what came of it.
fn test_event(person: &Person, receiver: &Receiver, request: &str) {
    let before = receiver.count();
    person.click("Send Test Event");
    person.until("the result", || if person.text("#test-result").contains("HTTP 200") { Ok(()) } else { Err(not_yet()) });
    let result = person.text("#test-result");
    let (_, latency) = result.split_once(" · ").expect("the latency");
    assert!(latency.trim_start().split(' ').next().is_some_and(|ms| ms.parse::<f64>().is_ok()) && latency.contains(" ms"), "{result}");
    let arrived = receiver.arrived.lock().unwrap()[before..].to_vec();
    assert_eq!(arrived.len(), 1, "once");
    assert!(arrived[0]["request"].as_str().unwrap().starts_with(request) && arrived[0]["event"]["test"] == true, "{arrived:?}");
    assert!(result.contains("webhook-signature") && result.contains(request));
}

/// Makes an analysis and does it.
fn analysis(world: &World, key: &str) -> String {
    let made = world.answer(world.partner(key).post("/analyses").json(&json!({ "input": {} }))).json();
    let worker = world.worker();
    let claimed = world.answer(worker.post("/worker/v1/claim").json(&json!({ "kinds": ["analysis"], "wait_s": 0 }))).json();
    let (job, lease) = (claimed["job"]["id"].as_str().unwrap(), &claimed["job"]["lease"]);
    assert_eq!(made["analysis_id"], job);
    let done = world.answer(worker.post(&format!("/worker/v1/jobs/{job}/complete")).json(&json!({ "lease": lease, "result": {} })));
    assert_eq!(done.status, 200);
    job.to_owned()
}
