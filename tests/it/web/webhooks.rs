//! The tab Webhooks.

use diesel::{RunQueryDsl, sql_query};
use time::Duration;

use super::{hidden, main_of, part, path};
use crate::support::{Answer, App, Client, Make, NewDelivery, Try, number};
use latchkey::clock;
use latchkey::ids::{EventId, JobId};

const URL: &str = "https://93.184.215.34/latchkey";

/// The secret that an answer shows; panics when it shows none.
fn shown_secret(answer: &Answer) -> String {
    let page = answer.text();
    let at = page.find("id=\"webhook-secret\"").unwrap_or_else(|| panic!("no secret, {}: {page}", answer.status));
    let code = &page[at + page[at..].find("<code").unwrap()..];
    code[code.find('>').unwrap() + 1..code.find("</code>").unwrap()].to_owned()
}

async fn save(browser: &Client, make: &Make, url: &str) -> Answer {
    browser.post(&path(make, "webhooks")).form(&[("url", url)]).send().await
}

async fn tab(browser: &Client, make: &Make) -> Answer {
    browser.get(&path(make, "webhooks")).send().await
}

/// A person's click on a button of the page that needs no fields.
async fn press(browser: &Client, make: &Make, noun: &str) -> Answer {
    browser.post(&path(make, &format!("webhooks/{noun}"))).form(&[]).send().await
}

fn count(page: &str) -> usize {
    page.matches("data-delivery-id=").count()
}

#[actix_web::test]
async fn a_webhook_is_saved_and_its_secret_is_shown_once() {
    let app = App::start();
    let make = app.make().org().admin().member();
    let (admin, member) = (app.browser(make.an_admin()).await, app.browser(make.a_member()).await);
    let empty = tab(&admin, &make).await;
    assert!(empty.text().contains("No webhook yet") && empty.text().contains("Endpoint URL") && empty.text().contains("Save Webhook"));
    assert!(empty.text().contains("aria-current=\"page\">Webhooks</a>"));
    let looked = tab(&member, &make).await;
    assert!(looked.text().contains("No webhook yet") && !looked.text().contains("Save Webhook"));
    let saved = save(&admin, &make, URL).await;
    assert_eq!((saved.status, saved.header("cache-control")), (200, "no-store"));
    assert!(saved.text().contains("<b>Webhook saved.</b> Send a test event to see it arrive."));
    let secret = shown_secret(&saved);
    assert!(secret.starts_with("whsec_") && secret.len() == 50, "{secret}");
    assert_eq!(saved.text().matches(&secret).count(), 1);
    assert!(!format!("{:?}", admin.cookies()).contains(&secret[6..]) && !format!("{:?}", saved.headers).contains(&secret[6..]));
    // Sent once more, the form makes no second secret, and shows none.
    let again = save(&admin, &make, URL).await;
    assert_eq!((again.status, again.location()), (303, path(&make, "webhooks").as_str()));
    for browser in [&admin, &member] {
        let page = tab(browser, &make).await;
        assert!(!page.text().contains(&secret) && !page.text().contains("webhook-secret"));
        assert!(page.text().contains(&format!("whsec_••••••••••••{}", &secret[46..])), "{}", page.text());
        assert!(page.text().contains(URL) && page.text().contains("Nothing sent yet"));
    }
    let member = tab(&member, &make).await;
    for button in ["role=\"switch\"", "Edit URL", "Send Test Event", "Rotate Secret", ">Remove<", "<button class=\"button primary"] {
        assert!(!main_of(&member).contains(button), "{button}");
        assert!(button.starts_with('<') || main_of(&tab(&admin, &make).await).contains(button), "{button}");
    }
}

