//! Addresses that are nobody's, and methods that nobody answers.

use awc::http::Method;
use diesel::RunQueryDsl;

use super::{INVALID_KEY, history};
use crate::support::{App, Client, key_text};

#[actix_web::test]
async fn they_count_in_the_first_limit() {
    let app = App::start();
    let scene = app.make().org().requests_per_minute(2).key();
    let partner = app.partner(scene.a_key());
    let first = partner.get("/nothing").send().await;
    assert_eq!((first.status, first.header("x-ratelimit-remaining")), (404, "1"), "{first:?}");
    let second = partner.request(Method::DELETE, "/key").send().await;
    assert_eq!((second.status, second.header("allow"), second.header("x-ratelimit-remaining")), (405, "GET", "0"));
    for answer in [partner.get("/nothing").send().await, partner.request(Method::DELETE, "/key").send().await] {
        assert_eq!((answer.status, answer.header("allow")), (429, ""), "{answer:?}");
        assert!(!answer.header("retry-after").is_empty());
        assert!(history(&mut app.database().conn()).contains_key(answer.header("x-request-id")));
    }
    assert_eq!(partner.get("/key").send().await.status, 429);
}

#[actix_web::test]
async fn a_refused_key_is_refused_there_too() {
    let app = App::start();
    let scene = app.make().org().key();
    let partner = app.partner(scene.a_key());
    let revoke = "UPDATE api_keys SET revoked_at = now(), revoked_by = 'x'";
    diesel::sql_query(revoke).execute(&mut app.database().conn()).unwrap();
    for answer in [partner.get("/nothing").send().await, partner.request(Method::DELETE, "/key").send().await] {
        assert_eq!((answer.status, answer.text(), answer.header("allow")), (403, INVALID_KEY, ""));
    }
}

#[actix_web::test]
async fn guessing_keys_there_is_slowed_too() {
    let app = App::start();
    let unknown = Client::bearer(&app.origin(), &key_text(&app.site.profile, "live"));
    let start = std::time::Instant::now();
    for _ in 0..66 {
        assert_eq!(unknown.get("/nothing").send().await.status, 403);
    }
    // 20 ms more for each after the 60th: 20 + 40 + … + 120.
    assert!(start.elapsed().as_millis() >= 400, "{:?}", start.elapsed());
    assert_eq!(app.anon().get("/nothing").send().await.status, 404);
}
