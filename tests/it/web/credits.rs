//! The balance and the ledger.

use serde_json::json;

use super::{main_of, part, path};
use crate::support::App;

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
    assert!(ledger.text().trim_start().starts_with("<section id=\"ledger\">") && ledger.text().contains("data-entry-id="));
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
    let link = |page: &str, rel: &str| Some(page.split(&format!("rel=\"{rel}\" href=\"")).nth(1)?.split('"').next()?.to_owned());
    assert_eq!(link(newest.text(), "prev"), None);
    let oldest = browser.get(&link(newest.text(), "next").unwrap()).send().await;
    assert_eq!((oldest.text().matches("data-entry-id=").count(), link(oldest.text(), "next")), (1, None));
    let back = browser.get(&link(oldest.text(), "prev").unwrap()).send().await;
    assert_eq!((back.text().matches("data-entry-id=").count(), link(back.text(), "prev")), (50, None));
    for bad in ["-1", "0", "x", "99999999999999999999"] {
        assert_eq!(browser.get(&path(&make, &format!("credits?before={bad}"))).send().await.status, 404, "{bad}");
    }
    let stranger = app.make().org().admin();
    assert_eq!(app.browser(stranger.an_admin()).await.get(&path(&make, "credits")).send().await.status, 404);
}
