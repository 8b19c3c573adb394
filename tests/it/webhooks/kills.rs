//! kill -9 while it delivers: nothing is lost, nothing overtakes, what comes twice comes under the same id.

use std::cell::Cell;
use std::time::Duration;

use futures_util::future::join3;

use super::{PATIENCE, Stage};
use crate::support::receiver::{Receiver, Reply, chaos};

const KILLS: usize = 20;
const WEIGHTS: &[(u32, Reply)] = &[
    (80, Reply::Status(200)),
    (30, Reply::After(Duration::from_millis(30), 200)),
    (5, Reply::Trickle(Duration::from_millis(500))),
    (10, Reply::Status(500)),
    (5, Reply::RetryAfter(429, 1)),
    (5, Reply::Reset),
    (2, Reply::Hang),
];

#[actix_web::test]
async fn twenty_kills_lose_nothing_and_change_no_order() {
    let stage = Stage::start().await;
    let receiver = Receiver::start(chaos(20, WEIGHTS, 10));
    let tenant = stage.tenant(&receiver).await;
    let over = Cell::new(false);
    // Enough to go on with all the time, and no more.
    let bought = |bought: usize| !over.get() && bought < 600;
    let killing = async {
        for round in 0..KILLS {
            // Not always after the same number, and never before something has gone out.
            let enough = receiver.look(|log| log.accepted.len()) + 10 + round * 7 % 40;
            receiver.wait_for("deliveries between two kills", PATIENCE, move |log| log.accepted.len() >= enough).await;
            stage.kill();
            stage.serve().await;
        }
        over.set(true);
    };
    join3(killing, stage.buy(&tenant, bought), stage.work(|| !over.get())).await;
    stage.until_sent(&[&tenant]).await;
    let tally = stage.assert_all_arrived(&tenant, &receiver);
    assert!(tally.events >= KILLS * 10, "{tally:?}");
}
