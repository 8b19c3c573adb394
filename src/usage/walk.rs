//! How a page of the history is found.
//!
//! The one index is the order of arrival, and a filter may match one row in a million. So the rollups are the index of the filters: those
//! of the days tell how many rows of which hours match, and the history is read in just the hours that fill the page, with what lies
//! between them where that is little. An hour may still hold many rows for each that matches, and such hours may be many: after
//! [`LOOK`] rows, or what costs as much, a page ends early and says how far it looked.

use std::collections::BTreeMap;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types as sql;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::by_status::{self, REFUSED};
use super::days::{self, day};
use super::look::Stretch;
use super::rollups::{ALL_KEYS, ALL_ROUTES};
use super::{Address, Filter, Request, histogram};
use crate::error::Result;
use crate::ids::{KeyId, OrgId, RequestId, uuid_floor, uuid_time};

/// Rows that are looked at for a page: a few milliseconds.
pub const LOOK: usize = 10_000;
/// Rows of the rollups that are read to find the next hours, of each guide: a few days at first, and so many times more of them as
/// long as they have not enough that matches.
const DAYS: i64 = 8;
const MORE: i64 = 8;
/// Rows that lie between two hours with what is wanted and are read with them: as many as one more statement costs.
const BETWEEN: i64 = 1_000;
/// Rows that the statements of one more stretch cost as much as at least.
const PRICE: usize = 300;

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
    /// Rollups that tell where to look: all there is, and where less is wanted, what is.
    guides: Vec<(KeyId, String)>,
    /// Least id that may be found.
    pub least: Uuid,
    /// Exclusive.
    pub most: Uuid,
    pub way: Way,
    /// Rows of the rollups that are read of each guide.
    limit: i64,
    known: Option<Known>,
}

/// What the rollups tell of the hours ahead.
struct Known {
    hours: BTreeMap<OffsetDateTime, Hour>,
    /// What lies beyond has not been read.
    horizon: Option<Uuid>,
}

#[derive(Default)]
struct Hour {
    /// What the filter lets through, or might.
    wanted: i64,
    /// What a statement reads there.
    rows: i64,
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

impl<'a> Walk<'a> {
    /// From `least` to before `most`. `routes` are those that the filter's address may be of.
    pub(super) fn new(organization: OrgId, filter: &'a Filter, routes: Option<Vec<String>>, (least, most): (Uuid, Uuid)) -> Self {
        let mut guides = vec![(ALL_KEYS, ALL_ROUTES.to_owned())];
        if filter.key.is_some() || filter.environment.is_some() || routes.is_some() {
            let routes = routes.unwrap_or_else(|| vec![ALL_ROUTES.to_owned()]);
            guides.extend(routes.into_iter().map(|route| (filter.key.unwrap_or(ALL_KEYS), route)));
        }
        Self { organization, filter, guides, least, most, way: Way::Older, limit: DAYS, known: None }
    }

    /// What is found, in the order of the walk, and where looking stopped early.
    pub(super) fn go(&mut self, conn: &mut PgConnection, wanted: usize) -> Result<(Vec<Request>, Option<RequestId>)> {
        let mut found: Vec<Request> = Vec::new();
        let (mut is_clamped, mut left, mut read) = (false, LOOK, None::<Stretch>);
        // Rollups know routes and no paths, of which they may promise any number.
        let promised = if matches!(self.filter.address, Some(Address::Path(_))) { LOOK } else { 0 };
        while found.len() < wanted && self.least < self.most {
            let Some(stretch) = self.stretch(conn, promised.max(wanted - found.len()))? else { break };
            if let Some(read) = read.take() {
                left = left.saturating_sub(read.count(conn, self.filter)? + PRICE);
            }
            if left == 0 {
                return Ok((found, Some(self.edge())));
            }
            let before = found.len();
            found.extend(stretch.look(conn, self.filter, left, wanted - before)?);
            if found.len() == wanted {
                break;
            }
            if let Some(last) = stretch.last(conn, self.filter, left)? {
                return Ok((found, Some(last)));
            }
            match self.way {
                Way::Older => self.most = stretch.least,
                Way::Newer => self.least = stretch.most,
            }
            read = Some(stretch);
            // Rollups are kept for longer than the history: no use in walking where it has ended.
            if found.len() == before && !is_clamped {
                is_clamped = true;
                let oldest = days::oldest_day(conn)?.map_or(Uuid::max(), |day| uuid_floor(day.midnight().assume_utc()));
                self.least = self.least.max(oldest);
            }
        }
        Ok((found, None))
    }

