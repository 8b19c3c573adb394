//! Reading the history: pages, newest first, that cost the same however long it is. How, tells [`walk`](super::walk).

use diesel::pg::PgConnection;
use diesel::prelude::*;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::consume::routes_there;
use super::walk::{Walk, Way};
use super::{Address, Cursor, Filter, Request, verify_routes};
use crate::error::Result;
use crate::ids::{OrgId, RequestId, uuid_floor, uuid_time};
use crate::profile::Profile;
use crate::schema::requests;

/// A page, newest first.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// At most as many as asked for.
    pub requests: Vec<Request>,
    /// After which the page of newer ones starts, if there may be any.
    pub newer: Option<RequestId>,
    /// Before which the page of older ones starts, if there may be any.
    pub older: Option<RequestId>,
    /// Looking stopped before the page was full; the next page of that direction goes on from there.
    pub is_cut: bool,
}

/// A page of the history. `profile` tells of which route a path is.
///
/// Call it within [`crate::db::snapshot`]: it asks several times.
///
/// # Errors
/// Those of the database.
pub fn history(
    conn: &mut PgConnection, organization: OrgId, profile: &Profile, filter: &Filter, cursor: Option<Cursor>, limit: usize,
) -> Result<Page> {
    let least = filter.from.map_or(Uuid::nil(), bound);
    let most = filter.to.map_or(Uuid::max(), bound);
    let mut walk = Walk::new(organization, filter, routes(conn, organization, profile, filter)?, (least, most));
    let beside = |id: RequestId, step: i8| RequestId(Uuid::from_u128(id.0.as_u128().saturating_add_signed(step.into())));
    let ends = |requests: &[Request]| (requests.first().map(|request| request.id), requests.last().map(|request| request.id));
    // One more than asked tells whether there are more in that direction; the cursor's own row proves the other.
    Ok(match cursor {
        None | Some(Cursor::Before(_)) => {
            let from = if let Some(Cursor::Before(id)) = cursor { Some(id) } else { None };
            walk.most = from.map_or(walk.most, |id| walk.most.min(id.0));
            let (mut requests, looked_to) = walk.go(conn, limit + 1)?;
            let is_more = requests.len() > limit;
            requests.truncate(limit);
            let (first, last) = ends(&requests);
            let newer = from.map(|from| first.unwrap_or(beside(from, -1)));
            Page { requests, newer, older: looked_to.or(last.filter(|_| is_more)), is_cut: looked_to.is_some() }
        }
        Some(Cursor::After(from)) => {
            walk.least = walk.least.max(beside(from, 1).0);
            walk.way = Way::Newer;
            let (mut requests, looked_to) = walk.go(conn, limit + 1)?;
            let is_more = requests.len() > limit;
            requests.truncate(limit);
            requests.reverse();
            let (first, last) = ends(&requests);
            let older = Some(last.unwrap_or(beside(from, 1)));
            Page { requests, newer: looked_to.or(first.filter(|_| is_more)), older, is_cut: looked_to.is_some() }
        }
    })
}

/// The least id of a moment or later: ids carry milliseconds, and what is within one comes before its end.
fn bound(at: OffsetDateTime) -> Uuid {
    let floor = uuid_floor(at);
    if uuid_time(floor).is_some_and(|whole| whole < at) { uuid_floor(at + Duration::MILLISECOND) } else { floor }
}

/// One request of this organization.
///
/// # Errors
/// `NotFound`; those of the database.
pub fn request(conn: &mut PgConnection, organization: OrgId, id: RequestId) -> Result<Request> {
    Ok(requests::table.find((organization, id)).select(Request::as_select()).first(conn)?)
}

/// The routes that what is asked for may be of; none for all.
fn routes(conn: &mut PgConnection, organization: OrgId, profile: &Profile, filter: &Filter) -> Result<Option<Vec<String>>> {
    let path = match &filter.address {
        None => return Ok(None),
        Some(Address::Routes(routes)) => return Ok(Some(routes.clone())),
        Some(Address::Path(path)) => path,
    };
    // What is below a path may be of any route that its own may be of or that is longer, and of none.
    let mut routes = Address::routes_of(profile, path);
    let deeper = profile.routes.iter().map(|route| (profile.full_path(route), profile.route_name(route)));
    let segments = path.split('/').count();
    routes.extend(deeper.filter(|(path, _)| path.split('/').count() > segments).map(|(_, name)| name));
    routes.push(String::new());
    // And of any that services ask about, or that the profile had before.
    let verified = verify_routes(profile);
    let known: Vec<String> = profile.routes.iter().map(|route| profile.route_name(route)).chain(verified.iter().cloned()).collect();
    routes.extend(verified);
    let former = routes_there(conn, organization)?.into_iter().filter(|route| !route.is_empty() && !known.contains(route));
    routes.extend(former);
    Ok(Some(routes))
}
