//! What migrations make of a history, and of rollups, that are there already.

use std::ops::{Bound, RangeBounds};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types as sql;
use latchkey::clock;
use latchkey::ids::{KeyId, OrgId, RequestId, uuid_floor};
use latchkey::profile::Profile;
use latchkey::usage::{self, Address, By, Filter, Period, Status, rollups};
use time::Duration;
use time::macros::datetime;

use crate::support::{empty_database, number, root};

const DAYS: &str = "2026-11-22-000007_usage";
const VERIFY: &str = "2026-11-23-000011_verify";
const ALL_STATUSES: &str = "2026-11-22-000009_usage_rollups";
/// Path, status, outcome, and the route that it is taken to be of.
const ROWS: [(&str, i16, &str, &str); 6] = [
    ("/analyses", 202, "accepted", "POST /analyses"),
    ("/analyses/an_0351ZDREwZeKsVDgy1PRFa", 200, "accepted", "POST /analyses/{id}"),
    ("/analyses/an_0351ZDREwZeKsVDgy1PRFa/results", 404, "accepted", "POST /analyses/{id}/results"),
    ("/wp-login.php", 404, "accepted", ""),
    ("/credits", 403, "revoked", "POST /credits"),
    ("/credits", 429, "rate_limited", "POST /credits"),
];