    /// The next hours with enough that matches, or with what one statement should read; none when there are no more.
    fn stretch(&mut self, conn: &mut PgConnection, wanted: usize) -> Result<Option<Stretch>> {
        loop {
            let known = match self.known.take() {
                Some(known) => known,
                None => self.read(conn)?,
            };
            let nearest = self.nearest(&known, wanted);
            let is_enough = nearest.as_ref().is_some_and(|(_, is_enough)| *is_enough);
            if is_enough || known.horizon.is_none() {
                self.known = Some(known);
                return Ok(nearest.map(|(stretch, _)| stretch));
            }
            // All that is nearer has nothing.
            match (known.horizon.filter(|_| nearest.is_none()), self.way) {
                (None, _) => {}
                (Some(horizon), Way::Older) => self.most = self.most.min(horizon),
                (Some(horizon), Way::Newer) => self.least = self.least.max(horizon),
            }
            self.limit = self.limit.saturating_mul(MORE);
        }
    }

    /// The first of these hours that have what is wanted, with what lies between them, and whether they are enough of it.
    fn nearest(&self, known: &Known, wanted: usize) -> Option<(Stretch, bool)> {
        let is_ahead = |at: OffsetDateTime| uuid_floor(at) < self.most && uuid_floor(at + Duration::HOUR) > self.least;
        let ahead = known.hours.iter().filter(|(at, _)| is_ahead(**at));
        let ahead: Vec<_> = if self.way == Way::Older { ahead.rev().collect() } else { ahead.collect() };
        let (mut taken, mut sum, mut between, mut is_enough): (Option<(OffsetDateTime, OffsetDateTime)>, _, _, _) = (None, 0, 0, false);
        for (at, hour) in ahead {
            if hour.wanted == 0 {
                between += if taken.is_some() { hour.rows } else { 0 };
                continue;
            }
            if between > BETWEEN {
                is_enough = true;
                break;
            }
            taken = Some(taken.map_or((*at, *at), |(oldest, newest)| (oldest.min(*at), newest.max(*at))));
            between = 0;
            // Of the hour that the walk stands in, some may lie behind.
            sum += if self.stands_in(*at) { 0 } else { hour.wanted };
            if sum >= wanted as i64 {
                is_enough = true;
                break;
            }
        }
        let (oldest, newest) = taken?;
        let (least, most) = (uuid_floor(oldest), uuid_floor(newest + Duration::HOUR));
        let (organization, order) = (self.organization, self.order());
        Some((Stretch { organization, least: self.least.max(least), most: self.most.min(most), order }, is_enough))
    }

    /// The nearest days of each guide, and what is not in them yet.
    fn read(&self, conn: &mut PgConnection) -> Result<Known> {
        let rows = self.rows_of_days(conn)?;
        // The last day that was read of a guide that has more may lack other environments, and beyond it days are missing.
        let of = |guide: i64| rows.iter().filter(move |row| row.guide == guide).map(|row| row.starts_at);
        let capped = (1..=self.guides.len() as i64).filter(|guide| of(*guide).count() as i64 == self.limit);
        let horizon = match self.way {
            Way::Older => capped.filter_map(|guide| of(guide).min()).max().map(|day| uuid_floor(day + Duration::DAY)),
            Way::Newer => capped.filter_map(|guide| of(guide).max()).min().map(uuid_floor),
        };
        let statuses = self.filter.statuses();
        // What was not accepted has an index of its own.
        let walked = if REFUSED.contains(statuses.start()) { REFUSED } else { 0..=i16::MAX };
        let mut hours = BTreeMap::<OffsetDateTime, Hour>::new();
        for row in &rows {
            let (is_all, is_guide) = (row.guide == 1, row.guide > 1 || self.guides.len() == 1);
            if row.guide == 0 {
                hours.entry(row.starts_at).or_default().wanted += row.requests;
            }
            by_status::each(&row.hours, &walked, |status, bytes| {
                histogram::each(bytes, |hour, requests| {
                    let hour = hours.entry(row.starts_at + Duration::hours(hour.into())).or_default();
                    hour.rows += if is_all { requests } else { 0 };
                    hour.wanted += if is_guide && statuses.contains(&status) { requests } else { 0 };
                });
            });
        }
        if let Some(horizon) = horizon {
            hours.retain(|at, _| (uuid_floor(*at) >= horizon) == (self.way == Way::Older));
        }
        Ok(Known { hours, horizon })
    }

