//! Reports of programs, in the format of GitHub's partners.

use futures_util::future::join_all;
use serde_json::json;

use super::{PLACE, actions, call, entries, label, report};
use crate::support::{App, key_text};

#[actix_web::test]
async fn a_leaked_key_is_dead_before_the_answer_is_sent() {
    let app = App::start();
    let scene = app.make().org().admin().key().key_in("test");
    let (key, other) = (&scene.keys()[0], &scene.keys()[1]);
    let (unknown, wrong) = (key_text(&app.site.profile, "live"), format!("{}000000", &key.text[..key.text.len() - 6]));
    let tokens = json!([
        {"token": key.text, "type": "latchkey_api_key", "url": PLACE, "source": "content", "score": [1, {"a": null}]},
        {"token": unknown, "type": "latchkey_api_key", "url": PLACE},
        {"token": wrong, "type": "", "url": null},
        {"token": format!(" {}", key.text)},
        {"token": ""},
    ]);
    assert_eq!(call(&app, &key.text).await, 200);
    let answer = app.anon().post("/leaked-keys").json(&tokens).send().await;
    assert_eq!(call(&app, &key.text).await, 403, "at once");
    assert_eq!((answer.status, answer.header("content-type"), answer.header("cache-control")), (200, "application/json", "no-store"));
    let told = |token: &str, kind: &str, label: &str| json!({"token_raw": token, "token_type": kind, "label": label});
    let expected = json!([
        told(&key.text, "latchkey_api_key", "true_positive"),
        told(&unknown, "latchkey_api_key", "false_positive"),
        told(&wrong, "", "false_positive"),
        told(&format!(" {}", key.text), "", "false_positive"),
        told("", "", "false_positive"),
    ]);
    assert_eq!(answer.json(), expected);
    assert_eq!(call(&app, &other.text).await, 200, "nobody reported this one");
    let log = entries(&app, scene.here().id);
    assert_eq!(log.len(), 1, "one action, one entry: {log:?}");
    let (action, changes) = &log[0];
    assert_eq!(
        (action.as_str(), &changes["after"]["leaked_where"], &changes["after"]["prefix"]),
        ("key.leaked", &json!(PLACE), &json!(key.prefix))
    );
    assert!(changes["before"]["revoked_at"].is_null() && changes["after"]["revoked_at"].is_string(), "{changes}");
    assert!(latchkey::audit::verify(&mut app.database().conn()).unwrap().first_break.is_none());
}

#[actix_web::test]
async fn further_reports_do_nothing_more() {
    let app = App::start();
    let scene = app.make().org().admin().key();
    let key = scene.a_key();
    let (anon, profile) = (app.anon(), &app.site.profile);
    let reports = join_all((0..100).map(|_| report(&anon, &key.text))).await;
    assert!(reports.iter().all(|answer| label(answer) == "true_positive"));
    assert_eq!(label(&report(&anon, &key.text).await), "true_positive");
    let twice = json!([{"token": key.text}, {"token": key.text, "url": "https://elsewhere.example"}, {"token": key_text(profile, "live")}]);
    assert_eq!(anon.post("/leaked-keys").json(&twice).send().await.status, 200);
    assert_eq!(actions(&app, scene.here().id), ["key.leaked"]);
    assert_eq!(entries(&app, scene.here().id)[0].1["after"]["leaked_where"], json!(PLACE), "of the first one");
}

#[actix_web::test]
async fn what_is_no_report_is_told_so_in_json() {
    let app = App::start();
    let scene = app.make().org().key();
    let text = &scene.a_key().text;
    let many = |count: usize| serde_json::Value::from(vec![json!({"token": "x"}); count]).to_string();
    let json_type = "application/json";
    let cases = [
        (json_type, String::new(), 400),
        (json_type, "[{\"token\":".into(), 400),
        (json_type, format!("[{{\"token\":\"{text}\"}}"), 400),
        (json_type, "\u{0}".into(), 400),
        (json_type, format!("{}{}", "[".repeat(1_000), "]".repeat(1_000)), 422),
        (json_type, "{}".into(), 422),
        (json_type, "null".into(), 422),
        (json_type, format!("\"{text}\""), 422),
        (json_type, format!("[\"{text}\"]"), 422),
        (json_type, format!("[{{\"token\":[\"{text}\"]}}]"), 422),
        (json_type, format!("[{{\"token\":\"{text}\"}},{{\"type\":\"x\"}}]"), 422),
        (json_type, many(501), 422),
        (json_type, format!("[{{\"token\":\"{}\"}}]", "a".repeat(1 << 20)), 413),
        ("text/plain", format!("[{{\"token\":\"{text}\"}}]"), 415),
        ("", format!("[{{\"token\":\"{text}\"}}]"), 415),
    ];
    for (kind, body, status) in cases {
        let shown: String = body.chars().take(60).collect();
        let answer = app.anon().post("/leaked-keys").header("content-type", kind).body(body).send().await;
        assert_eq!((answer.status, answer.header("content-type")), (status, "application/json"), "{shown}: {}", answer.text());
        assert!(answer.json()["error"].is_string() && answer.json()["code"].is_string(), "{shown}");
        assert!(!answer.text().contains(&text[8..]), "{shown}: {}", answer.text());
    }
    let deep = format!("[{{\"token\":\"x\",\"more\":{}{}}}]", "[".repeat(100_000), "]".repeat(100_000));
    for (body, count) in [("[]".to_owned(), 0), (many(500), 500), (deep, 1)] {
        let answer = app.anon().post("/leaked-keys").header("content-type", "application/json; charset=utf-8").body(body).send().await;
        assert_eq!((answer.status, answer.json().as_array().map(Vec::len)), (200, Some(count)));
    }
    let other = app.anon().put("/leaked-keys").json(&json!([])).send().await;
    assert_eq!((other.status, other.header("content-type"), other.header("allow")), (405, "application/json", "GET, HEAD, POST"));
    assert_eq!(call(&app, text).await, 200, "nothing was done");
    assert!(actions(&app, scene.here().id).is_empty());
}

#[actix_web::test]
async fn another_site_can_not_report_by_somebodys_browser() {
    let app = App::start();
    let scene = app.make().org().key();
    let text = &scene.a_key().text;
    for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")] {
        let answer = app.anon().post("/leaked-keys").header(name, value).json(&json!([{"token": text}])).send().await;
        assert_eq!((answer.status, answer.header("content-type")), (403, "application/json"), "{}", answer.text());
        let form = app.anon().post("/leaked-keys").header(name, value).form(&[("key", text.as_str())]).send().await;
        assert_eq!(form.status, 403);
    }
    assert_eq!(call(&app, text).await, 200);
}
