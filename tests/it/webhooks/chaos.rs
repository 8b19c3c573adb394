//! A receiver that does what it likes, and one that does nothing at all.

use std::time::{Duration, Instant};

use super::{PATIENCE, Stage};
use crate::support::receiver::{Receiver, Reply, always, chaos};

/// In about a third of all cases it isn't accepted; as often in a row as there are tries, that is as good as never.
pub(super) const WHATEVER: &[(u32, Reply)] = &[
    (130, Reply::Status(200)),
    (20, Reply::Status(204)),
    (10, Reply::After(Duration::from_millis(100), 200)),
    (5, Reply::Trickle(Duration::from_secs(2))),
    (2, Reply::Huge),
    (25, Reply::Status(500)),
    (10, Reply::Status(404)),
    (10, Reply::RetryAfter(429, 1)),
    (5, Reply::RetryAfter(503, 2)),
    (10, Reply::Redirect),
    (10, Reply::Reset),
    (10, Reply::Close),
    (5, Reply::Garbage),
    (5, Reply::Hang),
    (2, Reply::Trickle(Duration::from_secs(20))),
];
/// Each takes a job's place in the queue for fifteen seconds.
const HANGS: usize = 30;
const JOBS: usize = 1_000;

#[actix_web::test]
async fn every_event_of_a_thousand_jobs_arrives_in_order_whatever_the_receiver_does() {
    let stage = Stage::start().await;
    let receivers = [chaos(20_261_121, WHATEVER, HANGS), always(Reply::Hang), always(Reply::Status(200))].map(Receiver::start);
    let [wild, dead, healthy] = &receivers;
    let tenants = [stage.tenant(wild).await, stage.tenant(dead).await, stage.tenant(healthy).await];
    stage.produce(&[(&tenants[0], JOBS), (&tenants[1], 100), (&tenants[2], 100)]).await;
    stage.until_sent(&[&tenants[0], &tenants[2]]).await;
    let tally = stage.assert_all_arrived(&tenants[0], wild);
    assert!(tally.events >= 8 * JOBS && tally.requests > tally.events - tally.overtaken, "{tally:?}");
    assert_all_tried(wild);
    // What works is sent once; what doesn't is still tried.
    let tally = stage.assert_all_arrived(&tenants[2], healthy);
    assert_eq!((tally.requests, tally.overtaken), (tally.events, 0));
    dead.look(|log| {
        log.assert_proper();
        assert!(log.accepted.is_empty() && log.requests.len() >= 2);
    });
}

pub(super) fn assert_all_tried(receiver: &Receiver) {
    for (_, reply) in WHATEVER {
        assert!(receiver.look(|log| log.requests.iter().any(|request| request.reply.as_ref() == Some(reply))), "no {reply:?} was tried");
    }
}

const SAMPLES: usize = 60;
const DEAD_JOBS: usize = 300;

#[actix_web::test]
async fn a_dead_endpoint_does_not_slow_another() {
    let stage = Stage::start().await;
    let (dead, healthy) = (Receiver::start(always(Reply::Hang)), Receiver::start(always(Reply::Status(200))));
    let (unlucky, lucky) = (stage.tenant(&dead).await, stage.tenant(&healthy).await);
    let alone = latencies(&stage, &lucky, &healthy).await;
    stage.buy(&unlucky, |bought| bought < DEAD_JOBS).await;
    stage.claim(DEAD_JOBS).await;
    dead.wait_for("request that hangs", PATIENCE, |log| log.under_way > 0).await;
    let beside = latencies(&stage, &lucky, &healthy).await;
    let hanging = dead.look(|log| log.under_way);
    assert!(hanging > 0, "nothing hung meanwhile");
    // Whoever waits for one that hangs, waits for seconds. The machine may have other things to do, but not all the time.
    let ((usual, _), (median, worst)) = (alone, beside);
    let fine = median < 5 * usual + Duration::from_millis(100) && worst < Duration::from_secs(7);
    assert!(fine, "{usual:?} alone; beside {hanging} hanging requests {median:?}, at worst {worst:?}");
}

/// From asking for a job, which makes an event, to that event's arrival: median and worst.
async fn latencies(stage: &Stage, tenant: &super::Tenant, receiver: &Receiver) -> (Duration, Duration) {
    stage.buy(tenant, |bought| bought < SAMPLES).await;
    let mut taken = Vec::with_capacity(SAMPLES);
    for _ in 0..SAMPLES {
        let (seen, start) = (receiver.look(|log| log.requests.len()), Instant::now());
        stage.claim(1).await;
        receiver.wait_for("event", PATIENCE, move |log| log.accepted.len() > seen).await;
        taken.push(receiver.look(|log| log.requests[seen].arrived) - start);
    }
    taken.sort();
    (taken[SAMPLES / 2], taken[SAMPLES - 1])
}
