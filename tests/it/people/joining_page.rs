//! The page of a link into an organization.

use diesel::{RunQueryDsl, sql_query};
use latchkey::accounts;
use latchkey::actor::{Actor, Role};
use latchkey::clock;
use latchkey::orgs;

use super::{COOKIE, count};
use crate::support::{App, Make};

/// The path of a link into the organization made last.
fn link(app: &App, make: &Make, email: &str, role: Role) -> String {
    let machine = Actor::command_line();
    let (_, token) = orgs::invite(&mut app.database().conn(), &machine, clock::now(), make.here().id, email, role).unwrap();
    format!("/invitations/{}", token.reveal())
}

#[actix_web::test]
async fn a_new_person_chooses_a_password_and_is_in() {
    let app = App::start();
    let make = app.make().org().admin();
    let path = link(&app, &make, "tom@example.com", Role::Member);
    let browser = app.stranger();
    let page = browser.get(&path).send().await;
    assert_eq!((page.status, page.header("cache-control")), (200, "no-store"));
    assert!(page.text().contains(&format!("Join {}", make.here().name)) && page.text().contains("as a member"), "{}", page.text());
    let short = browser.post(&path).form(&[("password", "short")]).send().await;
    assert_eq!(short.status, 422);
    assert!(short.text().contains("aria-invalid=\"true\"") && short.text().contains("5 characters are too few"), "{}", short.text());
    assert_eq!(browser.post(&path).send().await.status, 422, "no form at all");
    let joined = browser.post(&path).form(&[("password", "correct horse battery")]).send().await;
    assert_eq!((joined.status, joined.location()), (303, format!("/orgs/{}/api-keys", make.here().slug).as_str()));
    let keys = browser.get(joined.location()).send().await;
    assert!(keys.text().contains("You belong to") && keys.text().contains("You can look, not change."), "{}", keys.text());
    let stranger = app.stranger();
    assert_eq!(stranger.get(&path).send().await.status, 404);
    assert_eq!(stranger.post(&path).form(&[("password", "correct horse battery")]).send().await.status, 404);
    assert!(!stranger.cookies().contains_key(COOKIE));
    let form = [("email", "tom@example.com"), ("password", "correct horse battery")];
    assert_eq!(app.stranger().post("/sign-in").form(&form).send().await.status, 303);
}

#[actix_web::test]
async fn who_has_an_account_signs_in_first() {
    let app = App::start();
    let mut make = app.make().org().admin();
    let (tom, eve) = (make.person(None), make.person(None));
    let path = link(&app, &make, &tom.email, Role::Admin);
    let browser = app.stranger();
    let page = browser.get(&path).send().await;
    assert!(page.text().contains("Sign in to join") && !page.text().contains("type=\"password\""), "{}", page.text());
    // Whoever has the link alone gets nowhere with it, and changes no password.
    let forced = browser.post(&path).form(&[("password", "my own password")]).send().await;
    assert_eq!(forced.status, 403);
    assert!(!browser.cookies().contains_key(COOKIE));
    let eves = app.browser(&eve).await;
    let page = eves.get(&path).send().await;
    assert!(page.text().contains(&eve.email) && page.text().contains("Sign out, then open the link again."), "{}", page.text());
    assert_eq!(eves.post(&path).send().await.status, 403);
    assert_eq!(count(&mut app.database().conn(), "memberships"), 1);

    let form = [("email", tom.email.as_str()), ("password", tom.password.as_str()), ("next", path.as_str())];
    let back = browser.post("/sign-in").form(&form).send().await;
    assert_eq!(back.location(), path, "and comes back");
    assert!(browser.get(&path).send().await.text().contains(&format!(">Join {}</button>", make.here().name)));
    let joined = browser.post(&path).send().await;
    assert_eq!((joined.status, joined.location()), (303, format!("/orgs/{}/api-keys", make.here().slug).as_str()));
    assert!(browser.get(joined.location()).send().await.text().contains("Generate API Key"), "as an admin");
    assert_eq!(browser.post(&path).send().await.status, 404, "once");
}

#[actix_web::test]
async fn another_site_joins_nobody() {
    let app = App::start();
    let mut make = app.make().org().admin();
    let tom = make.person(None);
    let path = link(&app, &make, &tom.email, Role::Admin);
    let browser = app.browser(&tom).await;
    assert_eq!(browser.post(&path).header("sec-fetch-site", "cross-site").send().await.status, 403);
    assert_eq!(count(&mut app.database().conn(), "memberships"), 1);
}

#[actix_web::test]
async fn an_account_that_waits_for_its_own_link_is_left_alone() {
    let app = App::start();
    let make = app.make().org().admin().org();
    let (machine, now, mut conn) = (Actor::command_line(), clock::now(), app.database().conn());
    let waiting = accounts::create(&mut conn, &machine, now, "waiting@example.com", None).unwrap().id;
    orgs::add_member(&mut conn, &machine, now, make.orgs()[0].id, waiting, Role::Admin).unwrap();
    let path = link(&app, &make, "waiting@example.com", Role::Member);
    let browser = app.stranger();
    assert!(browser.get(&path).send().await.text().contains("Choose it by the link that came with the account"));
    assert_eq!(browser.post(&path).form(&[("password", "my own password")]).send().await.status, 403);
    assert_eq!(count(&mut conn, "users WHERE email = 'waiting@example.com' AND password_hash IS NULL"), 1);
}

#[actix_web::test]
async fn joining_is_no_way_around_the_second_factor() {
    let app = App::start();
    let make = app.make().org().admin();
    let mut conn = app.database().conn();
    sql_query("UPDATE organizations SET two_factor_required_at = now()").execute(&mut conn).unwrap();
    let path = link(&app, &make, "tom@example.com", Role::Admin);
    let browser = app.stranger();
    let joined = browser.post(&path).form(&[("password", "correct horse battery")]).send().await;
    assert_eq!(joined.status, 303);
    let inside = browser.get(joined.location()).send().await;
    assert!(inside.status == 403 || inside.status == 303, "{}", inside.status);
    assert!(!inside.text().contains("Generate API Key"));
}
