//! A bell inside the process: whoever makes work rings it, whoever waits for work hears it. It also says that the process
//! is about to stop, so that nobody goes on waiting.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// The bell. Clones ring the same one.
#[derive(Clone)]
pub struct Wake(Arc<Bell>);

#[derive(Debug, Clone, Copy, Default)]
struct State {
    rings: u64,
    stopped: bool,
}

struct Bell {
    /// For async code.
    tasks: watch::Sender<State>,
    /// For threads.
    state: Mutex<State>,
    changed: Condvar,
}

impl Default for Wake {
    fn default() -> Self {
        Self(Arc::new(Bell { tasks: watch::Sender::new(State::default()), state: Mutex::default(), changed: Condvar::new() }))
    }
}

impl Wake {
    /// Wakes everybody who waits now, and those who looked for work before this moment and are about to wait.
    pub fn ring(&self) {
        self.change(|state| state.rings += 1);
    }

    /// Ends all waiting, now and from now on.
    pub fn stop(&self) {
        self.change(|state| state.stopped = true);
    }

    /// Whether [`Wake::stop`] was called.
    pub fn is_stopped(&self) -> bool {
        self.0.tasks.borrow().stopped
    }

    /// An ear that hears every ring from here on. Take it before looking for work: no ring in between is lost.
    pub fn listen(&self) -> Ear {
        Ear { wake: self.clone(), seen: self.lock().rings, tasks: self.0.tasks.subscribe() }
    }

    /// Lets a thread sleep through rings, but not through the stop.
    pub fn wait_for_stop(&self, at_most: Duration) {
        let _ = self.0.changed.wait_timeout_while(self.lock(), at_most, |state| !state.stopped);
    }

    fn change(&self, change: impl Fn(&mut State)) {
        change(&mut self.lock());
        self.0.changed.notify_all();
        self.0.tasks.send_modify(change);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Two plain values can't be left half-changed.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One listener.
pub struct Ear {
    wake: Wake,
    seen: u64,
    tasks: watch::Receiver<State>,
}

impl Ear {
    /// Waits for a ring, the stop or the end of `at_most`, whichever comes first.
    pub async fn rung(&mut self, at_most: Duration) {
        if !self.wake.is_stopped() {
            let _ = tokio::time::timeout(at_most, self.tasks.changed()).await;
        }
    }

    /// The same for a thread.
    pub fn wait(&mut self, at_most: Duration) {
        let quiet = |state: &mut State| state.rings == self.seen && !state.stopped;
        let (state, _) = self.wake.0.changed.wait_timeout_while(self.wake.lock(), at_most, quiet).unwrap_or_else(PoisonError::into_inner);
        self.seen = state.rings;
    }
}

/// Waits for a thread's end until `deadline`: its value, or none where it panicked or goes on. A call into a silent
/// database can't be interrupted, and must not hold up the end of the process, which ends the thread as well.
pub fn join_by<T>(thread: JoinHandle<T>, deadline: Instant) -> Option<T> {
    let name = thread.thread().name().unwrap_or("a thread").to_owned();
    while !thread.is_finished() {
        if Instant::now() >= deadline {
            tracing::warn!(thread = name, "left behind");
            return None;
        }
        std::thread::sleep(LOOK);
    }
    thread.join().map_err(|_| tracing::error!(thread = name, "ended with a panic")).ok()
}

/// How often [`join_by`] looks.
const LOOK: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_between_looking_and_waiting_is_heard() {
        let wake = Wake::default();
        let mut ear = wake.listen();
        wake.ring();
        // Would take an hour if the ring were lost.
        ear.wait(Duration::from_secs(3600));
        ear.wait(Duration::from_millis(1));
    }

    #[actix_web::test]
    async fn tasks_hear_rings_and_the_stop() {
        let wake = Wake::default();
        let mut ear = wake.listen();
        wake.ring();
        ear.rung(Duration::from_secs(3600)).await;
        let other = wake.clone();
        let ringer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            other.stop();
        });
        ear.rung(Duration::from_secs(3600)).await;
        ear.rung(Duration::from_secs(3600)).await;
        ear.wait(Duration::from_secs(3600));
        assert!(wake.is_stopped());
        assert!(ringer.join().is_ok());
    }
}
