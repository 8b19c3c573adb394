//! Reading the history: pages, newest first, that cost the same however long it is.
//!
//! The one index is the order of arrival, and a filter may match one row in a million. So the rollups are the index of the
//! filters: those of the days tell how many rows of which hours match, and the history is read in just the hours that fill the page. An
//! hour may still hold many rows for each that matches: after [`LOOK`] rows a page ends early and says how far it looked.

use std::collections::BTreeMap;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types as sql;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::consume::routes_there;
use super::days::{self, day};
use super::rollups::{ALL_KEYS, ALL_ROUTES};
use super::{Address, Cursor, Filter, Request, by_status, histogram};
use crate::error::Result;
use crate::ids::{KeyId, OrgId, RequestId, uuid_floor, uuid_time};
use crate::profile::Profile;
use crate::schema::requests;

/// Rows that are looked at for a page: some milliseconds.
pub const LOOK: usize = 5_000;
/// Rows of the rollups that are read to find the next hours, of each route: a few days at first, and so many times more of them as
/// long as they have nothing that matches.
const DAYS: i64 = 8;
const MORE: i64 = 8;

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

/// Which way a walk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Older,
    Newer,
}

/// A page of the history. `profile` tells of which route a path is.
///
/// # Errors
/// Those of the database.
pub fn history(
    conn: &mut PgConnection, organization: OrgId, profile: &Profile, filter: &Filter, cursor: Option<Cursor>, limit: usize,
) -> Result<Page> {
    let least = filter.from.map_or(Uuid::nil(), bound);
    let most = filter.to.map_or(Uuid::max(), bound);
    let guides = guides(conn, organization, profile, filter)?;
    let mut walk = Walk { organization, filter, guides, least, most, looked: 0, way: Way::Older };
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

/// The routes whose rollups tell where to look.
fn guides(conn: &mut PgConnection, organization: OrgId, profile: &Profile, filter: &Filter) -> Result<Vec<String>> {
    Ok(match &filter.address {
        None => vec![ALL_ROUTES.to_owned()],
        Some(Address::Routes(routes)) => routes.clone(),
        // What is below a path may be of any route that its own may be of or that is longer, and of none.
        Some(Address::Path(path)) => {
            let mut routes = Address::routes_of(profile, path);
            let deeper = profile.routes.iter().map(|route| (profile.full_path(route), profile.route_name(route)));
            let segments = path.split('/').count();
            routes.extend(deeper.filter(|(path, _)| path.split('/').count() > segments).map(|(_, name)| name));
            routes.push(String::new());
            // And of any that the profile had before.
            let known: Vec<String> = profile.routes.iter().map(|route| profile.route_name(route)).collect();
            let former = routes_there(conn, organization)?.into_iter().filter(|route| !route.is_empty() && !known.contains(route));
            routes.extend(former);
            routes
        }
    })
}

struct Walk<'a> {
    organization: OrgId,
    filter: &'a Filter,
    guides: Vec<String>,
    /// Least id that may be found.
    least: Uuid,
    /// Exclusive.
    most: Uuid,
    /// Rows looked at.
    looked: usize,
    way: Way,
}

/// A row that was looked at and is wanted, or the last one that may be looked at.
#[derive(QueryableByName)]
struct Looked {
    #[diesel(embed)]
    request: Request,
    #[diesel(sql_type = sql::Bool)]
    is_wanted: bool,
    #[diesel(sql_type = sql::Bool)]
    is_last: bool,
}

/// Ids from `least` to before `most`, which hold what is wanted if anything does.
struct Stretch {
    least: Uuid,
    most: Uuid,
}

/// A day of a guide, or an hour that no rollup has yet.
#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = sql::Int8)]
    guide: i64,
    #[diesel(sql_type = sql::Timestamptz)]
    starts_at: OffsetDateTime,
    /// Requests by their hour, of each status; empty where it is an hour.
    #[diesel(sql_type = sql::Binary)]
    hours: Vec<u8>,
    #[diesel(sql_type = sql::Int8)]
    requests: i64,
}

