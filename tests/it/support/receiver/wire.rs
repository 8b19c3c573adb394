//! One connection of a receiver: requests off it, answers and worse onto it.

use std::io;
use std::time::{Duration, Instant};

use latchkey::clock;
use serde::Deserialize;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::log::Request;
use super::policy::Reply;

const HUGE: usize = 10 << 20;
/// Where redirects lead. A request for it is a complaint.
const ELSEWHERE: &str = "/elsewhere";

pub(super) struct Wire {
    stream: TcpStream,
    /// Read, but not yet understood.
    buffer: Vec<u8>,
}

/// What a request says about itself.
struct Head {
    length: usize,
    body: usize,
    id: String,
}

/// An event's body, whatever the profile calls its id.
#[derive(Deserialize, Default)]
struct Event {
    #[serde(alias = "analysis_id", alias = "assessment_id", alias = "job_id")]
    job: Option<String>,
    sequence: Option<i64>,
    #[serde(default)]
    event_type: String,
    #[serde(default)]
    test: bool,
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> Self {
        // An answer is one small write, and the sender waits for it.
        let _ = stream.set_nodelay(true);
        Self { stream, buffer: Vec::with_capacity(4_096) }
    }

    /// The next request, none at the end, or what is wrong with it.
    pub(super) async fn read(&mut self, connection: usize) -> io::Result<Result<Option<Request>, String>> {
        loop {
            match parse(&self.buffer) {
                Err(complaint) => return Ok(Err(complaint)),
                Ok(Some(head)) if self.buffer.len() >= head.length + head.body => {
                    return Ok(Ok(Some(self.take(head, connection))));
                }
                Ok(_) => {}
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                // In the middle of a request too: senders get killed.
                return Ok(Ok(None));
            }
        }
    }

    fn take(&mut self, head: Head, connection: usize) -> Request {
        let rest = self.buffer.split_off(head.length + head.body);
        let whole = std::mem::replace(&mut self.buffer, rest);
        let (text, body) = whole.split_at(head.length);
        let event: Event = serde_json::from_slice(body).unwrap_or_default();
        Request {
            connection,
            head: text.into(),
            body: body.into(),
            id: head.id,
            job: event.job.filter(|_| !event.test),
            sequence: event.sequence,
            event_type: event.event_type,
            arrived: Instant::now(),
            arrived_at: clock::now(),
            reply: None,
            accepted: false,
            ended: None,
        }
    }

    /// Does it. `end` is told, once, just before the last bytes that matter are written, whether they accept the event. Returns
    /// whether the connection may be used again.
    pub(super) async fn answer(&mut self, reply: Reply, end: impl FnOnce(bool)) -> io::Result<bool> {
        match reply {
            Reply::Status(status) => self.finish(status, "", end).await,
            Reply::RetryAfter(status, seconds) => self.finish(status, &format!("retry-after: {seconds}\r\n"), end).await,
            Reply::Redirect => self.finish(302, &format!("location: {ELSEWHERE}\r\n"), end).await,
            Reply::After(pause, status) => {
                if self.is_left_within(pause).await {
                    end(false);
                    return Ok(false);
                }
                self.finish(status, "", end).await
            }
            Reply::Hang => {
                // Longer than any sender's patience.
                self.is_left_within(Duration::from_secs(60)).await;
                end(false);
                Ok(false)
            }
            Reply::Reset => {
                SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))?;
                end(false);
                Ok(false)
            }
            Reply::Close => {
                end(false);
                Ok(false)
            }
            Reply::Garbage => {
                end(false);
                self.stream.write_all(b"\x16\x03\x01 220 mail.example.com ESMTP\r\n\r\n").await?;
                Ok(false)
            }
            Reply::Huge => {
                end(true);
                self.stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {HUGE}\r\n\r\n").as_bytes()).await?;
                for _ in 0..HUGE / 65_536 {
                    self.stream.write_all(&[b'x'; 65_536]).await?;
                }
                Ok(true)
            }
            Reply::Trickle(over) => {
                let text = answer(200, "");
                for byte in &text[..text.len() - 1] {
                    if self.stream.write_all(&[*byte]).await.is_err() || self.is_left_within(over / text.len() as u32).await {
                        end(false);
                        return Ok(false);
                    }
                }
                end(true);
                self.stream.write_all(&text[text.len() - 1..]).await?;
                Ok(true)
            }
        }
    }

    async fn finish(&mut self, status: u16, headers: &str, end: impl FnOnce(bool)) -> io::Result<bool> {
        end((200..300).contains(&status));
        self.stream.write_all(&answer(status, headers)).await?;
        Ok(true)
    }

    /// Whether the sender closes within this time.
    async fn is_left_within(&mut self, time: Duration) -> bool {
        let left = async { while self.stream.read_buf(&mut self.buffer).await.is_ok_and(|read| read > 0) {} };
        tokio::time::timeout(time, left).await.is_ok()
    }
}

fn answer(status: u16, headers: &str) -> Vec<u8> {
    let body = if status == 204 { "" } else { "content-length: 2\r\n\r\nok" };
    let end = if status == 204 { "\r\n" } else { "" };
    format!("HTTP/1.1 {status} Because\r\n{headers}{body}{end}").into_bytes()
}

/// The head of the request that the bytes start with; none while there is no whole one.
fn parse(bytes: &[u8]) -> Result<Option<Head>, String> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let complaint = |what: &str| format!("{what}: {}", String::from_utf8_lossy(&bytes[..bytes.len().min(500)]));
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(complaint(&error.to_string())),
    };
    if request.method != Some("POST") || request.path == Some(ELSEWHERE) {
        return Err(complaint("a request that nobody should make"));
    }
    let header = |name: &str| {
        let mut found = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
        let value = found.next().and_then(|header| std::str::from_utf8(header.value).ok());
        value.filter(|_| found.next().is_none()).ok_or_else(|| complaint(&format!("not one {name}")))
    };
    let body = header("content-length")?.parse().map_err(|_| complaint("an odd content-length"))?;
    Ok(Some(Head { length, body, id: header("webhook-id")?.into() }))
}
