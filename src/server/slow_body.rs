//! Cuts off who sends a body too slowly. actix-web bounds the time for headers; this bounds the time for the body.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::HttpMessage as _;
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::error::PayloadError;
use actix_web::http::Method;
use actix_web::rt::time::{Sleep, sleep};
use actix_web::web::Bytes;
use futures_core::Stream;

/// From the first wait for the body to its last byte.
const PATIENCE: Duration = Duration::from_secs(10);

/// Wraps the body of a request that may have one.
pub fn bound(request: &mut ServiceRequest) {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let body = request.take_payload();
        request.set_payload(Payload::Stream { payload: Box::pin(Bounded { body, deadline: None }) });
    }
}

struct Bounded {
    body: Payload,
    /// Set at the first wait: most bodies come along with their headers and never need one.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Stream for Bounded {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.body).poll_next(context);
        if read.is_pending() {
            let deadline = this.deadline.get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
            if deadline.as_mut().poll(context).is_ready() {
                let late = std::io::Error::new(std::io::ErrorKind::TimedOut, "the body took too long");
                return Poll::Ready(Some(Err(PayloadError::Io(late))));
            }
        }
        read
    }
}
