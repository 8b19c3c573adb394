//! How a page of the history is found. The one index is the order of arrival, and a filter may match one row in a million. So the rollups
//! are the index of the filters: those of the days tell how many rows of which hours match, and the history is read in just the hours
//! that fill the page. An hour may still hold many rows for each that matches: after [`LOOK`] rows a page ends early and says how far
//! it looked.
//!
//! Measured with 90 days of history: planning takes a tenth of a millisecond for each day that a statement may read, so where few rows
//! of many days match, a page was nine parts planning and one part reading. Such a statement is planned once a connection; one of few
//! days names its bounds, so that no others are planned for.

use std::collections::BTreeMap;

use diesel::connection::SimpleConnection;
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types as sql;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::days::{self, day};
use super::rollups::ALL_KEYS;
use super::{Address, Filter, Request, by_status, histogram};
use crate::error::Result;
use crate::ids::{OrgId, RequestId, uuid_floor, uuid_time};

/// Rows that are looked at for a page: some milliseconds.
pub const LOOK: usize = 5_000;
/// Rows of the rollups that are read to find the next hours, of each route: a few days at first, and so many times more of them as
/// long as they have nothing that matches.
const DAYS: i64 = 8;
const MORE: i64 = 8;
/// A stretch of more than this is planned once for all.
const LONG: Duration = Duration::days(7);

/// Which way a walk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Older,
    Newer,
}

/// A search through the history, from one end.
pub(super) struct Walk<'a> {
    pub organization: OrgId,
    pub filter: &'a Filter,
    /// Routes whose rollups tell where to look.
    pub guides: Vec<String>,
    /// Least id that may be found.
    pub least: Uuid,
    /// Exclusive.
    pub most: Uuid,
    /// Rows looked at.
    pub looked: usize,
    pub way: Way,
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

impl Stretch {
    fn is_long(&self) -> bool {
        let at = |id: Uuid, otherwise| uuid_time(id).unwrap_or(otherwise);
        at(self.most, LAST) - at(self.least, OffsetDateTime::UNIX_EPOCH) > LONG
    }
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
    pub(super) fn go(&mut self, conn: &mut PgConnection, wanted: usize) -> Result<(Vec<Request>, Option<RequestId>)> {
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

    /// What is wanted of a stretch, in the order of the walk; and where that is not enough, the last row that may be looked at, if
    /// there are so many.
    fn look(&self, conn: &mut PgConnection, stretch: &Stretch, wanted: usize) -> Result<Vec<Looked>> {
        let left = LOOK.saturating_sub(self.looked).max(1);
        self.ask(conn, stretch, Some((left as i64, wanted as i64)))
    }

    /// How many rows a stretch has that was looked at to its end: fewer than could be.
    fn count(&self, conn: &mut PgConnection, stretch: &Stretch) -> Result<usize> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = sql::Int8)]
            rows: i64,
        }
        let rows: Vec<Row> = self.ask(conn, stretch, None)?;
        Ok(rows.first().and_then(|row| usize::try_from(row.rows).ok()).unwrap_or(0))
    }

    fn ask<T>(&self, conn: &mut PgConnection, stretch: &Stretch, look: Option<(i64, i64)>) -> Result<Vec<T>>
    where
        T: QueryableByName<Pg> + 'static,
    {
        let (routes, path) = match &self.filter.address {
            Some(Address::Routes(routes)) => (Some(routes), None),
            Some(Address::Path(path)) => (None, Some(path)),
            None => (None, None),
        };
        let (least_status, most_status) = self.filter.statuses().into_inner();
        let ask = Ask { walk: self, stretch, look, least_status, most_status, routes, path };
        if !stretch.is_long() {
            return Ok(ask.load(conn)?);
        }
        // For whatever bounds there is one right plan: along the index.
        conn.batch_execute(
            "SET plan_cache_mode = force_generic_plan; SET enable_sort = off; SET enable_bitmapscan = off; SET enable_seqscan = off",
        )?;
        let found = ask.load(conn);
        let reset = conn.batch_execute("RESET plan_cache_mode; RESET enable_sort; RESET enable_bitmapscan; RESET enable_seqscan");
        let found = found?;
        reset?;
        Ok(found)
    }
}

