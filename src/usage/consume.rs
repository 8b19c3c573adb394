//! Reading consumption from the rollups, and from what is not in them yet.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::RangeInclusive;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types as sql;
use time::{Duration, OffsetDateTime};

use super::by_status::{self, ACCEPTED};
use super::histogram::{self, Tally};
use super::{Address, Bin, Consumption, Counts, Durations, Filter, Share, Span, verify_routes};
use crate::error::Result;
use crate::ids::{KeyId, OrgId};
use crate::profile::Profile;

/// What the busiest are listed of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum By {
    /// Routes of the profile.
    #[default]
    Route,
    /// Keys of the organization.
    Key,
}

impl By {
    /// Reads `key`; everything else is by route.
    pub fn parse(text: &str) -> Self {
        if text == "key" { Self::Key } else { Self::Route }
    }

    /// Whether it is by key.
    pub fn is_key(&self) -> bool {
        *self == Self::Key
    }
}

/// What was consumed in a span, of what `filter` lets through; its own `from` and `to` don't count. Of a path, which rollups don't know,
/// it tells what was consumed of the routes that the path may be of.
///
/// Call it within [`crate::db::snapshot`]: it asks several times.
///
/// # Errors
/// Those of the database.
pub fn consumption(
    conn: &mut PgConnection, organization: OrgId, profile: &Profile, filter: &Filter, span: Span, by: By,
) -> Result<Consumption> {
    let routes = match &filter.address {
        None => None,
        Some(Address::Routes(routes)) => Some(routes.clone()),
        Some(Address::Path(path)) => {
            let of_profile = Some(Address::routes_of(profile, path)).filter(|routes| !routes.is_empty());
            // Of nobody's, or of what services ask about.
            Some(of_profile.unwrap_or_else(|| [verify_routes(profile), vec![String::new()]].concat()))
        }
    };
    let asked = Asked { organization, filter, routes, span };
    let pending = asked.pending(conn)?;
    let mut told = asked.bins(conn, &pending)?;
    match by {
        By::Route => told.routes = asked.by_route(conn, &pending)?,
        By::Key => told.keys = asked.by_key(conn, &pending)?,
    }
    Ok(told)
}

/// Routes, or keys, of which it is told how long they took.
pub const BUSIEST: usize = 8;

struct Asked<'a> {
    organization: OrgId,
    filter: &'a Filter,
    /// None for all.
    routes: Option<Vec<String>>,
    span: Span,
}

/// Of those that were asked for, the ones that a list shows.
#[derive(Default)]
struct Busiest {
    keys: Vec<KeyId>,
    routes: Vec<String>,
}

/// A row that no rollup has yet.
#[derive(QueryableByName)]
struct Pending {
    #[diesel(sql_type = sql::Timestamptz)]
    hour: OffsetDateTime,
    #[diesel(sql_type = sql::Uuid)]
    key_id: KeyId,
    #[diesel(sql_type = sql::Text)]
    route: String,
    #[diesel(sql_type = sql::Int2)]
    status: i16,
    #[diesel(sql_type = sql::Int2)]
    duration_bucket: i16,
    #[diesel(sql_type = sql::Int8)]
    requests: i64,
}

/// A row of a rollup.
#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = sql::Timestamptz)]
    starts_at: OffsetDateTime,
    #[diesel(sql_type = sql::Binary)]
    statuses: Vec<u8>,
    #[diesel(sql_type = sql::Binary)]
    durations: Vec<u8>,
    #[diesel(sql_type = sql::Binary)]
    hours: Vec<u8>,
}

/// The key that was asked for, or the one that stands for all.
const ONE_KEY: &str = "ARRAY[coalesce($2, '00000000-0000-0000-0000-000000000000')]";
/// All keys of the organization, or the one that was asked for.
const EACH_KEY: &str = "ARRAY(SELECT id FROM api_keys WHERE organization_id = $1 AND ($2 IS NULL OR id = $2))";
/// The routes that were asked for, or the one that stands for all.
const ONE_ROUTE: &str = "coalesce($3, ARRAY['*'])";
/// The routes that were asked for, or each that there is, found by skipping from one to the next along the index.
const EACH_ROUTE: &str = "coalesce($3, ARRAY(
    WITH RECURSIVE each AS (
        SELECT min(route) AS route FROM usage_days WHERE organization_id = $1 AND key_id = coalesce($2, '00000000-0000-0000-0000-000000000000')
        UNION ALL
        SELECT (SELECT min(u.route) FROM usage_days u WHERE u.organization_id = $1
            AND u.key_id = coalesce($2, '00000000-0000-0000-0000-000000000000') AND u.route > each.route)
        FROM each WHERE each.route IS NOT NULL
    ) SELECT route FROM each WHERE route <> '*'))";

