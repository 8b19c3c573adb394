//! The tab of an organization that has one key.

use diesel::prelude::*;

use super::{call, generate, hidden, main_of, part, path, shown_key};
use crate::support::{Answer, App};

/// Path of the only key that works, below its organization.
fn key_path(page: &str) -> String {
    let at = page.find("data-key-id=\"").expect("a key") + "data-key-id=\"".len();
    format!("api-keys/{}", page[at..].split('"').next().unwrap())
}

fn keys_made(app: &App) -> i64 {
    use latchkey::schema::api_key_secrets;
    api_key_secrets::table.count().get_result(&mut app.database().conn()).unwrap()
}

fn told(answer: &Answer) -> &str {
    let page = answer.text();
    let at = page.find("id=\"flash\"").unwrap_or_else(|| panic!("no flash, {}: {page}", answer.status));
    &page[at..at + page[at..].find("</div>").unwrap()]
}

#[actix_web::test]
async fn a_key_is_shown_once_and_works() {
    let app = App::start();
    let make = app.make().org().credits(5).admin();
    let browser = app.browser(make.an_admin()).await;
    let list = path(&make, "api-keys");
    let empty = browser.get(&list).send().await;
    assert_eq!((empty.status, empty.header("cache-control")), (200, "no-store"));
    assert!(empty.text().contains("Generate API Key") && !empty.text().contains("id=\"new-key\""));
    let once = hidden(empty.text().split("Test key").next().unwrap(), "once");
    let form = [("once", once.as_str()), ("environment", "live")];
    let made = browser.post(&list).form(&form).send().await;
    assert_eq!((made.status, made.header("cache-control"), made.header("location")), (200, "no-store", ""));
    let key = shown_key(&made);
    assert!(key.starts_with("lk_live_") && key.len() == 44, "{key}");
    assert!(
        made.text().contains("Copy it before leaving the page. It won&#39;t be shown again.")
            || made.text().contains("It won't be shown again.")
    );
    assert!(made.text().contains(&format!("/analyses -H &#34;Authorization: Bearer {key}&#34;")), "a line to paste");
    assert_eq!(call(&app, &key).await, 200);
    let random = &key[8..38];
    let again = browser.get(&list).send().await;
    assert!(again.text().contains(&key[..12]) && !again.text().contains(random));
    assert!(browser.cookies().values().all(|value| !value.contains(random)));
    assert!(made.headers.iter().all(|(_, value)| !value.to_str().unwrap().contains(random)));
    let repeated = browser.post(&list).form(&form).send().await;
    assert_eq!(repeated.status, 409);
    assert!(told(&repeated).contains("sent before") && repeated.text().contains(&key[..12]), "and the state as it is");
    assert!(!repeated.text().contains("id=\"new-key\""));
    assert_eq!(keys_made(&app), 1);
    let second = browser.post(&list).form(&[("environment", "live")]).send().await;
    assert_eq!((second.status, keys_made(&app)), (409, 1));
}

#[actix_web::test]
async fn with_script_the_answer_to_a_post_is_the_same_page() {
    let app = App::start();
    let make = app.make().org().admin();
    let browser = app.browser(make.an_admin()).await;
    let whole = |request: crate::support::Request| request.htmx().header("hx-request-type", "full");
    let shown = whole(browser.get(&path(&make, "api-keys"))).send().await;
    assert!(shown.text().starts_with("<!doctype html>"));
    let made = whole(browser.post(&path(&make, "api-keys"))).form(&[("environment", "test")]).send().await;
    assert_eq!(made.status, 200);
    assert!(main_of(&made).contains("id=\"new-key\"") && shown_key(&made).starts_with("lk_test_"));
}