/// Asks for what is wanted of a stretch, or how many rows it has.
struct Ask<'a> {
    walk: &'a Walk<'a>,
    stretch: &'a Stretch,
    /// Rows that may be looked at, and that are wanted; none to count them.
    look: Option<(i64, i64)>,
    least_status: i16,
    most_status: i16,
    routes: Option<&'a Vec<String>>,
    path: Option<&'a String>,
}

impl Ask<'_> {
    fn rows<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(" FROM requests WHERE organization_id = ");
        out.push_bind_param::<sql::Uuid, _>(&self.walk.organization)?;
        out.push_sql(" AND id >= ");
        out.push_bind_param::<sql::Uuid, _>(&self.stretch.least)?;
        out.push_sql(" AND id < ");
        out.push_bind_param::<sql::Uuid, _>(&self.stretch.most)?;
        if self.least_status >= 400 {
            // Said in so many words for the sake of the index of what was not accepted.
            out.push_sql(" AND status >= 400 AND status BETWEEN ");
            out.push_bind_param::<sql::Int2, _>(&self.least_status)?;
            out.push_sql(" AND ");
            out.push_bind_param::<sql::Int2, _>(&self.most_status)?;
        }
        Ok(())
    }
}

impl QueryFragment<Pg> for Ask<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        if !self.stretch.is_long() {
            out.unsafe_to_cache_prepared();
        }
        let Some((left, wanted)) = &self.look else {
            // Ids alone, which the index has.
            out.push_sql("SELECT count(*) AS rows FROM (SELECT id");
            self.rows(&mut out)?;
            out.push_sql(") r");
            return Ok(());
        };
        let order = self.walk.order();
        out.push_sql("SELECT * FROM (SELECT *, place = ");
        out.push_bind_param::<sql::Int8, _>(left)?;
        out.push_sql(" AS is_last, coalesce(key_id = ");
        out.push_bind_param::<sql::Nullable<sql::Uuid>, _>(&self.walk.filter.key)?;
        out.push_sql(", true) AND status BETWEEN ");
        out.push_bind_param::<sql::Int2, _>(&self.least_status)?;
        out.push_sql(" AND ");
        out.push_bind_param::<sql::Int2, _>(&self.most_status)?;
        out.push_sql(" AND coalesce(environment = ");
        out.push_bind_param::<sql::Nullable<sql::Text>, _>(&self.walk.filter.environment)?;
        out.push_sql(", true) AND coalesce(route = ANY (");
        out.push_bind_param::<sql::Nullable<sql::Array<sql::Text>>, _>(&self.routes)?;
        out.push_sql("), true) AND coalesce(starts_with(path || '/', ");
        out.push_bind_param::<sql::Nullable<sql::Text>, _>(&self.path)?;
        out.push_sql(" || '/'), true) AS is_wanted FROM (SELECT *, row_number() OVER (ORDER BY id ");
        out.push_sql(order);
        out.push_sql(") AS place");
        self.rows(&mut out)?;
        out.push_sql(" ORDER BY id ");
        out.push_sql(order);
        out.push_sql(" LIMIT ");
        out.push_bind_param::<sql::Int8, _>(left)?;
        out.push_sql(") r) r WHERE is_wanted OR is_last ORDER BY id ");
        out.push_sql(order);
        out.push_sql(" LIMIT ");
        out.push_bind_param::<sql::Int8, _>(wanted)?;
        Ok(())
    }
}

impl QueryId for Ask<'_> {
    type QueryId = ();
    // Its text tells it from others.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Ask<'_> {
    type SqlType = sql::Untyped;
}

impl RunQueryDsl<PgConnection> for Ask<'_> {}

/// After every hour that there is.
const LAST: OffsetDateTime = time::macros::datetime!(9999-12-31 00:00 UTC);
