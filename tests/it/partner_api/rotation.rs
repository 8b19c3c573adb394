//! A rotation under load: at every instant one text works, and whoever has a valid one is never refused.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::rt::{self, time::interval};
use actix_web::web::block;
use diesel::sql_types::Timestamptz;
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use latchkey::actor::Actor;
use latchkey::clock;
use latchkey::ids::OrgId;
use latchkey::keys::{self, Rotation};
use time::OffsetDateTime;

use super::{INVALID_KEY, PLENTY, World, assert_in_history, number};
use crate::support::{Answer, Client, Key, Server};

/// Between two requests of the load: 200 a second.
const PACE: Duration = Duration::from_millis(5);

/// Texts of one key in the order of their making.
struct Texts {
    known: RefCell<Vec<String>>,
    /// Rotations that have begun, answered or not.
    begun: Cell<usize>,
    over: Cell<bool>,
}

/// One request, with what was known when it left and when its answer came.
struct Call {
    text: usize,
    known_when_sent: usize,
    begun_when_answered: usize,
    sent_at: OffsetDateTime,
    answered_at: OffsetDateTime,
    answer: Answer,
}

#[actix_web::test]
async fn twenty_rotations_under_two_hundred_requests_a_second() {
    let world = World::new(&[]);
    let servers = world.servers(2).await;
    let scene = world.make().org().requests_per_minute(PLENTY).key();
    let (org, key) = (scene.here().id, scene.a_key().clone());
    let (watch, stop) = watch_the_number_of_working_texts(&world);
    let texts = Texts::of(&key);
    let load = rt::spawn(load(origins(&servers), texts.clone()));
    for rotations in 0..20 {
        a_while().await;
        texts.begun.set(rotations + 1);
        let text = rotate(&world, org, &key, rotations as i32 + 1, None).await;
        texts.known.borrow_mut().push(text);
    }
    a_while().await;
    texts.over.set(true);
    let calls = load.await.unwrap();
    stop.store(true, Ordering::Relaxed);
    assert!(watch.join().unwrap() > 100, "looked often");
    for call in &calls {
        let valid_throughout = call.text >= call.begun_when_answered;
        let ended_before = call.text + 1 < call.known_when_sent;
        match call.answer.status {
            200 => assert!(!ended_before, "text {} after text {} was known", call.text, call.known_when_sent - 1),
            403 => assert!(!valid_throughout && call.answer.text() == INVALID_KEY, "a valid key was refused: {:?}", call.answer),
            _ => panic!("{:?}", call.answer),
        }
    }
    let refused = calls.iter().filter(|call| call.answer.status == 403).count();
    assert!(refused >= 20 && calls.len() - refused >= 100, "{refused} of {}", calls.len());
    assert_in_history(&mut world.database.conn(), calls.iter().map(|call| &call.answer));
}

#[actix_web::test]
async fn in_grace_both_work_until_its_end() {
    let world = World::new(&[("\"1h\", \"24h\", \"7d\"", "\"2s\"")]);
    let servers = world.servers(2).await;
    let scene = world.make().org().requests_per_minute(PLENTY).key();
    let (org, key) = (scene.here().id, scene.a_key().clone());
    let texts = Texts::of(&key);
    let load = rt::spawn(load(origins(&servers), texts.clone()));
    a_while().await;
    let text = rotate(&world, org, &key, 1, Some(Duration::from_secs(2))).await;
    texts.known.borrow_mut().push(text);
    let ends_at = end_of_the_old_text(&world);
    while clock::now() < ends_at {
        rt::time::sleep(PACE).await;
    }
    a_while().await;
    texts.over.set(true);
    let calls = load.await.unwrap();
    for call in &calls {
        match call.answer.status {
            200 => assert!(call.text == 1 || call.sent_at < ends_at, "the old text outlived its grace"),
            403 => assert!(call.text == 0 && call.answered_at >= ends_at, "a valid key was refused: {:?}", call.answer),
            _ => panic!("{:?}", call.answer),
        }
    }
    let with = |text, status| calls.iter().filter(|call| call.text == text && call.answer.status == status).count();
    assert!(with(0, 200) > 20 && with(1, 200) > 20 && with(0, 403) > 2);
}

