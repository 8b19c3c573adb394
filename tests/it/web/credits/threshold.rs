//! Running low: the threshold, its banner, its event.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::super::path;
use crate::support::receiver::always;
use crate::support::{Answer, App, Make, NOBODY, Receiver, Reply, number};

const TABS: [&str; 4] = ["api-keys", "webhooks", "usage", "credits"];

fn has_banner(page: &Answer) -> bool {
    page.text().contains("id=\"low-balance\"")
}

/// Payloads of `credits.low`, oldest first.
fn told(app: &App, make: &Make) -> Vec<Value> {
    use diesel::sql_types::Text;
    use diesel::{QueryableByName, RunQueryDsl, sql_query};
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        payload: String,
    }
    let query = format!(
        "SELECT payload::text AS payload FROM events WHERE event_type = 'credits.low' AND organization_id = '{}' ORDER BY id",
        make.here().id.0
    );
    let rows: Vec<Row> = sql_query(query).load(&mut app.database().conn()).unwrap();
    rows.into_iter().map(|row| serde_json::from_str(&row.payload).unwrap()).collect()
}

#[actix_web::test]
async fn a_threshold_is_saved_shown_and_removed() {
    let app = App::start();
    let make = app.make().org().credits(1_200).admin().member();
    let (admin, member) = (app.browser(make.an_admin()).await, app.browser(make.a_member()).await);
    let form = path(&make, "credits/threshold");
    let saved = admin.post(&form).form(&[("threshold", "1,000")]).send().await;
    assert_eq!((saved.status, saved.location()), (303, path(&make, "credits").as_str()));
    let page = admin.get(saved.location()).send().await;
    assert!(page.text().contains("Threshold saved.") && page.text().contains("value=\"1000\"") && page.text().contains("Above threshold"));
    let seen = member.get(&path(&make, "credits")).send().await;
    assert!(seen.text().contains("Warns below <b>1,000</b> credits.") && !seen.text().contains("Save threshold"));
    // Above what there is: the banner at once, for everybody and on every tab; no event, since nothing was spent.
    assert_eq!(admin.post(&form).htmx().form(&[("threshold", "1201")]).send().await.status, 303);
    for (browser, tab) in [&admin, &member].into_iter().flat_map(|browser| TABS.map(|tab| (browser, tab))) {
        let page = browser.get(&path(&make, tab)).send().await;
        assert!(has_banner(&page) && page.text().contains("1,200 available"), "{tab}");
    }
    assert!(told(&app, &make).is_empty());
    assert_eq!(admin.post(&form).form(&[("threshold", "1200")]).send().await.status, 303);
    assert!(!has_banner(&admin.get(&path(&make, "usage")).send().await), "as many as the threshold are not below it");
    assert_eq!(admin.post(&form).form(&[("threshold", " ")]).send().await.status, 303);
    assert!(admin.get(&path(&make, "credits")).send().await.text().contains("No threshold"));
    let audited = "SELECT count(*) FROM audit_entries WHERE action = 'credits.threshold_set'";
    assert_eq!(number(&mut app.database().conn(), audited), 4);
    // Saying the same again is no change.
    assert_eq!(admin.post(&form).form(&[("threshold", "")]).send().await.status, 303);
    assert_eq!(number(&mut app.database().conn(), audited), 4);
}