/// The routes that an organization ever asked for, of whatever profile.
pub(super) fn routes_there(conn: &mut PgConnection, organization: OrgId) -> Result<Vec<String>> {
    #[derive(QueryableByName)]
    struct Route {
        #[diesel(sql_type = sql::Text)]
        route: String,
    }
    let routes: Vec<Route> = diesel::sql_query(format!("SELECT unnest({EACH_ROUTE}) AS route"))
        .bind::<sql::Uuid, _>(organization)
        .bind::<sql::Nullable<sql::Uuid>, _>(None::<KeyId>)
        .bind::<sql::Nullable<sql::Array<sql::Text>>, _>(None::<Vec<String>>)
        .load(conn)?;
    Ok(routes.into_iter().map(|Route { route }| route).collect())
}

impl Counts {
    fn add(&mut self, status: i16, requests: i64) {
        *match status {
            429 => &mut self.rate_limited,
            ..400 => &mut self.accepted,
            400..500 => &mut self.refused,
            _ => &mut self.failed,
        } += requests;
    }
}

/// Rows of a rollup that are of one key and one route, one behind the other.
#[derive(QueryableByName)]
struct Grouped {
    #[diesel(sql_type = sql::Uuid)]
    key_id: KeyId,
    #[diesel(sql_type = sql::Text)]
    route: String,
    #[diesel(sql_type = sql::Binary)]
    statuses: Vec<u8>,
    #[diesel(sql_type = sql::Binary)]
    durations: Vec<u8>,
}

#[derive(Default)]
struct Sums {
    counts: Counts,
    durations: Tally,
}

impl Sums {
    fn count(&mut self, bytes: &[u8], statuses: &RangeInclusive<i16>) {
        by_status::each_count(bytes, statuses, |status, requests| self.counts.add(status, requests));
    }

    fn time(&mut self, bytes: &[u8], statuses: &RangeInclusive<i16>) {
        by_status::each(bytes, statuses, |_, bytes| self.durations.add_bytes(bytes));
    }

    fn add_pending(&mut self, row: &Pending) {
        self.counts.add(row.status, row.requests);
        self.durations.add(row.duration_bucket, row.requests);
    }
}