#[actix_web::test]
async fn rotating_at_once_ends_the_old_key_and_shows_the_new_one() {
    let app = App::start();
    let make = app.make().org().admin();
    let browser = app.browser(make.an_admin()).await;
    let old = generate(&browser, &make, "live").await;
    let rotation = path(&make, &format!("{}/rotation", key_path(browser.get(&path(&make, "api-keys")).send().await.text())));
    let page = browser.get(&rotation).send().await;
    assert!(page.text().starts_with("<!doctype html>") && page.text().contains("<h1 id=\"dialog-title\">Rotate"));
    let dialog = part(&browser, &rotation).await;
    assert!(dialog.text().starts_with("<form id=\"confirm\"") && dialog.text().contains("<h2 id=\"dialog-title\">Rotate"));
    for words in ["Existing integrations will stop working immediately.", "Immediately", "In 1 hour", "In 24 hours", "In 7 days"] {
        assert!(page.text().contains(words) && dialog.text().contains(words), "{words}");
    }
    let (once, generation) = (hidden(page.text(), "once"), hidden(page.text(), "generation"));
    let form = [("once", once.as_str()), ("generation", generation.as_str()), ("grace", "0")];
    let rotated = browser.post(&rotation).form(&form).send().await;
    let new = shown_key(&rotated);
    assert_eq!((call(&app, &old).await, call(&app, &new).await), (403, 200));
    for repeated in [once.as_str(), "01a1fc20-3c5f-7e5f-b3a1-24a48210f36a"] {
        let form = [("once", repeated), ("generation", generation.as_str()), ("grace", "0")];
        let answer = browser.post(&rotation).form(&form).send().await;
        assert_eq!(answer.status, 409);
        assert!(told(&answer).contains("rotated already") && !answer.text().contains("id=\"new-key\""));
    }
    assert_eq!((call(&app, &new).await, keys_made(&app)), (200, 2));
    for bad in [&[][..], &[("grace", "61"), ("generation", "2"), ("once", once.as_str())], &[("grace", "-1"), ("generation", "2")]] {
        assert_eq!(browser.post(&rotation).form(bad).send().await.status, 422, "{bad:?}");
    }
    assert_eq!(keys_made(&app), 2);
}

#[actix_web::test]
async fn grace_is_watched_and_ended() {
    let app = App::start();
    let make = app.make().org().admin();
    let browser = app.browser(make.an_admin()).await;
    let old = generate(&browser, &make, "live").await;
    let list = path(&make, "api-keys");
    let key = path(&make, &key_path(browser.get(&list).send().await.text()));
    let form = [("once", "01a1fc20-3c5f-7e5f-b3a1-24a48210f36a"), ("generation", "1"), ("grace", "3600")];
    let new = shown_key(&browser.post(&format!("{key}/rotation")).form(&form).send().await);
    assert_eq!((call(&app, &old).await, call(&app, &new).await), (200, 200));
    let page = browser.get(&list).send().await;
    for words in ["Active, in grace", "Cut-over to the new key", "Not quiet yet", "End grace now", "127.0.0.1", "· 50.0%"] {
        assert!(page.text().contains(words), "{words}");
    }
    let second = browser.get(&format!("{key}/rotation")).send().await;
    assert_eq!(second.status, 409);
    assert!(told(&second).contains("still in grace"));
    assert_eq!(browser.get(&format!("{key}/grace-end")).send().await.status, 405, "the button asks nothing");
    let ended = browser.post(&format!("{key}/grace-end")).send().await;
    assert_eq!(ended.status, 303);
    assert_eq!((call(&app, &old).await, call(&app, &new).await), (403, 200));
    let receipt = browser.get(ended.location()).send().await;
    assert!(told(&receipt).contains("Grace ended."));
    assert!(receipt.text().contains("<h3>Receipt</h3>") && receipt.text().contains("Rotated by Person"));
    assert_eq!(browser.post(&format!("{key}/grace-end")).send().await.status, 409);
}