#[actix_web::test]
async fn what_is_wrong_with_a_url_is_said_at_its_field() {
    let app = App::start();
    let make = app.make().org().admin();
    let browser = app.browser(make.an_admin()).await;
    for (url, words) in [("", "Webhook not saved."), ("http://example.com/", "https://"), ("nonsense", "aria-invalid=\"true\"")] {
        let answer = save(&browser, &make, url).await;
        assert_eq!(answer.status, 422, "{url}");
        for words in [words, "id=\"url-error\"", &format!("name=\"url\" type=\"url\" value=\"{url}\""), "role=\"alert\""] {
            assert!(answer.text().contains(words), "{url}: {words}: {}", answer.text());
        }
    }
    let hostile = save(&browser, &make, "\"><script>alert(1)</script>").await;
    assert!(hostile.status == 422 && !hostile.text().contains("<script>alert"));
    assert!(tab(&browser, &make).await.text().contains("No webhook yet"), "nothing was saved");
    save(&browser, &make, URL).await;
    let edit = browser.get(&path(&make, "webhooks/edit")).send().await;
    assert!(edit.text().contains(&format!("value=\"{URL}\"")) && edit.text().contains("Update Webhook"));
    let refused = save(&browser, &make, "nonsense").await;
    assert!(refused.status == 422 && refused.text().contains("Webhook not updated.") && refused.text().contains("Update Webhook"));
    let long = format!("{URL}?{}", "a".repeat(1_900));
    assert_eq!(save(&browser, &make, &long).await.status, 303);
    let page = tab(&browser, &make).await;
    assert!(page.text().contains(&long) && page.text().contains("<b>Webhook updated.</b>"));
}

#[actix_web::test]
async fn the_switch_goes_both_ways_and_remove_takes_it_away() {
    let app = App::start();
    let make = app.make().org().admin().webhook(URL);
    let browser = app.browser(make.an_admin()).await;
    assert!(tab(&browser, &make).await.text().contains("aria-checked=\"true\""));
    assert_eq!(press(&browser, &make, "deactivation").await.status, 303);
    let off = tab(&browser, &make).await;
    for words in ["aria-checked=\"false\"", "<b>Webhook switched off.</b>", ">Off<", "webhooks/activation"] {
        assert!(off.text().contains(words), "{words}");
    }
    assert!(!off.text().contains("Latchkey switched"), "a person did");
    assert_eq!(press(&browser, &make, "activation").await.status, 303);
    assert!(tab(&browser, &make).await.text().contains("aria-checked=\"true\""));
    let asked = browser.get(&path(&make, "webhooks/removal")).send().await;
    assert!(asked.text().starts_with("<!doctype html>") && asked.text().contains("Remove the webhook?"));
    let part = part(&browser, &path(&make, "webhooks/removal")).await;
    assert!(part.text().starts_with("<form id=\"confirm\""));
    assert_eq!(press(&browser, &make, "removal").await.status, 303);
    let gone = tab(&browser, &make).await;
    assert!(gone.text().contains("<b>Webhook removed.</b>") && gone.text().contains("No webhook yet"));
    for noun in ["activation", "deactivation", "removal", "test"] {
        let answer = press(&browser, &make, noun).await;
        assert!(answer.status == 409 && answer.text().contains("There is no webhook"), "{noun}: {}", answer.status);
    }
    for noun in ["edit", "secret-rotation", "removal", "replays"] {
        assert_eq!(browser.get(&path(&make, &format!("webhooks/{noun}"))).send().await.status, 409, "{noun}");
    }
}

#[actix_web::test]
async fn a_form_rotates_the_secret_once() {
    let app = App::start();
    let make = app.make().org().admin().webhook(URL);
    let browser = app.browser(make.an_admin()).await;
    let ask = path(&make, "webhooks/secret-rotation");
    let asked = browser.get(&ask).send().await;
    assert!(asked.text().contains("name=\"old\" value=\"overlap\" checked"), "the overlap is preselected");
    let generation = hidden(asked.text(), "generation");
    let rotate = |old: &'static str, generation: String| browser.post(&ask).form(&[("old", old), ("generation", &generation)]).send();
    let first = rotate("overlap", generation.clone()).await;
    assert_eq!(first.status, 200);
    let new = shown_secret(&first);
    assert!(first.text().contains("Both secrets sign for 24 hours.") && first.text().contains("Signs too"));
    let second = rotate("overlap", generation).await;
    assert!(second.status == 409 && !second.text().contains("webhook-secret") && second.text().contains("rotated meanwhile"));
    assert_eq!(main_of(&tab(&browser, &make).await).matches("whsec_••••").count(), 2);
    let generation = hidden(browser.get(&ask).send().await.text(), "generation");
    let at_once = rotate("now", generation).await;
    assert_ne!(shown_secret(&at_once), new);
    assert_eq!(main_of(&at_once).matches("whsec_••••").count(), 1, "nothing but the newest signs");
    assert_eq!(rotate("never", "3".into()).await.status, 422);
    assert_eq!(browser.post(&ask).form(&[]).send().await.status, 422);
}

