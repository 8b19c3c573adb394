//! `events.read`: the catch-up feed.

use serde::Serialize;

use super::Call;
use super::answer::Reply;
use super::query::Parameters;
use crate::error::{ClientError, Result};
use crate::ids::EventId;
use crate::raw_json::RawJson;
use crate::webhooks::{self, FeedEvent, FeedPage};

#[derive(Serialize)]
struct EventBody {
    id: EventId,
    payload: RawJson,
}

#[derive(Serialize)]
struct FeedBody {
    events: Vec<EventBody>,
    next_after: Option<EventId>,
}

pub(super) async fn read(call: &Call<'_>) -> Result<Reply> {
    let mut parameters = Parameters::of(call);
    let limit = parameters.limit();
    let after = parameters.take("after", "Send next_after of the page before, or the id of an event.", EventId::parse);
    parameters.check()?;
    let organization = call.key.organization;
    let page = call.partner.site.db.run(move |conn| webhooks::feed(conn, organization, after, limit as i64)).await?;
    match page {
        FeedPage::Events(events) => {
            let next_after = events.last().map(|event| event.id).or(after);
            let events = events.into_iter().map(|FeedEvent { id, payload }| EventBody { id, payload }).collect();
            Reply::ok(&FeedBody { events, next_after })
        }
        FeedPage::Behind => {
            let text = "Many events before this one were never read and are being put in order. Ask again in a second.";
            let error = ClientError { retry_after_s: Some(1), ..ClientError::new(503, "feed_behind", text) };
            Ok(Reply::error(call.profile(), &error))
        }
    }
}
