//! Calls that are none: told in words, in JSON, and nothing happens.

use awc::http::Method;
use serde_json::{Value, json};

use super::told;
use crate::support::{Answer, App, Client, Key, number};

fn refusal(answer: &Answer) -> (u16, String) {
    let body = answer.json();
    assert!(body["error"].as_str().is_some_and(|sentence| sentence.ends_with(['.', '…'])), "{body}");
    (answer.status, body["code"].as_str().unwrap().to_owned())
}

fn fields(answer: &Answer) -> Vec<String> {
    assert_eq!(refusal(answer), (422, "invalid_request".into()));
    answer.json()["fields"].as_array().unwrap().iter().map(|field| field["field"].as_str().unwrap().to_owned()).collect()
}

#[actix_web::test]
async fn only_service_tokens_pass() {
    let app = App::start();
    let mut scene = app.make().org().credits(1).key();
    let (good, worker) = (scene.service_token(), scene.worker_token());
    let key = scene.a_key().clone();
    let bearer = |token: &str| format!("Bearer {token}");
    let id = told(&Client::bearer(&app.origin(), &good), &key, json!({})).await["request_id"].as_str().unwrap().to_owned();
    let before = number(&mut app.database().conn(), "SELECT count(*) FROM requests");
    for path in ["/verify/v1/keys".to_owned(), format!("/verify/v1/requests/{id}/outcome")] {
        let bad: [&[String]; 7] = [
            &[],
            &[bearer(&worker)],
            &[bearer(&key.text)],
            &[bearer("lks_0000000000000000000000000000000000000000")],
            &[format!("Basic {good}")],
            std::slice::from_ref(&good),
            &[bearer(&good), bearer(&good)],
        ];
        for authorization in bad {
            let mut request = app.anon().post(&path).json(&json!({"key": key.text, "status": 200}));
            for value in authorization {
                request = request.also_header("authorization", value);
            }
            let answer = request.send().await;
            assert_eq!(refusal(&answer), (401, "unauthenticated".into()), "{authorization:?}");
            assert_eq!(answer.header("www-authenticate"), "Bearer");
        }
        // Not even a broken body is looked at before the token is.
        assert_eq!(app.anon().post(&path).body("{").send().await.status, 401);
    }
    assert_eq!(number(&mut app.database().conn(), "SELECT count(*) FROM requests"), before);
    // A token that is taken out of the database is none at once.
    diesel::RunQueryDsl::execute(diesel::sql_query("DELETE FROM service_tokens"), &mut app.database().conn()).unwrap();
    assert_eq!(super::ask(&Client::bearer(&app.origin(), &good), &key, json!({})).await.status, 401);
}

#[actix_web::test]
async fn bad_bodies_are_refused_and_counted_nowhere() {
    let app = App::start();
    let scene = app.make().org().credits(5).key();
    let (service, key): (Client, &Key) = (app.service(), scene.a_key());
    let raw = |body: &str| service.post("/verify/v1/keys").header("content-type", "application/json").body(body.to_owned()).send();
    for body in ["", "{", "{\"key\":\"x\"} {}", "\u{feff}{}", "{'key':'x'}"] {
        assert_eq!(refusal(&raw(body).await), (400, "invalid_json".into()), "{body}");
    }
    assert_eq!(fields(&raw("[]").await), ["body"]);
    assert_eq!(refusal(&raw(&format!("{{\"key\":\"{}\"}}", "x".repeat(17_000))).await), (413, "too_large".into()));
    let text = service.post("/verify/v1/keys").header("content-type", "text/plain").body("{}").send().await;
    assert_eq!(refusal(&text), (415, "unsupported_media_type".into()));
    let packed = service.post("/verify/v1/keys").json(&json!({})).header("content-encoding", "gzip").send().await;
    assert_eq!(refusal(&packed), (415, "unsupported_media_type".into()));
    let long = "x".repeat(201);
    for (wrong, names) in [
        (json!({"key": 7}), vec!["key"]),
        (json!({"key": [key.text]}), vec!["key"]),
        (json!({"permission": ""}), vec!["permission"]),
        (json!({"permission": "a\u{0}b"}), vec!["permission"]),
        (json!({"permission": long}), vec!["permission"]),
        (json!({"credits": -1}), vec!["credits"]),
        (json!({"credits": 1.5}), vec!["credits"]),
        (json!({"credits": "1"}), vec!["credits"]),
        (json!({"credits": 1_000_001}), vec!["credits"]),
        (json!({"credits": u64::MAX}), vec!["credits"]),
        (json!({"limit": ""}), vec!["limit"]),
        (json!({"limit": "none"}), vec!["limit"]),
        (json!({"resource": long}), vec!["resource"]),
        (json!({"resource": "a\nb"}), vec!["resource"]),
        (json!({"source": "a\u{0}"}), vec!["source"]),
        (json!({"permision": "reports:read"}), vec!["permision"]),
        (json!({"credits": true, "source": 1, "resource": {}}), vec!["credits", "resource", "source"]),
    ] {
        let mut body = json!({"key": key.text});
        body.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
        let mut told = fields(&raw(&body.to_string()).await);
        told.sort_unstable();
        assert_eq!(told, names, "{wrong}");
    }
    let id =
        told(&service, key, json!({"credits": 1, "permission": null, "limit": null, "resource": null, "source": null})).await["request_id"]
            .clone();
    for (wrong, names) in [
        (json!({}), vec!["status"]),
        (json!({"status": null}), vec!["status"]),
        (json!({"status": 99}), vec!["status"]),
        (json!({"status": 600}), vec!["status"]),
        (json!({"status": "200"}), vec!["status"]),
        (json!({"status": 200, "duration_ms": -1}), vec!["duration_ms"]),
        (json!({"status": 200, "duration_ms": 1e300}), vec!["duration_ms"]),
        (json!({"status": 200, "duration_ms": "1"}), vec!["duration_ms"]),
        (json!({"status": 200, "success": 1}), vec!["success"]),
        (json!({"status": 200, "sucess": false}), vec!["sucess"]),
    ] {
        assert_eq!(fields(&super::report(&service, &id, wrong.clone()).await), names, "{wrong}");
    }
    assert_eq!(number(&mut app.database().conn(), "SELECT count(*) FROM requests"), 1);
    assert_eq!(super::report(&service, &id, json!({"status": 200})).await.status, 200, "it was not used up");
}

#[actix_web::test]
async fn wrong_methods_and_addresses_are_told() {
    let app = App::start();
    let service = app.service();
    for path in ["/verify/v1/keys", "/verify/v1/requests/req_x/outcome"] {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let answer = service.request(method, path).send().await;
            assert_eq!((refusal(&answer), answer.header("allow")), ((405, "method_not_allowed".into()), "POST"));
        }
    }
    for path in ["/verify/v1", "/verify/v1/", "/verify/v1/key", "/verify/v1/requests", "/verify/v1/forward/x"] {
        assert_eq!(refusal(&service.post(path).json(&Value::Null).send().await), (404, "not_found".into()), "{path}");
    }
}