impl Walk<'_> {
    /// What is found, in the order of the walk, and where looking stopped early.
    fn go(&mut self, conn: &mut PgConnection, wanted: usize) -> Result<(Vec<Request>, Option<RequestId>)> {
        let mut found: Vec<Request> = Vec::new();
        // Rollups know routes and no paths: where a stretch has less than they promise, the next one is longer.
        let (mut is_clamped, mut uncounted, mut reach) = (false, None, 1);
        while found.len() < wanted && self.least < self.most {
            let Some(stretch) = self.stretch(conn, (wanted - found.len()) * reach)? else { break };
            reach = (reach * 4).min(LOOK);
            if let Some(before) = uncounted.take() {
                self.looked += self.count(conn, &before)?;
            }
            let before = found.len();
            let looked = self.look(conn, &stretch, wanted - before)?;
            let end = looked.last().filter(|row| row.is_last).map(|row| row.request.id);
            found.extend(looked.into_iter().filter(|row| row.is_wanted).map(|row| row.request));
            if found.len() == wanted {
                break;
            }
            if end.is_some() {
                return Ok((found, end));
            }
            match self.way {
                Way::Older => self.most = stretch.least,
                Way::Newer => self.least = stretch.most,
            }
            uncounted = Some(stretch);
            // Rollups are kept for longer than the history: no use in walking where it has ended.
            if found.len() == before && !is_clamped {
                is_clamped = true;
                let oldest = days::oldest_day(conn)?.map_or(Uuid::max(), |day| uuid_floor(day.midnight().assume_utc()));
                self.least = self.least.max(oldest);
            }
        }
        Ok((found, None))
    }

    /// The next hours with enough that matches; none when there are no more.
    fn stretch(&mut self, conn: &mut PgConnection, wanted: usize) -> Result<Option<Stretch>> {
        let mut limit = DAYS;
        loop {
            let rows = self.rows_of_days(conn, limit)?;
            // The last day that was read of a route that has more may lack other environments, and beyond it days are missing.
            let of = |guide: i64| rows.iter().filter(move |row| row.guide == guide).map(|row| row.starts_at);
            let capped = (1..=self.guides.len() as i64).filter(|guide| of(*guide).count() as i64 == limit);
            let horizon = match self.way {
                Way::Older => capped.filter_map(|guide| of(guide).min()).max().map(|day| uuid_floor(day + Duration::DAY)),
                Way::Newer => capped.filter_map(|guide| of(guide).max()).min().map(uuid_floor),
            };
            let by_hour = self.hours(&rows, horizon);
            let mut sum = 0;
            let mut take = |(at, requests): (&OffsetDateTime, &i64)| {
                let is_enough = sum >= wanted as i64;
                // Of the hour that the walk stands in, some may lie behind.
                sum += if self.stands_in(*at) { 0 } else { *requests };
                (!is_enough).then_some(*at)
            };
            let taken: Vec<OffsetDateTime> = match self.way {
                Way::Older => by_hour.iter().rev().map_while(&mut take).collect(),
                Way::Newer => by_hour.iter().map_while(&mut take).collect(),
            };
            if let (Some(first), Some(last)) = (taken.first(), taken.last()) {
                let (oldest, newest) = (*first.min(last), *first.max(last));
                let (least, most) = (uuid_floor(oldest), uuid_floor(newest + Duration::HOUR));
                return Ok(Some(Stretch { least: self.least.max(least), most: self.most.min(most) }));
            }
            // All that is nearer has nothing.
            match (horizon, self.way) {
                (None, _) => return Ok(None),
                (Some(horizon), Way::Older) => self.most = self.most.min(horizon),
                (Some(horizon), Way::Newer) => self.least = self.least.max(horizon),
            }
            limit = limit.saturating_mul(MORE);
        }
    }

    /// How many match in each hour of where the walk may go, up to the horizon.
    fn hours(&self, rows: &[Row], horizon: Option<Uuid>) -> BTreeMap<OffsetDateTime, i64> {
        let (least, most) = match self.way {
            Way::Older => (self.least.max(horizon.unwrap_or(Uuid::nil())), self.most),
            Way::Newer => (self.least, self.most.min(horizon.unwrap_or(Uuid::max()))),
        };
        let (statuses, mut by_hour) = (self.filter.statuses(), BTreeMap::new());
        let mut add = |at: OffsetDateTime, requests: i64| {
            if uuid_floor(at) < most && uuid_floor(at + Duration::HOUR) > least {
                *by_hour.entry(at).or_default() += requests;
            }
        };
        for row in rows {
            if row.guide == 0 {
                add(row.starts_at, row.requests);
            }
            by_status::each(&row.hours, &statuses, |_, bytes| {
                histogram::each(bytes, |hour, requests| add(row.starts_at + Duration::hours(hour.into()), requests));
            });
        }
        by_hour
    }

    fn stands_in(&self, at: OffsetDateTime) -> bool {
        let edge = if self.way == Way::Older { self.most } else { self.least };
        uuid_floor(at) < edge && edge < uuid_floor(at + Duration::HOUR)
    }

    /// Rows of the rollups, so many of each guide and the nearest, and what is not in them yet.
    fn rows_of_days(&self, conn: &mut PgConnection, limit: i64) -> Result<Vec<Row>> {
        let (order, statuses) = (self.order(), self.filter.statuses());
        let at = |id: Uuid, otherwise| uuid_time(id).unwrap_or(otherwise);
        let (first, last) = (at(self.least, OffsetDateTime::UNIX_EPOCH), at(self.most, LAST));
        Ok(diesel::sql_query(format!(
            "(SELECT g.guide, u.starts_at, u.hours, 0::int8 AS requests FROM unnest($3) WITH ORDINALITY AS g (route, guide) CROSS JOIN LATERAL (
                 SELECT starts_at, hours FROM usage_days
                 WHERE organization_id = $1 AND key_id = $2 AND route = g.route AND starts_at >= $4 AND starts_at <= $5
                     AND ($6 IS NULL OR environment = $6)
                 ORDER BY starts_at {order} LIMIT {limit}) u)
             UNION ALL
             SELECT 0, hour, ''::bytea, sum(requests)::int8 FROM usage_pending
             WHERE organization_id = $1 AND ($7 IS NULL OR key_id = $7) AND ('*' = ANY ($3) OR route = ANY ($3)) AND hour >= $4 AND hour <= $5
                 AND ($6 IS NULL OR environment = $6) AND status BETWEEN $8 AND $9
             GROUP BY hour"
        ))
        .bind::<sql::Uuid, _>(self.organization)
        .bind::<sql::Uuid, _>(self.filter.key.unwrap_or(ALL_KEYS))
        .bind::<sql::Array<sql::Text>, _>(&self.guides)
        .bind::<sql::Timestamptz, _>(day(first).midnight().assume_utc())
        .bind::<sql::Timestamptz, _>(last)
        .bind::<sql::Nullable<sql::Text>, _>(&self.filter.environment)
        .bind::<sql::Nullable<sql::Uuid>, _>(self.filter.key)
        .bind::<sql::Int2, _>(statuses.start())
        .bind::<sql::Int2, _>(statuses.end())
        .load(conn)?)
    }

    fn order(&self) -> &'static str {
        if self.way == Way::Older { "DESC" } else { "ASC" }
    }

    /// The rows of a stretch. Its bounds are written out, so that no other days are planned for.
    fn rows(&self, Stretch { least, most }: &Stretch) -> String {
        let (least_status, most_status) = self.filter.statuses().into_inner();
        // Said in so many words for the sake of the index of what was not accepted.
        let refused = if least_status >= 400 {
            format!("AND status >= 400 AND status BETWEEN {least_status} AND {most_status}")
        } else {
            String::new()
        };
        format!("requests WHERE organization_id = $1 AND id >= '{least}' AND id < '{most}' {refused}")
    }

    fn left(&self) -> usize {
        LOOK.saturating_sub(self.looked).max(1)
    }

    /// What is wanted of a stretch, in the order of the walk; and where that is not enough, the last row that may be looked at, if
    /// there are so many.
    fn look(&self, conn: &mut PgConnection, stretch: &Stretch, wanted: usize) -> Result<Vec<Looked>> {
        let (least_status, most_status) = self.filter.statuses().into_inner();
        let (routes, path) = match &self.filter.address {
            Some(Address::Routes(routes)) => (Some(routes), None),
            Some(Address::Path(path)) => (None, Some(path)),
            None => (None, None),
        };
        let (order, left) = (self.order(), self.left());
        let query = format!(
            "SELECT * FROM (
                 SELECT *, place = {left} AS is_last,
                     ($2 IS NULL OR key_id = $2) AND status BETWEEN $3 AND $4 AND ($5 IS NULL OR environment = $5)
                         AND ($6 IS NULL OR route = ANY ($6)) AND ($7 IS NULL OR path = $7 OR starts_with(path, $7 || '/')) AS is_wanted
                 FROM (SELECT *, row_number() OVER (ORDER BY id {order}) AS place FROM {} ORDER BY id {order} LIMIT {left}) r
             ) r
             WHERE is_wanted OR is_last
             ORDER BY id {order} LIMIT {wanted}",
            self.rows(stretch),
        );
        Ok(diesel::sql_query(query)
            .bind::<sql::Uuid, _>(self.organization)
            .bind::<sql::Nullable<sql::Uuid>, _>(self.filter.key.map(|KeyId(key)| key))
            .bind::<sql::Int2, _>(least_status)
            .bind::<sql::Int2, _>(most_status)
            .bind::<sql::Nullable<sql::Text>, _>(&self.filter.environment)
            .bind::<sql::Nullable<sql::Array<sql::Text>>, _>(routes)
            .bind::<sql::Nullable<sql::Text>, _>(path)
            .load(conn)?)
    }

    /// How many rows a stretch has that was looked at to its end: fewer than could be.
    fn count(&self, conn: &mut PgConnection, stretch: &Stretch) -> Result<usize> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = sql::Int8)]
            rows: i64,
        }
        // Ids alone, which the index has.
        let query = format!("SELECT count(*) AS rows FROM (SELECT id FROM {}) r", self.rows(stretch));
        let row: Row = diesel::sql_query(query).bind::<sql::Uuid, _>(self.organization).get_result(conn)?;
        Ok(usize::try_from(row.rows).unwrap_or(0))
    }
}

/// After every hour that there is.
const LAST: OffsetDateTime = time::macros::datetime!(9999-12-31 00:00 UTC);
