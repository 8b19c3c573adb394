//! What can't be undone wants the password, when it was last proved over an hour ago.

use diesel::{RunQueryDsl, sql_query};

use latchkey::clock;
use latchkey::ids::new_uuid;

use super::{audited, count};
use crate::support::{App, Client};

fn let_an_hour_pass(app: &App) {
    let age = "UPDATE sessions SET proved_at = proved_at - interval '61 minutes'";
    sql_query(age).execute(&mut app.database().conn()).unwrap();
}

async fn revoke(browser: &Client, path: &str, password: &str) -> crate::support::Answer {
    browser.post(path).form(&[("password", password)]).send().await
}

#[actix_web::test]
async fn revoking_wants_the_password_again_after_an_hour() {
    let app = App::start();
    let scene = app.make().org().admin().member().key();
    let browser = app.browser(scene.an_admin()).await;
    let path = format!("/orgs/{}/api-keys/{}/revocation", scene.here().slug, scene.a_key().id);
    assert!(!browser.get(&path).send().await.text().contains("name=\"password\""), "proved a moment ago");
    let_an_hour_pass(&app);
    let question = browser.get(&path).send().await.text().to_owned();
    assert!(question.contains("<label for=\"proof\">Password</label>"), "{question}");
    let partner = app.partner(scene.a_key());
    for (password, words) in [("", "Enter your password"), ("wrong", "This is not your password")] {
        let refused = revoke(&browser, &path, password).await;
        assert_eq!(refused.status, 422);
        assert!(refused.text().contains(words) && refused.text().contains("aria-invalid=\"true\""), "{}", refused.text());
        assert_eq!(partner.get("/key").send().await.status, 200, "and nothing was done");
    }
    assert_eq!(audited(&mut app.database().conn()).last().unwrap(), "session.refused");
    let done = revoke(&browser, &path, &scene.an_admin().password).await;
    assert_eq!(done.status, 303, "{}", done.text());
    assert_eq!(partner.get("/key").send().await.status, 403);
    let roles = app.browser(scene.a_member()).await;
    let_an_hour_pass(&app);
    assert_eq!(revoke(&roles, &path, &scene.a_member().password).await.status, 403, "who may not is not asked for a password");
}

#[actix_web::test]
async fn one_proof_is_good_for_an_hour_and_what_was_chosen_is_kept() {
    let app = App::start();
    let scene = app.make().org().admin().key();
    let browser = app.browser(scene.an_admin()).await;
    let path = format!("/orgs/{}/api-keys/{}/rotation", scene.here().slug, scene.a_key().id);
    let_an_hour_pass(&app);
    let once = new_uuid(clock::now()).to_string();
    let form = |password: &'static str| [("grace", "86400"), ("generation", "1"), ("once", once.as_str()), ("password", password)];
    let again = browser.post(&path).form(&form("wrong")).send().await;
    assert_eq!(again.status, 422);
    assert!(again.text().contains("value=\"86400\" checked"), "{}", again.text());
    let right = scene.an_admin().password.clone();
    let form: Vec<(&str, &str)> =
        form("").into_iter().filter(|(name, _)| *name != "password").chain([("password", right.as_str())]).collect();
    let done = browser.post(&path).form(&form).send().await;
    assert!(done.status == 200 && done.text().contains("id=\"new-key\""), "{}", done.text());
    assert!(!browser.get(&path).send().await.text().contains("name=\"password\""), "proved now");
    assert_eq!(count(&mut app.database().conn(), "sessions"), 1, "the same session");
}

#[actix_web::test]
async fn the_webhooks_secret_too() {
    let app = App::start();
    let scene = app.make().org().admin().webhook("https://hooks.example.com/");
    let browser = app.browser(scene.an_admin()).await;
    let path = format!("/orgs/{}/webhooks/secret-rotation", scene.here().slug);
    let_an_hour_pass(&app);
    assert!(browser.get(&path).send().await.text().contains("name=\"password\""));
    let refused = browser.post(&path).form(&[("old", "now"), ("generation", "1")]).send().await;
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("value=\"now\" checked"), "{}", refused.text());
    let password = scene.an_admin().password.as_str();
    let done = browser.post(&path).form(&[("old", "now"), ("generation", "1"), ("password", password)]).send().await;
    assert!(done.status == 200 && done.text().contains("id=\"webhook-secret\""), "{}", done.text());
}

#[actix_web::test]
async fn an_open_browser_guesses_slowly_and_shuts_nobody_out() {
    let app = App::start();
    let scene = app.make().org().admin().key();
    let found = app.browser(scene.an_admin()).await;
    let path = format!("/orgs/{}/api-keys/{}/revocation", scene.here().slug, scene.a_key().id);
    let_an_hour_pass(&app);
    for _ in 0..6 {
        assert!(revoke(&found, &path, "a guess").await.text().contains("This is not your password"));
    }
    let slowed = revoke(&found, &path, &scene.an_admin().password).await;
    assert!(slowed.status == 422 && slowed.text().contains("Too many attempts"), "{}", slowed.text());
    app.browser(scene.an_admin()).await;
}
