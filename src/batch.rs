//! Natural batching: whatever waits is decided together.
//!
//! Askers put their ask on a queue and wait for its answer. A thread with a database connection of its own takes everything
//! that waits, up to [`MOST`], decides it in one go, answers, and looks again. There is no timer: a lone ask on an idle
//! server is decided at once, and while one batch is under way the next one gathers by itself, so that the size of the
//! batches follows the load.
//!
//! What goes wrong stays small. When the database is away everyone who waits is told so at once, and the thread reconnects in
//! the background. When it is there but silent, an ask waits for [`PATIENCE`] and is then
//! taken back. When a batch fails for any other reason its asks are decided one by one, so that one bad ask can't fail its
//! neighbours. A panic fails its batch, and the thread goes on with a fresh connection.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use diesel::pg::PgConnection;
use tokio::sync::oneshot;

use crate::db::Db;
use crate::error::{Error, Result};
use crate::wake::join_by;

/// Most asks in one batch.
pub const MOST: usize = 512;
/// How long an ask waits for its turn.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// Between two tries to reconnect.
const RECONNECT: Duration = Duration::from_millis(100);

/// How asks are decided.
pub trait Decide: Send + Sync + 'static {
    /// What is asked.
    type Ask: Send + 'static;
    /// What is answered.
    type Answer: Send + 'static;
    /// Whether it does no harm when an ask is decided after its asker was told that it was not.
    const FORGETTABLE: bool = false;

    /// Prepares a fresh connection; session settings go here.
    ///
    /// # Errors
    /// Those of the database.
    fn connected(&self, conn: &mut PgConnection) -> Result<()> {
        let _ = conn;
        Ok(())
    }

    /// Answers all asks, in their order. All or nothing: after an error none of them has happened.
    ///
    /// # Errors
    /// Those of the database.
    fn decide(&self, conn: &mut PgConnection, asks: &[Self::Ask]) -> Result<Vec<Self::Answer>>;
}

struct Waiting<D: Decide> {
    /// Grows along the queue.
    number: u64,
    ask: D::Ask,
    answer: oneshot::Sender<Result<D::Answer>>,
}

struct State<D: Decide> {
    last_number: u64,
    waiting: VecDeque<Waiting<D>>,
    idle_threads: usize,
    stopping: bool,
}

struct Queue<D: Decide> {
    state: Mutex<State<D>>,
    changed: Condvar,
    decider: D,
    observe: Box<dyn Fn(usize) + Send + Sync>,
}

impl<D: Decide> Queue<D> {
    /// A panic while the lock was held leaves a queue that is still whole: every change of it is one step.
    fn lock(&self) -> MutexGuard<'_, State<D>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that waits, up to [`MOST`]; none when it is time to stop.
    fn next(&self) -> Option<Vec<Waiting<D>>> {
        let mut state = self.lock();
        loop {
            if !state.waiting.is_empty() {
                let count = state.waiting.len().min(MOST);
                return Some(state.waiting.drain(..count).collect());
            }
            if state.stopping {
                return None;
            }
            state.idle_threads += 1;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle_threads -= 1;
        }
    }

    /// Takes an ask back; false when a thread has it already.
    fn withdraw(&self, number: u64) -> bool {
        let mut state = self.lock();
        match state.waiting.binary_search_by_key(&number, |waiting| waiting.number) {
            Ok(place) => state.waiting.remove(place).is_some(),
            Err(_) => false,
        }
    }
}

/// The asking end; cheap to clone.
pub struct Batch<D: Decide> {
    queue: Arc<Queue<D>>,
}

impl<D: Decide> Clone for Batch<D> {
    fn clone(&self) -> Self {
        Self { queue: Arc::clone(&self.queue) }
    }
}

/// The threads behind a [`Batch`]; stop them after the last asker is gone.
pub struct Threads<D: Decide> {
    queue: Arc<Queue<D>>,
    threads: Vec<JoinHandle<()>>,
}

impl<D: Decide> Threads<D> {
    /// Decides what still waits and ends the threads. Those that a silent database still holds at `deadline` are left behind.
    pub fn stop(self, deadline: Instant) {
        self.queue.lock().stopping = true;
        self.queue.changed.notify_all();
        for thread in self.threads {
            join_by(thread, deadline);
        }
    }
}

