//! Nothing that a page or the API asks of the history reads it from end to end, and nothing reads more of it than a page may look at.
//! PostgreSQL itself counts: sequential scans, and rows that were fetched by whatever way.

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types as sql;
use latchkey::actor::Actor;
use latchkey::error::Result;
use latchkey::ids::{OrgId, RequestId};
use latchkey::keys::{self, Rotation};
use latchkey::usage::{self, Address, By, Cursor, Filter, Period, Status, rollups};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use super::World;
use crate::support::number;

const NOW: OffsetDateTime = datetime!(2026-03-05 13:37:11.25 UTC);
const DAYS: i64 = 30;
/// What a page may look at, and a little for rows that are read one by one.
const MOST: i64 = 10_500;

/// What the database has counted so far, of one table.
#[derive(QueryableByName, PartialEq)]
struct Counted {
    #[diesel(sql_type = sql::Text)]
    name: String,
    #[diesel(sql_type = sql::Int8)]
    scans: i64,
    #[diesel(sql_type = sql::Int8)]
    rows: i64,
}

/// PostgreSQL 14 counts in its own time.
fn counts_at_once(conn: &mut PgConnection) -> bool {
    let is_new = number(conn, "SELECT current_setting('server_version_num')::int8") >= 150_000;
    if !is_new {
        eprintln!("not looked at: it takes PostgreSQL 15 to be told at once");
    }
    is_new
}

fn counted(conn: &mut PgConnection) -> Vec<Counted> {
    // Counts of this connection become everybody's at the end of this statement.
    conn.batch_execute("SELECT pg_stat_force_next_flush()").expect("flushed");
    let names = "relname LIKE 'requests\\_%' OR relname IN ('usage_hours', 'usage_days')";
    diesel::sql_query(format!(
        "SELECT relname::text AS name, seq_scan AS scans, seq_tup_read + coalesce(idx_tup_fetch, 0) AS rows
         FROM pg_stat_user_tables WHERE {names} ORDER BY relname"
    ))
    .load(conn)
    .expect("counts")
}

/// What `read` made the database do, in words; empty when all is well.
fn breaches(conn: &mut PgConnection, read: impl FnOnce(&mut PgConnection) -> Result<()>) -> Vec<String> {
    let before = counted(conn);
    read(conn).expect("what is asked for");
    let after = counted(conn);
    assert_eq!(before.len(), after.len());
    let mut fetched = 0;
    let mut breaches = Vec::new();
    for (before, after) in before.iter().zip(&after) {
        if after.scans > before.scans {
            breaches.push(format!("{} was read from end to end", after.name));
        }
        fetched += if after.name.starts_with("requests_") { after.rows - before.rows } else { 0 };
    }
    if fetched > MOST {
        breaches.push(format!("{fetched} rows of the history were read"));
    }
    breaches
}

/// Thirty days of requests, a thousand and more in each hour of the last one, in the rollups and with a key in grace and an ended one.
fn fill(world: &mut World) {
    let keys: Vec<String> = world
        .organizations
        .iter()
        .flat_map(|(organization, keys)| {
            keys.iter().map(move |(key, environment)| format!("('{}'::uuid, '{}'::uuid, '{environment}')", organization.0, key.0))
        })
        .collect();
    let first = NOW.date() - Duration::days(DAYS - 1);
    usage::ensure(&mut world.conn, (0..DAYS).map(|day| first + Duration::days(day))).expect("days");
    let from_ms = first.midnight().assume_utc().unix_timestamp() * 1_000;
    let span_ms = NOW.unix_timestamp() * 1_000 - from_ms;
    world.conn.batch_execute(&format!(
        "INSERT INTO requests (organization_id, id, at, key_id, generation, environment, method, path, route, status, outcome, duration_us,
             credits, address, user_agent, stale)
         SELECT k.organization, (lpad(to_hex(ms), 12, '0') || '7' || substr(gen_random_uuid()::text, 16))::uuid, to_timestamp(ms / 1000::float8),
             k.key, 1, k.environment, 'GET', '/analyses/an_' || i % 1000, 'GET /analyses/{{id}}',
             CASE i % 100 WHEN 1 THEN 429 WHEN 2 THEN 500 ELSE 200 END, 'accepted', 1000 + i % 999, 0, '203.0.113.7', 'curl/8.5', i % 97 = 0
         FROM (SELECT i, {from_ms} + {span_ms} * i / 120000 AS ms FROM generate_series(1::bigint, 120000) i) r
         JOIN (SELECT *, row_number() OVER () - 1 AS place FROM (VALUES {}) v (organization, key, environment)) k ON k.place = i % 4;",
        keys.join(", ")
    )).expect("rows");
    world.conn.batch_execute(&include_str!("../../../benches/usage/day.sql").replace("{table}", "requests")).expect("what waits");
    while rollups::fold(&mut world.conn).expect("folded") > 0 {}
    // As autovacuum does: what is counted along an index alone is not fetched.
    world.conn.batch_execute("VACUUM ANALYZE").expect("vacuumed");
}