#[actix_web::test]
async fn what_latchkey_switched_off_is_said_on_every_tab_to_admins() {
    let app = App::start();
    let make = app.make().org().admin().member().webhook(URL).stopped_webhook("failing");
    let (admin, member) = (app.browser(make.an_admin()).await, app.browser(make.a_member()).await);
    for other in ["api-keys", "usage", "credits"] {
        assert!(admin.get(&path(&make, other)).send().await.text().contains("Latchkey switched your webhook off"), "{other}");
        assert!(!member.get(&path(&make, other)).send().await.text().contains("switched your webhook off"), "{other}");
    }
    for browser in [&admin, &member] {
        let page = tab(browser, &make).await;
        assert!(page.text().contains("<b>Latchkey switched it off</b>") && page.text().contains("For five days every delivery failed."));
    }
    press(&admin, &make, "activation").await;
    assert!(!admin.get(&path(&make, "usage")).send().await.text().contains("switched your webhook off"));
    assert!(!tab(&admin, &make).await.text().contains("Latchkey switched it off"));
    let gone = app.make().org().admin().webhook(URL).stopped_webhook("gone");
    assert!(tab(&app.browser(gone.an_admin()).await, &gone).await.text().contains("410 Gone"));
}

/// Deliveries in every state: job one delivered, job two behind a retry, job three given up.
fn all_states(make: &mut Make) -> [EventId; 5] {
    let now = clock::now();
    let (fine, slow, dead) = (JobId::new(now), JobId::new(now), JobId::new(now));
    let at = |minutes| now - Duration::minutes(minutes);
    let refused = vec![Try::Answered(503, 88), Try::Failed("timeout", "No first byte within 15 s", 15_000)];
    let progress = || NewDelivery { event_type: "analysis.progress".into(), state: "pending", tries: Vec::new(), ..NewDelivery::default() };
    let dead = NewDelivery {
        job: dead,
        state: "gave_up",
        at: at(5),
        tries: vec![Try::Answered(500, 212)],
        payload: r#"{"note":"<script>alert('body')</script>"}"#.into(),
        answer: ("HTTP/1.1 500 <b>Oops</b>".into(), "<img src=x onerror=alert(1)>".into()),
        ..NewDelivery::default()
    };
    [
        make.delivery(dead),
        make.delivery(NewDelivery { job: fine, at: at(4), ..NewDelivery::default() }),
        make.delivery(NewDelivery { job: slow, sequence: 6, at: at(3), state: "overtaken", ..progress() }),
        make.delivery(NewDelivery { job: slow, sequence: 7, at: at(2), tries: refused, due_in: Duration::seconds(151), ..progress() }),
        make.delivery(NewDelivery { job: slow, sequence: 8, at: at(1), ..progress() }),
    ]
}

#[actix_web::test]
async fn the_list_tells_every_state_and_a_row_opens_to_its_attempts() {
    let app = App::start();
    let mut make = app.make().org().admin().member().webhook(URL);
    let [dead, _, _, retrying, waiting] = all_states(&mut make);
    let (admin, member) = (app.browser(make.an_admin()).await, app.browser(make.a_member()).await);
    let page = tab(&admin, &make).await;
    assert_eq!(count(page.text()), 5);
    for words in ["Delivered", "Gave up", "Retrying", "Waiting for #7", "Overtaken", ">timeout<", "15,000 ms", " #8", "1 of 2", "50.00%"] {
        assert!(main_of(&page).contains(words), "{words}");
    }
    assert!(main_of(&page).contains("2 events") && main_of(&page).contains("1 job behind a retry"));
    assert_eq!(main_of(&page).matches(">Resend<").count(), 1, "only where it was given up");
    let row = part(&admin, &path(&make, &format!("webhooks?open={retrying}"))).await;
    assert!(row.text().trim_start().starts_with("<tbody"));
    for words in [
        "the next try is at",
        "then after 30 min, 2 h, 5 h, 10 h and 10 h",
        "The endpoint answered 503 Service Unavailable",
        "No first byte within 15 s",
        "Request of attempt 2",
        "POST /latchkey HTTP/1.1",
        ">Resend<",
    ] {
        assert!(row.text().contains(words), "{words}: {}", row.text());
    }
    let whole = admin.get(&path(&make, &format!("webhooks?open={waiting}"))).send().await;
    assert!(whole.text().contains("leaves when #7 of the same job") && whole.text().contains("No attempt yet."));
    assert!(!part(&admin, &path(&make, &format!("webhooks?row={retrying}"))).await.text().contains("the next try"));
    let hostile = part(&member, &path(&make, &format!("webhooks?open={dead}"))).await;
    assert!(!hostile.text().contains("<script>") && !hostile.text().contains("<img") && !hostile.text().contains("<b>Oops"));
    assert!(hostile.text().contains("onerror=alert(1)") && !hostile.text().contains(">Resend<"), "and members look");
    press(&admin, &make, "deactivation").await;
    assert!(main_of(&tab(&admin, &make).await).contains("Waiting (off)"));
}

