//! Much that waits for one endpoint, and nobody who rings.

use std::time::{Duration, Instant};

use futures_util::future::{Either, select};

use super::PATIENCE;
use crate::support::receiver::{Receiver, Reply, always};
use crate::support::{App, backlog};

const BACKLOG: usize = 3_000;

/// One organization is given a third of the 512 places at a look, and without a ring there is a look a second: eighteen of them.
#[actix_web::test]
async fn a_backlog_is_sent_as_places_get_free_and_not_look_by_look() {
    let app = App::with_local_webhooks(&[]);
    let receiver = Receiver::start(always(Reply::Status(200)));
    let (org, mut conn) = (app.make().org().webhook(&receiver.url()).here().id, app.database().conn());
    let mut sent = async |so_far: usize| {
        backlog(&mut conn, org, BACKLOG as i32);
        receiver.wait_for("first of the backlog", PATIENCE, move |log| log.accepted.len() > so_far).await;
        let begun = Instant::now();
        receiver.wait_for("whole backlog", 2 * PATIENCE, move |log| log.accepted.len() == so_far + BACKLOG).await;
        begun.elapsed()
    };
    let quiet = sent(0).await;
    // The same with a bell that never rests tells how fast this machine is now.
    let ringing = async {
        loop {
            app.site.news.ring(org);
            actix_web::rt::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let Either::Left((rung, _)) = select(Box::pin(sent(BACKLOG)), Box::pin(ringing)).await;
    assert!(quiet < 2 * rung + Duration::from_secs(3), "{quiet:?}, where a bell would have made it {rung:?}");
    receiver.look(|log| assert_eq!(log.requests.len(), 2 * BACKLOG, "each once"));
}
