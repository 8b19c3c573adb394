//! The sockets of an instance: taken first, so that a port that is not free is known before anything else happens, and
//! opened last, so that nobody connects to an instance that can't serve yet.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

use crate::error::{Error, Result};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 2_048;

/// Addresses taken, not yet listened on.
#[derive(Debug)]
pub struct Listener {
    sockets: Vec<Socket>,
    address: SocketAddr,
}

impl Listener {
    /// Takes the addresses; port 0 takes any that is free.
    ///
    /// # Errors
    /// `Conflict` when a port is in use, `Invalid` when it can't be had for another reason.
    pub fn bind(addresses: &[SocketAddr]) -> Result<Self> {
        let mut sockets = Vec::new();
        for (place, address) in addresses.iter().enumerate() {
            let last_hope = sockets.is_empty() && place + 1 == addresses.len();
            match take(*address) {
                Ok(socket) => sockets.push(socket),
                // `localhost` names ::1 also on machines without IPv6: one of its addresses will do.
                Err(error) if error.kind() == ErrorKind::AddrNotAvailable && !last_hope => {}
                Err(error) => return Err(refused(*address, &error)),
            }
        }
        let address = sockets.first().and_then(|socket| socket.local_addr().ok()).and_then(|address| address.as_socket());
        let address = address.ok_or_else(|| Error::field("LATCHKEY_LISTEN", "It names no address."))?;
        Ok(Self { sockets, address })
    }

    /// The first address, with its real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Opens them.
    pub(super) fn open(self) -> Result<Vec<TcpListener>> {
        let open = |socket: Socket| socket.listen(BACKLOG).map(|()| socket.into()).map_err(|e| refused(self.address, &e));
        self.sockets.into_iter().map(open).collect()
    }
}

fn take(address: SocketAddr) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart need not wait for the old connections to be forgotten.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn refused(address: SocketAddr, error: &std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::AddrInUse => Error::Conflict(format!(
            "Port {} of {} is already in use: stop the other program or set LATCHKEY_LISTEN to another address.",
            address.port(),
            address.ip()
        )),
        _ => Error::field("LATCHKEY_LISTEN", format!("Cannot listen on {address}: {error}.")),
    }
}
