//! What is kept of an answer, and how much of it is read.

use std::pin::Pin;
use std::time::{Duration, SystemTime};

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_LENGTH, HeaderMap, RETRY_AFTER, TRANSFER_ENCODING};
use awc::ClientResponse;
use futures_core::Stream as _;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::trip::note;
use crate::courier::{Answer, KEPT_ANSWER};

/// Most of a body that is read, in bytes; a longer one costs the connection.
const READ: usize = 65_536;
/// How long a body may take once the head is there.
const REST: Duration = Duration::from_secs(2);
/// Longest wait that is told on, whatever was asked for.
const LONGEST_WAIT: Duration = Duration::from_secs(366 * 86_400);

/// Reads as much of the body as is worth reading. Nothing that goes wrong here changes what the status said.
pub(super) async fn read(mut response: ClientResponse, deadline: Instant, at: OffsetDateTime) -> Answer {
    let until = deadline.min(Instant::now() + REST);
    let mut body = Body::default();
    while body.length <= READ {
        let chunk = std::future::poll_fn(|context| Pin::new(&mut response).poll_next(context));
        match tokio::time::timeout_at(until, chunk).await {
            Ok(Some(Ok(chunk))) => body.add(&chunk),
            Ok(None) => {
                body.is_whole = true;
                break;
            }
            Ok(Some(Err(_))) | Err(_) => break,
        }
    }
    let (status, headers) = (response.status(), response.headers());
    let promised = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.trim().parse::<usize>().ok());
    // To awc an early end of the connection is an end like any other.
    body.is_whole &= promised.is_none_or(|length| body.length >= length);
    let has_length = promised.is_some() || headers.contains_key(TRANSFER_ENCODING);
    let has_none = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if !has_length && !has_none && body.length == 0 {
        // Such a body ends with the connection (RFC 9112, 6.3), and awc takes it for none. What came along with the head is
        // shown; what is still to come must not be read as the next answer.
        note(|trip| {
            trip.spend();
            body.add(trip.beyond_head());
        });
    }
    if status.is_informational() {
        note(|trip| trip.spend());
    }
    Answer {
        status: status.as_u16(),
        head: note(|trip| trip.head()).unwrap_or_default(),
        is_cut: !body.is_whole || body.length > KEPT_ANSWER,
        body: body.text(),
        retry_after: retry_after(headers, at),
    }
}

#[derive(Default)]
struct Body {
    kept: Vec<u8>,
    length: usize,
    is_whole: bool,
}

impl Body {
    fn add(&mut self, bytes: &[u8]) {
        let room = KEPT_ANSWER - self.kept.len();
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.length = self.length.saturating_add(bytes.len());
    }

    /// As text that PostgreSQL keeps.
    fn text(&self) -> String {
        let whole = match std::str::from_utf8(&self.kept) {
            // Cut inside of a character: that is not the endpoint's mistake.
            Err(e) if e.error_len().is_none() && self.length > self.kept.len() => &self.kept[..e.valid_up_to()],
            _ => &self.kept,
        };
        let control = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r');
        String::from_utf8_lossy(whole).replace(control, "\u{fffd}")
    }
}

/// `Retry-After` in seconds or as a date (RFC 9110, 10.2.3), from `at` on.
fn retry_after(headers: &HeaderMap, at: OffsetDateTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let until = httpdate::parse_http_date(text).ok()?;
        until.duration_since(SystemTime::from(at)).unwrap_or_default()
    };
    Some(wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn retry_after_in_both_forms() {
        let at = OffsetDateTime::from_unix_timestamp(784_111_777).unwrap();
        let wait = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(text).unwrap());
            retry_after(&headers, at).map(|wait| wait.as_secs())
        };
        assert_eq!(wait("120"), Some(120));
        assert_eq!(wait(" 0 "), Some(0));
        // RFC 9110, 5.6.7: 784111777 is Sun, 06 Nov 1994 08:49:37 GMT.
        assert_eq!(wait("Sun, 06 Nov 1994 08:50:07 GMT"), Some(30));
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        assert_eq!(wait("99999999999999999999999"), Some(LONGEST_WAIT.as_secs()));
        for text in ["", "-1", "1.5", "soon", "1 2"] {
            assert_eq!(wait(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_body_is_text_whatever_came() {
        let text = |bytes: &[u8]| {
            let mut body = Body::default();
            body.add(bytes);
            body.text()
        };
        assert_eq!(text(b"a\0b\xffc\x1b\r\n\td"), "a\u{fffd}b\u{fffd}c\u{fffd}\r\n\td");
        let long = "ä".repeat(3_000);
        assert_eq!(text(format!("x{long}").as_bytes()), format!("x{}", &long[..4_094]));
    }
}