#[actix_web::test]
async fn revoking_shows_the_receipt() {
    let app = App::start();
    let make = app.make().org().admin();
    let browser = app.browser(make.an_admin()).await;
    let text = generate(&browser, &make, "live").await;
    assert_eq!(call(&app, &text).await, 200);
    let list = path(&make, "api-keys");
    let key = path(&make, &key_path(browser.get(&list).send().await.text()));
    let page = browser.get(&format!("{key}/revocation")).send().await;
    assert!(page.text().contains("<h1 id=\"dialog-title\">Revoke") && page.text().contains("In use now: 1 request in 24 h"));
    assert!(part(&browser, &format!("{key}/revocation")).await.text().starts_with("<form id=\"confirm\""));
    let revoked = browser.post(&format!("{key}/revocation")).send().await;
    assert_eq!(revoked.status, 303);
    assert_eq!(call(&app, &text).await, 403);
    let receipt = browser.get(revoked.location()).send().await;
    assert!(told(&receipt).contains("is revoked.") && receipt.text().contains("Generate API Key"));
    assert!(receipt.text().contains("<h2>No active API key</h2>"), "there was one before");
    for words in ["Revoked by Person", "Last accepted request", "GET /key · 127.0.0.1", "1 request</dd>", "Still calling"] {
        assert!(receipt.text().contains(words), "{words}");
    }
    let row = revoked.location().split("open=").nth(1).unwrap().split('#').next().unwrap().to_owned();
    let open = part(&browser, &format!("{list}?open={row}")).await;
    let closed = part(&browser, &format!("{list}?row={row}")).await;
    assert!(open.text().trim_start().starts_with("<tbody") && open.text().contains("<h3>Receipt</h3>"));
    assert!(closed.text().trim_start().starts_with("<tbody") && !closed.text().contains("<h3>Receipt</h3>"));
    for again in ["revocation", "deactivation", "activation", "grace-end"] {
        assert_eq!(browser.post(&format!("{key}/{again}")).send().await.status, 409, "{again}");
    }
    assert_eq!(browser.get(&format!("{key}/rotation")).send().await.status, 409);
    assert_eq!(browser.get(&format!("{list}?open=nonsense")).send().await.status, 200);
    assert_eq!(part(&browser, &format!("{list}?open=nonsense")).await.status, 404);
}

#[actix_web::test]
async fn a_paused_key_comes_back() {
    let app = App::start();
    let make = app.make().org().admin();
    let browser = app.browser(make.an_admin()).await;
    let text = generate(&browser, &make, "live").await;
    let list = path(&make, "api-keys");
    let key = path(&make, &key_path(browser.get(&list).send().await.text()));
    assert_eq!(browser.post(&format!("{key}/deactivation")).send().await.location(), list);
    let page = browser.get(&list).send().await;
    assert!(told(&page).contains("API key is deactivated.") && page.text().contains("Inactive") && page.text().contains("Activate"));
    assert_eq!(call(&app, &text).await, 403);
    assert_eq!(browser.post(&format!("{key}/activation")).send().await.status, 303);
    assert_eq!(call(&app, &text).await, 200);
}

#[actix_web::test]
async fn members_look_and_strangers_find_nothing() {
    let app = App::start();
    let make = app.make().org().admin().member();
    let text = generate(&app.browser(make.an_admin()).await, &make, "live").await;
    let stranger = app.make().org().admin();
    let member = app.browser(make.a_member()).await;
    let other = app.browser(stranger.an_admin()).await;
    let page = member.get(&path(&make, "api-keys")).send().await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains(&text[..12]));
    for words in ["<form", "Rotate", "Revoke Key", "Generate", "Deactivate", "/edit"] {
        assert!(!main_of(&page).contains(words), "{words}");
    }
    let key = key_path(page.text());
    let id = key.split('/').nth(1).unwrap();
    for rest in ["api-keys/new".to_owned(), format!("{key}/edit"), format!("{key}/rotation"), format!("{key}/revocation")] {
        let asked = path(&make, &rest);
        assert_eq!((member.get(&asked).send().await.status, other.get(&asked).send().await.status), (403, 404), "GET {rest}");
        if rest != "api-keys/new" {
            assert_eq!(other.get(&path(&stranger, &rest)).send().await.status, 404, "a key of others, {rest}");
        }
    }
    for verb in ["", "/rotation", "/revocation", "/grace-end", "/deactivation", "/activation"] {
        let asked = path(&make, &format!("api-keys/{id}{verb}"));
        assert_eq!((member.post(&asked).send().await.status, other.post(&asked).send().await.status), (403, 404), "POST {verb}");
        assert_eq!(other.post(&path(&stranger, &format!("api-keys/{id}{verb}"))).send().await.status, 404, "a key of others, {verb}");
    }
    assert_eq!(member.post(&path(&make, "api-keys")).form(&[("environment", "test")]).send().await.status, 403);
    assert_eq!((call(&app, &text).await, keys_made(&app)), (200, 1));
}