    fn stands_in(&self, at: OffsetDateTime) -> bool {
        let edge = if self.way == Way::Older { self.most } else { self.least };
        uuid_floor(at) < edge && edge < uuid_floor(at + Duration::HOUR)
    }

    fn rows_of_days(&self, conn: &mut PgConnection) -> Result<Vec<Row>> {
        let (order, statuses) = (self.order(), self.filter.statuses());
        let at = |id: Uuid, otherwise| uuid_time(id).unwrap_or(otherwise);
        let (first, last) = (at(self.least, OffsetDateTime::UNIX_EPOCH), at(self.most, LAST));
        let (keys, routes): (Vec<KeyId>, Vec<&str>) = self.guides.iter().map(|(key, route)| (*key, route.as_str())).unzip();
        Ok(diesel::sql_query(format!(
            "(SELECT g.guide, u.starts_at, u.hours, 0::int8 AS requests
              FROM unnest($2, $3) WITH ORDINALITY AS g (key_id, route, guide) CROSS JOIN LATERAL (
                 SELECT starts_at, hours FROM usage_days
                 WHERE organization_id = $1 AND key_id = g.key_id AND route = g.route AND starts_at >= $4 AND starts_at <= $5
                     AND (g.guide = 1 OR $6 IS NULL OR environment = $6)
                 ORDER BY starts_at {order} LIMIT $7) u)
             UNION ALL
             SELECT 0, hour, ''::bytea, sum(requests)::int8 FROM usage_pending
             WHERE organization_id = $1 AND ($8 IS NULL OR key_id = $8) AND ($9 IS NULL OR route = ANY ($9)) AND hour >= $4 AND hour <= $5
                 AND ($6 IS NULL OR environment = $6) AND status BETWEEN $10 AND $11
             GROUP BY hour"
        ))
        .bind::<sql::Uuid, _>(self.organization)
        .bind::<sql::Array<sql::Uuid>, _>(&keys)
        .bind::<sql::Array<sql::Text>, _>(&routes)
        .bind::<sql::Timestamptz, _>(day(first).midnight().assume_utc())
        .bind::<sql::Timestamptz, _>(last)
        .bind::<sql::Nullable<sql::Text>, _>(&self.filter.environment)
        .bind::<sql::Int8, _>(self.limit)
        .bind::<sql::Nullable<sql::Uuid>, _>(self.filter.key)
        .bind::<sql::Nullable<sql::Array<sql::Text>>, _>(self.filter.address.as_ref().map(|_| &routes[1..]))
        .bind::<sql::Int2, _>(statuses.start())
        .bind::<sql::Int2, _>(statuses.end())
        .load(conn)?)
    }

    /// Where the page that goes on from here starts.
    fn edge(&self) -> RequestId {
        RequestId(match self.way {
            Way::Older => self.most,
            Way::Newer => Uuid::from_u128(self.least.as_u128().saturating_sub(1)),
        })
    }

    fn order(&self) -> &'static str {
        if self.way == Way::Older { "DESC" } else { "ASC" }
    }
}

/// After every hour that there is.
const LAST: OffsetDateTime = time::macros::datetime!(9999-12-31 00:00 UTC);
