//! Hears of work that other instances, or other transactions of this one, have made, and rings the bell inside this process.

use std::thread::JoinHandle;
use std::time::Duration;

use diesel::RunQueryDsl;
use diesel::pg::PgConnection;

use super::CHANNEL;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::wake::Wake;

/// Diesel can look whether a notification has arrived but not sleep until one does: this is how often it looks. Work made by
/// this very process does not wait for it, that rings the bell itself.
const LOOK: Duration = Duration::from_millis(250);
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Starts a thread with a connection of its own that rings `wake` whenever jobs were queued, until [`Wake::stop`]. It connects
/// again for as long as the database is away.
///
/// # Errors
/// `Internal` when the operating system gives no thread.
pub fn spawn(db: Db, wake: Wake) -> Result<JoinHandle<()>> {
    let run = move || {
        let mut pause = SHORTEST_PAUSE;
        while !wake.is_stopped() {
            if let Err(error) = listen(&db, &wake, &mut pause) {
                tracing::warn!(%error, "not hearing of new jobs, connecting again");
                wake.wait_for_stop(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    };
    std::thread::Builder::new().name("doorbell".into()).spawn(run).map_err(|e| Error::internal("starting a thread", e))
}

fn listen(db: &Db, wake: &Wake, pause: &mut Duration) -> Result<()> {
    let mut conn = db.connect()?;
    diesel::sql_query(format!("LISTEN {CHANNEL}")).execute(&mut conn)?;
    *pause = SHORTEST_PAUSE;
    // Whatever was queued before anybody listened.
    wake.ring();
    while !wake.is_stopped() {
        if heard(&mut conn)? {
            wake.ring();
        }
        wake.wait_for_stop(LOOK);
    }
    Ok(())
}

fn heard(conn: &mut PgConnection) -> Result<bool> {
    let mut heard = false;
    for notification in conn.notifications_iter() {
        notification?;
        heard = true;
    }
    Ok(heard)
}