#[test]
fn no_page_reads_the_history_from_end_to_end() {
    let mut world = World::new(NOW - Duration::days(DAYS));
    if !counts_at_once(&mut world.conn) {
        return;
    }
    let (organization, actor) = (world.organization(), Actor::command_line());
    let (busy, other) = (world.organizations[0].1[0].0, world.organizations[0].1[1].0);
    let rotation = Rotation { grace: Some(std::time::Duration::from_secs(86_400)), expected_generation: 1, form_token: None };
    let (rotated_at, revoked_at) = (NOW - Duration::hours(20), NOW - Duration::days(9));
    keys::rotate(&mut world.conn, &actor, rotated_at, &world.profile, organization, busy, rotation).expect("a rotation");
    keys::revoke(&mut world.conn, &actor, revoked_at, organization, other).expect("a revocation");
    fill(&mut world);

    let World { conn, profile, .. } = &mut world;
    let typed = |text: &str| Filter { address: Address::parse(profile, text), ..Filter::default() };
    let of = |status: Status| Filter { status: Some(status), ..Filter::default() };
    let filters = [
        ("no filter", Filter::default()),
        ("a key", Filter { key: Some(busy), ..Filter::default() }),
        ("an ended key", Filter { key: Some(other), ..Filter::default() }),
        ("2xx", of(Status::Class(2))),
        ("4xx", of(Status::Class(4))),
        ("429", of(Status::Exactly(429))),
        ("418", of(Status::Exactly(418))),
        ("5xx", of(Status::Class(5))),
        ("an environment", Filter { environment: Some("test".into()), ..Filter::default() }),
        ("a route", typed("GET /analyses/{id}")),
        ("a route nobody called", typed("GET /credits")),
        ("a path", typed("/analyses/an_7")),
        ("nobody's path", typed("/nowhere")),
        (
            "all at once",
            Filter { key: Some(busy), environment: Some("live".into()), ..Filter { status: Some(Status::Class(4)), ..typed("/analyses") } },
        ),
    ];
    let mut breached = Vec::new();
    let mut look = |what: String, conn: &mut PgConnection, read: &mut dyn FnMut(&mut PgConnection) -> Result<()>| {
        breached.extend(breaches(conn, read).into_iter().map(|breach| format!("{what}: {breach}")));
    };
    let old = RequestId::new(NOW - Duration::days(20));
    let periods = [Period::Day, Period::Days(7), Period::Days(30), Period::Days(90), Period::Custom(old_day(), old_day())];
    for (name, filter) in &filters {
        for cursor in [None, Some(Cursor::Before(old)), Some(Cursor::After(old))] {
            look(format!("history, {name}, {cursor:?}"), conn, &mut |conn| {
                usage::history(conn, organization, profile, filter, cursor, 50).map(|_| ())
            });
        }
        for period in periods {
            let span = period.span(NOW);
            let within = Filter { from: Some(span.from), to: Some(span.to), ..filter.clone() };
            look(format!("history, {name}, {period:?}"), conn, &mut |conn| {
                usage::history(conn, organization, profile, &within, None, 50).map(|_| ())
            });
            for by in [By::Route, By::Key] {
                look(format!("consumption, {name}, {period:?}, {by:?}"), conn, &mut |conn| {
                    latchkey::db::snapshot(conn, |conn| usage::consumption(conn, organization, profile, filter, span, by)).map(|_| ())
                });
            }
        }
    }
    let one = usage::history(conn, organization, profile, &Filter::default(), None, 1).expect("a page").requests[0].id;
    look("one request".into(), conn, &mut |conn| usage::request(conn, organization, one).map(|_| ()));
    look("the keys' tab".into(), conn, &mut |conn| keys::overview(conn, organization, NOW).map(|_| ()));
    look("a key's page".into(), conn, &mut |conn| keys::overview_of(conn, organization, busy, NOW).map(|_| ()));
    look("the former keys".into(), conn, &mut |conn| keys::former(conn, organization, NOW).map(|_| ()));
    look("the cut-over meter".into(), conn, &mut |conn| {
        assert!(keys::cut_over(conn, organization, busy, NOW)?.is_some_and(|meter| meter.old_requests > 0));
        Ok(())
    });
    assert!(breached.is_empty(), "{} breaches:\n{}", breached.len(), breached.join("\n"));
}

fn old_day() -> time::Date {
    (NOW - Duration::days(20)).date()
}

/// Else a test that sees nothing would pass.
#[test]
fn a_statement_that_reads_all_is_seen() {
    let mut world = World::new(NOW - Duration::days(DAYS));
    if !counts_at_once(&mut world.conn) {
        return;
    }
    fill(&mut world);
    let all = |text: &'static str, organization: OrgId| {
        move |conn: &mut PgConnection| {
            diesel::sql_query(text).bind::<sql::Uuid, _>(organization).execute(conn)?;
            Ok(())
        }
    };
    let organization = world.organization();
    let by_path =
        breaches(&mut world.conn, all("SELECT count(*) FROM requests WHERE organization_id = $1 AND lower(path) = '/x'", organization));
    assert!(!by_path.is_empty());
    let by_time =
        breaches(&mut world.conn, all("SELECT count(*) FROM usage_hours WHERE organization_id <> $1 OR requests = 7", organization));
    assert_eq!(by_time, ["usage_hours was read from end to end"]);
}
