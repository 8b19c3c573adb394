//! Who may open what.

use super::count;
use crate::support::App;

#[actix_web::test]
async fn strangers_and_other_tenants_find_nothing() {
    let app = App::start();
    let ours = app.make().org().admin().member();
    let theirs = app.make().org().admin();
    let here = format!("/orgs/{}", ours.here().slug);
    for user in [ours.an_admin(), ours.a_member()] {
        let answer = app.browser(user).await.get(&here).send().await;
        assert_eq!((answer.status, answer.location()), (303, format!("{here}/api-keys").as_str()));
    }
    let browser = app.browser(theirs.an_admin()).await;
    let other = browser.get(&here).send().await;
    let unknown = browser.get("/orgs/there-is-none").send().await;
    assert_eq!((other.status, unknown.status), (404, 404));
    let name = &ours.here().name;
    assert!(!other.text().contains(name.as_str()), "not even its name");
    assert_eq!(other.text().replace(&ours.here().slug, ""), unknown.text().replace("there-is-none", ""), "and no telling which it is");
    assert!(other.text().contains(&theirs.an_admin().email), "in the frame of who is signed in");
}

#[actix_web::test]
async fn who_is_not_signed_in_is_sent_to_do_so() {
    let app = App::start();
    let stranger = app.stranger();
    let plain = stranger.get("/orgs/acme/usage?status=4xx").send().await;
    assert_eq!((plain.status, plain.location()), (303, "/sign-in?next=/orgs/acme/usage%3Fstatus%3D4xx"));
    // htmx would follow a 303 and put the sign-in form inside the page.
    let page = format!("{}/orgs/acme/usage", app.origin());
    let htmx = stranger.get("/orgs/acme/usage?row=1").htmx().header("hx-current-url", &page).send().await;
    assert_eq!((htmx.status, htmx.header("hx-redirect")), (401, "/sign-in?next=/orgs/acme/usage"));
    let evil = stranger.get("/orgs/acme").htmx().header("hx-current-url", "https://x//evil.example").send().await;
    assert_eq!(evil.header("hx-redirect"), "/sign-in");
    let form = stranger.post("/sign-out-everywhere").htmx().send().await;
    assert_eq!((form.status, form.header("hx-redirect")), (401, "/sign-in"));
    assert_eq!(stranger.get("/").send().await.location(), "/sign-in");
}

#[actix_web::test]
async fn the_way_in_leads_to_the_organization_opened_last() {
    let app = App::start();
    let first = app.make().org_named("aaa").admin();
    let user = first.an_admin().clone();
    let second = app.make().org_named("bbb").join_as(&user, "member");
    let browser = app.browser(&user).await;
    assert_eq!(browser.get("/").send().await.location(), "/orgs/aaa/api-keys", "the first by name");
    assert_eq!(browser.get("/orgs/bbb").send().await.status, 303);
    assert_eq!(browser.get("/").send().await.location(), "/orgs/bbb/api-keys");
    let missing = browser.get("/orgs/bbb/nothing-here").send().await;
    assert_eq!(missing.status, 404);
    let left = format!("memberships WHERE organization_id = '{}'", second.here().id.0);
    assert_eq!(count(&mut app.database().conn(), &left), 1);
    diesel::RunQueryDsl::execute(diesel::sql_query(format!("DELETE FROM {left}")), &mut app.database().conn()).unwrap();
    assert_eq!(browser.get("/").send().await.location(), "/orgs/aaa/api-keys", "not where one no longer belongs");
    assert_eq!(browser.get("/orgs/bbb").send().await.status, 404, "from the next request on");
}

#[actix_web::test]
async fn who_belongs_nowhere_is_told_what_to_do() {
    let app = App::start();
    let user = app.make().org().person(None);
    let page = app.browser(&user).await.get("/").send().await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("No organization yet") && page.text().contains(&user.email), "{}", page.text());
    assert!(!page.text().contains("API Keys"));
}

#[actix_web::test]
async fn the_frame_tells_where_one_is_and_leads_elsewhere() {
    let app = App::start();
    let first = app.make().org_named("aaa").admin();
    let user = first.an_admin().clone();
    app.make().org_named("bbb").join_as(&user, "member");
    let page = app.browser(&user).await.get("/orgs/aaa/api-keys").send().await;
    assert_eq!(page.status, 200, "{}", page.text());
    for piece in [
        "<a href=\"/orgs/aaa/api-keys\" aria-current=\"page\">API Keys</a>",
        "<a href=\"/orgs/aaa/usage\">Usage</a>",
        "<a href=\"/orgs/aaa/credits\">Credits</a>",
        "href=\"/orgs/bbb/api-keys\"",
        "<h1>API</h1>",
        "Sign out everywhere",
        &user.email,
        &format!("<code id=\"base-url\">{}</code>", app.origin()),
    ] {
        assert!(page.text().contains(piece), "{piece}: {}", page.text());
    }
    assert_eq!(page.text().matches("aria-current=\"page\"").count(), 1);
}
