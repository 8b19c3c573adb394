//! The balance and the ledger.

mod export;
mod threshold;

use latchkey::clock;
use serde_json::json;
use time::Duration;

use super::{main_of, part, path};
use crate::support::{Answer, App};

#[actix_web::test]
async fn a_credit_leaves_in_sight() {
    let app = App::start();
    let make = app.make().org().credits(1_234).member().key();
    let browser = app.browser(make.a_member()).await;
    let credits = path(&make, "credits");
    assert!(browser.get(&credits).send().await.text().contains("<strong id=\"credits-available\">1,234</strong>"));
    let job = app.partner(make.a_key()).post("/analyses").json(&json!({"input": {}})).send().await.json();
    let page = browser.get(&credits).send().await;
    assert!(page.text().contains("<strong id=\"credits-available\">1,233</strong>"));
    assert!(page.text().contains(job["analysis_id"].as_str().unwrap()), "the job's id as the partner knows it");
    for words in [">hold<", ">settle<", ">grant<", "+1,234", "−1", "for a test"] {
        assert!(main_of(&page).contains(words), "{words}");
    }
    let ledger = part(&browser, &credits).await;
    assert!(ledger.text().trim_start().starts_with("<section class=\"card\" id=\"ledger\"") && ledger.text().contains("data-entry-id="));
    assert!(!ledger.text().contains("credits-available"));
}

#[actix_web::test]
async fn the_ledger_is_paged() {
    let app = App::start();
    let mut make = app.make().org().admin();
    for _ in 0..51 {
        make = make.credits(1);
    }
    let browser = app.browser(make.an_admin()).await;
    let newest = browser.get(&path(&make, "credits")).send().await;
    assert_eq!(newest.text().matches("data-entry-id=").count(), 50);
    assert_eq!(link(&newest, "prev"), None);
    let oldest = browser.get(&link(&newest, "next").unwrap()).send().await;
    assert_eq!((oldest.text().matches("data-entry-id=").count(), link(&oldest, "next")), (1, None));
    let back = browser.get(&link(&oldest, "prev").unwrap()).send().await;
    assert_eq!((back.text().matches("data-entry-id=").count(), link(&back, "prev")), (50, None));
    for bad in ["-1", "0", "x", "99999999999999999999"] {
        assert_eq!(browser.get(&path(&make, &format!("credits?before={bad}"))).send().await.status, 404, "{bad}");
    }
    let stranger = app.make().org().admin();
    assert_eq!(app.browser(stranger.an_admin()).await.get(&path(&make, "credits")).send().await.status, 404);
}

/// Where a button of the pages leads.
fn link(page: &Answer, rel: &str) -> Option<String> {
    let link = page.text().split(&format!("rel=\"{rel}\" href=\"")).nth(1)?.split('"').next()?;
    Some(link.replace("&#38;", "&").replace("&amp;", "&"))
}

/// Sequences of the entries on a page, in its order.
fn sequences(page: &Answer) -> Vec<i64> {
    let ids = page.text().split("data-entry-id=\"cre_").skip(1);
    ids.map(|rest| rest.split('"').next().unwrap().parse().unwrap()).collect()
}

/// What a fact of the page says.
fn fact<'a>(page: &'a Answer, name: &str) -> &'a str {
    page.text().split(&format!("<dt>{name}</dt><dd>")).nth(1).unwrap_or_else(|| panic!("no {name}")).split("</dd>").next().unwrap()
}

#[actix_web::test]
async fn filters_stay_in_the_address_and_over_pages() {
    let app = App::start();
    let now = clock::now();
    let make = app.make().org().admin().key().granted(now - Duration::days(40), 500).spent(now - Duration::days(8), 30);
    let make = make.granted(now - Duration::days(3), 50).spent(now - Duration::hours(2), 55);
    let browser = app.browser(make.an_admin()).await;
    let get = async |query: &str| browser.get(&path(&make, &format!("credits?{query}"))).send().await;
    // Settles are every second entry: the newest is 1 + 60 + 1 + 110.
    let settles = get("kind=settle&period=7d").await;
    assert_eq!(sequences(&settles), (0..50).map(|n| 172 - 2 * n).collect::<Vec<_>>());
    let older = link(&settles, "next").unwrap();
    assert!(older.contains("kind=settle&period=7d&before=74"), "{older}");
    let rest = browser.get(&older).send().await;
    assert_eq!((sequences(&rest), link(&rest, "next")), (vec![72, 70, 68, 66, 64], None));
    assert_eq!(sequences(&browser.get(&link(&rest, "prev").unwrap()).send().await), sequences(&settles));
    // The same by htmx, and the ledger alone.
    let by_htmx = part(&browser, &older).await;
    assert_eq!(sequences(&by_htmx), sequences(&rest));
    assert!(!by_htmx.text().contains("<html") && by_htmx.header("vary").contains("HX-Request-Type"));
    assert_eq!(sequences(&get("kind=grant").await), [62, 1]);
    assert_eq!(sequences(&get("kind=grant&period=30d").await), [62]);
    assert!(sequences(&get("kind=adjust").await).is_empty());
    let day = (now - Duration::days(3)).date();
    assert_eq!(sequences(&get(&format!("period=custom&from={day}&to={day}")).await), [62]);
    assert_eq!(sequences(&get(&format!("period=custom&to={day}&kind=grant")).await), [62, 1]);
    assert_eq!(sequences(&get(&format!("period=custom&from={}", day.next_day().unwrap())).await).len(), 50);
}

