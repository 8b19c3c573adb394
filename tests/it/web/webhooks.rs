//! The tab Webhooks: the webhook itself. Its deliveries are in `deliveries`.

use std::sync::mpsc::channel;

use diesel::{RunQueryDsl, sql_query};

use super::{hidden, main_of, part, path};
use crate::support::{Answer, App, Client, Make, NOBODY, NewDelivery, number};

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

pub async fn tab(browser: &Client, make: &Make) -> Answer {
    browser.get(&path(make, "webhooks")).send().await
}

/// A person's click on a button of the page that needs no fields.
pub async fn press(browser: &Client, make: &Make, noun: &str) -> Answer {
    browser.post(&path(make, &format!("webhooks/{noun}"))).form(&[]).send().await
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
    let saved = save(&admin, &make, NOBODY).await;
    assert_eq!((saved.status, saved.header("cache-control")), (200, "no-store"));
    assert!(saved.text().contains("<b>Webhook saved.</b> Send a test event to see it arrive."));
    let secret = shown_secret(&saved);
    assert!(secret.starts_with("whsec_") && secret.len() == 50, "{secret}");
    assert_eq!(saved.text().matches(&secret).count(), 1);
    assert!(!format!("{:?}", admin.cookies()).contains(&secret[6..]) && !format!("{:?}", saved.headers).contains(&secret[6..]));
    // Sent once more, the form makes no second secret, and shows none.
    let again = save(&admin, &make, NOBODY).await;
    assert_eq!((again.status, again.location()), (303, path(&make, "webhooks").as_str()));
    for browser in [&admin, &member] {
        let page = tab(browser, &make).await;
        assert!(!page.text().contains(&secret) && !page.text().contains("webhook-secret"));
        assert!(page.text().contains(&format!("whsec_••••••••••••{}", &secret[46..])), "{}", page.text());
        assert!(page.text().contains(NOBODY) && page.text().contains("Nothing sent yet"));
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
    save(&browser, &make, NOBODY).await;
    let edit = browser.get(&path(&make, "webhooks/edit")).send().await;
    assert!(edit.text().contains(&format!("value=\"{NOBODY}\"")) && edit.text().contains("Update Webhook"));
    let refused = save(&browser, &make, "nonsense").await;
    assert!(refused.status == 422 && refused.text().contains("Webhook not updated.") && refused.text().contains("Update Webhook"));
    let long = format!("{NOBODY}?{}", "a".repeat(1_900));
    assert_eq!(save(&browser, &make, &long).await.status, 303);
    let page = tab(&browser, &make).await;
    assert!(page.text().contains(&long) && page.text().contains("<b>Webhook updated.</b>"));
}

#[actix_web::test]
async fn the_switch_goes_both_ways_and_remove_takes_it_away() {
    let app = App::start();
    let make = app.make().org().admin().webhook(NOBODY);
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
    let make = app.make().org().admin().webhook(NOBODY);
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
    let make = app.make().org().admin().member().webhook(NOBODY).stopped_webhook("failing");
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
    let gone = app.make().org().admin().webhook(NOBODY).stopped_webhook("gone");
    assert!(tab(&app.browser(gone.an_admin()).await, &gone).await.text().contains("410 Gone"));
}

#[actix_web::test]
async fn an_open_page_keeps_no_session_from_being_idle() {
    let app = App::start();
    let make = app.make().org().admin().webhook(NOBODY);
    let browser = app.browser(make.an_admin()).await;
    let mut conn = app.database().conn();
    sql_query("UPDATE sessions SET seen_at = seen_at - interval '5 min'").execute(&mut conn).unwrap();
    let idle = "SELECT count(*) FROM sessions WHERE seen_at < now() - interval '4 min'";
    assert_eq!(part(&browser, &path(&make, "webhooks/live")).await.status, 200);
    assert_eq!(number(&mut conn, idle), 1, "the page asked by itself");
    assert_eq!(tab(&browser, &make).await.status, 200);
    assert_eq!(number(&mut conn, idle), 0, "a person did");
}

#[actix_web::test]
async fn the_form_of_a_first_webhook_sent_twice_says_what_became_of_the_secret() {
    let app = App::start();
    let make = app.make().org().admin();
    let browser = app.browser(make.an_admin()).await;
    let first = hidden(tab(&browser, &make).await.text(), "first");
    let send = |url: &'static str, first: String| browser.post(&path(&make, "webhooks")).form(&[("url", url), ("first", &first)]).send();
    shown_secret(&send(NOBODY, first.clone()).await);
    // The second click of a double click; and a form that was open since before.
    for url in [NOBODY, "https://127.93.184.34/elsewhere", "nonsense"] {
        let again = send(url, first.clone()).await;
        assert_eq!((again.status, again.text().contains("webhook-secret")), (409, false), "{url}");
        let words = "if nobody copied it, Rotate Secret makes a new one.";
        assert!(again.text().contains("<b>The webhook is saved already.</b>") && again.text().contains(words), "{}", main_of(&again));
    }
    assert!(tab(&browser, &make).await.text().contains(&format!("<code>{NOBODY}</code>")), "nothing was changed");
    assert!(!browser.get(&path(&make, "webhooks/edit")).send().await.text().contains("name=\"first\""));
}

#[actix_web::test]
async fn of_two_clicks_at_once_one_answer_has_the_secret_and_the_other_says_so() {
    let app = App::start();
    let make = app.make().org().admin();
    let browser = app.browser(make.an_admin()).await;
    let (give, word) = channel();
    // Both find no webhook, and both wait to save one.
    app.make().hold_saving(2, word);
    give.send(()).unwrap();
    let send = || browser.post(&path(&make, "webhooks")).form(&[("url", NOBODY), ("first", "1")]).send();
    let (one, other) = tokio::join!(send(), send());
    let (saved, told) = if one.status == 200 { (one, other) } else { (other, one) };
    shown_secret(&saved);
    assert!(told.status == 409 && told.text().contains("<b>The webhook is saved already.</b>"), "{} {}", told.status, main_of(&told));
}

#[actix_web::test]
async fn what_is_wrong_with_a_new_url_is_said_on_the_tab() {
    let app = App::start();
    let make = app.make().org().admin().webhook(NOBODY);
    let browser = app.browser(make.an_admin()).await;
    let asked = browser.get(&path(&make, "webhooks/edit")).send().await;
    let refused = save(&browser, &make, "nonsense").await;
    assert_eq!((asked.status, refused.status), (200, 422));
    for (page, typed) in [(&asked, NOBODY), (&refused, "nonsense")] {
        for words in ["aria-current=\"page\">Webhooks</a>", "id=\"deliveries\"", "role=\"switch\"", "Update Webhook", " autofocus>"] {
            assert!(main_of(page).contains(words), "{words}: {}", main_of(page));
        }
        assert!(main_of(page).contains(&format!("name=\"url\" type=\"url\" value=\"{typed}\"")));
    }
    assert!(refused.text().contains("id=\"url-error\"") && refused.text().contains("aria-invalid=\"true\""));
}

#[actix_web::test]
async fn a_secret_that_can_not_be_opened_is_told_and_replaced() {
    let app = App::start();
    let mut make = app.make().org().admin().webhook(NOBODY);
    let event = make.delivery(NewDelivery { state: "pending", tries: Vec::new(), ..NewDelivery::default() });
    let mut conn = app.database().conn();
    make.break_secrets();
    sql_query("UPDATE delivery_lanes SET claim = gen_random_uuid()").execute(&mut conn).unwrap();
    let browser = app.browser(make.an_admin()).await;
    let page = browser.get(&path(&make, &format!("webhooks?open={event}"))).send().await;
    for words in [
        "The signing secret can’t be opened, so deliveries wait.",
        "latchkey doctor",
        "Waiting (can’t sign)",
        "leaves when there is a signing secret",
    ] {
        assert!(main_of(&page).contains(words), "{words}: {}", main_of(&page));
    }
    assert!(!main_of(&page).contains("Sending<") && !main_of(&page).contains(">Delivering"));
    let test = press(&browser, &make, "test").await;
    assert!(test.status == 409 && test.text().contains("nothing leaves unsigned"), "{}", test.status);
    let ask = path(&make, "webhooks/secret-rotation");
    let asked = part(&browser, &ask).await;
    assert!(!asked.text().contains("value=\"overlap\"") && asked.text().contains("value=\"now\" checked"), "{}", asked.text());
    // A dialog from before chooses the overlap; what can't be opened can't sign all the same.
    let rotated = browser.post(&ask).form(&[("old", "overlap"), ("generation", &hidden(asked.text(), "generation"))]).send().await;
    shown_secret(&rotated);
    assert!(!rotated.text().contains("can’t be opened") && !rotated.text().contains("Signs too"), "{}", main_of(&rotated));
}

#[actix_web::test]
async fn the_reference_says_what_becomes_of_a_failure() {
    let app = App::start();
    let make = app.make().org().admin();
    let page = tab(&app.browser(make.an_admin()).await, &make).await;
    for words in [
        "Tried again after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h and 10 h, each up to 10% longer. After 8 tries it is given up; Resend starts over. Redirects are not followed.",
        "<dt>With <code>Retry-After</code></dt>",
        "<dt>410 Gone</dt><dd>Switches the webhook off, as five days of nothing but failures do.</dd>",
        "Events wait, for seven days; then they are given up.",
        "external_reference",
        "code and message of a failure",
    ] {
        assert!(main_of(&page).contains(words), "{words}");
    }
    let hurried = App::with_local_webhooks(&[std::time::Duration::from_secs(90)]);
    let make = hurried.make().org().admin();
    let page = tab(&hurried.browser(make.an_admin()).await, &make).await;
    assert!(main_of(&page).contains("Tried again after 1 min 30 s, each up to 10% longer. After 2 tries"), "the running settings");
}