/// PostgreSQL's clock decides at admission; that of the instance which rotates may be ahead of it, or behind.
#[actix_web::test]
async fn an_immediate_end_is_immediate_whatever_the_clock_of_the_instance_says() {
    let world = World::new(&[]);
    let server = world.server().await;
    for skew in [time::Duration::hours(2), -time::Duration::hours(2)] {
        let scene = world.make().org().requests_per_minute(PLENTY).key();
        let (org, key) = (scene.here().id, scene.a_key().clone());
        let old = Client::bearer(&server.origin(), &key.text);
        assert_eq!(old.get("/key").send().await.status, 200);
        let rotation = Rotation { grace: None, expected_generation: 1, form_token: None };
        let now = clock::now() + skew;
        let (_, plain) =
            keys::rotate(&mut world.database.conn(), &Actor::command_line(), now, &world.profile, org, key.id, rotation).unwrap();
        assert_eq!(old.get("/key").send().await.status, 403, "{skew}");
        assert_eq!(Client::bearer(&server.origin(), plain.reveal()).get("/key").send().await.status, 200, "{skew}");
        // And once more, on an instance whose clock is right.
        if skew.is_positive() {
            rotate(&world, org, &key, 2, None).await;
        }
    }
}

impl Texts {
    fn of(key: &Key) -> Rc<Self> {
        Rc::new(Self { known: RefCell::new(vec![key.text.clone()]), begun: Cell::new(0), over: Cell::new(false) })
    }
}

fn origins(servers: &[Server]) -> Vec<Client> {
    servers.iter().map(|server| Client::new(&server.origin())).collect()
}

/// Sends with the newest text and the one before it in turn, on every instance in turn, at a steady pace.
async fn load(clients: Vec<Client>, texts: Rc<Texts>) -> Vec<Call> {
    let (mut ticks, mut calls) = (interval(PACE), Vec::new());
    while !texts.over.get() {
        ticks.tick().await;
        let n = calls.len();
        calls.push(rt::spawn(call(clients[n % clients.len()].clone(), texts.clone(), n / clients.len() % 2)));
    }
    futures_util::future::join_all(calls).await.into_iter().map(Result::unwrap).collect()
}

async fn call(client: Client, texts: Rc<Texts>, back: usize) -> Call {
    let known_when_sent = texts.known.borrow().len();
    let text = (known_when_sent - 1).saturating_sub(back);
    let authorization = format!("Bearer {}", texts.known.borrow()[text]);
    let sent_at = clock::now();
    let answer = client.get("/key").header("authorization", &authorization).send().await;
    Call { text, known_when_sent, begun_when_answered: texts.begun.get(), sent_at, answered_at: clock::now(), answer }
}

/// Lets the load go on for a while.
async fn a_while() {
    rt::time::sleep(PACE * 12).await;
}

async fn rotate(world: &World, org: OrgId, key: &Key, generation: i32, grace: Option<Duration>) -> String {
    let (mut conn, profile, key) = (world.database.conn(), world.profile.clone(), key.id);
    let rotation = Rotation { grace, expected_generation: generation, form_token: None };
    let rotate = move || {
        let (_, plain) = keys::rotate(&mut conn, &Actor::command_line(), clock::now(), &profile, org, key, rotation).unwrap();
        plain.reveal().to_owned()
    };
    block(rotate).await.unwrap()
}

/// Counts, as often as it can and each time in one snapshot, how many texts work: one, always.
fn watch_the_number_of_working_texts(world: &World) -> (std::thread::JoinHandle<usize>, Arc<AtomicBool>) {
    let (mut conn, stop) = (world.database.conn(), Arc::new(AtomicBool::new(false)));
    let stopped = stop.clone();
    let watch = std::thread::spawn(move || {
        let mut looks = 0;
        while !stopped.load(Ordering::Relaxed) {
            let working = "SELECT count(*) FROM api_key_secrets WHERE ends_at IS NULL OR ends_at > clock_timestamp()";
            assert_eq!(number(&mut conn, working), 1);
            looks += 1;
            std::thread::sleep(Duration::from_millis(1));
        }
        looks
    });
    (watch, stop)
}

fn end_of_the_old_text(world: &World) -> OffsetDateTime {
    #[derive(QueryableByName)]
    struct Ended {
        #[diesel(sql_type = Timestamptz)]
        ends_at: OffsetDateTime,
    }
    let query = sql_query("SELECT ends_at FROM api_key_secrets WHERE ends_at IS NOT NULL");
    query.get_result::<Ended>(&mut world.database.conn()).unwrap().ends_at
}