#[actix_web::test]
async fn filters_and_pages_lead_through_the_list() {
    let app = App::start();
    let mut make = app.make().org().admin().webhook(URL);
    all_states(&mut make);
    let browser = app.browser(make.an_admin()).await;
    for (query, rows) in [
        ("state=delivered", 1),
        ("state=retrying", 1),
        ("state=waiting", 1),
        ("state=gave_up", 1),
        ("state=overtaken", 1),
        ("event=analysis.progress", 3),
        ("state=gave_up&event=analysis.progress", 0),
    ] {
        let list = part(&browser, &path(&make, &format!("webhooks?{query}"))).await;
        assert!(list.text().trim_start().starts_with("<section id=\"deliveries\""), "{query}");
        assert_eq!(count(list.text()), rows, "{query}");
        assert_eq!(count(browser.get(&path(&make, &format!("webhooks?{query}"))).send().await.text()), rows, "{query}");
    }
    for (query, status) in [("state=lost", 422), ("event=nothing", 422), ("before=-1", 404), ("after=%00", 404)] {
        assert_eq!(browser.get(&path(&make, &format!("webhooks?{query}"))).send().await.status, status, "{query}");
    }
    for minute in 10..31 {
        make.delivery(NewDelivery { at: clock::now() - Duration::minutes(minute), ..NewDelivery::default() });
    }
    let link = |page: &str, rel: &str| {
        let rest = page.split(&format!("rel=\"{rel}\" href=\"")).nth(1)?;
        Some(rest.split('"').next()?.replace("&#38;", "&").replace("&amp;", "&"))
    };
    let newest = tab(&browser, &make).await;
    assert_eq!((count(newest.text()), link(newest.text(), "prev")), (25, None));
    let oldest = browser.get(&link(newest.text(), "next").expect("older ones")).send().await;
    assert_eq!((count(oldest.text()), link(oldest.text(), "next")), (1, None));
    let back = browser.get(&link(oldest.text(), "prev").expect("newer ones")).send().await;
    assert_eq!((count(back.text()), link(back.text(), "prev")), (25, None));
}

#[actix_web::test]
async fn sending_again_queues_the_same_event() {
    let app = App::start();
    let mut make = app.make().org().admin().webhook(URL);
    let [dead, done, ..] = all_states(&mut make);
    let browser = app.browser(make.an_admin()).await;
    // Off, so that what is queued stays where it can be looked at.
    press(&browser, &make, "deactivation").await;
    for event in [dead, done] {
        let answer = press(&browser, &make, &format!("deliveries/{event}/replay")).await;
        assert_eq!((answer.status, answer.location()), (303, path(&make, &format!("webhooks?open={event}#r-{event}")).as_str()));
    }
    let waiting = part(&browser, &path(&make, "webhooks?state=waiting")).await;
    assert!(waiting.text().contains(&dead.to_string()) && waiting.text().contains(&done.to_string()));
    assert_eq!(press(&browser, &make, &format!("deliveries/{}/replay", EventId::new(clock::now()))).await.status, 404);
    press(&browser, &make, "removal").await;
    let refused = press(&browser, &make, &format!("deliveries/{dead}/replay")).await;
    assert!(refused.status == 409 && refused.text().contains("There is no webhook"), "{}", refused.status);
}

