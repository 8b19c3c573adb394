//! New requests as they are answered: server-sent events (WHATWG HTML), each with the rows that came since the one before.
//!
//! Any instance may have answered them, so each second the history is asked for the newest that the reader has not been sent. A request
//! is in it when it is answered and has its place by when it arrived: what arrived in the last minute is looked at each time. A
//! stream ends by itself after half a minute, and the browser comes back with its session: who signed out or was removed reads no longer.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration as StdDuration;

use actix_web::http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};
use actix_web::rt::time::sleep;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use futures_util::stream::unfold;
use time::Duration;

use super::asked::Asked;
use super::rows::{Row, RowItem};
use crate::clock;
use crate::db;
use crate::error::{Error, Result};
use crate::ids::{RequestId, UserId, uuid_time};
use crate::usage::{self, Filter};
use crate::web::{Answer, Member, see_other};

/// Between two looks.
const EACH: StdDuration = StdDuration::from_secs(1);
/// Looks of one stream: half a minute.
const LOOKS: u32 = 30;
/// A quiet stream says something as often as this, by which a reader that is gone is noticed.
const HEARTBEAT: u32 = 5;
/// How late a request may be answered and still come live.
const LATE: Duration = Duration::MINUTE;
/// Most rows at once; a reader who misses more reads the page anew.
const MOST: usize = 50;
/// Most streams of an instance, and of one person.
const STREAMS: (usize, usize) = (500, 10);

static OPEN: Mutex<BTreeMap<UserId, usize>> = Mutex::new(BTreeMap::new());

/// One of the streams that are open.
struct Place(UserId);

impl Place {
    fn take(user: UserId) -> Result<Self> {
        // Numbers can't be left half-changed.
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, own) = (open.values().sum::<usize>(), open.get(&user).copied().unwrap_or(0));
        if all >= STREAMS.0 || own >= STREAMS.1 {
            return Err(Error::Limited { retry_after_s: 30 });
        }
        open.insert(user, own + 1);
        Ok(Self(user))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        match open.get_mut(&self.0) {
            Some(own) if *own > 1 => *own -= 1,
            _ => _ = open.remove(&self.0),
        }
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
pub async fn live(member: Member, request: HttpRequest) -> Answer {
    let asked = Asked::of(&request);
    let accepts = request.headers().get(ACCEPT).is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
    if !accepts {
        return Ok(see_other(&asked.link(&member.frame)));
    }
    let (filter, _) = asked.filter(&member.site.profile, member.frame.now)?;
    let came = request.headers().get("last-event-id").and_then(|value| value.to_str().ok()).or(asked.top.as_deref());
    let top = came.and_then(RequestId::parse);
    // Links of the rows are those of the page.
    let asked = Asked { top: None, open: None, row: None, ..asked };
    let place = Place::take(member.actor.user_id().ok_or(Error::Unauthenticated)?)?;
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
                Ok(None) if self.looks == 1 => return Some("retry: 500\n\n".into()),
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
        // The first time all that the page can't have, however long the reader was away, and what it may not have: a page knows by
        // their ids which rows it has.
        let since = if self.looks == 1 { self.top.and_then(|top| uuid_time(top.0)).map_or(late, |at| at.min(late)) } else { late };
        let filter = Filter { from: Some(self.filter.from.map_or(since, |from| from.max(since))), ..self.filter.clone() };
        let (organization, profile) = (self.member.organization.id, self.member.site.profile.clone());
        let read = move |conn: &mut _| {
            db::snapshot(conn, |conn| {
                Ok((usage::history(conn, organization, &profile, &filter, None, MOST)?, usage::key_prefixes(conn, organization)?))
            })
        };
        let (page, prefixes) = self.member.site.db.run(read).await?;
        let top = self.top;
        let all: Vec<RequestId> = page.requests.iter().map(|request| request.id).collect();
        let has = |id: &RequestId| self.seen.contains(id) || self.looks == 1 && Some(*id) == top;
        let is_more = page.older.is_some();
        let new: Vec<_> = page.requests.into_iter().filter(|request| !has(&request.id)).collect();
        self.seen.retain(|id| uuid_time(id.0).is_some_and(|at| at > late));
        self.seen.extend(&all);
        let Some(newest) = new.first().map(|request| request.id) else { return Ok(None) };
        self.top = self.top.max(Some(newest));
        // There are more than these that the reader does not have: between them and its own rows some would be missing.
        if is_more && new.len() == MOST && all.last().is_some_and(|last| top.is_some_and(|top| *last > top)) {
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
