//! What a receiver remembers, and what in it no sender may do.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;

use time::OffsetDateTime;

use super::policy::Reply;

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// Which connection it came on, see [`Log::connections`].
    pub connection: usize,
    /// Request line and headers, as sent.
    pub head: Box<[u8]>,
    pub body: Box<[u8]>,
    /// `webhook-id`.
    pub id: String,
    /// The job's id as the body has it.
    pub job: Option<String>,
    pub sequence: Option<i64>,
    pub event_type: String,
    /// When its last byte was read.
    pub arrived: Instant,
    pub arrived_at: OffsetDateTime,
    /// None until the policy was asked.
    pub reply: Option<Reply>,
    /// Whether 2xx was answered whole; just before its last bytes are written, so never later than the sender can know.
    pub accepted: bool,
    /// Just before the last bytes of the answer are written, or when either side had closed. None while it is under way.
    pub ended: Option<Instant>,
}

impl Request {
    /// Names in lower case, in the order of sending.
    pub fn headers(&self) -> Vec<(String, String)> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        request.parse(&self.head).expect("parsed once before");
        let text = |value: &[u8]| String::from_utf8(value.to_vec()).expect("headers of text");
        request.headers.iter().map(|header| (header.name.to_ascii_lowercase(), text(header.value))).collect()
    }

    /// Empty when it is not there.
    pub fn header(&self, name: &str) -> String {
        self.headers().into_iter().find(|(found, _)| found == name).map_or_else(String::new, |(_, value)| value)
    }
}

/// Who sent.
#[derive(Debug, Clone)]
pub struct Connection {
    pub peer: SocketAddr,
    pub open: bool,
}

/// Everything that came.
#[derive(Debug, Default)]
pub struct Log {
    /// In the order of arrival.
    pub requests: Vec<Request>,
    /// Events that were answered 2xx, by `webhook-id`: place in `requests` of the first such request.
    pub accepted: HashMap<String, usize>,
    /// Requests without an answer yet.
    pub under_way: usize,
    pub connections: Vec<Connection>,
    /// What is no proper request.
    pub complaints: Vec<String>,
}

impl Log {
    /// Panics with the first [`Log::breaches`], if there are any.
    #[track_caller]
    pub fn assert_proper(&self) {
        let breaches = self.breaches();
        assert!(breaches.is_empty(), "{} breaches, among them {:#?}", breaches.len(), &breaches[..breaches.len().min(5)]);
    }

    /// Requests of each job, in the order of arrival.
    pub fn by_job(&self) -> HashMap<&str, Vec<&Request>> {
        let mut jobs: HashMap<&str, Vec<&Request>> = HashMap::new();
        for request in &self.requests {
            if let Some(job) = &request.job {
                jobs.entry(job).or_default().push(request);
            }
        }
        jobs
    }

    /// Everything that no sender may do, in words; at best nothing. A job's next event comes after the one before has been
    /// answered; the same event may come again, under its own id and not beside itself, until the next one has come.
    pub fn breaches(&self) -> Vec<String> {
        let mut breaches = self.complaints.clone();
        for (job, requests) in self.by_job() {
            for pair in requests.windows(2) {
                let (was, is) = ((pair[0].sequence, &pair[0].id), (pair[1].sequence, &pair[1].id));
                if is.0 < was.0 || (is.0 == was.0) != (is.1 == was.1) {
                    breaches.push(format!("{job}: {is:?} came after {was:?}"));
                }
            }
            breaches.extend(beside_each_other(&requests));
        }
        let mut events: HashMap<&str, Vec<&Request>> = HashMap::new();
        for request in &self.requests {
            events.entry(&request.id).or_default().push(request);
        }
        for (id, requests) in events {
            if let Some(other) = requests.iter().find(|request| request.body != requests[0].body) {
                breaches.push(format!("{id} has two bodies, one of them {}", String::from_utf8_lossy(&other.body)));
            }
            breaches.extend(beside_each_other(&requests));
        }
        breaches
    }
}

fn beside_each_other(requests: &[&Request]) -> Vec<String> {
    let pairs = requests.windows(2).filter(|pair| pair[0].ended.is_none_or(|ended| pair[1].arrived < ended));
    pairs.map(|pair| format!("{} came while {} was under way", pair[1].id, pair[0].id)).collect()
}
