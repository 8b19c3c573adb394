//! What became of a request: history, rollups and ledger agree after it was told, or after its time.

use std::time::Duration;

use diesel::sql_types::{Integer, Text, Uuid};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};
use latchkey::db::snapshot;
use latchkey::ids::{OrgId, RequestId};
use latchkey::usage::{self, By, Filter, Period, rollups};
use latchkey::{admission, clock, credits};
use serde_json::{Value, json};

use super::{ON_SUCCESS, ask, entries, ledger, report, row, told};
use crate::partner_api::balance;
use crate::support::{App, number};

const SHORT: (&str, &str) = ("report_within = \"15m\"", "report_within = \"1s\"");

#[actix_web::test]
async fn held_credits_are_settled_or_released_by_the_report() {
    let app = App::with_changes(&[ON_SUCCESS]);
    let scene = app.make().org().credits(10).key();
    let (service, org, key, mut conn) = (app.service(), scene.here().id, scene.a_key(), app.database().conn());
    let actor = format!("Key {}…", key.prefix);
    for (body, success, status, duration_us) in [
        (json!({"status": 201, "duration_ms": 12.5}), true, 201, Some(12_500)),
        (json!({"status": 404}), false, 404, None),
        (json!({"status": 404, "success": true, "duration_ms": null}), true, 404, None),
        (json!({"status": 200, "success": false, "duration_ms": 0}), false, 200, Some(0)),
    ] {
        let before = balance(&mut conn, org);
        let value = told(&service, key, json!({"credits": 2})).await;
        let id = value["request_id"].as_str().unwrap();
        assert_eq!(value["credits"]["available"], before.0 - 2);
        assert_eq!(balance(&mut conn, org), (before.0 - 2, 2, before.2), "held");
        assert_eq!(ledger(&mut conn, org, id), entries(&[("hold", &actor)]));
        let verified = row(&mut conn, id).unwrap();
        assert_eq!((verified.status, verified.credits), (200, 2));

        let answer = report(&service, &value["request_id"], body.clone()).await;
        let (settled, released) = if success { (2, 0) } else { (0, 2) };
        let expected =
            json!({"request_id": id, "status": status, "success": success, "credits": {"settled": settled, "released": released}});
        assert_eq!((answer.status, answer.json()), (200, expected), "{body}");
        assert_eq!(balance(&mut conn, org), (before.0 - settled, 0, before.2 + settled));
        assert_eq!(ledger(&mut conn, org, id), entries(&[("hold", &actor), (if success { "settle" } else { "release" }, "Service")]));
        let reported = row(&mut conn, id).unwrap();
        assert_eq!((reported.status, reported.credits, reported.outcome.as_str()), (status, settled, "accepted"));
        assert_eq!(reported.duration_us, duration_us.unwrap_or(verified.duration_us));

        let again = report(&service, &value["request_id"], json!({"status": 500})).await;
        assert_eq!((again.status, &again.json()["code"]), (409, &json!("conflict")));
        assert_eq!(row(&mut conn, id).unwrap(), reported, "a second report changes nothing");
        assert_eq!(balance(&mut conn, org), (before.0 - settled, 0, before.2 + settled));
    }
}

#[actix_web::test]
async fn what_was_settled_at_once_stays_so() {
    let app = App::start();
    let scene = app.make().org().credits(10).key();
    let (service, org, mut conn) = (app.service(), scene.here().id, app.database().conn());
    let value = told(&service, scene.a_key(), json!({"credits": 4})).await;
    let answer = report(&service, &value["request_id"], json!({"status": 500, "duration_ms": 3})).await;
    assert_eq!((answer.status, &answer.json()["credits"]), (200, &json!({"settled": 4, "released": 0})));
    let row = row(&mut conn, value["request_id"].as_str().unwrap()).unwrap();
    assert_eq!((row.status, row.credits, row.duration_us), (500, 4, 3_000));
    assert_eq!(balance(&mut conn, org), (6, 0, 4));
    // Without credits a report only completes the history.
    let value = told(&service, scene.a_key(), json!({})).await;
    let answer = report(&service, &value["request_id"], json!({"status": 304})).await;
    assert_eq!(answer.json()["credits"], json!({"settled": 0, "released": 0}));
}