#[actix_web::test]
async fn bad_filters_are_told_what_is_wrong_with_them() {
    let app = App::start();
    let make = app.make().org().credits(5).admin();
    let browser = app.browser(make.an_admin()).await;
    for (query, words) in [
        ("kind=gift", "is no kind of entry. There are: grant, hold, settle, release, adjust."),
        ("kind=%3Cscript%3E", "&#60;script&#62;"),
        ("period=2d", "is no period."),
        ("period=custom&from=20.11.2026", "is not a day. Write it like 2026-11-20."),
        ("period=custom&from=2026-02-30", "is not a day."),
        ("period=custom&from=2026-11-02&to=2026-11-01", "2026-11-01 is before 2026-11-02."),
    ] {
        for answer in [
            browser.get(&path(&make, &format!("credits?{query}"))).send().await,
            part(&browser, &path(&make, &format!("credits?{query}"))).await,
        ] {
            assert_eq!(answer.status, 422, "{query}");
            assert!(main_of(&answer).contains(words) && answer.text().contains("Not filtered."), "{query}: {}", answer.text());
            assert!(!answer.text().contains("<script>") && sequences(&answer).is_empty());
        }
        assert_eq!(browser.get(&path(&make, &format!("credits/entries.csv?{query}"))).send().await.status, 422, "{query}");
    }
    assert_eq!(browser.get(&path(&make, "credits?kind=hold&kind=grant")).send().await.status, 400);
}

#[actix_web::test]
async fn figures_stand_above_the_ledger() {
    let app = App::start();
    let now = clock::now();
    let empty = app.make().org().admin();
    let page = app.browser(empty.an_admin()).await.get(&path(&empty, "credits")).send().await;
    assert_eq!((fact(&page, "Settled in 30 d"), fact(&page, "Burn rate, 7 d"), fact(&page, "Runs out")), ("0", "0 a day", "Now"));
    assert!(page.text().contains("No entries yet") && !page.text().contains("Show as table"), "nothing to draw");
    let make = app.make().org().admin().granted(now - Duration::days(50), 1_000).spent(now - Duration::days(40), 33);
    let make = make.spent(now - Duration::days(20), 11).spent(now - Duration::days(10), 70).spent(now - Duration::days(2), 140);
    let page = app.browser(make.an_admin()).await.get(&path(&make, "credits")).send().await;
    assert_eq!(fact(&page, "Settled in 30 d"), "221");
    assert!(page.text().contains("33 in the 30 d before") && page.text().contains("more than last week"), "{}", page.text());
    assert!(["19 a day", "20 a day"].contains(&fact(&page, "Burn rate, 7 d")), "{}", fact(&page, "Burn rate, 7 d"));
    assert!(page.text().contains("in 37 days at this rate") || page.text().contains("in 38 days at this rate"));
    // The chart's table says the same in numbers: what was given, and what is left.
    for words in ["Show as table", "+1,000", "<td class=\"num\">140</td>", "<td class=\"num\">746</td>"] {
        assert!(main_of(&page).contains(words), "{words}");
    }
}

/// Spending in every hour of two months, and a full page of the ledger: as much as there can be to show.
#[actix_web::test]
async fn a_busy_page_is_light() {
    let app = App::start();
    let now = clock::now();
    let mut make = app.make().org().admin().key().threshold(900).granted(now - Duration::days(61), 10_000);
    for hours in (1..=60 * 24).rev() {
        let at = now - Duration::hours(hours);
        make = make.spent(at, 1 + (hours % 7) as usize);
        if hours % 300 == 0 {
            make = make.granted(at, 1_500);
        }
    }
    let page = app.browser(make.an_admin()).await.get(&path(&make, "credits")).header("accept-encoding", "gzip").send().await;
    assert_eq!((page.status, page.header("content-encoding")), (200, "gzip"));
    assert!(page.body.len() <= 14_000, "{} bytes", page.body.len());
    println!("{} bytes", page.body.len());
}