impl Asked<'_> {
    fn pending(&self, conn: &mut PgConnection) -> Result<Vec<Pending>> {
        let statuses = self.filter.statuses();
        Ok(diesel::sql_query(
            "SELECT hour, key_id, route, status, duration_bucket, sum(requests)::int8 AS requests FROM usage_pending
             WHERE organization_id = $1 AND hour >= $2 AND hour < $3 AND ($4 IS NULL OR environment = $4) AND status BETWEEN $5 AND $6
                 AND ($7 IS NULL OR key_id = $7) AND ($8 IS NULL OR route = ANY ($8))
             GROUP BY hour, key_id, route, status, duration_bucket",
        )
        .bind::<sql::Uuid, _>(self.organization)
        .bind::<sql::Timestamptz, _>(self.span.from)
        .bind::<sql::Timestamptz, _>(self.span.to)
        .bind::<sql::Nullable<sql::Text>, _>(&self.filter.environment)
        .bind::<sql::Int2, _>(statuses.start())
        .bind::<sql::Int2, _>(statuses.end())
        .bind::<sql::Nullable<sql::Uuid>, _>(self.filter.key)
        .bind::<sql::Nullable<sql::Array<sql::Text>>, _>(&self.routes)
        .load(conn)?)
    }

    /// Rows of a rollup. `keys` and `routes` are lists of SQL: each of their members is one range of the index.
    fn rows<T>(
        &self, conn: &mut PgConnection, what: &str, is_hourly: bool, (keys, routes, busiest): (&str, &str, Busiest), group: &str,
    ) -> Result<Vec<T>>
    where
        T: QueryableByName<diesel::pg::Pg> + 'static,
    {
        let table = if is_hourly { "usage_hours" } else { "usage_days" };
        Ok(diesel::sql_query(format!(
            "SELECT {what} FROM {table}
             WHERE organization_id = $1 AND key_id = ANY ({keys}) AND route = ANY ({routes}) AND starts_at >= $4 AND starts_at < $5
                 AND ($6 IS NULL OR environment = $6) {group}"
        ))
        .bind::<sql::Uuid, _>(self.organization)
        .bind::<sql::Nullable<sql::Uuid>, _>(self.filter.key)
        .bind::<sql::Nullable<sql::Array<sql::Text>>, _>(&self.routes)
        .bind::<sql::Timestamptz, _>(self.span.from)
        .bind::<sql::Timestamptz, _>(self.span.to)
        .bind::<sql::Nullable<sql::Text>, _>(&self.filter.environment)
        .bind::<sql::Array<sql::Uuid>, _>(busiest.keys)
        .bind::<sql::Array<sql::Text>, _>(busiest.routes)
        .load(conn)?)
    }

    fn bins(&self, conn: &mut PgConnection, pending: &[Pending]) -> Result<Consumption> {
        let Span { from, to, bin } = self.span;
        let what = format!("starts_at, statuses, {} AS durations, hours", self.durations());
        let statuses = self.filter.statuses();
        let rows: Vec<Row> = self.rows(conn, &what, bin < Duration::DAY, (ONE_KEY, ONE_ROUTE, Busiest::default()), "")?;
        let (length, step) = ((to - from).whole_seconds(), bin.whole_seconds().max(1));
        let count = usize::try_from((length + step - 1) / step).unwrap_or(0);
        let mut bins: Vec<Sums> = std::iter::repeat_with(Sums::default).take(count).collect();
        let (mut total, mut hours) = (Sums::default(), [[0; 24]; 7]);
        let place = |at: OffsetDateTime| usize::try_from((at - from).whole_seconds() / step).unwrap_or(0);
        for row in rows {
            if let Some(bin) = bins.get_mut(place(row.starts_at)) {
                bin.count(&row.statuses, &statuses);
                bin.time(&row.durations, &statuses);
            }
            let of_day = of_day(&mut hours, row.starts_at);
            by_status::each(&row.hours, &statuses, |_, bytes| {
                histogram::each(bytes, |hour, requests| add_hour(of_day, hour, requests));
            });
        }
        for row in pending {
            if let Some(bin) = bins.get_mut(place(row.hour)) {
                bin.add_pending(row);
            }
            add_hour(of_day(&mut hours, row.hour), row.hour.hour().into(), row.requests);
        }
        for bin in &bins {
            total.counts.accepted += bin.counts.accepted;
            total.counts.refused += bin.counts.refused;
            total.counts.rate_limited += bin.counts.rate_limited;
            total.counts.failed += bin.counts.failed;
            total.durations.add_all(&bin.durations);
        }
        let bins = (0..).zip(bins).map(|(place, sums): (u32, Sums)| Bin {
            starts_at: from + bin * place,
            counts: sums.counts,
            durations: sums.durations.durations(),
        });
        Ok(Consumption {
            from,
            to,
            bin,
            bins: bins.collect(),
            total: total.counts,
            durations: total.durations.durations(),
            routes: Vec::new(),
            keys: Vec::new(),
            hours,
        })
    }

    fn by_route(&self, conn: &mut PgConnection, pending: &[Pending]) -> Result<Vec<Share<String>>> {
        let rows = self.grouped(conn, ONE_KEY, EACH_ROUTE, None)?;
        let mut sums = self.counted(rows, pending, |row| row.route.clone(), |row| row.route.clone());
        let busiest = Busiest { routes: sums.iter().take(BUSIEST).map(|(route, _)| route.clone()).collect(), keys: Vec::new() };
        let timed = self.grouped(conn, ONE_KEY, "$8", Some(busiest))?;
        Ok(self.shares(&mut sums, timed, |row, route| row.route == *route))
    }

    fn by_key(&self, conn: &mut PgConnection, pending: &[Pending]) -> Result<Vec<Share<KeyId>>> {
        let rows = self.grouped(conn, EACH_KEY, ONE_ROUTE, None)?;
        let mut sums = self.counted(rows, pending, |row| row.key_id, |row| row.key_id);
        let busiest = Busiest { keys: sums.iter().take(BUSIEST).map(|(key, _)| *key).collect(), routes: Vec::new() };
        let timed = self.grouped(conn, "$7", ONE_ROUTE, Some(busiest))?;
        Ok(self.shares(&mut sums, timed, |row, key| row.key_id == *key))
    }

    /// Of the whole span, which the database brings together. How often of all of them; how long of the busiest alone.
    fn grouped(&self, conn: &mut PgConnection, keys: &str, routes: &str, busiest: Option<Busiest>) -> Result<Vec<Grouped>> {
        let what = match busiest {
            None => "key_id, route, string_agg(statuses, '') AS statuses, ''::bytea AS durations".to_owned(),
            Some(_) => format!("key_id, route, ''::bytea AS statuses, string_agg({}, '') AS durations", self.durations()),
        };
        self.rows(conn, &what, self.is_by_hour(), (keys, routes, busiest.unwrap_or_default()), "GROUP BY key_id, route")
    }

    /// The column of the durations that are wanted.
    fn durations(&self) -> &'static str {
        match self.filter.status.map(|_| self.filter.statuses()) {
            None => "all_durations",
            Some(statuses) if ACCEPTED.contains(statuses.end()) => "accepted_durations",
            Some(_) => "refused_durations",
        }
    }

    /// Whether the span begins or ends within a day.
    fn is_by_hour(&self) -> bool {
        [self.span.from, self.span.to].iter().any(|at| at.time() != time::Time::MIDNIGHT)
    }

    /// How often each, the busiest first; how long, of those that wait.
    fn counted<T: Eq + Hash + Ord>(
        &self, rows: Vec<Grouped>, pending: &[Pending], of_row: impl Fn(&Grouped) -> T, of_pending: impl Fn(&Pending) -> T,
    ) -> Vec<(T, Sums)> {
        let (mut sums, statuses): (HashMap<T, Sums>, _) = (HashMap::new(), self.filter.statuses());
        for row in rows {
            sums.entry(of_row(&row)).or_default().count(&row.statuses, &statuses);
        }
        for row in pending {
            sums.entry(of_pending(row)).or_default().add_pending(row);
        }
        let mut sums: Vec<(T, Sums)> = sums.into_iter().filter(|(_, sums)| sums.counts.requests() > 0).collect();
        sums.sort_by(|(a, of_a), (b, of_b)| of_b.counts.requests().cmp(&of_a.counts.requests()).then_with(|| a.cmp(b)));
        sums
    }

    /// All of them, the busiest with how long they took.
    fn shares<T: Clone>(&self, sums: &mut [(T, Sums)], timed: Vec<Grouped>, is_of: impl Fn(&Grouped, &T) -> bool) -> Vec<Share<T>> {
        let statuses = self.filter.statuses();
        for row in timed {
            if let Some((_, sums)) = sums.iter_mut().take(BUSIEST).find(|(of, _)| is_of(&row, of)) {
                sums.time(&row.durations, &statuses);
            }
        }
        let share = |(place, (of, sums)): (usize, &(T, Sums))| Share {
            of: of.clone(),
            counts: sums.counts,
            durations: if place < BUSIEST { sums.durations.durations() } else { Durations::default() },
        };
        sums.iter().enumerate().map(share).collect()
    }
}

fn of_day(hours: &mut [[i64; 24]; 7], at: OffsetDateTime) -> &mut [i64; 24] {
    &mut hours[usize::from(at.weekday().number_days_from_monday())]
}

fn add_hour(of_day: &mut [i64; 24], hour: i16, requests: i64) {
    if let Some(number) = usize::try_from(hour).ok().and_then(|hour| of_day.get_mut(hour)) {
        *number += requests;
    }
}
