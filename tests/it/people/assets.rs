//! Stylesheet, script and icons.

use crate::support::App;

#[actix_web::test]
async fn pages_name_assets_by_their_content() {
    let app = App::start();
    let page = app.stranger().get("/sign-in").send().await;
    let html = page.text();
    let mut seen = 0;
    for part in html.split("\"/assets/").skip(1) {
        let path = format!("/assets/{}", part.split('"').next().unwrap().split('#').next().unwrap());
        let answer = app.anon().get(&path).send().await;
        assert_eq!((answer.status, answer.header("cache-control")), (200, "public, max-age=31536000, immutable"), "{path}");
        let again = app.anon().get(&path).header("if-none-match", answer.header("etag")).send().await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        seen += 1;
    }
    assert!(seen >= 5, "style, scripts, favicon, icons: {seen}");
}

#[actix_web::test]
async fn assets_have_their_types_and_come_compressed() {
    let app = App::start();
    for (name, kind) in [
        ("app.css", "text/css; charset=utf-8"),
        ("app.js", "text/javascript; charset=utf-8"),
        ("icons.svg", "image/svg+xml"),
        ("vendor/htmx-4.0.1.min.js", "text/javascript; charset=utf-8"),
    ] {
        let answer = app.anon().get(&format!("/assets/{name}")).header("accept-encoding", "gzip").send().await;
        assert_eq!((answer.status, answer.header("content-type")), (200, kind), "{name}");
        assert_eq!(answer.header("content-encoding"), "gzip", "{name}");
        assert_eq!(answer.header("cache-control"), "public, max-age=60", "{name}");
    }
    for odd in ["/assets/", "/assets/../Cargo.toml", "/assets/%2e%2e/Cargo.toml", "/assets/nothing.css"] {
        assert_eq!(app.anon().get(odd).send().await.status, 404, "{odd}");
    }
}
