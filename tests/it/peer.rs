//! Where requests come from, when a proxy stands in front: one answer wherever it is shown, kept or counted.

use diesel::prelude::*;
use latchkey::schema::{audit_entries, requests, sessions};
use serde_json::json;

use crate::support::{App, Client};

const SAID: &str = "10.7.7.7, 198.51.100.7, 127.0.0.9";

/// Addresses that are kept of a partner's request, of the verify API's, of a session and of a report, all of which say so.
async fn kept(app: &App) -> Vec<String> {
    let scene = app.make().org().admin().key();
    let (user, key) = (scene.an_admin().clone(), scene.a_key().clone());
    let ask = |request: crate::support::Request| request.header("X-Forwarded-For", SAID).send();
    assert_eq!(ask(app.partner(&key).get("/key")).await.status, 200);
    let forward = app.anon().get("/verify/v1/forward").header("authorization", &format!("Bearer {}", key.text));
    assert_eq!(ask(forward).await.status, 200);
    let form = [("email", user.email.as_str()), ("password", user.password.as_str())];
    assert_eq!(ask(Client::browser(&app.origin()).post("/sign-in").form(&form)).await.status, 303);
    assert_eq!(ask(app.anon().post("/leaked-keys").json(&json!([{"token": key.text}]))).await.status, 200);
    let conn = &mut app.database().conn();
    let mut kept: Vec<String> = requests::table.select(requests::address).load(conn).unwrap();
    assert_eq!(kept.len(), 2, "{kept:?}");
    kept.extend(sessions::table.select(sessions::address).load::<String>(conn).unwrap());
    let noted: Option<String> =
        audit_entries::table.filter(audit_entries::action.eq("key.leaked")).select(audit_entries::address).first(conn).unwrap();
    kept.extend(noted);
    kept
}

#[actix_web::test]
async fn a_trusted_proxy_is_believed_everywhere() {
    let app = App::tweaked(|site| site.proxies = ["127.0.0.0/8".parse().unwrap()].into());
    assert_eq!(kept(&app).await, ["198.51.100.7"; 4]);
}

#[actix_web::test]
async fn anybody_else_is_not() {
    assert_eq!(kept(&App::start()).await, ["127.0.0.1"; 4]);
    let app = App::tweaked(|site| site.proxies = ["10.0.0.0/8".parse().unwrap()].into());
    assert_eq!(kept(&app).await, ["127.0.0.1"; 4]);
}

#[actix_web::test]
async fn guessing_is_counted_by_who_guesses_and_not_by_the_proxy() {
    let app = App::tweaked(|site| site.proxies = ["127.0.0.1/32".parse().unwrap()].into());
    let scene = app.make().org().admin();
    let user = scene.an_admin();
    let sign_in = async |from: &str, email: &str, password: &str| {
        let browser = Client::browser(&app.origin());
        let form = [("email", email), ("password", password)];
        browser.post("/sign-in").header("X-Forwarded-For", from).form(&form).send().await.status
    };
    let mut last = 0;
    for n in 0..22 {
        // What the guesser writes there himself does not make him another.
        last = sign_in(&format!("203.0.113.{n}, 198.51.100.9"), &format!("nobody-{n}@example.com"), "wrong").await;
    }
    assert_eq!(last, 429);
    assert_eq!(sign_in("198.51.100.10", &user.email, &user.password).await, 303, "somebody else behind the same proxy");
}
