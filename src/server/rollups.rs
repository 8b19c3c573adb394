//! What keeps usage in shape: about once a second what was settled is folded into the rollups; every hour the coming days
//! of the history are made, and what is past its time is dropped.
//!
//! A thread and a connection of its own: a fold of a busy second, and a day that waits for its readers before it is dropped, must not
//! hold up leases. Any number of instances do it side by side; each step is safe to be done twice.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use diesel::pg::PgConnection;
use time::OffsetDateTime;

use crate::clock;
use crate::error::{Error, Result};
use crate::site::Site;
use crate::usage;
use crate::wake::join_by;

const EACH: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
/// The space of what was folded is given back as often as this, and after so many rows: readers go through it.
const TIDY: Duration = Duration::from_secs(10);
const MANY: i64 = 20_000;
/// With no more rows than this in a second, nobody notices that it stands still for a moment.
const QUIET: i64 = 20;

/// The thread that does it.
pub struct Rollups {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Rollups {
    /// Starts it.
    ///
    /// # Errors
    /// `Internal` when the operating system gives no thread.
    pub fn start(site: Site) -> Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let run = move || {
            let mut keeper = Keeper { site, conn: None, hourly: None, tidied: None, folded: 0, is_failing: false };
            while stopped.recv_timeout(EACH) == Err(RecvTimeoutError::Timeout) {
                keeper.second();
            }
        };
        let thread = std::thread::Builder::new().name("rollups".into()).spawn(run);
        Ok(Self { stop, thread: thread.map_err(|e| Error::internal("starting a thread", e))? })
    }

    /// Ends it.
    pub fn stop(self, deadline: Instant) {
        drop(self.stop);
        join_by(self.thread, deadline);
    }
}

struct Keeper {
    site: Site,
    conn: Option<PgConnection>,
    /// When the hourly part was done last.
    hourly: Option<Instant>,
    tidied: Option<Instant>,
    /// Rows since then.
    folded: i64,
    /// So that a database that is away for an hour is not told 3,600 times.
    is_failing: bool,
}

impl Keeper {
    fn second(&mut self) {
        let result = self.keep();
        if let Err(error) = &result {
            self.conn = None;
            if !self.is_failing {
                tracing::warn!(%error, "rollups wait");
            }
        }
        self.is_failing = result.is_err();
    }

    fn keep(&mut self) -> Result<()> {
        let conn = match &mut self.conn {
            Some(conn) => conn,
            None => {
                let mut conn = self.site.db.connect()?;
                usage::rollups::settle_session(&mut conn)?;
                self.conn.insert(conn)
            }
        };
        let is_over = |last: Option<Instant>, pause| last.is_none_or(|last| last.elapsed() >= pause);
        loop {
            let folded = usage::rollups::fold(conn)?;
            self.folded += folded;
            if self.folded >= MANY || is_over(self.tidied, TIDY) {
                usage::rollups::tidy_pending(conn, folded < QUIET)?;
                (self.tidied, self.folded) = (Some(Instant::now()), 0);
            }
            if folded < usage::rollups::PIECE {
                break;
            }
        }
        if is_over(self.hourly, HOUR) {
            let now = clock::now();
            usage::make_days(conn, now)?;
            // Whatever comes of the rest: a reader of hours, such as a backup, must not keep what was settled from being folded.
            self.hourly = Some(Instant::now());
            forget(conn, &self.site, now)?;
        }
        Ok(())
    }
}

fn forget(conn: &mut PgConnection, site: &Site, now: OffsetDateTime) -> Result<()> {
    let before = |days: u16| now - time::Duration::days(days.into());
    let dropped = usage::drop_days(conn, usage::day(before(site.retention.history_days)))?;
    if dropped > 0 {
        tracing::info!(days = dropped, "dropped days of the history that are past their time");
    }
    // From midnight on, as the history: its pages are found by the rollups.
    let keep = usage::day(before(site.retention.rollup_days)).midnight().assume_utc();
    while usage::rollups::forget_rollups(conn, keep)? {}
    Ok(())
}