/// Runs the migrations with these names.
fn migrate(conn: &mut PgConnection, names: impl RangeBounds<str>) {
    let entries = std::fs::read_dir(root().join("migrations")).unwrap();
    let mut all: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    all.sort();
    for name in all.iter().filter(|name| names.contains(name.as_str())) {
        let text = std::fs::read_to_string(root().join("migrations").join(name).join("up.sql")).unwrap();
        conn.batch_execute(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}

#[test]
fn rows_go_to_their_days_and_are_counted() {
    let database = empty_database();
    let mut conn = database.conn();
    migrate(&mut conn, (Bound::Unbounded, Bound::Excluded(DAYS)));
    // Two days, the first row a millisecond before midnight.
    let midnight = datetime!(2026-11-20 00:00 UTC);
    let (organization, key) = (OrgId::new(midnight), KeyId::new(midnight));
    let at = |n: usize| midnight - Duration::MILLISECOND + Duration::minutes(47 * n as i64);
    let ids: Vec<RequestId> = (0..ROWS.len()).map(|n| RequestId::new(at(n))).collect();
    for (n, (path, status, outcome, _)) in ROWS.iter().enumerate() {
        diesel::sql_query(
            "INSERT INTO requests (organization_id, id, at, key_id, generation, environment, method, path, status, outcome, duration_us,
                 credits, address, user_agent, stale) VALUES ($1, $2, $3, $4, 1, 'live', 'POST', $5, $6, $7, 1000, 0, '', '', $8)",
        )
        .bind::<sql::Uuid, _>(organization)
        .bind::<sql::Uuid, _>(ids[n])
        .bind::<sql::Timestamptz, _>(at(n))
        .bind::<sql::Uuid, _>(key)
        .bind::<sql::Text, _>(path)
        .bind::<sql::Int2, _>(status)
        .bind::<sql::Text, _>(outcome)
        .bind::<sql::Bool, _>(*outcome == "revoked")
        .execute(&mut conn)
        .unwrap();
    }
    migrate(&mut conn, (Bound::Included(DAYS), Bound::Unbounded));
    assert_eq!(number(&mut conn, "SELECT count(*) FROM requests_20261119"), 1);
    assert_eq!(number(&mut conn, "SELECT count(*) FROM requests_20261120"), 5);
    let profile = Profile::load("analysis").unwrap();
    let page = usage::history(&mut conn, organization, &profile, &Filter::default(), None, 50).unwrap();
    let listed: Vec<_> = page.requests.iter().rev().map(|request| (request.id, request.path.as_str(), request.route.as_str())).collect();
    let expected: Vec<_> = ids.iter().zip(ROWS).map(|(id, (path, _, _, route))| (*id, path, route)).collect();
    assert_eq!(listed, expected);
    for folded in [false, true] {
        let span = Period::Days(7).span(midnight + Duration::hours(12));
        let told =
            latchkey::db::snapshot(&mut conn, |conn| usage::consumption(conn, organization, &profile, &Filter::default(), span, By::Route));
        let told = told.unwrap();
        let total = told.total;
        assert_eq!((total.accepted, total.refused, total.rate_limited, total.failed), (2, 3, 1, 0), "folded: {folded}");
        assert_eq!(told.durations.p50.map(|p50| (950..=1_050).contains(&p50)), Some(true), "{:?}", told.durations);
        rollups::fold(&mut conn).unwrap();
    }
    let uses = "SELECT requests * 100 + stale_requests * 10 + ended_requests FROM key_uses";
    assert_eq!(number(&mut conn, uses), 611);
    let last: (Option<uuid::Uuid>, Option<uuid::Uuid>) = latchkey::schema::key_uses::table
        .select((latchkey::schema::key_uses::last_request_id, latchkey::schema::key_uses::first_ended_id))
        .first(&mut conn)
        .unwrap();
    assert_eq!(last, (Some(ids[5].0), Some(ids[4].0)));
    assert!(uuid_floor(midnight) > ids[0].0);
}

/// Key, route, status, requests, bucket of their durations.
const ROLLED_UP: [(bool, &str, i16, u8, u8); 6] = [
    (false, "*", 200, 5, 80),
    (false, "*", 404, 2, 60),
    (false, "*", 429, 1, 50),
    (true, "GET /key", 429, 1, 50),
    (true, "GET /key", 404, 2, 60),
    (true, "GET /key", 200, 5, 80),
];

#[test]
fn rows_of_each_status_become_one() {
    let database = empty_database();
    let mut conn = database.conn();
    migrate(&mut conn, (Bound::Unbounded, Bound::Excluded(ALL_STATUSES)));
    let hour = datetime!(2026-11-20 13:00 UTC);
    let (organization, key) = (OrgId::new(hour), KeyId::new(hour));
    for (table, starts_at) in [("usage_hours", hour), ("usage_days", hour - Duration::hours(13))] {
        for (is_key, route, status, requests, bucket) in ROLLED_UP {
            diesel::sql_query(format!("INSERT INTO {table} VALUES ($1, $2, $3, $4, 'live', $5, $6, $7, $8)"))
                .bind::<sql::Uuid, _>(organization)
                .bind::<sql::Uuid, _>(if is_key { key.0 } else { uuid::Uuid::nil() })
                .bind::<sql::Text, _>(route)
                .bind::<sql::Timestamptz, _>(starts_at)
                .bind::<sql::Int2, _>(status)
                .bind::<sql::Int8, _>(i64::from(requests))
                .bind::<sql::Binary, _>(vec![bucket, requests])
                .bind::<sql::Binary, _>(vec![13, requests])
                .execute(&mut conn)
                .unwrap();
        }
    }
    migrate(&mut conn, (Bound::Included(ALL_STATUSES), Bound::Unbounded));
    let profile = Profile::load("analysis").unwrap();
    let of_key = Filter { key: Some(key), address: Some(Address::Routes(vec!["GET /key".into()])), ..Filter::default() };
    for (filter, is_whole) in [
        (Filter::default(), true),
        (of_key.clone(), true),
        (Filter { status: Some(Status::Class(4)), ..Filter::default() }, false),
        (Filter { status: Some(Status::Class(4)), ..of_key }, false),
    ] {
        for period in [Period::Day, Period::Days(30)] {
            let span = period.span(hour + Duration::HOUR);
            let told = latchkey::db::snapshot(&mut conn, |conn| usage::consumption(conn, organization, &profile, &filter, span, By::Route));
            let told = told.unwrap();
            let bin = told.bins.iter().find(|bin| bin.counts.requests() > 0).unwrap();
            for counts in [told.total, bin.counts] {
                let accepted = if is_whole { 5 } else { 0 };
                assert_eq!((counts.accepted, counts.refused, counts.rate_limited, counts.failed), (accepted, 2, 1, 0), "{filter:?}");
            }
            assert_eq!(told.hours[4][13], if is_whole { 8 } else { 3 }, "on a Friday, {filter:?}");
            // 1.1 to the power of the bucket.
            assert_eq!(told.durations.p50, Some(if is_whole { 2_048 } else { 304 }), "{filter:?}");
        }
    }
    assert_eq!(number(&mut conn, "SELECT sum(requests)::int8 FROM usage_hours"), 16);
    assert_eq!(number(&mut conn, "SELECT count(*) FROM usage_days"), 2);
}

#[test]
fn of_a_long_history_only_the_last_days_are_indexed_for_reports() {
    let database = empty_database();
    let mut conn = database.conn();
    migrate(&mut conn, (Bound::Unbounded, Bound::Excluded(VERIFY)));
    let now = clock::now();
    for days in -5..=1 {
        usage::make_days(&mut conn, now + Duration::days(days)).unwrap();
    }
    migrate(&mut conn, (Bound::Included(VERIFY), Bound::Unbounded));
    let indexed = |conn: &mut PgConnection, day: time::OffsetDateTime| {
        let day = day.date().to_string().replace('-', "");
        number(conn, &format!("SELECT count(*) FROM pg_indexes WHERE tablename = 'requests_{day}' AND indexdef LIKE '%reportable%'"))
    };
    let told: Vec<i64> = (-5..=1).map(|days| indexed(&mut conn, now + Duration::days(days))).collect();
    assert_eq!(told, [0, 0, 0, 0, 1, 1, 1], "yesterday, today, tomorrow");
    usage::make_days(&mut conn, now + Duration::days(30)).unwrap();
    assert_eq!(indexed(&mut conn, now + Duration::days(30)), 1, "and every day that is made from now on");
}
