//! The question as proxies ask it, without one between.

use std::time::{Duration, Instant};

use awc::http::Method;
use serde_json::json;

use super::{ON_SUCCESS, PERMISSIONS, row};
use crate::partner_api::balance;
use crate::support::{Answer, App, key_text, number};

const TOKEN: &str = "x-latchkey-service-token";

fn is_refusal(answer: &Answer, status: u16, body: &str) {
    assert_eq!((answer.status, answer.text()), (status, body));
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!((answer.header("x-refusal-status"), answer.header("x-refusal-body")), (status.to_string().as_str(), body));
    assert_eq!(answer.header("x-key-id"), "");
}

#[actix_web::test]
async fn a_key_that_passes_is_told_in_headers() {
    let app = App::with_changes(PERMISSIONS);
    let mut scene = app.make().org().credits(9).key();
    let (org, key, token) = (scene.here().id, scene.a_key().clone(), scene.service_token());
    let partner = app.partner(&key);
    for method in
        [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::from_bytes(b"PURGE").unwrap()]
    {
        let answer = partner.request(method.clone(), "/verify/v1/forward?permission=reports%3Aread").send().await;
        assert_eq!((answer.status, answer.text()), (200, ""), "{method}");
        assert_eq!(answer.header("x-organization-id"), org.to_string());
        assert_eq!(
            (answer.header("x-key-id"), answer.header("x-permissions")),
            (key.id.to_string().as_str(), "reports:read,reports:write")
        );
        assert!(answer.header("x-request-id").starts_with("req_") && answer.header("ratelimit-policy").starts_with("\"default\""));
        assert!(answer.headers.get("x-refusal-status").is_none() && answer.headers.get("x-refusal-body").is_none());
    }
    let ask = partner.post("/verify/v1/forward?permission=reports:write&credits=4&limit=default").header(TOKEN, &token);
    let ask = ask.header("x-forwarded-method", "DELETE").header("x-forwarded-uri", "/reports/7?page=2");
    let answer = ask.header("x-forwarded-for", "198.51.100.1, 203.0.113.9").header("user-agent", "partner/1").body("ignored").send().await;
    assert_eq!(answer.status, 200);
    let conn = &mut app.database().conn();
    let row = row(conn, answer.header("x-request-id")).unwrap();
    assert_eq!((row.method.as_str(), row.path.as_str(), row.route.as_str()), ("DELETE", "/reports/7", "VERIFY reports:write"));
    assert_eq!((row.status, row.credits, row.address.as_str()), (200, 4, "203.0.113.9"), "the address that the proxy saw");
    assert_eq!(balance(conn, org), (5, 0, 4));
}

#[actix_web::test]
async fn credits_are_settled_at_once_whatever_the_profile_says() {
    let app = App::with_changes(&[ON_SUCCESS]);
    let mut scene = app.make().org().credits(1).key();
    let (org, partner, token) = (scene.here().id, app.partner(scene.a_key()), scene.service_token());
    let ask = || partner.get("/verify/v1/forward?credits=1").header(TOKEN, &token).send();
    assert_eq!(ask().await.status, 200);
    assert_eq!(balance(&mut app.database().conn(), org), (0, 0, 1));
    is_refusal(&ask().await, 402, crate::partner_api::NO_CREDITS);
}

