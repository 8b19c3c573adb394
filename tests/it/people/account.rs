//! The reader's own account.

use super::{COOKIE, audited, count};
use crate::support::{App, Client};

async fn change(browser: &Client, current: &str, new: &str) -> crate::support::Answer {
    browser.post("/account/password").form(&[("current", current), ("new", new)]).send().await
}

#[actix_web::test]
async fn a_new_password_ends_the_other_sessions_and_open_links() {
    let app = App::start();
    let scene = app.make().org().admin();
    let user = scene.an_admin();
    let (here, there) = (app.browser(user).await, app.browser(user).await);
    let wrong = change(&here, "not it", "a brand new one").await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.text().contains("id=\"current-error\"") && !wrong.text().contains("not it"), "{}", wrong.text());
    let short = change(&here, &user.password, "short").await;
    assert!(short.status == 422 && short.text().contains("id=\"new-error\""), "{}", short.text());
    assert_eq!(there.get("/account").send().await.status, 200, "nothing was changed so far");
    let done = change(&here, &user.password, "a brand new one").await;
    assert_eq!((done.status, done.location()), (303, "/account"), "{}", done.text());
    assert!(here.get("/account").send().await.text().contains("Another browser was signed out."));
    assert_eq!(there.get("/account").send().await.status, 303);
    let old = [("email", user.email.as_str()), ("password", user.password.as_str())];
    assert_eq!(app.stranger().post("/sign-in").form(&old).send().await.status, 401);
    let new = [("email", user.email.as_str()), ("password", "a brand new one")];
    assert_eq!(app.stranger().post("/sign-in").form(&new).send().await.status, 303);
    assert!(audited(&mut app.database().conn()).contains(&"account.password_set".to_owned()));
}

#[actix_web::test]
async fn sessions_are_listed_and_ended_one_by_one() {
    let app = App::start();
    let scene = app.make().org().admin().member();
    let (here, there) = (app.browser(scene.an_admin()).await, app.browser(scene.an_admin()).await);
    let other = app.browser(scene.a_member()).await;
    let ids = |page: &str| -> Vec<String> {
        page.split("data-session-id=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
    };
    let page = here.get("/account").send().await.text().to_owned();
    assert_eq!((ids(&page).len(), page.matches("this one</span>").count()), (2, 1), "{page}");
    let secret = here.cookies()[COOKIE].split('=').next_back().unwrap().to_owned();
    assert!(!page.contains(&secret), "what names a session opens nothing");
    let theirs = ids(other.get("/account").send().await.text()).remove(0);
    here.post(&format!("/account/sessions/{theirs}/sign-out")).form(&[]).send().await;
    assert_eq!(other.get("/account").send().await.status, 200, "somebody else's goes on");
    let mine = page.split("<tr data-session-id=\"").skip(1).find(|row| !row.contains("this one</span>")).unwrap();
    let mine = mine.split('"').next().unwrap();
    assert_eq!(here.post(&format!("/account/sessions/{mine}/sign-out")).form(&[]).send().await.location(), "/account");
    assert_eq!(there.get("/account").send().await.status, 303);
    assert_eq!(here.get("/account").send().await.status, 200);
    for odd in ["nothing", "%00", "00000000-0000-0000-0000-000000000000"] {
        assert!([303, 404].contains(&here.post(&format!("/account/sessions/{odd}/sign-out")).form(&[]).send().await.status), "{odd}");
    }
}

#[actix_web::test]
async fn a_name_is_ones_own_to_choose() {
    let app = App::start();
    let scene = app.make().org().admin();
    let browser = app.browser(scene.an_admin()).await;
    assert_eq!(browser.post("/account/name").form(&[("name", "  Dana <b>Okafor</b> ")]).send().await.status, 303);
    let page = browser.get("/account").send().await.text().to_owned();
    assert!(page.contains("Name saved.") && page.contains("Dana &#60;b&#62;Okafor"), "{page}");
    let long = browser.post("/account/name").form(&[("name", "x".repeat(101).as_str())]).send().await;
    assert!(long.status == 422 && long.text().contains(&"x".repeat(101)), "the input is kept");
    assert_eq!(count(&mut app.database().conn(), "users WHERE name = 'Dana <b>Okafor</b>'"), 1);
}