#[actix_web::test]
async fn all_failed_since_a_time_are_sent_again() {
    let app = App::start();
    let mut make = app.make().org().admin().webhook(URL);
    let failed = |hours| NewDelivery {
        at: clock::now() - Duration::hours(hours),
        state: "gave_up",
        tries: vec![Try::Answered(500, 3)],
        ..NewDelivery::default()
    };
    for hours in [0, 2, 3, 50, 400] {
        make.delivery(failed(hours));
    }
    let browser = app.browser(make.an_admin()).await;
    press(&browser, &make, "deactivation").await;
    let ask = path(&make, "webhooks/replays");
    let asked = part(&browser, &ask).await;
    for words in ["1 hour ago <small>1 delivery<", "24 hours ago <small>3 deliveries<", "7 days ago <small>4 deliveries<"] {
        assert!(asked.text().contains(words), "{words}: {}", asked.text());
    }
    let told = async |answer: Answer| {
        assert_eq!(answer.status, 303, "{}", answer.text());
        main_of(&tab(&browser, &make).await).to_owned()
    };
    let hour = told(browser.post(&ask).form(&[("since", "3600")]).send().await).await;
    assert!(hour.contains("<b>1 delivery is sent again.</b>"));
    let long = told(browser.post(&ask).form(&[("since", "at"), ("at", "2020-01-01T00:00")]).send().await).await;
    assert!(long.contains("<b>4 deliveries are sent again.</b>"));
    let none = told(browser.post(&ask).form(&[("since", "604800")]).send().await).await;
    assert!(none.contains("<b>Nothing to send again.</b>"));
    for bad in [[("since", "at"), ("at", "soon")], [("since", "17"), ("at", "")]] {
        assert_eq!(browser.post(&ask).form(&bad).send().await.status, 422);
    }
}

#[actix_web::test]
async fn the_page_keeps_itself_current_and_open_rows_in_their_place() {
    let app = App::start();
    let mut make = app.make().org().admin().webhook(URL);
    let [.., top] = all_states(&mut make);
    let browser = app.browser(make.an_admin()).await;
    let base = path(&make, "webhooks/live?");
    let live = async |query: String| part(&browser, &format!("{base}{query}")).await;
    let both = live("state=&event=".into()).await;
    assert!(
        both.text().trim_start().starts_with("<section class=\"card\" id=\"endpoint\"")
            && both.text().contains("hx-swap-oob=\"outerMorph\"")
    );
    assert_eq!(count(both.text()), 5);
    assert_eq!(count(live(format!("open={top}&top={top}&open=evt_nonsense")).await.text()), 5);
    let held = live("held=1".into()).await;
    assert!(held.text().contains("id=\"endpoint\"") && !held.text().contains("id=\"deliveries\""));
    make.delivery(NewDelivery::default());
    let pinned = (live(format!("open={top}&top={top}")).await, live(format!("top={top}")).await);
    assert!(count(pinned.0.text()) == 5 && pinned.0.text().contains("Newer ones are in"), "nothing above an open row");
    assert!(count(pinned.1.text()) == 6 && !pinned.1.text().contains("Newer ones are in"));
}

#[actix_web::test]
async fn strangers_find_nothing() {
    let app = App::start();
    let mut ours = app.make().org().admin().webhook(URL);
    let theirs = app.make().org().admin().webhook(URL);
    let event = all_states(&mut ours)[0];
    let other = app.browser(theirs.an_admin()).await;
    for query in [format!("open={event}"), format!("row={event}")] {
        assert_eq!(part(&other, &path(&theirs, &format!("webhooks?{query}"))).await.status, 404, "{query}");
    }
    assert_eq!(press(&other, &theirs, &format!("deliveries/{event}/replay")).await.status, 404);
    assert_eq!(count(tab(&other, &theirs).await.text()), 0);
    assert_eq!(count(other.get(&path(&theirs, &format!("webhooks?before={event}"))).send().await.text()), 0);
}

#[actix_web::test]
async fn an_open_page_keeps_no_session_from_being_idle() {
    let app = App::start();
    let make = app.make().org().admin().webhook(URL);
    let browser = app.browser(make.an_admin()).await;
    let mut conn = app.database().conn();
    sql_query("UPDATE sessions SET seen_at = seen_at - interval '5 min'").execute(&mut conn).unwrap();
    let idle = "SELECT count(*) FROM sessions WHERE seen_at < now() - interval '4 min'";
    assert_eq!(part(&browser, &path(&make, "webhooks/live")).await.status, 200);
    assert_eq!(number(&mut conn, idle), 1, "the page asked by itself");
    assert_eq!(tab(&browser, &make).await.status, 200);
    assert_eq!(number(&mut conn, idle), 0, "a person did");
}
