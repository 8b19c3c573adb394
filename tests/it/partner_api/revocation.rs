//! Once a revocation is answered, no instance admits one more request.

use std::cell::Cell;
use std::time::{Duration, Instant};

use actix_web::web::block;
use futures_util::future::{join, join_all};
use latchkey::actor::Actor;
use latchkey::{clock, keys, orgs};

use super::{INVALID_KEY, PLENTY, World, assert_in_history, partners};
use crate::support::{Answer, Client, Key, Org, Server};

/// Callers at each instance, each with one request under way at any time.
const CALLERS: usize = 12;
/// Requests that each caller sends after the end is known.
const AFTERWARDS: usize = 5;

#[actix_web::test]
async fn a_revoked_key_passes_nowhere_once_the_answer_is_there() {
    let world = World::new(&[]);
    let servers = world.servers(2).await;
    for _ in 0..8 {
        let (mut conn, actor) = (world.database.conn(), Actor::command_line());
        let end = move |org: &Org, key: &Key| {
            keys::revoke(&mut conn, &actor, clock::now(), org.id, key.id).unwrap();
        };
        let refused = ended_under_load(&world, &servers, end).await;
        assert!(refused.iter().all(|answer| answer.text() == INVALID_KEY));
    }
}

#[actix_web::test]
async fn a_suspended_organization_and_a_paused_key_pass_nowhere_either() {
    let world = World::new(&[]);
    let servers = world.servers(2).await;
    let mut conn = world.database.conn();
    let suspend = move |org: &Org, _: &Key| {
        orgs::suspend(&mut conn, &Actor::command_line(), clock::now(), org.id, "unpaid").unwrap();
    };
    let refused = ended_under_load(&world, &servers, suspend).await;
    assert!(refused.iter().all(|answer| answer.text().contains("organization_suspended")));
    let mut conn = world.database.conn();
    let deactivate = move |org: &Org, key: &Key| {
        keys::deactivate(&mut conn, &Actor::command_line(), clock::now(), org.id, key.id).unwrap();
    };
    let refused = ended_under_load(&world, &servers, deactivate).await;
    assert!(refused.iter().all(|answer| answer.text().contains("key_inactive")));
}

/// Ends a key in mid-load and returns what was refused.
async fn ended_under_load(world: &World, servers: &[Server], mut end: impl FnMut(&Org, &Key) + Send + 'static) -> Vec<Answer> {
    let scene = world.make().org().requests_per_minute(PLENTY).key();
    let (org, key) = (scene.here().clone(), scene.a_key().clone());
    let clients = partners(servers, &key.text);
    let (answered, ended_at) = (Cell::new(0), Cell::new(None));
    let callers = (0..CALLERS * clients.len()).map(|n| call(&clients[n % clients.len()], &answered, &ended_at));
    let ending = async {
        while answered.get() < 60 {
            actix_web::rt::time::sleep(Duration::from_millis(1)).await;
        }
        let told = block(move || {
            end(&org, &key);
            Instant::now()
        });
        ended_at.set(Some(told.await.unwrap()));
    };
    let (calls, ()) = join(join_all(callers), ending).await;
    let ended_at = ended_at.get().unwrap();
    let calls: Vec<(Instant, Answer)> = calls.into_iter().flatten().collect();
    for (sent_at, answer) in &calls {
        assert!(matches!(answer.status, 200 | 403), "{answer:?}");
        assert!(answer.status == 403 || *sent_at < ended_at, "sent {:?} too late and admitted", *sent_at - ended_at);
    }
    assert!(calls.iter().filter(|(sent_at, _)| *sent_at >= ended_at).count() >= AFTERWARDS * CALLERS * clients.len());
    assert_in_history(&mut world.database.conn(), calls.iter().map(|(_, answer)| answer));
    calls.into_iter().map(|(_, answer)| answer).filter(|answer| answer.status == 403).collect()
}

async fn call(client: &Client, answered: &Cell<usize>, ended_at: &Cell<Option<Instant>>) -> Vec<(Instant, Answer)> {
    let (mut calls, mut afterwards) = (Vec::new(), 0);
    while afterwards < AFTERWARDS {
        afterwards += usize::from(ended_at.get().is_some());
        let sent_at = Instant::now();
        calls.push((sent_at, client.get("/key").send().await));
        answered.set(answered.get() + 1);
    }
    calls
}
