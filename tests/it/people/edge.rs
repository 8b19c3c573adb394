//! What every answer of the dashboard passes.

use diesel::{RunQueryDsl, sql_query};

use super::COOKIE;
use crate::support::App;

#[actix_web::test]
async fn other_sites_change_nothing_here() {
    let app = App::start();
    let scene = app.make().org().admin();
    let browser = app.browser(scene.an_admin()).await;
    for (name, value) in [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("sec-fetch-site", "nonsense")] {
        let answer = browser.post("/sign-out").header(name, value).send().await;
        assert_eq!(answer.status, 403, "{value}");
        assert!(answer.text().contains("Another site asked for this"));
    }
    // Browsers before Fetch Metadata say their origin alone.
    let old = app.anon();
    for (origin, status) in [("https://evil.example", 403), ("null", 403), (app.origin().as_str(), 303)] {
        assert_eq!(old.post("/sign-out").header("origin", origin).send().await.status, status, "{origin}");
    }
    assert_eq!(app.anon().post("/sign-out").send().await.status, 303, "a program sends neither");
    assert_ne!(browser.get("/").send().await.location(), "/sign-in", "still signed in");
    assert_eq!(browser.get("/sign-in").header("sec-fetch-site", "cross-site").send().await.status, 303, "links from elsewhere work");
}

#[actix_web::test]
async fn pages_may_not_be_framed_stored_or_scripted() {
    let app = App::start();
    for path in ["/sign-in", "/orgs/nothing/here", "/invitations/lki_nothing", "/assets/app.css", "/assets/nothing"] {
        let answer = app.stranger().get(path).send().await;
        let policy = answer.header("content-security-policy");
        for rule in ["default-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'", "object-src 'none'"] {
            assert!(policy.contains(rule), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"));
        for (name, value) in [("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer"), ("x-frame-options", "DENY")] {
            assert_eq!(answer.header(name), value, "{path}");
        }
        assert!(answer.header("x-request-id").starts_with("req_"));
        if !path.contains("app.css") {
            assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        }
    }
    let page = app.stranger().get("/sign-in").send().await;
    for inline in ["<style", " style=", "onclick=", "<script>"] {
        assert!(!page.text().contains(inline), "{inline}");
    }
}

#[actix_web::test]
async fn bad_requests_get_pages() {
    let app = App::start();
    let browser = app.stranger();
    let method = browser.put("/sign-in").send().await;
    assert_eq!((method.status, method.header("allow")), (405, "GET, HEAD, POST"));
    let head = browser.request(awc::http::Method::HEAD, "/sign-in").header("accept-encoding", "gzip").send().await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    let form = |body: Vec<u8>| browser.post("/sign-in").header("content-type", "application/x-www-form-urlencoded").body(body).send();
    assert_eq!(form(vec![b'a'; 1 << 20]).await.status, 413);
    assert_eq!(form(b"email=%00&password=%00".to_vec()).await.status, 401);
    assert_eq!(form(b"email=%ff%fe&password=\xff".to_vec()).await.status / 100, 4);
    let json = browser.post("/sign-in").json(&serde_json::json!({"email": "a"})).send().await;
    assert_eq!(json.status, 415);
    for answer in [method, json] {
        assert!(answer.text().contains("<main id=\"main\"") && answer.header("content-type").starts_with("text/html"), "{}", answer.text());
    }
    for path in ["/invitations/%00", "/invitations/%ff", "/orgs/%00", "/orgs/a/../../etc", "/sign-in?next=%ff"] {
        let answer = browser.get(path).send().await;
        assert!(answer.status < 500, "{path}: {}", answer.status);
    }
}

#[actix_web::test]
async fn a_database_that_is_away_signs_nobody_out() {
    let app = App::start();
    let scene = app.make().org().admin();
    let browser = app.browser(scene.an_admin()).await;
    let cookie = browser.cookies()[COOKIE].clone();
    let name = app.database().url().rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    let other = crate::support::TestDb::new();
    let mut conn = other.conn();
    let mut admin = |statement: String| sql_query(statement).execute(&mut conn).unwrap();
    admin(format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"));
    admin(format!("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'"));
    for path in ["/", "/sign-in", "/orgs/x", &format!("/orgs/{}", scene.here().slug)] {
        let answer = browser.get(path).send().await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, "1"), "{path}");
        assert!(answer.text().contains("The database is out of reach"), "{}", answer.text());
        assert!(answer.header("set-cookie").is_empty());
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    let out = browser.post("/sign-out").send().await;
    assert_eq!(out.status, 503, "nobody is told to be signed out while the session goes on");
    assert_eq!(browser.cookies()[COOKIE], cookie);
    admin(format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"));
    actix_web::rt::time::sleep(std::time::Duration::from_millis(1_000)).await;
    assert_eq!(browser.get(&format!("/orgs/{}", scene.here().slug)).send().await.status, 303, "and all goes on");
}

#[actix_web::test]
async fn over_https_cookies_belong_to_this_host_alone() {
    let app = App::start();
    let scene = app.make().org().admin();
    let site = latchkey::site::Site { public_url: "https://console.example".into(), ..app.site.clone() };
    let service =
        actix_web::App::new().app_data(actix_web::web::Data::new(site.clone())).configure(|config| latchkey::web::configure(config, &site));
    let service = actix_web::test::init_service(service).await;
    let user = scene.an_admin();
    let request = actix_web::test::TestRequest::post()
        .uri("/sign-in")
        .insert_header(("origin", "https://console.example"))
        .set_form([("email", &user.email), ("password", &user.password)]);
    let answer = actix_web::test::call_service(&service, request.to_request()).await;
    assert_eq!(answer.status(), 303);
    let cookies: Vec<&str> = answer.headers().get_all("set-cookie").map(|cookie| cookie.to_str().unwrap()).collect();
    assert!(cookies.iter().any(|cookie| cookie.starts_with("__Host-latchkey=")), "{cookies:?}");
    for cookie in cookies {
        assert!(cookie.starts_with("__Host-") && !cookie.contains("Domain"), "{cookie}");
        for attribute in ["; Secure", "; HttpOnly", "; Path=/", "; SameSite=Lax"] {
            assert!(cookie.contains(attribute), "{cookie}");
        }
    }
    assert!(answer.headers().contains_key("strict-transport-security"));
}
