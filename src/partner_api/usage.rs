//! `usage.read`.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::Call;
use super::answer::Reply;
use super::query::Parameters;
use crate::clock::rfc3339;
use crate::db;
use crate::error::Result;
use crate::ids::{KeyId, RequestId};
use crate::openapi::bounds::PATH;
use crate::profile::Route;
use crate::usage::{self, Address, Cursor, Filter, Status};

#[derive(Serialize)]
struct RequestBody {
    request_id: RequestId,
    at: String,
    method: String,
    path: String,
    status: i16,
    outcome: String,
    duration_ms: f64,
    key_id: KeyId,
    environment: String,
    credits: i64,
}

/// A page of them, under the names that the route has for its members.
struct UsageBody<'a> {
    route: &'a Route,
    requests: Vec<RequestBody>,
    next_cursor: Option<RequestId>,
}

impl Serialize for UsageBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry(self.route.name("requests"), &self.requests)?;
        map.serialize_entry(self.route.name("next_cursor"), &self.next_cursor)?;
        map.end()
    }
}

pub(super) async fn read(call: &Call<'_>) -> Result<Reply> {
    let mut parameters = Parameters::of(call);
    let limit = parameters.limit();
    let cursor = parameters.take("cursor", "Send next_cursor of the page before.", |text| RequestId::parse(text).map(Cursor::Before));
    let filter = Filter {
        key: parameters.take("key", "Send the id of a key.", |text| KeyId::parse(text).filter(|key| !key.0.is_nil())),
        environment: parameters
            .take("environment", "Send the name of an environment.", |text| call.profile().has_environment(text).then(|| text.to_owned())),
        address: parameters
            .take("path", &format!("Send a path of {PATH} characters at most."), |text| {
                (text.chars().count() <= PATH).then(|| Address::parse(call.profile(), text))
            })
            .flatten(),
        status: parameters.take("status", "Send a status as 429, or a class as 4xx.", Status::parse),
        from: parameters.moment("from"),
        to: parameters.moment("to"),
    };
    parameters.check()?;
    let (organization, profile) = (call.key.organization, call.partner.site.profile.clone());
    let page = call
        .partner
        .site
        .db
        .run(move |conn| db::snapshot(conn, |conn| usage::history(conn, organization, &profile, &filter, cursor, limit)))
        .await?;
    let requests = page.requests.into_iter().map(body).collect();
    Reply::ok(&UsageBody { route: &call.way.route, requests, next_cursor: page.older })
}

fn body(request: usage::Request) -> RequestBody {
    RequestBody {
        request_id: request.id,
        at: rfc3339(request.at),
        method: request.method,
        path: request.path,
        status: request.status,
        outcome: request.outcome,
        duration_ms: f64::from(request.duration_us) / 1_000.0,
        key_id: request.key_id,
        environment: request.environment,
        credits: request.credits,
    }
}
