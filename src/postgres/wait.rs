//! Waiting for an event of another process: it can only be polled, so it is polled often.

use std::thread::sleep;
use std::time::Duration;

use super::error::Result;

/// A poll costs some microseconds; a nap this short adds nothing a person could notice to a start.
const NAP: Duration = Duration::from_millis(2);

/// Calls `attempt` until it yields a value or `patience` is over (`None`). Naps are counted instead of
/// reading a clock, so on a machine that is suspended or overloaded the patience stretches with it.
pub(super) fn until<T>(patience: Duration, mut attempt: impl FnMut() -> Result<Option<T>>) -> Result<Option<T>> {
    let naps = patience.as_millis() / NAP.as_millis();
    for _ in 0..=naps {
        if let Some(value) = attempt()? {
            return Ok(Some(value));
        }
        sleep(NAP);
    }
    Ok(None)
}
