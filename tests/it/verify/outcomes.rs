//! Every outcome: what a service is told to relay is what the Partner API answers for the same key.

use diesel::sql_types::Uuid;
use diesel::{PgConnection, RunQueryDsl, sql_query};
use serde_json::{Value, json};

use super::{PERMISSIONS, Row, ask, row, told};
use crate::partner_api::balance;
use crate::support::{Answer, App, Client, Key, key_text};

/// Fields of an answer that are of its own moment or of its transport.
const OWN: [&str; 6] = ["x-request-id", "content-length", "date", "connection", "vary", "content-encoding"];

/// Holds what is told against an answer of the Partner API. What counts down, seconds and places, may differ by one.
fn assert_same(told: &Answer, partner: &Answer) {
    let value = told.json();
    assert_eq!(value["status"], partner.status, "{value}");
    let headers = value["headers"].as_object().unwrap();
    let names = |mut names: Vec<String>| {
        names.sort();
        names
    };
    let of_partner = partner.headers.keys().map(|name| name.as_str().to_owned()).filter(|name| !OWN.contains(&name.as_str())).collect();
    let of_told = headers.keys().filter(|name| !OWN.contains(&name.as_str())).cloned().collect();
    assert_eq!(names(of_told), names(of_partner));
    let counts_down = ["ratelimit", "x-ratelimit-remaining", "x-ratelimit-reset", "retry-after"];
    for (name, text) in headers.iter().filter(|(name, _)| !OWN.contains(&name.as_str()) && !counts_down.contains(&name.as_str())) {
        assert_eq!(text, partner.header(name), "{name}");
    }
    assert_eq!(headers["x-request-id"], value["request_id"]);
    assert_eq!(told.header("x-request-id"), value["request_id"].as_str().unwrap());
    // As it was rendered, byte by byte.
    let seconds = |answer: &str| format!("\"retry_after\":{answer}");
    let retry = headers.get("retry-after").and_then(Value::as_str).unwrap_or_default();
    let expected = partner.text().replace(&seconds(partner.header("retry-after")), &seconds(retry));
    assert!(told.text().contains(&format!("\"body\":{expected},")), "{expected} in {}", told.text());
}

fn change(conn: &mut PgConnection, statement: &str, key: &Key) {
    assert_eq!(sql_query(statement).bind::<Uuid, _>(key.id).execute(conn).unwrap(), 1);
}

#[actix_web::test]
async fn every_refusal_is_that_of_the_partner_api() {
    let app = App::with_changes(PERMISSIONS);
    let (service, mut conn) = (app.service(), app.database().conn());
    let states = [
        (
            "suspended",
            None,
            "UPDATE organizations SET suspended_at = now(), suspended_reason = 'x' WHERE id = (SELECT organization_id FROM api_keys WHERE id = $1)",
        ),
        ("revoked", Some("revoked"), "UPDATE api_keys SET revoked_at = now(), revoked_by = 'x' WHERE id = $1"),
        ("expired", Some("expired"), "UPDATE api_keys SET expires_at = now() - interval '1 s' WHERE id = $1"),
        ("inactive", Some("inactive"), "UPDATE api_keys SET deactivated_at = now() WHERE id = $1"),
        ("permission", Some("active"), "UPDATE api_keys SET permissions = '{reports:write}' WHERE id = $1"),
        (
            "rate_limited",
            Some("active"),
            "UPDATE organizations SET requests_per_minute = 1 WHERE id = (SELECT organization_id FROM api_keys WHERE id = $1)",
        ),
    ];
    for (outcome, status, statement) in states {
        let scene = app.make().org().credits(5).key();
        let (org, key) = (scene.here().clone(), scene.a_key().clone());
        change(&mut conn, statement, &key);
        if outcome == "rate_limited" {
            assert_eq!(app.partner(&key).get("/key").send().await.status, 200);
        }
        let answer =
            ask(&service, &key, json!({"permission": "reports:read", "credits": 5, "resource": "GET /reports/7", "source": "203.0.113.9"}))
                .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let value = answer.json();
        assert_eq!((&value["valid"], &value["outcome"]), (&json!(false), &json!(outcome)), "{value}");
        assert_same(&answer, &app.partner(&key).get("/key").send().await);
        assert_eq!(value["organization"], json!({"id": org.id, "slug": org.slug, "name": org.name}));
        let name = &value["key"]["name"];
        assert_eq!(value["key"], json!({"id": key.id, "name": name, "prefix": key.prefix, "environment": "live", "status": status}));
        assert_eq!(value["credits"], json!({"required": 5, "available": 5}));
        assert_eq!(value["rate_limit"].is_null(), outcome != "rate_limited", "what is not looked at is not told: {value}");
        // Refused ones are in the history too, and pay nothing.
        let row = row(&mut conn, value["request_id"].as_str().unwrap()).expect("in the history");
        assert_eq!((row.status, row.outcome.as_str(), row.credits), (value["status"].as_i64().unwrap() as i32, outcome, 0));
        assert_eq!(balance(&mut conn, org.id), (5, 0, 0));
    }
}

