//! What support looks for costs a look at indexes, however much history there is. PostgreSQL itself counts.

use std::sync::Arc;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types as sql;
use latchkey::actor::{Actor, StaffRole};
use latchkey::clock;
use latchkey::ids::RequestId;
use latchkey::support::{Wanted, Why, search};
use latchkey::usage;
use time::Duration;

use crate::support::{Make, TestDb, number};

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = sql::Int8)]
    scans: i64,
    #[diesel(sql_type = sql::Int8)]
    rows: i64,
}

/// Whole reads, and rows that were fetched, of the tables of this name.
fn counted(conn: &mut PgConnection, tables: &str) -> (i64, i64) {
    conn.batch_execute("SELECT pg_stat_force_next_flush()").unwrap();
    let query = format!(
        "SELECT sum(seq_scan)::int8 AS scans, sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::int8 AS rows
         FROM pg_stat_user_tables WHERE relname LIKE '{tables}'"
    );
    let Counted { scans, rows } = diesel::sql_query(query).get_result(conn).unwrap();
    (scans, rows)
}

#[test]
fn a_request_a_key_and_a_member_are_found_by_their_indexes() {
    let test = TestDb::new();
    let mut conn = test.conn();
    if number(&mut conn, "SELECT current_setting('server_version_num')::int8") < 150_000 {
        eprintln!("not looked at: it takes PostgreSQL 15 to be told at once");
        return;
    }
    let profile = Arc::new(latchkey::profile::Profile::load("analysis").unwrap());
    let scene = Make::new(test.conn(), profile.clone()).org_named("acme").admin().key();
    let (now, org, user, key) = (clock::now(), scene.here().id.0, scene.an_admin().id, scene.a_key().clone());
    // What its connection did is counted ten seconds after it last did anything, unless it ends.
    drop(scene);
    let today = usage::day(now);
    usage::ensure(&mut conn, (0..5).map(|day| today - Duration::days(day))).unwrap();
    conn.batch_execute(&format!(
        "INSERT INTO organizations (id, slug, name, created_at)
             SELECT gen_random_uuid(), 'crowd-' || i, 'Crowd ' || i, now() FROM generate_series(1, 300) i;
         INSERT INTO users (id, email, name, created_at)
             SELECT gen_random_uuid(), 'somebody-' || i || '@example.com', '', now() FROM generate_series(1, 20000) i;
         INSERT INTO memberships (organization_id, user_id, role, created_at)
             SELECT '{org}', id, 'member', now() FROM users WHERE email LIKE 'somebody%';
         INSERT INTO api_key_secrets (organization_id, key_id, generation, digest, prefix, created_at, created_by)
             SELECT '{org}', '{key}', i, sha256(i::text::bytea), 'lk_live_' || substr(md5(i::text), 1, 4), now(), 'A test'
             FROM generate_series(2, 20000) i;
         INSERT INTO requests (organization_id, id, at, key_id, generation, environment, method, path, route, status, outcome, duration_us,
                 credits, address, user_agent, stale)
             SELECT o.id, (lpad(to_hex((extract(epoch FROM now() - d * interval '1 day') * 1000)::int8), 12, '0') || '7'
                     || substr(gen_random_uuid()::text, 16))::uuid,
                 now() - d * interval '1 day', '{key}', 1, 'live', 'GET', '/x', '', 200, 'accepted', 1, 0, '192.0.2.1', '', false
             FROM (SELECT id FROM organizations ORDER BY slug LIMIT 200) o, generate_series(0, 4) d, generate_series(1, 50);",
        key = key.id.0,
    ))
    .unwrap();
    conn.batch_execute("VACUUM ANALYZE").unwrap();
    #[derive(QueryableByName)]
    struct One {
        #[diesel(sql_type = sql::Uuid)]
        id: RequestId,
    }
    let query = format!("SELECT id FROM requests WHERE organization_id = '{org}' ORDER BY id LIMIT 1");
    let request = diesel::sql_query(query).get_result::<One>(&mut conn).unwrap().id;
    let actor = Actor::staff(user, "Staff".into(), StaffRole::Support, None, "192.0.2.1".into(), String::new());
    let prefix = key.prefix;
    // Often, so that what is prepared and planned once is looked at too.
    for _ in 0..8 {
        for (tables, typed, most) in
            [("requests\\_%", request.to_string(), 1), ("api\\_key\\_secrets", prefix.clone(), 20), ("users", "somebody-777@".into(), 5)]
        {
            let before = counted(&mut conn, tables);
            let wanted = Wanted::read(&profile, &typed);
            let found = search(&mut conn, &actor, &wanted).unwrap().found;
            let after = counted(&mut conn, tables);
            assert_eq!(found.len(), 1, "{typed}");
            assert_eq!(found[0].organization.slug, "acme", "{typed}");
            assert!(!matches!(found[0].why[0], Why::Name | Why::Slug));
            assert_eq!(after.0, before.0, "{typed}: {tables} was read from end to end");
            assert!(after.1 - before.1 <= most, "{typed}: {} rows of {tables} were read", after.1 - before.1);
        }
    }
    let nobodys = Wanted::read(&profile, &RequestId::new(now - Duration::days(2)).to_string());
    let before = counted(&mut conn, "requests\\_%");
    assert!(search(&mut conn, &actor, &nobodys).unwrap().found.is_empty());
    assert_eq!(counted(&mut conn, "requests\\_%"), before, "what nobody made reads no row at all");
}
