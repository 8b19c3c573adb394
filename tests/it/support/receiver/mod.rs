//! A webhook receiver that can misbehave, and remembers everything: HTTP/1.1 on loopback, on a thread of its own.
//!
//! For each request a [`Policy`] says what to do with it. The [`Log`] keeps what came, when, and what was answered, and finds in it
//! what no sender may do: leave the order of a job, send an event twice at a time, follow a redirect. Stands alone, because the
//! benchmarks use it too.
#![allow(dead_code, unused_imports)]

mod log;
mod policy;
mod wire;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

pub use log::{Connection, Log, Request};
pub use policy::{Policy, Reply, always, chaos};
use wire::Wire;

/// Called after each change of the log, on the receiver's thread: must be quick.
type Condition = Box<dyn FnMut(&Log) -> bool + Send>;

struct Shared {
    policy: Mutex<Policy>,
    log: Mutex<Log>,
    waiting: Mutex<Vec<(Condition, oneshot::Sender<()>)>>,
}

/// A receiver. Gone, with all its connections, when dropped.
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    /// On a free port.
    pub fn start(policy: Policy) -> Self {
        Self::at(0, policy)
    }

    /// On this port.
    pub fn at(port: u16, policy: Policy) -> Self {
        let listener = listen(port).expect("a port to listen on");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared { policy: Mutex::new(policy), log: Mutex::default(), waiting: Mutex::default() });
        let (stop, stopped) = oneshot::channel();
        let inner = shared.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).expect("a listener");
                tokio::select! {
                    _ = stopped => {}
                    () = accept(listener, inner) => {}
                }
            });
        });
        Self { address, shared, stop: Some(stop), thread: Some(thread) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Another policy, from the next request on.
    pub fn behave(&self, policy: Policy) {
        *self.shared.policy.lock().unwrap() = policy;
    }

    /// Looks at the log; it stands still meanwhile.
    pub fn look<T>(&self, look: impl FnOnce(&Log) -> T) -> T {
        look(&self.shared.log.lock().unwrap())
    }

    /// Waits until the log looks so. Panics when it does not in time.
    pub async fn wait_for(&self, what: &str, patience: Duration, mut condition: impl FnMut(&Log) -> bool + Send + 'static) {
        let (tell, told) = oneshot::channel();
        {
            let log = self.shared.log.lock().unwrap();
            if condition(&log) {
                return;
            }
            // Still under the lock: what changes the log from now on looks here.
            self.shared.waiting.lock().unwrap().push((Box::new(condition), tell));
        }
        if tokio::time::timeout(patience, told).await.is_err() {
            let (seen, accepted, under_way) = self.look(|log| (log.requests.len(), log.accepted.len(), log.under_way));
            panic!("no {what} within {patience:?}: {seen} requests, {accepted} events accepted, {under_way} requests under way");
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn change<T>(&self, change: impl FnOnce(&mut Log) -> T) -> T {
        let mut log = self.log.lock().unwrap();
        let changed = change(&mut log);
        let mut waiting = self.waiting.lock().unwrap();
        for (_, tell) in waiting.extract_if(.., |(condition, _)| condition(&log)) {
            let _ = tell.send(());
        }
        changed
    }

    fn arrived(&self, mut request: Request) -> (usize, Reply) {
        let reply = (self.policy.lock().unwrap())(&request);
        request.reply = Some(reply.clone());
        let index = self.change(|log| {
            log.under_way += 1;
            log.requests.push(request);
            log.requests.len() - 1
        });
        (index, reply)
    }

    fn ended(&self, index: usize, accepted: bool) {
        self.change(|log| {
            let request = &mut log.requests[index];
            (request.ended, request.accepted) = (Some(Instant::now()), accepted);
            log.under_way -= 1;
            if accepted {
                log.accepted.entry(request.id.clone()).or_insert(index);
            }
        });
    }
}

fn listen(port: u16) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    socket.listen(1_024)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let (stream, peer) = listener.accept().await.expect("a connection");
        let shared = shared.clone();
        let connection = shared.change(|log| {
            log.connections.push(Connection { peer, open: true });
            log.connections.len() - 1
        });
        tokio::spawn(async move {
            let talk = converse(Wire::new(stream), connection, &shared).await;
            shared.change(|log| {
                log.connections[connection].open = false;
                log.complaints.extend(talk.err());
            });
        });
    }
}

/// Until one side ends it; what is wrong with what was said. A connection that breaks is nobody's fault.
async fn converse(mut wire: Wire, connection: usize, shared: &Shared) -> Result<(), String> {
    while let Ok(read) = wire.read(connection).await {
        let Some(request) = read? else { break };
        let (index, reply) = shared.arrived(request);
        if !wire.answer(reply, |accepted| shared.ended(index, accepted)).await.unwrap_or(false) {
            break;
        }
    }
    Ok(())
}
