//! New requests as they are answered: server-sent events (WHATWG HTML), each with the rows that came since the one before.
//!
//! Any instance may have answered them, so each second the history is asked for the newest that the reader has not been sent. A request
//! is in it when it is answered and has its place by when it arrived: what arrived in the last minute is looked at each time. A
//! stream ends by itself after a while, so that a reader whose session ended does not go on reading; browsers come back.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration as StdDuration;

use actix_web::http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};
use actix_web::rt::time::sleep;
use actix_web::web::{Bytes, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use futures_util::stream::unfold;
use time::Duration;

use super::asked::Asked;
use super::rows::{Row, RowItem};
use crate::clock;
use crate::error::{Error, Result};
use crate::ids::{RequestId, uuid_time};
use crate::usage::{self, Filter};
use crate::web::{Answer, Member, see_other};

/// Between two looks.
const EACH: StdDuration = StdDuration::from_secs(1);
/// Looks of one stream: five minutes.
const LOOKS: u32 = 300;
/// A quiet stream says something as often as this, by which a reader that is gone is noticed.
const HEARTBEAT: u32 = 15;
/// How late a request may be answered and still come live.
const LATE: Duration = Duration::MINUTE;
/// Most rows at once; a reader who misses more reads the page anew.
const MOST: usize = 50;
/// Most streams of an instance.
const STREAMS: usize = 200;

static OPEN: AtomicUsize = AtomicUsize::new(0);

/// One of the streams that are open.
struct Place;

impl Place {
    fn take() -> Result<Self> {
        let place = Self;
        if OPEN.fetch_add(1, Ordering::Relaxed) < STREAMS { Ok(place) } else { Err(Error::Limited { retry_after_s: 60 }) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Follower {
    member: Member,
    asked: Asked,
    filter: Filter,
    /// The newest row that the page has.
    top: Option<RequestId>,
    /// What the reader has, of the last minute.
    seen: HashSet<RequestId>,
    looks: u32,
    _place: Place,
}

/// `GET …/usage/live`. With `top`, the newest row of the page; a reader that comes back says with `Last-Event-ID` how far it came.
pub async fn live(member: Member, request: HttpRequest, asked: Query<Asked>) -> Answer {
    let asked = asked.into_inner();
    let accepts = request.headers().get(ACCEPT).is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
    if !accepts {
        return Ok(see_other(&asked.link(&member.frame)));
    }
    let (filter, _) = asked.filter(&member.site.profile, member.frame.now)?;
    let came = request.headers().get("last-event-id").and_then(|value| value.to_str().ok()).or(asked.top.as_deref());
    let top = came.and_then(RequestId::parse);
    // Links of the rows are those of the page.
    let asked = Asked { top: None, open: None, row: None, ..asked };
    let place = Place::take()?;
    let follower = Follower { member, asked, filter: Filter { to: None, ..filter }, top, seen: HashSet::new(), looks: 0, _place: place };
    let events = unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        Some((Ok::<_, Error>(Bytes::from(event)), follower))
    });
    let mut response = HttpResponse::Ok();
    response.insert_header((CONTENT_TYPE, "text/event-stream"));
    // The compressor would hold back what it has not filled a block with; so would a proxy.
    response.insert_header((CONTENT_ENCODING, "identity")).insert_header(("X-Accel-Buffering", "no"));
    Ok(response.streaming(events))
}

impl Follower {
    /// The next that is to be said; none at the end.
    async fn next(&mut self) -> Option<String> {
        loop {
            if self.looks == LOOKS || self.member.site.news.is_stopped() {
                return None;
            }
            if self.looks > 0 {
                sleep(EACH).await;
            }
            self.looks += 1;
            match self.look().await {
                Ok(Some(event)) => return Some(event),
                Ok(None) if self.looks == 1 => return Some("retry: 2000\n\n".into()),
                Ok(None) if self.looks.is_multiple_of(HEARTBEAT) => return Some(":\n\n".into()),
                Ok(None) => {}
                // The browser comes back, and is told more.
                Err(error) => {
                    tracing::debug!(%error, "a live stream ends");
                    return None;
                }
            }
        }
    }

    /// What is new, if anything is.
    async fn look(&mut self) -> Result<Option<String>> {
        let late = clock::now() - LATE;
        // The first time all that the page does not have, however long the reader was away.
        let since = if self.looks == 1 { self.top.and_then(|top| uuid_time(top.0)).map_or(late, |at| at.min(late)) } else { late };
        let filter = Filter { from: Some(self.filter.from.map_or(since, |from| from.max(since))), ..self.filter.clone() };
        let (organization, profile) = (self.member.organization.id, self.member.site.profile.clone());
        let read = move |conn: &mut _| {
            Ok((usage::history(conn, organization, &profile, &filter, None, MOST)?, usage::key_prefixes(conn, organization)?))
        };
        let (page, prefixes) = self.member.site.db.run(read).await?;
        let is_first = self.looks == 1;
        let top = self.top;
        let is_new = |id: RequestId| if is_first { top.is_none_or(|top| id > top) } else { true };
        let all: Vec<RequestId> = page.requests.iter().map(|request| request.id).collect();
        let new: Vec<_> = page.requests.into_iter().filter(|request| is_new(request.id) && !self.seen.contains(&request.id)).collect();
        self.seen.retain(|id| uuid_time(id.0).is_some_and(|at| at > late));
        self.seen.extend(&all);
        let Some(newest) = new.first().map(|request| request.id) else { return Ok(None) };
        self.top = self.top.max(Some(newest));
        // All are new and there may be more: between them and the reader's own rows some would be missing.
        if new.len() == MOST && page.older && top.is_some() {
            return Ok(Some(format!("id: {newest}\nevent: missed\ndata:\n\n")));
        }
        let mut event = format!("id: {newest}\nevent: rows\n");
        let mut frame = self.member.frame.clone();
        frame.now = clock::now();
        for request in new {
            let row = Row { frame: frame.clone(), asked: self.asked.clone(), row: RowItem::new(request, &prefixes) };
            for line in row.render().map_err(|e| Error::internal("rendering a row", e))?.lines().filter(|line| !line.trim().is_empty()) {
                event.push_str("data: ");
                event.push_str(line);
                event.push('\n');
            }
        }
        event.push('\n');
        Ok(Some(event))
    }
}