#[actix_web::test]
async fn a_key_that_was_made_is_shown_whatever_breaks_afterwards() {
    let app = App::start();
    let make = app.make().org().admin();
    let browser = app.browser(make.an_admin()).await;
    let list = path(&make, "api-keys");
    let alter = |sql: &str| diesel::sql_query(sql).execute(&mut app.database().conn()).unwrap();
    alter("ALTER TABLE usage_pending RENAME TO usage_pending_away");
    let made = browser.post(&list).form(&[("environment", "live")]).send().await;
    let first = shown_key(&made);
    assert_eq!((made.status, made.header("cache-control")), (200, "no-store"));
    assert!(made.text().contains("could not be read") && made.text().contains(&format!("href=\"{list}\"")), "{}", main_of(&made));
    assert!(!made.text().contains("No API key yet") && !made.text().contains("No active API key"), "what is not known is not said");
    alter("ALTER TABLE usage_pending_away RENAME TO usage_pending");
    assert_eq!(call(&app, &first).await, 200);
    let rotation = path(&make, &format!("{}/rotation", key_path(browser.get(&list).send().await.text())));
    alter("ALTER TABLE usage_pending RENAME TO usage_pending_away");
    let form = [("once", "01a1fc20-3c5f-7e5f-b3a1-24a48210f36a"), ("generation", "1"), ("grace", "0")];
    let second = shown_key(&browser.post(&rotation).form(&form).send().await);
    alter("ALTER TABLE usage_pending_away RENAME TO usage_pending");
    assert_eq!((call(&app, &first).await, call(&app, &second).await), (403, 200));
}

#[actix_web::test]
async fn the_screens_say_what_the_profile_says() {
    let app = App::with_changes(&[
        ("create_label = \"Generate API Key\"", "create_label = \"Create API Key\""),
        (
            "[[limits]]\nname = \"default\"",
            "[[limits]]\nname = \"burst\"\nscope = \"organization\"\nrequests = 5\nwindow = \"1s\"\n\n[[limits]]\nname = \"default\"",
        ),
        ("example_input = '{\"video_url\":\"https://cdn.example.com/lift.mp4\"}'", "example_input = \"\"\"{\"note\":\"it's\"}\"\"\""),
        ("[[routes]]\nmethod = \"GET\"\npath = \"/credits\"", SCANS),
    ]);
    let make = app.make().org().admin();
    let browser = app.browser(make.an_admin()).await;
    let empty = browser.get(&path(&make, "api-keys")).send().await;
    assert!(empty.text().contains("Create Test Key") && !empty.text().contains("Generate Test Key"));
    let quoted = "-d &#39;{&#34;input&#34;:{&#34;note&#34;:&#34;it&#39;\\&#39;&#39;s&#34;}}&#39;";
    assert!(empty.text().contains(quoted), "a shell must get it whole: {}", main_of(&empty));
    generate(&browser, &make, "live").await;
    let card = browser.get(&path(&make, "api-keys")).send().await;
    for words in ["60 requests a minute", "5 requests a second, shared by all keys", "1 credit an analysis", "7 credits a scan"] {
        assert!(card.text().contains(words), "{words}: {}", main_of(&card));
    }
    let credits = browser.get(&path(&make, "credits")).send().await;
    assert!(credits.text().contains("each analysis costs one, each scan costs 7"), "{}", main_of(&credits));
    let app = App::with_changes(&[("create_label = \"Generate API Key\"", "create_label = \"New secret\"")]);
    let make = app.make().org().admin();
    assert!(app.browser(make.an_admin()).await.get(&path(&make, "api-keys")).send().await.text().contains("New secret (test)"));
}

/// One more kind of job, before the route that stands there.
const SCANS: &str = r#"[[jobs]]
kind = "scan"
noun = "scan"
id_field = "analysis_id"
id_prefix = "an"
event_prefix = "scan"
price = 7
charge = "on_start"
example_input = '{}'

[[routes]]
method = "POST"
path = "/scans"
action = "jobs.create"
job = "scan"
limit = "default"

[[routes]]
method = "GET"
path = "/scans/{id}"
action = "jobs.read"
job = "scan"

[[routes]]
method = "GET"
path = "/scans/{id}/results"
action = "jobs.results"
job = "scan"

[[routes]]
method = "GET"
path = "/credits""#;
