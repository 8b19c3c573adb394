//! Much that waits for one endpoint, and nobody who rings.

use std::time::Duration;

use super::{PATIENCE, Stage};
use crate::support::backlog;
use crate::support::receiver::{Receiver, Reply, always};

const BACKLOG: usize = 3_000;
/// Of 512 free places one organization is given a third at a look, and there is a look a second.
const LOOKS: u32 = (BACKLOG / (512 / 3)) as u32;

#[actix_web::test]
async fn a_backlog_is_sent_as_places_get_free_and_not_look_by_look() {
    let stage = Stage::start().await;
    let receiver = Receiver::start(always(Reply::Status(200)));
    let tenant = stage.tenant(&receiver).await;
    backlog(&mut stage.database.conn(), tenant.org, BACKLOG as i32);
    receiver.wait_for("whole backlog", PATIENCE, |log| log.accepted.len() == BACKLOG).await;
    let took = receiver.look(|log| log.requests[log.requests.len() - 1].arrived - log.requests[0].arrived);
    assert!(took < Duration::from_secs(1) * LOOKS / 2, "{took:?}, and {LOOKS} looks would take as many seconds");
    stage.until_sent(&[&tenant]).await;
    let tally = stage.assert_all_arrived(&tenant, &receiver);
    assert_eq!((tally.events, tally.requests), (BACKLOG, BACKLOG));
}
