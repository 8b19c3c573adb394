//! The request history.

use serde_json::json;

use super::{main_of, part, path};
use crate::support::App;

#[actix_web::test]
async fn the_history_tells_every_request_and_why() {
    let app = App::start();
    let make = app.make().org().credits(1).admin().member().key();
    let browser = app.browser(make.a_member()).await;
    let usage = path(&make, "usage");
    let empty = browser.get(&usage).send().await;
    assert!(empty.text().contains("No requests yet") && empty.text().contains("curl http") && empty.text().contains("lk_live_…"));
    let partner = app.partner(make.a_key());
    for expected in [202, 402] {
        assert_eq!(partner.post("/analyses").json(&json!({"input": {}})).send().await.status, expected);
    }
    let page = browser.get(&usage).send().await;
    assert_eq!(main_of(&page).matches("data-request-id=").count(), 2);
    assert!(page.text().contains(&format!("{}…", make.a_key().prefix)));
    let history = browser.get(&format!("{usage}?status=4xx")).htmx().header("hx-request-type", "partial");
    let history = history.header("hx-target", "section#history").send().await;
    assert!(history.text().trim_start().starts_with("<section id=\"history\""));
    assert_eq!(history.text().matches("data-request-id=").count(), 1);
    let id = history.text().split("data-request-id=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let why = part(&browser, &format!("{usage}?status=4xx&open={id}")).await;
    assert!(why.text().trim_start().starts_with("<tbody"));
    for words in ["Why: refused by the credit balance", "1 available", "0 available", "<li class=\"refused\">", "402 in "] {
        assert!(why.text().contains(words), "{words}: {}", why.text());
    }
    assert!(!part(&browser, &format!("{usage}?status=4xx&row={id}")).await.text().contains("Why: refused"));
    let whole = browser.get(&format!("{usage}?open={id}")).send().await;
    assert!(whole.text().starts_with("<!doctype html>") && whole.text().contains("Why: refused by the credit balance"));
    assert!(part(&browser, &format!("{usage}?status=5xx")).await.text().contains("No requests match"));
}

#[actix_web::test]
async fn pages_lead_to_older_and_back() {
    let app = App::start();
    let make = app.make().org().requests_per_minute(1_000).admin().key();
    let browser = app.browser(make.an_admin()).await;
    let partner = app.partner(make.a_key());
    for _ in 0..51 {
        assert_eq!(partner.get("/key").send().await.status, 200);
    }
    let link = |page: &str, rel: &str| {
        let rest = page.split(&format!("rel=\"{rel}\" href=\"")).nth(1)?;
        Some(rest.split('"').next()?.replace("&#38;", "&").replace("&amp;", "&"))
    };
    let newest = browser.get(&path(&make, &format!("usage?key={}", make.a_key().id))).send().await;
    assert_eq!((newest.text().matches("data-request-id=").count(), link(newest.text(), "prev")), (50, None));
    let oldest = browser.get(&link(newest.text(), "next").expect("older ones")).send().await;
    assert_eq!((oldest.text().matches("data-request-id=").count(), link(oldest.text(), "next")), (1, None));
    let back = browser.get(&link(oldest.text(), "prev").expect("newer ones")).send().await;
    assert_eq!(back.text().matches("data-request-id=").count(), 50);
}

#[actix_web::test]
async fn nonsense_and_other_tenants_are_refused() {
    let app = App::start();
    let make = app.make().org().admin().key();
    app.partner(make.a_key()).get("/key").send().await;
    let stranger = app.make().org().admin();
    let (browser, other) = (app.browser(make.an_admin()).await, app.browser(stranger.an_admin()).await);
    for (query, status) in [
        ("key=nonsense", 404),
        ("key=key_0000000000000000000000", 404),
        ("before=-1", 404),
        ("after=%00", 404),
        ("path=%00", 200),
        ("path=/bogus%00", 200),
        ("status=4xx&status=429", 200),
        ("period=custom&from=8999-12-31&to=9000-12-30", 200),
    ] {
        assert_eq!(browser.get(&path(&make, &format!("usage?{query}"))).send().await.status, status, "{query}");
    }
    // What was typed stays, with what is wrong with it; the file and the stream refuse the same.
    let long = "x".repeat(201);
    for (query, words) in [
        ("status=abc", "&#34;abc&#34; is no status"),
        ("status=0xx", "is no status"),
        ("period=1y", "Ask for 24h, 7d, 30d, 90d or custom."),
        ("environment=moon", "There is no environment"),
        (&format!("path=/{long}"), "A path has at most 200 characters."),
        ("period=custom&from=2026-11-20&to=2026-11-19", "2026-11-19 is before 2026-11-20"),
        ("period=custom&from=2020-01-01&to=2026-11-19", "A period has at most 800 days."),
        ("period=custom&from=9999-12-31&to=9999-12-31", "is not a day"),
        ("period=custom&from=-4800-01-01", "is not a day"),
        ("period=custom&to=nonsense", "&#34;nonsense&#34; is not a day"),
    ] {
        let answer = browser.get(&path(&make, &format!("usage?{query}"))).send().await;
        assert_eq!(answer.status, 422, "{query}");
        let page = main_of(&answer);
        assert!(page.contains(words) && page.contains("id=\"f-status\""), "{query}: {page}");
        assert!(query.starts_with("period=1y") || page.contains("aria-invalid=\"true\""), "{query}");
        assert_eq!(browser.get(&path(&make, &format!("usage/requests.csv?{query}"))).send().await.status, 422, "{query}");
    }
    let page = browser.get(&path(&make, "usage")).send().await;
    let id = page.text().split("data-request-id=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert_eq!(part(&other, &path(&stranger, &format!("usage?open={id}"))).await.status, 404);
    assert_eq!(other.get(&path(&make, "usage")).send().await.status, 404);
    let theirs = other.get(&path(&stranger, &format!("usage?key={}", make.a_key().id))).send().await;
    assert!(!theirs.text().contains("data-request-id="));
}

#[actix_web::test]
async fn a_row_that_has_left_the_first_page_is_opened_where_it_is() {
    let app = App::start();
    let make = app.make().org().requests_per_minute(1_000).admin().key();
    let browser = app.browser(make.an_admin()).await;
    let partner = app.partner(make.a_key());
    let first = partner.get("/key").send().await.header("x-request-id").to_owned();
    for _ in 0..55 {
        partner.get("/key").send().await;
    }
    let page = browser.get(&path(&make, &format!("usage?open={first}"))).send().await;
    assert!(page.text().contains(&format!("id=\"r-{first}\"")) && page.text().contains("All eight checks passed."));
    assert!(page.text().contains("rel=\"prev\""), "newer ones are a click away");
    // One that the filter does not let through is none.
    let other = browser.get(&path(&make, &format!("usage?status=4xx&open={first}"))).send().await;
    assert_eq!((other.status, other.text().contains("All eight checks")), (200, false));
}

#[actix_web::test]
async fn the_limit_that_refused_is_the_one_that_is_told() {
    let app = App::with_changes(&[
        ("[[limits]]\nname", "[[limits]]\nname = \"creation\"\nscope = \"key\"\nrequests = 1\nwindow = \"1m\"\n\n[[limits]]\nname"),
        (
            "path = \"/credits\"\naction = \"credits.read\"\nlimit = \"default\"",
            "path = \"/credits\"\naction = \"credits.read\"\nlimit = \"creation\"",
        ),
        ("requests = 60", "requests = 2"),
    ]);
    let make = app.make().org().admin().key();
    let partner = app.partner(make.a_key());
    for expected in [200, 200, 429] {
        assert_eq!(partner.get("/key").send().await.status, expected);
    }
    let browser = app.browser(make.an_admin()).await;
    let page = browser.get(&path(&make, "usage?status=429")).send().await;
    let id = page.text().split("data-request-id=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let why = part(&browser, &path(&make, &format!("usage?open={id}"))).await;
    for words in
        ["2 requests a minute", "per key, fixed window", "The key had used all 2 requests of its minute.", "window opened", "Retry-After"]
    {
        assert!(why.text().contains(words), "{words}: {}", why.text());
    }
    assert_eq!(why.text().matches("2 of 2 used").count(), 2, "then, and now: the window is the same: {}", why.text());
    assert!(why.text().contains("window resets in "), "{}", why.text());
}

#[actix_web::test]
async fn a_program_with_its_key_in_the_query_is_told_in_json() {
    let app = App::with_changes(&[("key_parameters = []", "key_parameters = [\"api_key\"]")]);
    let make = app.make().org().admin().key();
    let browser = app.browser(make.an_admin()).await;
    let answer = browser.get(&format!("/nowhere?api_key={}", make.a_key().text)).send().await;
    assert_eq!((answer.status, answer.header("content-type")), (404, "application/json"));
    assert!(browser.get(&path(&make, "usage")).send().await.text().contains("/nowhere"), "and it is in the key's history");
    let page = browser.get("/nowhere?other=1").send().await;
    assert!(page.status == 404 && page.text().starts_with("<!doctype html>"));
}