impl<D: Decide> Batch<D> {
    /// Starts `threads` threads named `name`; `observe` is told the size of each batch.
    ///
    /// # Errors
    /// `Internal` when the operating system gives no thread.
    pub fn start(
        name: &str, db: &Db, threads: usize, decider: D, observe: impl Fn(usize) + Send + Sync + 'static,
    ) -> Result<(Self, Threads<D>)> {
        let queue = Arc::new(Queue {
            state: Mutex::new(State { last_number: 0, waiting: VecDeque::new(), idle_threads: 0, stopping: false }),
            changed: Condvar::new(),
            decider,
            observe: Box::new(observe),
        });
        let spawn = |number: usize| {
            let (queue, db) = (Arc::clone(&queue), db.clone());
            std::thread::Builder::new()
                .name(format!("{name}-{number}"))
                .spawn(move || run(&queue, &db))
                .map_err(|e| Error::internal("starting a thread", e))
        };
        let threads = (0..threads).map(spawn).collect::<Result<Vec<_>>>()?;
        Ok((Self { queue: Arc::clone(&queue) }, Threads { queue, threads }))
    }

    /// How many asks wait for their turn.
    pub fn waiting(&self) -> usize {
        self.queue.lock().waiting.len()
    }

    /// Asks and waits for the answer.
    ///
    /// An ask that a thread has taken is waited for however long it takes, unless it is [`Decide::FORGETTABLE`]: only its end
    /// tells what became of it.
    ///
    /// # Errors
    /// `Unavailable` when the database is away or silent, or the server stops; what the decision itself failed with.
    pub async fn ask(&self, ask: D::Ask) -> Result<D::Answer> {
        let (answer, mut answered) = oneshot::channel();
        let (number, wake) = {
            let mut state = self.queue.lock();
            if state.stopping {
                return Err(Error::Unavailable("stopping".into()));
            }
            state.last_number += 1;
            let number = state.last_number;
            state.waiting.push_back(Waiting { number, ask, answer });
            (number, state.idle_threads > 0)
        };
        if wake {
            self.queue.changed.notify_one();
        }
        let told = match tokio::time::timeout(PATIENCE, &mut answered).await {
            Ok(told) => told,
            Err(_) if self.queue.withdraw(number) || D::FORGETTABLE => return Err(Error::Unavailable("no answer in time".into())),
            Err(_) => answered.await,
        };
        told.unwrap_or_else(|_| Err(Error::Unavailable("the deciding thread ended".into())))
    }
}

fn run<D: Decide>(queue: &Queue<D>, db: &Db) {
    let mut connection: Option<PgConnection> = None;
    while let Some(batch) = queue.next() {
        (queue.observe)(batch.len());
        let (asks, answers): (Vec<_>, Vec<_>) = batch.into_iter().map(|waiting| (waiting.ask, waiting.answer)).unzip();
        // What a panic leaves half-done is the connection's transaction, and the connection is dropped with it.
        let decided = catch_unwind(AssertUnwindSafe(|| with_connection(&mut connection, db, queue, &asks)));
        let Ok(decided) = decided else {
            // The panic hook has logged what and where.
            tracing::error!(asks = asks.len(), "deciding panicked");
            connection = None;
            for answer in answers {
                let _ = answer.send(Err(Error::Internal("deciding panicked".into())));
            }
            continue;
        };
        match decided {
            Ok(decided) => {
                for (answer, decision) in answers.into_iter().zip(decided) {
                    // An asker that has gone away needs no answer.
                    let _ = answer.send(decision);
                }
            }
            Err(error) => {
                tracing::warn!(error = %error, asks = asks.len(), "database away");
                connection = None;
                for answer in answers {
                    let _ = answer.send(Err(Error::Unavailable("database away".into())));
                }
                std::thread::sleep(RECONNECT);
            }
        }
    }
}

/// One answer an ask; an error means that the connection is of no use any more.
fn with_connection<D: Decide>(
    connection: &mut Option<PgConnection>, db: &Db, queue: &Queue<D>, asks: &[D::Ask],
) -> Result<Vec<Result<D::Answer>>> {
    let conn = match connection {
        Some(conn) => conn,
        None => {
            let mut fresh = db.connect()?;
            queue.decider.connected(&mut fresh)?;
            connection.insert(fresh)
        }
    };
    match queue.decider.decide(conn, asks) {
        Ok(answers) => Ok(answers.into_iter().map(Ok).collect()),
        Err(Error::Unavailable(text)) => Err(Error::Unavailable(text)),
        Err(error) if asks.len() == 1 => Ok(vec![Err(error)]),
        Err(error) => {
            tracing::warn!(error = %error, asks = asks.len(), "batch failed, deciding one by one");
            let mut answers = Vec::with_capacity(asks.len());
            for ask in asks {
                match queue.decider.decide(conn, std::slice::from_ref(ask)) {
                    Ok(one) => answers.extend(one.into_iter().map(Ok)),
                    Err(Error::Unavailable(text)) => return Err(Error::Unavailable(text)),
                    Err(error) => answers.push(Err(error)),
                }
            }
            Ok(answers)
        }
    }
}
