//! A mail server on loopback that delivers nothing and keeps every letter.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    pub to: String,
    /// Head and body.
    pub text: String,
}

impl Letter {
    /// The path of the one link in it that leads to `/invitations/…`.
    pub fn link(&self) -> String {
        let at = self.text.find("/invitations/").unwrap_or_else(|| panic!("no link in {}", self.text));
        self.text[at..].split_whitespace().next().unwrap().to_owned()
    }
}

struct Shared {
    stop: AtomicBool,
    /// Answers every recipient with a refusal.
    refuses: AtomicBool,
}

/// A mail server. Gone when dropped.
pub struct Mailbox {
    address: SocketAddr,
    shared: Arc<Shared>,
    letters: Mutex<Receiver<Letter>>,
    thread: Option<JoinHandle<()>>,
}

impl Mailbox {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { stop: AtomicBool::new(false), refuses: AtomicBool::new(false) });
        let (sender, letters) = channel();
        let inner = shared.clone();
        let thread = std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                if inner.stop.load(Ordering::SeqCst) {
                    return;
                }
                let (inner, sender) = (inner.clone(), sender.clone());
                // Clients keep their connections: each has a thread, which ends with it.
                std::thread::spawn(move || converse(connection, &inner, &sender));
            }
        });
        Self { address, shared, letters: Mutex::new(letters), thread: Some(thread) }
    }

    /// As the setting says it.
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// From now on takes no letter.
    pub fn refuse(&self) {
        self.shared.refuses.store(true, Ordering::SeqCst);
    }

    /// Waits for the next letter.
    pub fn next(&self) -> Letter {
        self.letters.lock().unwrap().recv_timeout(Duration::from_secs(20)).expect("a letter")
    }

    /// Letters that are here already.
    pub fn rest(&self) -> Vec<Letter> {
        self.letters.lock().unwrap().try_iter().collect()
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// RFC 5321, as little of it as a client needs.
fn converse(connection: TcpStream, shared: &Shared, letters: &Sender<Letter>) -> Option<()> {
    let mut lines = BufReader::new(connection.try_clone().ok()?).lines().map_while(Result::ok);
    let say = |text: &str| (&connection).write_all(format!("{text}\r\n").as_bytes()).ok();
    let mut to = String::new();
    say("220 mailbox.example ready")?;
    while let Some(line) = lines.next() {
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_uppercase();
        match verb.as_str() {
            "RCPT" if shared.refuses.load(Ordering::SeqCst) => say("550 no such mailbox")?,
            "RCPT" => {
                to = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                say("250 ok")?;
            }
            "DATA" => {
                say("354 go on")?;
                let text: Vec<String> = lines.by_ref().take_while(|line| line != ".").collect();
                letters.send(Letter { to: to.clone(), text: decoded(&text.join("\n")) }).ok()?;
                say("250 kept")?;
            }
            "QUIT" => return say("221 bye"),
            _ => say("250 ok")?,
        }
    }
    Some(())
}

/// Quoted-printable (RFC 2045), as a mail program shows it: soft line breaks are gone, `=3D` is `=`.
fn decoded(text: &str) -> String {
    if !text.contains("quoted-printable") {
        return text.to_owned();
    }
    text.replace("=\n", "").replace("=3D", "=")
}
