//! New requests as they are answered, by server-sent events.

use serde_json::json;

use super::path;
use crate::support::{App, Server, TestDb};

const EVENTS: &str = "text/event-stream";

#[actix_web::test]
async fn each_new_request_comes_once_and_those_of_the_page_do_not() {
    let app = App::start();
    let make = app.make().org().credits(9).admin().member().key();
    let browser = app.browser(make.a_member()).await;
    let partner = app.partner(make.a_key());
    partner.get("/key").send().await;
    let page = browser.get(&path(&make, "usage")).send().await;
    let live = page.text().split("data-live=\"").nth(1).expect("a live page").split('"').next().unwrap().replace("&#38;", "&");
    let shown = page.text().split("data-request-id=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert!(live.ends_with(&format!("&top={shown}")), "{live}");
    let mut events = browser.get(&live).header("accept", EVENTS).open().await;
    assert_eq!((events.status, events.headers.get("content-type").unwrap().to_str().unwrap()), (200, EVENTS));
    events.until("retry: 500\n\n").await;
    let made = partner.post("/analyses").json(&json!({"input": {}})).send().await;
    let id = made.header("x-request-id").to_owned();
    let event = events.until("\n\n").await;
    assert!(event.starts_with(&format!("id: {id}\nevent: rows\ndata: ")), "{event}");
    assert_eq!(event.matches("data-request-id=").count(), 1, "not the one that the page has: {event}");
    assert!(event.contains("POST</span> /analyses") && event.contains("202"), "{event}");
    // From another instance, and not twice.
    let sibling = app.sibling();
    let refused = sibling.partner(make.a_key()).get("/nowhere").send().await;
    let event = events.until("\n\n").await;
    assert_eq!((event.matches("data-request-id=").count(), event.contains(refused.header("x-request-id"))), (1, true), "{event}");
    // Who comes back says how far it came, whatever the address says.
    drop(events);
    let missed = partner.get("/credits").send().await;
    let mut again = browser.get(&live).header("accept", EVENTS).header("last-event-id", refused.header("x-request-id")).open().await;
    let event = again.until("\n\n").await;
    assert!(event.contains(missed.header("x-request-id")), "{event}");
    assert!(!event.contains(refused.header("x-request-id")), "it has that one: {event}");
}

#[actix_web::test]
async fn filters_hold_and_who_missed_too_much_reads_anew() {
    let app = App::start();
    let make = app.make().org().requests_per_minute(1_000).admin().key();
    let browser = app.browser(make.an_admin()).await;
    let partner = app.partner(make.a_key());
    let first = partner.get("/key").send().await.header("x-request-id").to_owned();
    let live = path(&make, &format!("usage/live?period=7d&status=4xx&top={first}"));
    let mut events = browser.get(&live).header("accept", EVENTS).open().await;
    events.until("retry: 500\n\n").await;
    partner.get("/key").send().await;
    let refused = partner.get("/nowhere").send().await;
    let event = events.until("\n\n").await;
    assert_eq!((event.matches("data-request-id=").count(), event.contains(refused.header("x-request-id"))), (1, true), "{event}");
    for _ in 0..60 {
        partner.get("/key").send().await;
    }
    let mut late = browser.get(&path(&make, &format!("usage/live?period=7d&top={first}"))).header("accept", EVENTS).open().await;
    assert!(late.until("\n\n").await.contains("event: missed\n"));
}

#[actix_web::test]
async fn only_members_and_only_streams() {
    let app = App::start();
    let make = app.make().org().admin().key();
    let stranger = app.make().org().admin();
    let live = path(&make, "usage/live?period=24h");
    let (browser, other) = (app.browser(make.an_admin()).await, app.browser(stranger.an_admin()).await);
    assert_eq!(other.get(&live).header("accept", EVENTS).send().await.status, 404);
    let answer = browser.get(&live).send().await;
    assert_eq!((answer.status, answer.location()), (303, path(&make, "usage?period=24h").as_str()), "a person who opens it");
    assert_eq!(browser.get(&path(&make, "usage/live?status=x")).header("accept", EVENTS).send().await.status, 422);
    // One person's many are not everybody's.
    let second = app.make().org().admin();
    let neighbour = app.browser(second.an_admin()).await;
    let mut open = Vec::new();
    for expected in [vec![200; 10], vec![429; 2]].concat() {
        let events = browser.get(&live).header("accept", EVENTS).open().await;
        assert_eq!(events.status, expected);
        open.push(events);
    }
    assert_eq!(neighbour.get(&path(&second, "usage/live")).header("accept", EVENTS).open().await.status, 200);
}

#[actix_web::test]
async fn who_signs_out_is_not_let_back_in() {
    let app = App::start();
    let make = app.make().org().admin().key();
    let browser = app.browser(make.an_admin()).await;
    let live = path(&make, "usage/live?period=24h");
    let mut events = browser.get(&live).header("accept", EVENTS).open().await;
    events.until("retry: 500\n\n").await;
    let cookies = browser.cookies();
    browser.post("/sign-out").form(&[]).send().await;
    cookies.iter().for_each(|(name, value)| browser.set_cookie(name, value));
    // The stream ends by itself, and there is no other.
    events.end().await;
    let again = browser.get(&live).header("accept", EVENTS).send().await;
    assert_eq!((again.status, again.location().starts_with("/sign-in")), (303, true));
}

#[actix_web::test]
async fn a_stream_does_not_hold_up_the_end_of_the_server() {
    let database = TestDb::new();
    let mut server = Server::start(&database).await;
    let profile = latchkey::profile::Profile::load("analysis").unwrap();
    let make = crate::support::Make::new(database.conn(), profile.into()).org().admin().key();
    let browser = crate::support::Client::browser(&server.origin());
    let user = make.an_admin();
    browser.post("/sign-in").form(&[("email", &user.email), ("password", &user.password)]).send().await;
    let mut events = browser.get(&path(&make, "usage/live?period=24h")).header("accept", EVENTS).open().await;
    events.until("retry: 500\n\n").await;
    // An orderly end gives requests 15 seconds; the stream ends at its next look.
    assert!(server.end_within(std::time::Duration::from_secs(10)));
    events.end().await;
}
