//! Asking the server whether it serves, the way `pg_isready` does, without starting a program.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// SQLSTATE `cannot_connect_now`: the server is starting, recovering or stopping.
const CANNOT_CONNECT_NOW: &[u8] = b"C57P03\0";
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// What came back from the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It takes connections.
    Ready,
    /// Something listens that does not take connections at this moment.
    Busy,
    /// Nobody listens.
    Nobody,
}

/// Opens a connection as far as the server's first answer.
pub(super) fn probe(socket: &Path) -> Answer {
    match UnixStream::connect(socket) {
        Ok(stream) => ask(stream).unwrap_or(Answer::Busy),
        Err(_) => Answer::Nobody,
    }
}

/// Protocol 3.0, "Start-up": <https://www.postgresql.org/docs/current/protocol-flow.html>.
fn ask(mut stream: UnixStream) -> io::Result<Answer> {
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    stream.write_all(&startup_message())?;
    let mut kind = [0];
    stream.read_exact(&mut kind)?;
    if kind != *b"E" {
        // Say goodbye, or the server logs a connection that was lost.
        let _ = stream.write_all(b"X\0\0\0\x04");
        return Ok(Answer::Ready);
    }
    let mut refusal = Vec::new();
    stream.take(4096).read_to_end(&mut refusal)?;
    let busy = refusal.windows(CANNOT_CONNECT_NOW.len()).any(|part| part == CANNOT_CONNECT_NOW);
    // Any other refusal, such as too many connections, comes from a server at work.
    Ok(if busy { Answer::Busy } else { Answer::Ready })
}

fn startup_message() -> Vec<u8> {
    let body = b"\0\x03\0\0user\0latchkey\0database\0latchkey\0\0";
    let length = u8::try_from(body.len() + 4).unwrap_or(u8::MAX);
    [&[0, 0, 0, length], body.as_slice()].concat()
}