#[actix_web::test]
async fn a_key_that_is_none_is_told_as_by_the_partner_api_and_belongs_to_nobody() {
    let app = App::with_changes(PERMISSIONS);
    let (service, partner) = (app.service(), app.anon());
    let good = key_text(&app.site.profile, "live");
    let wrong = format!("{}{}", &good[..good.len() - 1], if good.ends_with('x') { 'y' } else { 'x' });
    for (key, outcome) in [
        (Value::Null, "missing"),
        (json!(""), "missing"),
        (json!(good), "unknown"),
        (json!(wrong), "unknown"),
        (json!("lkw_x"), "unknown"),
        (json!("a\u{0}b"), "unknown"),
        (json!("🔑".repeat(1_000)), "unknown"),
    ] {
        let answer = service.post("/verify/v1/keys").json(&json!({"key": key, "credits": 1})).send().await;
        let value = answer.json();
        assert_eq!((answer.status, &value["valid"], &value["outcome"]), (200, &json!(false), &json!(outcome)), "{value}");
        for unknown in ["organization", "key", "permissions", "rate_limit", "credits"] {
            assert!(value[unknown].is_null(), "{unknown} of {value}");
        }
        let same = if outcome == "missing" { partner.get("/key") } else { Client::bearer(&app.origin(), &good).get("/key") };
        assert_same(&answer, &same.send().await);
    }
    let without = service.post("/verify/v1/keys").json(&json!({})).send().await;
    assert_eq!(without.json()["outcome"], "missing");
    assert!(without.text().contains(r#""body":{"detail":"API Key is missing"},"#), "{}", without.text());
    assert_eq!(crate::support::number(&mut app.database().conn(), "SELECT count(*) FROM requests"), 0);
}

#[actix_web::test]
async fn a_key_that_passes_is_described_and_counted_and_in_the_history() {
    let app = App::with_changes(PERMISSIONS);
    let (service, mut conn) = (app.service(), app.database().conn());
    let scene = app.make().org().credits(10).key();
    let (org, key) = (scene.here().clone(), scene.a_key().clone());
    let more = json!({"permission": "reports:read", "credits": 3, "resource": "POST /reports/7?key=x", "source": "203.0.113.9"});
    let answer = ask(&service, &key, more).await;
    let value = answer.json();
    assert_eq!(
        (&value["valid"], &value["outcome"], &value["status"], &value["body"]),
        (&json!(true), &json!("accepted"), &json!(200), &Value::Null)
    );
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(value["permissions"], json!(["reports:read", "reports:write"]));
    assert_eq!((&value["rate_limit"]["limit"], &value["rate_limit"]["remaining"]), (&json!(60), &json!(59)));
    assert_eq!(value["credits"], json!({"required": 3, "available": 7}), "after it took its own");
    let headers = value["headers"].as_object().unwrap();
    assert_eq!(headers["ratelimit-policy"], "\"default\";q=60;w=60");
    assert_eq!(headers.len(), 6, "the fields of the limit and the request's id: {headers:?}");
    // The same window as the Partner API's.
    assert_eq!(app.partner(&key).get("/key").send().await.header("x-ratelimit-remaining"), "58");
    let row = row(&mut conn, value["request_id"].as_str().unwrap()).unwrap();
    let Row { duration_us, .. } = row;
    let expected = Row {
        method: "POST".into(),
        path: "/reports/7".into(),
        route: "VERIFY reports:read".into(),
        status: 200,
        outcome: "accepted".into(),
        credits: 3,
        duration_us,
        address: "203.0.113.9".into(),
        detail: None,
    };
    assert_eq!(row, expected);
    assert_eq!(balance(&mut conn, org.id), (7, 0, 3), "settled at once");
    let entries = super::ledger(&mut conn, org.id, value["request_id"].as_str().unwrap());
    let actor = format!("Key {}…", key.prefix);
    assert_eq!(entries, super::entries(&[("hold", &actor), ("settle", &actor)]));
}

#[actix_web::test]
async fn credits_that_are_not_there_are_refused_with_the_profiles_numbers() {
    let changes = [(
        r#"body = '{"detail":"Insufficient credits to perform analysis","code":"insufficient_credits"}'"#,
        r#"body = '{ "required":{credits_required}, "available":{credits_available} }'"#,
    )];
    let app = App::with_changes(&changes);
    let (service, mut conn) = (app.service(), app.database().conn());
    let scene = app.make().org().key().key_in("test");
    let [live, test] = scene.keys() else { panic!("two keys") };
    let answer = ask(&service, live, json!({"credits": 1})).await;
    assert_eq!(answer.json()["outcome"], "credits");
    assert_same(&answer, &app.partner(live).post("/analyses").json(&json!({"input": {}})).send().await);
    let many = ask(&service, live, json!({"credits": 1_000_000, "resource": "a report"})).await;
    assert!(many.text().contains(r#""body":{ "required":1000000, "available":0 },"#), "{}", many.text());
    assert_eq!(many.json()["credits"], json!({"required": 1_000_000, "available": 0}));
    let row = row(&mut conn, many.json()["request_id"].as_str().unwrap()).unwrap();
    assert_eq!((row.method.as_str(), row.path.as_str(), row.status, row.outcome.as_str()), ("VERIFY", "a report", 402, "credits"));
    assert_eq!(row.detail.as_deref(), Some(r#"{"available":0,"required":1000000}"#));
    // A sandbox pays nothing, whatever is asked.
    let free = told(&service, test, json!({"credits": 1_000_000})).await;
    assert_eq!((&free["valid"], &free["credits"]), (&json!(true), &json!({"required": 0, "available": 0})));
}

#[actix_web::test]
async fn permissions_are_asked_where_keys_hold_any_and_name_routes_only_where_the_profile_knows_them() {
    let chosen = App::with_changes(PERMISSIONS);
    let scene = chosen.make().org().key();
    let (service, key) = (chosen.service(), scene.a_key());
    for (permission, outcome, route) in
        [("reports:read", "accepted", "VERIFY reports:read"), ("reports:fly", "permission", "VERIFY"), ("*", "permission", "VERIFY")]
    {
        let value = told(&service, key, json!({"permission": permission})).await;
        assert_eq!(value["outcome"], outcome, "{permission}");
        let row = row(&mut chosen.database().conn(), value["request_id"].as_str().unwrap()).unwrap();
        assert_eq!(row.route, route, "{permission}");
    }
    let all = App::start();
    let scene = all.make().org().key();
    let value = told(&all.service(), scene.a_key(), json!({"permission": "reports:fly"})).await;
    assert_eq!((&value["outcome"], &value["permissions"]), (&json!("accepted"), &json!([])), "where all may do all, nothing is asked");
}

#[actix_web::test]
async fn a_service_names_the_limit() {
    let limits = (
        "# Your own services ask",
        "[[limits]]\nname = \"slow\"\nscope = \"organization\"\nrequests = 1\nwindow = \"1h\"\n\n# Your own services ask",
    );
    let app = App::with_changes(&[limits]);
    let scene = app.make().org().key();
    let (service, key) = (app.service(), scene.a_key());
    assert_eq!(told(&service, key, json!({"limit": "slow"})).await["rate_limit"]["limit"], 1);
    let second = told(&service, key, json!({"limit": "slow"})).await;
    assert_eq!((&second["outcome"], &second["status"]), (&json!("rate_limited"), &json!(429)));
    assert_eq!(told(&service, key, json!({})).await["rate_limit"]["remaining"], 59, "the profile's own for all others");
    let unknown = ask(&service, key, json!({"limit": "fast"})).await;
    assert_eq!(unknown.status, 422);
    assert!(unknown.text().contains("There are: default, slow."), "{}", unknown.text());
    // Without one in the profile there is none.
    let app = App::with_changes(&[("limit = \"default\"\ncharge", "charge")]);
    let scene = app.make().org().key();
    let value = told(&app.service(), scene.a_key(), json!({})).await;
    assert_eq!((&value["rate_limit"], value["headers"].as_object().unwrap().len()), (&Value::Null, 1));
}

#[actix_web::test]
async fn the_usage_tab_shows_and_finds_them() {
    let app = App::with_changes(PERMISSIONS);
    let scene = app.make().org().admin().key();
    let (service, key, browser) = (app.service(), scene.a_key(), app.browser(scene.an_admin()).await);
    let read = told(&service, key, json!({"permission": "reports:read", "resource": "GET /reports/7"})).await;
    let plain = told(&service, key, json!({"resource": "POST /documents/7"})).await;
    let partner = app.partner(key).get("/credits").send().await;
    let ids = [&read["request_id"], &plain["request_id"]].map(|id| id.as_str().unwrap().to_owned());
    let ids = [ids[0].as_str(), ids[1].as_str(), partner.header("x-request-id")];
    for (path, shown) in [
        ("", [true, true, true]),
        ("VERIFY", [true, true, false]),
        ("VERIFY%20reports:read", [true, false, false]),
        ("/documents", [false, true, false]),
        ("/reports/7", [true, false, false]),
        ("/credits", [false, false, true]),
    ] {
        let page = browser.get(&format!("/orgs/{}/usage?path={path}", scene.here().slug)).send().await;
        assert_eq!(page.status, 200);
        let found = ids.map(|id| page.text().contains(&format!("data-request-id=\"{id}\"")));
        assert_eq!(found, shown, "{path}");
    }
}