#[actix_web::test]
async fn only_what_a_service_asked_about_and_let_pass_is_reported() {
    let app = App::with_changes(&[ON_SUCCESS]);
    let scene = app.make().org().credits(1).key();
    let (service, key) = (app.service(), scene.a_key());
    let refused = told(&service, key, json!({"credits": 2})).await["request_id"].clone();
    let unknown = service.post("/verify/v1/keys").json(&json!({"key": "x"})).send().await.json()["request_id"].clone();
    let partner = json!(app.partner(key).get("/key").send().await.header("x-request-id"));
    let forward = json!(app.partner(key).get("/verify/v1/forward").send().await.header("x-request-id"));
    let never = json!(latchkey::ids::RequestId::new(clock::now()).to_string());
    for id in [refused, unknown, partner, forward, never, json!("req_x"), json!("req_0000000000000000000000"), json!("%00")] {
        let answer = report(&service, &id, json!({"status": 200})).await;
        assert_eq!((answer.status, &answer.json()["code"]), (404, &json!("not_found")), "{id}");
    }
    let long_ago = latchkey::ids::RequestId::new(clock::now() - time::Duration::hours(1));
    assert_eq!(report(&service, &json!(long_ago.to_string()), json!({"status": 200})).await.status, 409);
    assert_eq!(balance(&mut app.database().conn(), scene.here().id), (1, 0, 0));
}

#[actix_web::test]
async fn a_revocation_changes_nothing_about_what_is_under_way() {
    let app = App::with_changes(&[ON_SUCCESS]);
    let scene = app.make().org().credits(1).admin().key();
    let (service, key, mut conn) = (app.service(), scene.a_key(), app.database().conn());
    let value = told(&service, key, json!({"credits": 1})).await;
    latchkey::keys::revoke(&mut conn, &latchkey::actor::Actor::command_line(), clock::now(), scene.here().id, key.id).unwrap();
    assert_eq!(told(&service, key, json!({"credits": 1})).await["outcome"], "revoked", "for the very next question");
    assert_eq!(report(&service, &value["request_id"], json!({"status": 200})).await.status, 200);
    assert_eq!(balance(&mut conn, scene.here().id), (0, 0, 1));
}

#[actix_web::test]
async fn what_nobody_reports_is_settled_once_however_many_instances_there_are() {
    let first = App::with_changes(&[ON_SUCCESS, SHORT]);
    let second = first.sibling();
    let scene = first.make().org().credits(100).key();
    let (org, key, mut conn) = (scene.here().id, scene.a_key(), first.database().conn());
    let services = [first.service(), second.service()];
    let asked: Vec<Value> = futures_util::future::join_all((0..20).map(|n| ask(&services[n % 2], key, json!({"credits": 2}))))
        .await
        .iter()
        .map(|answer| answer.json()["request_id"].clone())
        .collect();
    let free = told(&services[0], key, json!({})).await["request_id"].clone();
    // Reports until it is too late, each of another request.
    let mut reported = 0;
    while number(&mut conn, "SELECT count(*) FROM request_holds") > 0 {
        if let Some(id) = asked.get(reported).filter(|_| reported < 5) {
            assert_eq!(report(&services[reported % 2], id, json!({"status": 500})).await.status, 200);
            reported += 1;
        }
        actix_web::rt::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((reported, balance(&mut conn, org)), (5, (70, 0, 30)));
    let actor = format!("Key {}…", key.prefix);
    for (n, id) in asked.iter().enumerate() {
        let end = if n < 5 { ("release", "Service") } else { ("settle", "Latchkey") };
        assert_eq!(ledger(&mut conn, org, id.as_str().unwrap()), entries(&[("hold", &actor), end]));
        let answer = report(&services[n % 2], id, json!({"status": 500})).await;
        assert_eq!(answer.status, 409, "its time is over");
    }
    assert_eq!(report(&services[0], &free, json!({"status": 500})).await.status, 409, "also where nothing was held");
    let settled = row(&mut conn, asked[19].as_str().unwrap()).unwrap();
    assert_eq!((settled.status, settled.credits), (200, 2), "as it was verified");
    let page = first.anon().get("/metrics").send().await.text().to_owned() + second.anon().get("/metrics").send().await.text();
    let counted: i64 = page.lines().filter_map(|line| line.strip_prefix("latchkey_overdue_holds_total ")?.parse::<i64>().ok()).sum();
    assert_eq!(counted, 15);
}

/// Clocks differ: what one instance holds to be over is over for another one, which thinks that there is time.
#[actix_web::test]
async fn a_report_after_the_hold_was_ended_changes_nothing() {
    let app = App::with_changes(&[ON_SUCCESS]);
    let scene = app.make().org().credits(5).key();
    let (service, org, mut conn) = (app.service(), scene.here().id, app.database().conn());
    let value = told(&service, scene.a_key(), json!({"credits": 5})).await;
    assert_eq!(admission::settle_overdue(&mut conn, clock::now() + time::Duration::minutes(16)).unwrap(), 1);
    assert_eq!(report(&service, &value["request_id"], json!({"status": 500})).await.status, 409);
    let row = row(&mut conn, value["request_id"].as_str().unwrap()).unwrap();
    assert_eq!((row.status, row.credits, balance(&mut conn, org)), (200, 5, (0, 0, 5)));
}

/// The history may be gone by the time somebody looks: credits are not forgotten with it.
#[actix_web::test]
async fn a_hold_outlives_its_row_and_ends() {
    let app = App::with_changes(&[ON_SUCCESS]);
    let scene = app.make().org().credits(5).key();
    let (org, mut conn) = (scene.here().id, app.database().conn());
    told(&app.service(), scene.a_key(), json!({"credits": 5})).await;
    sql_query("DELETE FROM requests").execute(&mut conn).unwrap();
    let later = clock::now() + time::Duration::minutes(16);
    assert_eq!(admission::settle_overdue(&mut conn, clock::now()).unwrap(), 0);
    assert_eq!(admission::settle_overdue(&mut conn, later).unwrap(), 1);
    assert_eq!(admission::settle_overdue(&mut conn, later).unwrap(), 0);
    assert_eq!(balance(&mut conn, org), (0, 0, 5));
}

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = Integer)]
    status: i32,
    #[diesel(sql_type = Integer)]
    requests: i32,
    #[diesel(sql_type = Text)]
    route: String,
}