#[actix_web::test]
async fn nonsense_is_kept_in_its_field_and_changes_nothing() {
    let app = App::start();
    let make = app.make().org().credits(5).admin().member().threshold(3);
    let (admin, member) = (app.browser(make.an_admin()).await, app.browser(make.a_member()).await);
    let form = path(&make, "credits/threshold");
    for nonsense in ["0", "-5", "2.5", "1e3", "<b>", "99999999999999999999", "1000000000001"] {
        let refused = admin.post(&form).form(&[("threshold", nonsense)]).send().await;
        assert_eq!(refused.status, 422, "{nonsense}");
        assert!(refused.text().contains("Threshold not saved.") && refused.text().contains("aria-invalid=\"true\""), "{nonsense}");
        let kept = nonsense.replace('<', "&#60;").replace('>', "&#62;");
        assert!(refused.text().contains(&format!("value=\"{kept}\"")), "{nonsense}");
    }
    assert_eq!(admin.post(&form).header("content-type", "text/plain").body("x").send().await.status, 422);
    assert_eq!(member.post(&form).form(&[("threshold", "1")]).send().await.status, 403);
    let stranger = app.make().org().admin();
    assert_eq!(app.browser(stranger.an_admin()).await.post(&form).form(&[("threshold", "1")]).send().await.status, 404);
    assert_eq!(number(&mut app.database().conn(), "SELECT max(low_threshold) FROM credit_balances"), 3);
}

#[actix_web::test]
async fn a_hundred_at_once_cross_it_once() {
    let app = App::start();
    let make = app.make().org().credits(200).requests_per_minute(10_000).key_in("test").key().webhook(NOBODY).threshold(150);
    let (test, live) = (app.partner(&make.keys()[0]), app.partner(&make.keys()[1]));
    let spend = |client: &crate::support::Client| client.post("/analyses").json(&json!({"input": {}})).send();
    let tested = join_all((0..100).map(|_| spend(&test))).await;
    assert!(tested.iter().all(|answer| answer.status == 202) && told(&app, &make).is_empty(), "tests spend nothing");
    let spent = join_all((0..100).map(|_| spend(&live))).await;
    assert!(spent.iter().all(|answer| answer.status == 202));
    let news = told(&app, &make);
    assert_eq!(news.len(), 1, "{news:?}");
    let (available, at) = (news[0]["available"].as_i64().unwrap(), news[0]["timestamp"].clone());
    // Whatever one batch took at once.
    assert!((100..150).contains(&available), "{available}");
    let payload =
        json!({"event_type": "credits.low", "status": "low", "available": available, "threshold": 150, "sequence": 1, "timestamp": at});
    assert_eq!(news[0], payload);
    let queued = "SELECT count(*) FROM deliveries WHERE event_type = 'credits.low'";
    assert_eq!(number(&mut app.database().conn(), queued), 1);
    let feed = live.get("/events?limit=100").send().await.json();
    assert!(feed["events"].as_array().unwrap().iter().any(|event| event["payload"] == payload), "and in the feed");

    // Up to one below it arms nothing, up to it does.
    let make = make.credits(49);
    assert_eq!(spend(&live).await.status, 202);
    assert_eq!(told(&app, &make).len(), 1);
    let make = make.credits(2);
    assert_eq!(spend(&live).await.status, 202);
    let news = told(&app, &make);
    assert_eq!((news.len(), &news[1]["available"]), (2, &json!(149)));
}

#[actix_web::test]
async fn a_webhook_is_told() {
    let app = App::with_local_webhooks(&[]);
    let receiver = Receiver::start(always(Reply::Status(200)));
    let make = app.make().org().credits(2).admin().key().webhook(&receiver.url()).threshold(2);
    let spent = app.partner(make.a_key()).post("/analyses").json(&json!({"input": {}})).send().await;
    assert_eq!(spent.status, 202);
    let came =
        |log: &crate::support::receiver::Log| log.requests.iter().any(|request| request.event_type == "credits.low" && request.accepted);
    receiver.wait_for("the event", std::time::Duration::from_secs(30), came).await;
    receiver.look(|log| {
        let request = log.requests.iter().find(|request| request.event_type == "credits.low").unwrap();
        let payload: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(vec![payload], told(&app, &make));
        log.assert_proper();
    });
    // It stands in the list of deliveries, which can be filtered for it.
    let list = app.browser(make.an_admin()).await.get(&path(&make, "webhooks?state=&event=credits.low")).send().await;
    assert_eq!(list.text().matches("data-delivery-id=").count(), 1, "{}", list.text());
}
