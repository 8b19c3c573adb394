//! kill -9 while it delivers to a receiver that does what it likes: nothing is lost, nothing overtakes, what comes twice comes under
//! the same id.

use std::cell::{Cell, RefCell};

use diesel::{RunQueryDsl, sql_query};
use futures_util::future::join3;

use super::chaos::{WHATEVER, assert_all_tried};
use super::{PATIENCE, Stage};
use crate::support::number;
use crate::support::receiver::{Receiver, chaos};

const KILLS: usize = 20;
const JOBS: usize = 1_000;
/// Each takes a job's place in the queue for fifteen seconds, and a killed server's claims another twenty.
const HANGS: usize = 10;

#[actix_web::test]
async fn twenty_kills_lose_nothing_and_change_no_order() {
    let stage = Stage::start().await;
    let receiver = Receiver::start(chaos(20, WHATEVER, HANGS));
    let tenant = stage.tenant(&receiver).await;
    let (to_come, conn) = (Cell::new(2), RefCell::new(stage.database.conn()));
    let unfinished = || number(&mut conn.borrow_mut(), "SELECT count(*) FROM jobs WHERE finished_at IS NULL");
    let buying = async {
        stage.buy(&tenant, |bought| bought < JOBS).await;
        to_come.update(|left| left - 1);
    };
    let killing = async {
        for round in 0..KILLS {
            // Not always after the same number, and never before something has gone out.
            let enough = receiver.look(|log| log.accepted.len()) + 40 + round * 37 % 80;
            receiver.wait_for("deliveries between two kills", PATIENCE, move |log| log.accepted.len() >= enough).await;
            stage.kill();
            stage.serve().await;
        }
        // Jobs that were handed out in an answer that nobody got.
        sql_query("UPDATE jobs SET lease_expires_at = now() WHERE lease IS NOT NULL").execute(&mut *conn.borrow_mut()).unwrap();
        to_come.update(|left| left - 1);
    };
    join3(killing, buying, stage.work(|| to_come.get() > 0 || unfinished() > 0)).await;
    stage.until_sent(&[&tenant]).await;
    let tally = stage.assert_all_arrived(&tenant, &receiver);
    assert!(tally.events >= 6 * JOBS && tally.requests > tally.events - tally.overtaken, "{tally:?}");
    assert_all_tried(&receiver);
}
