//! The deliveries on the tab Webhooks: listed, opened, filtered, sent again.

use diesel::sql_types::{Timestamptz, Uuid as SqlUuid};
use diesel::{RunQueryDsl, sql_query};
use time::Duration;

use super::webhooks::{press, tab};
use super::{main_of, part, path};
use crate::support::{Answer, App, Make, NOBODY, NewDelivery, Try};
use latchkey::clock;
use latchkey::ids::{EventId, JobId};

fn count(page: &str) -> usize {
    page.matches("data-delivery-id=").count()
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
    let mut make = app.make().org().admin().member().webhook(NOBODY);
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
    let mut make = app.make().org().admin().webhook(NOBODY);
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
    let mut make = app.make().org().admin().webhook(NOBODY);
    let [dead, done, ..] = all_states(&mut make);
    let browser = app.browser(make.an_admin()).await;
    // Off, so that what is queued stays where it can be looked at.
    press(&browser, &make, "deactivation").await;
    for event in [dead, done] {
        let answer = press(&browser, &make, &format!("deliveries/{event}/replay")).await;
        assert_eq!(
            (answer.status, answer.location()),
            (303, path(&make, &format!("webhooks?state=&event=&open={event}#r-{event}")).as_str())
        );
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
    let mut make = app.make().org().admin().webhook(NOBODY);
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
    // What is chosen already sends something where there is anything.
    assert!(asked.text().contains("value=\"86400\" checked"), "{}", asked.text());
    let mut older = app.make().org().admin().webhook(NOBODY);
    let theirs = app.browser(older.an_admin()).await;
    assert!(part(&theirs, &path(&older, "webhooks/replays")).await.text().contains("value=\"86400\" checked"));
    older.delivery(failed(50));
    assert!(part(&theirs, &path(&older, "webhooks/replays")).await.text().contains("value=\"604800\" checked"));
    let told = async |answer: Answer| {
        assert_eq!(answer.status, 303, "{}", answer.text());
        main_of(&tab(&browser, &make).await).to_owned()
    };
    let hour = told(browser.post(&ask).form(&[("since", "3600")]).send().await).await;
    assert!(hour.contains("<b>1 delivery is sent again.</b> Nothing leaves until the webhook is switched on."));
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
    let mut make = app.make().org().admin().webhook(NOBODY);
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
    let older = live(format!("before={top}")).await;
    assert!(count(older.text()) == 4 && older.text().contains(&format!("name=\"before\" value=\"{top}\"")), "an older page, too");
    make.delivery(NewDelivery::default());
    let pinned = (live(format!("open={top}&top={top}")).await, live(format!("top={top}")).await);
    assert!(pinned.0.text().contains("card-foot pinned"), "in sight wherever in the list somebody reads");
    assert!(count(pinned.0.text()) == 5 && pinned.0.text().contains("Newer ones are in"), "nothing above an open row");
    assert!(count(pinned.1.text()) == 6 && !pinned.1.text().contains("Newer ones are in"));
}

#[actix_web::test]
async fn strangers_find_nothing() {
    let app = App::start();
    let mut ours = app.make().org().admin().webhook(NOBODY);
    let theirs = app.make().org().admin().webhook(NOBODY);
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
async fn what_is_sent_again_stays_in_sight_while_its_row_is_open() {
    let app = App::start();
    let mut make = app.make().org().admin().webhook(NOBODY);
    let [dead, ..] = all_states(&mut make);
    let other = make.delivery(NewDelivery { state: "gave_up", tries: vec![Try::Answered(500, 3)], ..NewDelivery::default() });
    let browser = app.browser(make.an_admin()).await;
    let filtered = path(&make, "webhooks?state=gave_up&event=analysis.started");
    let button = browser.get(&filtered).send().await;
    assert!(button.text().contains("name=\"state\" value=\"gave_up\""), "the button knows the filter");
    let resend = browser.post(&path(&make, &format!("webhooks/deliveries/{dead}/replay")));
    let sent = resend.form(&[("state", "gave_up"), ("event", "analysis.started"), ("open", &other.to_string())]).send().await;
    assert_eq!(sent.location(), format!("{}&open={dead}&open={other}#r-{dead}", filtered));
    let page = browser.get(sent.location().split('#').next().unwrap()).send().await;
    assert_eq!(count(page.text()), 2, "the other is in the filter, this one is open");
    assert!(
        page.text().contains("<b>The delivery is sent again.</b> Its row is open below, with its attempts. Closed, it leaves this list.")
    );
    let place = |event: EventId| page.text().find(&format!("data-delivery-id=\"{event}\"")).expect("its row");
    assert!(place(other) < place(dead) && page.text().contains("Request of attempt 1"), "in its place, with its attempts");
    // A place that nothing leads to is no place to go back to.
    let resend = browser.post(&path(&make, &format!("webhooks/deliveries/{dead}/replay"))).form(&[("state", "x&y#z"), ("before", "1")]);
    assert_eq!(resend.send().await.location(), path(&make, &format!("webhooks?state=&event=&open={dead}#r-{dead}")));
}

#[actix_web::test]
async fn at_most_eight_rows_are_open() {
    let app = App::start();
    let mut make = app.make().org().admin().webhook(NOBODY);
    let all: Vec<String> = (0..12).map(|_| format!("open={}", make.delivery(NewDelivery::default()))).collect();
    let page = app.browser(make.an_admin()).await.get(&path(&make, &format!("webhooks?{}", all.join("&")))).send().await;
    assert_eq!((count(page.text()), page.text().matches("<tr class=\"panel\"").count()), (12, 8));
}

#[actix_web::test]
async fn an_answer_that_is_a_failure_shows_its_status_and_its_class() {
    let app = App::start();
    let mut make = app.make().org().admin().webhook(NOBODY);
    let event = make.delivery(NewDelivery { state: "gave_up", tries: vec![Try::Answered(302, 9)], ..NewDelivery::default() });
    let mut conn = app.database().conn();
    for column in ["deliveries SET last_failure", "delivery_attempts SET failure"] {
        sql_query(format!("UPDATE {column} = 'redirect' WHERE event_id = $1")).bind::<SqlUuid, _>(event).execute(&mut conn).unwrap();
    }
    let page = app.browser(make.an_admin()).await.get(&path(&make, &format!("webhooks?open={event}"))).send().await;
    assert_eq!(page.text().matches(">302 redirect</span>").count(), 2, "in the row and in its attempts");
}

#[actix_web::test]
async fn a_row_says_why_it_was_given_up() {
    let app = App::start();
    let mut make = app.make().org().admin();
    let given_up = |tries: usize, age: Duration| NewDelivery {
        state: "gave_up",
        at: clock::now() - age,
        tries: vec![Try::Answered(500, 3); tries],
        ..NewDelivery::default()
    };
    let [tried, removed, off] =
        [(8, Duration::MINUTE), (2, Duration::MINUTE), (0, Duration::days(9))].map(|(tries, age)| make.delivery(given_up(tries, age)));
    let mut conn = app.database().conn();
    sql_query("UPDATE deliveries SET finished_at = $2 WHERE event_id = $1")
        .bind::<SqlUuid, _>(off)
        .bind::<Timestamptz, _>(clock::now())
        .execute(&mut conn)
        .unwrap();
    let browser = app.browser(make.an_admin()).await;
    let says = async |event: EventId, words: &str| {
        let row = part(&browser, &path(&make, &format!("webhooks?open={event}"))).await;
        assert!(row.text().contains(words), "{words}: {}", row.text());
    };
    // Twenty seconds ago: that was today, but for somebody who is up at midnight.
    let is_today = (clock::now() - Duration::seconds(20)).date() == clock::now().date();
    says(tried, if is_today { "given up at <b><time" } else { "given up on <b><time" }).await;
    says(tried, ", after 8 attempts: that was the last try.").await;
    says(removed, ", after 2 attempts: the webhook was removed.").await;
    says(off, "</b>: the webhook was removed, or had been off for seven days.").await;
    // Saved once and there ever since, it was not removed.
    let hook = "INSERT INTO webhooks (organization_id, url, created_at, updated_at) VALUES ($1, 'https://x.example/', now() - interval '30 days', now())";
    sql_query(hook).bind::<SqlUuid, _>(make.here().id).execute(&mut conn).unwrap();
    says(off, "</b>: the webhook had been off for seven days.").await;
    says(removed, ", after 2 attempts.").await;
}