/// Whether charts and rows say the same, each status and route.
fn assert_agreement(app: &App, conn: &mut PgConnection, organization: OrgId, when: &str) {
    let span = Period::Day.span(clock::now());
    let profile = &app.site.profile;
    let rows: Vec<Counted> = sql_query(
        "SELECT status::int4 AS status, count(*)::int4 AS requests, route FROM requests WHERE organization_id = $1 GROUP BY status, route",
    )
    .bind::<Uuid, _>(organization)
    .load(conn)
    .unwrap();
    let mut told = 0;
    for status in [200, 201, 404, 429, 500] {
        let filter = Filter { status: usage::Status::parse(&status.to_string()), ..Filter::default() };
        let charted = snapshot(conn, |conn| usage::consumption(conn, organization, profile, &filter, span, By::Route)).unwrap();
        let expected: i32 = rows.iter().filter(|row| row.status == status).map(|row| row.requests).sum();
        assert_eq!(charted.total.requests(), i64::from(expected), "{status} {when}");
        assert_eq!(charted.hours.iter().flatten().sum::<i64>(), i64::from(expected), "{status} {when}");
        assert!(charted.hours.iter().flatten().all(|requests| *requests >= 0));
        let by_route: i64 = charted.routes.iter().map(|share| share.counts.requests()).sum();
        assert_eq!(by_route, i64::from(expected), "{status} {when}");
        let page = snapshot(conn, |conn| usage::history(conn, organization, profile, &filter, None, 100)).unwrap();
        assert_eq!(page.requests.len() as i32, expected, "{status} {when}");
        told += expected;
        let durations: Vec<i32> = page.requests.iter().map(|request| request.duration_us).collect();
        let (least, most) = (durations.iter().min(), durations.iter().max());
        let is_within = |duration: i64| {
            let [least, most] = [least, most].map(|bound| f64::from(*bound.unwrap()));
            (least * 0.95 - 1.0..=most * 1.05 + 1.0).contains(&(duration as f64))
        };
        assert_eq!(charted.durations.p50.is_some(), expected > 0, "{status} {when}");
        assert!([charted.durations.p50, charted.durations.p95].into_iter().flatten().all(is_within), "{status} {when}");
    }
    assert_eq!(told, rows.iter().map(|row| row.requests).sum::<i32>());
    assert!(rows.iter().all(|row| row.route == "VERIFY"));
    let filter = Filter { address: usage::Address::parse(profile, "VERIFY"), ..Filter::default() };
    let of_route = snapshot(conn, |conn| usage::consumption(conn, organization, profile, &filter, span, By::Key)).unwrap();
    assert_eq!(of_route.total.requests(), i64::from(told), "{when}");
    let filter = Filter { address: usage::Address::parse(profile, "/reports/7"), ..Filter::default() };
    let page = snapshot(conn, |conn| usage::history(conn, organization, profile, &filter, None, 100)).unwrap();
    assert_eq!(page.requests.len() as i32, told, "found by their path, {when}");
}

