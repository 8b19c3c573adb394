//! One connection to an endpoint, plain or secure, that tells the attempt that uses it what goes over it.

use std::cell::Cell;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use actix_web::rt::net::{ActixStream, Ready, TcpStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use super::trip::note;

/// What bytes go through.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

/// One connection, to an address that was checked.
#[derive(Debug)]
pub(super) struct Line {
    stream: Stream,
    address: IpAddr,
    /// Whether it may not be kept after the answer.
    spent: Rc<Cell<bool>>,
}

impl Line {
    pub(super) fn new(stream: Stream, address: IpAddr) -> Self {
        Self { stream, address, spent: Rc::default() }
    }

    /// Many servers send head and body apart, and hold the second back until the first is acknowledged (Nagle); a system that
    /// delays that by its usual 40 ms would make every second delivery so much slower. It forgets with each write.
    fn acknowledge_at_once(&self) {
        #[cfg(target_os = "linux")]
        let _ = self.tcp().set_quickack(true);
    }

    fn tcp(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(tcp) => tcp,
            Stream::Secure(tls) => tls.get_ref().0,
        }
    }
}

/// Runs a method of whatever the stream is.
macro_rules! stream {
    ($line:expr, $method:ident($($argument:expr),*)) => {
        match &mut $line.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).$method($($argument),*),
            Stream::Secure(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for Line {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let asking = note(|trip| (trip.is_asking(), trip.afresh));
        if let Some((false, afresh)) = asking {
            // The pool listens whether a kept connection is alive. An end is how it is told to take another.
            if afresh || self.spent.get() {
                return Poll::Ready(Ok(()));
            }
            return stream!(self, poll_read(context, buffer));
        }
        let before = buffer.filled().len();
        self.acknowledge_at_once();
        let read = stream!(self, poll_read(context, buffer));
        if buffer.filled().len() > before {
            note(|trip| trip.read(&buffer.filled()[before..]));
        }
        read
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let (begun, address, spent) = (Instant::now(), self.address, Rc::clone(&self.spent));
        let written = stream!(self, poll_write(context, bytes));
        if let Poll::Ready(Ok(count)) = written {
            note(|trip| trip.wrote(begun, address, &spent, &bytes[..count]));
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        stream!(self, poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        stream!(self, poll_shutdown(context))
    }
}

impl ActixStream for Line {
    fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(self.tcp(), context)
    }

    fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(self.tcp(), context)
    }
}
