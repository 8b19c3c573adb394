//! Two servers, one database: they share the work and don't do it twice.

use std::collections::HashSet;
use std::time::Duration;

use super::{PATIENCE, Stage};
use crate::support::receiver::{Log, Receiver, Reply, chaos};

/// Long enough for the other one to get into the way.
const PAUSES: &[(u32, Reply)] =
    &[(1, Reply::Status(200)), (1, Reply::After(Duration::from_millis(5), 200)), (1, Reply::After(Duration::from_millis(40), 200))];

#[actix_web::test]
async fn two_instances_share_the_work_and_never_send_the_same_at_once() {
    let stage = Stage::start().await;
    stage.serve().await;
    let receiver = Receiver::start(chaos(2, PAUSES, 0));
    let tenant = stage.tenant(&receiver).await;
    stage.produce(&[(&tenant, 300)]).await;
    stage.until_sent(&[&tenant]).await;
    // Nothing failed, so nothing may have come twice, at once or not.
    let tally = stage.assert_all_arrived(&tenant, &receiver);
    assert_eq!((tally.requests, tally.overtaken), (tally.events, 0));
    // Who sent what: connections are kept, and a killed process's close.
    let first = sent_by_next(&stage, &receiver).await;
    let second = sent_by_next(&stage, &receiver).await;
    assert!(first.min(second) >= 10, "of {} requests, {first} came by one and {second} by the other, as far as is known", tally.requests);
}

/// Kills a server, and counts what had come over the connections that close with it.
async fn sent_by_next(stage: &Stage, receiver: &Receiver) -> usize {
    let before = receiver.look(in_use);
    stage.kill();
    let was = before.len();
    receiver.wait_for("connection that closes with its server", PATIENCE, move |log| in_use(log).len() < was).await;
    // The kernel has closed them all at once; a connection that is made now is noticed after them.
    let probe = std::net::TcpStream::connect(receiver.address()).unwrap();
    let peer = probe.local_addr().unwrap();
    receiver.wait_for("probe", PATIENCE, move |log| log.connections.iter().any(|connection| connection.peer == peer)).await;
    receiver.look(|log| {
        let closed = &before - &in_use(log);
        log.requests.iter().filter(|request| closed.contains(&request.connection)).count()
    })
}

/// Open connections that requests came by.
fn in_use(log: &Log) -> HashSet<usize> {
    log.requests.iter().map(|request| request.connection).filter(|connection| log.connections[*connection].open).collect()
}