#[actix_web::test]
async fn charts_history_and_ledger_agree_however_it_is_folded() {
    let app = App::with_changes(&[ON_SUCCESS]);
    let scene = app.make().org().credits(1_000).key();
    let (service, org, key, mut conn) = (app.service(), scene.here().id, scene.a_key(), app.database().conn());
    // Nobody folds but this test.
    sql_query(format!("SELECT pg_advisory_lock({})", 0x6c61_7463_6866_6f6ci64)).execute(&mut conn).unwrap();
    let mut asked = Vec::new();
    for _ in 0..40 {
        asked.push(told(&service, key, json!({"credits": 1, "resource": "GET /reports/7"})).await["request_id"].clone());
    }
    let reports = async |range: std::ops::Range<usize>| {
        for n in range {
            let status = [200, 201, 404, 429, 500][n % 5];
            assert_eq!(report(&service, &asked[n], json!({"status": status, "duration_ms": n * 100})).await.status, 200);
        }
    };
    assert_agreement(&app, &mut conn, org, "verified");
    reports(0..10).await;
    assert_agreement(&app, &mut conn, org, "reported before any fold");
    // What is taken away comes first, as in a fold that takes a piece of what waits.
    let half = "CREATE TABLE kept AS SELECT * FROM usage_pending WHERE requests > 0; DELETE FROM usage_pending WHERE requests > 0";
    diesel::connection::SimpleConnection::batch_execute(&mut conn, half).unwrap();
    assert!(rollups::fold(&mut conn).unwrap() > 0);
    diesel::connection::SimpleConnection::batch_execute(&mut conn, "INSERT INTO usage_pending SELECT * FROM kept; DROP TABLE kept")
        .unwrap();
    assert_agreement(&app, &mut conn, org, "less folded, more waiting");
    assert!(rollups::fold(&mut conn).unwrap() > 0);
    assert_agreement(&app, &mut conn, org, "all folded");
    reports(10..25).await;
    assert_agreement(&app, &mut conn, org, "folded before the report");
    assert!(rollups::fold(&mut conn).unwrap() > 0);
    reports(25..40).await;
    rollups::fold(&mut conn).unwrap();
    assert_agreement(&app, &mut conn, org, "all of it folded");
    let key_uses = usage::uses(&mut conn, org, Some(key.id)).unwrap();
    assert_eq!(key_uses.values().map(|of| of.requests).sum::<i64>(), 40);
    let spent = number(&mut conn, "SELECT sum(credits) FROM requests");
    assert_eq!((spent, credits::balance(&mut conn, org).unwrap().settled), (16, 16));
    assert_eq!(balance(&mut conn, org), (984, 0, 16));
}

#[actix_web::test]
async fn an_id_from_the_end_of_time_spoils_no_other_report() {
    let app = App::with_changes(&[ON_SUCCESS]);
    let scene = app.make().org().credits(20).key();
    let (service, key) = (app.service(), scene.a_key());
    // The last milliseconds that a date can have; and one that none has.
    let ends = ["07ffffff-ffff-7fff-bfff-ffffffffffff", "e677d21f-db98-7000-8000-000000000000", "ffffffff-ffff-7fff-bfff-ffffffffffff"];
    let ends = ends.map(|id| RequestId(id.parse().unwrap()).to_string());
    for _ in 0..20 {
        let value = told(&service, key, json!({"credits": 1})).await;
        let strange = ends.iter().map(|id| service.post(&format!("/verify/v1/requests/{id}/outcome")).json(&json!({"status": 200})).send());
        let (answer, strange) = futures_util::future::join(
            report(&service, &value["request_id"], json!({"status": 200})),
            futures_util::future::join_all(strange),
        )
        .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(strange.iter().all(|answer| [404, 409].contains(&answer.status)), "{strange:?}");
    }
}
