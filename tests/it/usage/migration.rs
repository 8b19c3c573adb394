//! What the migration to days and rollups makes of a history that is there already.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types as sql;
use latchkey::ids::{KeyId, OrgId, RequestId, uuid_floor};
use latchkey::profile::Profile;
use latchkey::usage::{self, By, Filter, Period, rollups};
use time::Duration;
use time::macros::datetime;

use crate::support::{empty_database, number, root};

const THIS: &str = "2026-11-22-000007_usage";
/// Path, status, outcome, and the route that it is taken to be of.
const ROWS: [(&str, i16, &str, &str); 6] = [
    ("/analyses", 202, "accepted", "POST /analyses"),
    ("/analyses/an_0351ZDREwZeKsVDgy1PRFa", 200, "accepted", "POST /analyses/{id}"),
    ("/analyses/an_0351ZDREwZeKsVDgy1PRFa/results", 404, "accepted", "POST /analyses/{id}/results"),
    ("/wp-login.php", 404, "accepted", ""),
    ("/credits", 403, "revoked", "POST /credits"),
    ("/credits", 429, "rate_limited", "POST /credits"),
];

#[test]
fn rows_go_to_their_days_and_are_counted() {
    let database = empty_database();
    let mut conn = database.conn();
    let mut migrations: Vec<_> = std::fs::read_dir(root().join("migrations")).unwrap().map(|entry| entry.unwrap().path()).collect();
    migrations.sort();
    let run = |conn: &mut PgConnection, path: &std::path::Path| {
        conn.batch_execute(&std::fs::read_to_string(path.join("up.sql")).unwrap()).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    };
    for path in migrations.iter().filter(|path| path.file_name().unwrap().to_str().unwrap() < THIS) {
        run(&mut conn, path);
    }
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
    run(&mut conn, &root().join("migrations").join(THIS));
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