#[actix_web::test]
async fn a_refusal_is_that_of_the_profile() {
    let app = App::with_changes(&[PERMISSIONS, &[("requests = 60", "requests = 1")]].concat());
    let scene = app.make().org().key();
    let partner = app.partner(scene.a_key());
    let missing = app.anon().get("/verify/v1/forward").send().await;
    is_refusal(&missing, 401, r#"{"detail":"API Key is missing"}"#);
    assert_eq!(missing.header("www-authenticate"), "Bearer");
    let lacking = partner.get("/verify/v1/forward?permission=reports:fly").send().await;
    is_refusal(&lacking, 403, r#"{"detail":"API Key lacks the permission reports:fly","code":"insufficient_permissions"}"#);
    assert_eq!(partner.get("/verify/v1/forward").send().await.status, 200);
    let limited = partner.get("/verify/v1/forward").send().await;
    let retry = limited.header("retry-after");
    is_refusal(&limited, 429, &format!(r#"{{"detail":"Rate limit exceeded","code":"rate_limited","retry_after":{retry},"limit":1}}"#));
    assert_eq!(limited.header("x-ratelimit-remaining"), "0");
    let two =
        app.anon().get("/verify/v1/forward").also_header("authorization", "Bearer a").also_header("authorization", "Bearer b").send().await;
    is_refusal(&two, 400, r#"{"detail":"Send exactly one API key.","code":"ambiguous_credentials"}"#);
}

#[actix_web::test]
async fn the_key_stands_where_the_profile_says() {
    let app = App::with_changes(&[
        ("key_parameters = []", "key_parameters = [\"api_key\"]"),
        ("key_headers = []", "key_headers = [\"X-Api-Key\"]"),
    ]);
    let scene = app.make().org().key();
    let (key, anon) = (&scene.a_key().text, app.anon());
    let ask = || anon.get("/verify/v1/forward");
    for (name, value) in [
        ("x-api-key", key.clone()),
        ("x-original-uri", format!("/reports?page=2&api_key={key}")),
        ("x-forwarded-uri", format!("https://api.example.com/reports?api_key={key}#top")),
    ] {
        let answer = ask().header(name, &value).send().await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        let row = row(&mut app.database().conn(), answer.header("x-request-id")).unwrap();
        assert!(!row.path.contains("api_key"), "{row:?}");
    }
    // What Traefik and Caddy say replaces what a client sent; what only nginx would say is of the client then.
    let both = ask().header("x-api-key", key).header("x-forwarded-uri", "/true").header("x-original-uri", "/false").send().await;
    assert_eq!(row(&mut app.database().conn(), both.header("x-request-id")).unwrap().path, "/true");
    assert_eq!(ask().header("x-api-key", key).header("authorization", "Bearer x").send().await.status, 400);
}

#[actix_web::test]
async fn a_configuration_with_a_mistake_lets_nobody_pass() {
    let app = App::with_changes(PERMISSIONS);
    let mut scene = app.make().org().credits(9).key();
    let (partner, token, worker) = (app.partner(scene.a_key()), scene.service_token(), scene.worker_token());
    for query in [
        "permision=x",
        "permission=",
        "limit=fast",
        "limit=",
        "credits=-1",
        "credits=",
        "credits=1000001",
        "credits=1.5",
        "permission=a&permission=b",
        "credits=0&credits=0",
    ] {
        let answer = partner.get(&format!("/verify/v1/forward?{query}")).header(TOKEN, &token).send().await;
        assert_eq!((answer.status, &answer.json()["code"]), (422, &json!("invalid_request")), "{query}");
    }
    for wrong in ["", "lks_x", worker.as_str(), &format!("Bearer {token}")] {
        let answer = partner.get("/verify/v1/forward").header(TOKEN, wrong).send().await;
        assert_eq!((answer.status, &answer.json()["code"]), (401, &json!("unauthenticated")), "{wrong}");
    }
    let twice = partner.get("/verify/v1/forward").header(TOKEN, &token).also_header(TOKEN, &token).send().await;
    assert_eq!(twice.status, 401);
    assert_eq!(number(&mut app.database().conn(), "SELECT count(*) FROM requests"), 0);
}

#[actix_web::test]
async fn without_a_token_nothing_is_spent_and_no_address_believed_and_guessing_is_slow() {
    let app = App::start();
    let mut scene = app.make().org().credits(9).key();
    let (partner, token) = (app.partner(scene.a_key()), scene.service_token());
    let answer = partner.get("/verify/v1/forward?credits=1").send().await;
    assert_eq!((answer.status, &answer.json()["code"]), (401, &json!("unauthenticated")));
    let answer = partner
        .get("/verify/v1/forward?credits=0")
        .header("x-forwarded-for", "203.0.113.9")
        .header("x-real-ip", "203.0.113.9")
        .send()
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(row(&mut app.database().conn(), answer.header("x-request-id")).unwrap().address, "127.0.0.1");
    // Whatever address a stranger says that he has.
    let guess = async |n: usize, token: Option<&str>| {
        let started = Instant::now();
        let mut guess = app.anon().get("/verify/v1/forward").header("x-forwarded-for", &format!("203.0.113.{n}"));
        if let Some(token) = token {
            guess = guess.header(TOKEN, token);
        }
        let answer = guess.header("authorization", &format!("Bearer {}", key_text(&app.site.profile, "live"))).send().await;
        assert_eq!(answer.status, 403);
        started.elapsed()
    };
    for n in 0..75 {
        guess(n, None).await;
    }
    assert!(guess(76, None).await >= Duration::from_millis(300), "slowed by its peer's address");
    assert!(guess(77, Some(&token)).await < Duration::from_millis(300), "a proxy that is known brings everybody's requests");
}
