//! Signing in and out as a browser does it.

use super::{COOKIE, audited, count};
use crate::support::{Answer, App, Client};

async fn sign_in(browser: &Client, email: &str, password: &str) -> Answer {
    browser.post("/sign-in").form(&[("email", email), ("password", password)]).send().await
}

#[actix_web::test]
async fn the_right_password_opens_the_organization() {
    let app = App::start();
    let scene = app.make().org().admin();
    let browser = app.stranger();
    let page = browser.get("/sign-in").send().await;
    assert_eq!(page.status, 200);
    for words in ["<label for=\"email\">Email</label>", "<label for=\"password\">Password</label>", ">Sign in</button>"] {
        assert!(page.text().contains(words), "{words}");
    }
    assert!(browser.cookies().is_empty(), "a visitor gets no cookie");
    assert_eq!(count(&mut app.database().conn(), "sessions"), 0, "and causes no row");

    // Capitals and blanks around an address are no other address.
    let user = scene.an_admin();
    let answer = sign_in(&browser, &format!(" {} ", user.email.to_uppercase()), &user.password).await;
    assert_eq!((answer.status, answer.location()), (303, "/"));
    let cookie = answer.header("set-cookie");
    for attribute in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    let home = browser.get("/").send().await;
    assert_eq!((home.status, home.location()), (303, format!("/orgs/{}/api-keys", scene.here().slug).as_str()));
    let away = browser.get("/sign-in").send().await;
    assert_eq!((away.status, away.location()), (303, "/"), "who is signed in need not sign in");
    assert_eq!(audited(&mut app.database().conn()), ["session.started"]);
}

#[actix_web::test]
async fn every_failure_has_one_answer() {
    let app = App::start();
    let mut scene = app.make().org().admin();
    let invited = scene.person(None);
    diesel::RunQueryDsl::execute(
        diesel::sql_query(format!("UPDATE users SET password_hash = NULL WHERE email = '{}'", invited.email)),
        &mut app.database().conn(),
    )
    .unwrap();
    let known = scene.an_admin().email.clone();
    let mut bodies = Vec::new();
    for (email, password) in
        [(known.as_str(), "wrong password"), ("nobody@example.com", "wrong password"), (&invited.email, ""), ("\0 no address", "x")]
    {
        let answer = sign_in(&app.stranger(), email, password).await;
        assert_eq!(answer.status, 401, "{email:?}");
        assert!(answer.header("set-cookie").is_empty());
        bodies.push(answer.text().replace(email, "EMAIL"));
    }
    assert!(bodies[0].contains("value=\"EMAIL\"") && bodies[0].contains("role=\"alert\""), "{}", bodies[0]);
    assert_eq!(bodies[0], bodies[1]);
    assert_eq!(bodies[0], bodies[2]);
    assert_eq!(audited(&mut app.database().conn()), ["session.refused"; 4]);
    let whole = count(&mut app.database().conn(), "audit_entries WHERE changes::text LIKE '%password%'");
    assert_eq!(whole, 0, "what was typed as a password is nowhere");
}

#[actix_web::test]
async fn what_is_typed_in_the_wrong_field_is_not_kept() {
    let app = App::start();
    for typed in ["correct-horse-battery", "correct-horse@battery", "correct-horse@example.com"] {
        assert_eq!(sign_in(&app.stranger(), typed, "x").await.status, 401);
    }
    let conn = &mut app.database().conn();
    assert_eq!(count(conn, "audit_entries e WHERE e::text LIKE '%horse%' OR e::text LIKE '%battery%'"), 0);
    assert_eq!(count(conn, "audit_entries e WHERE e::text LIKE '%unknown account%'"), 3);
    assert_eq!(count(conn, "audit_entries e WHERE e::text LIKE '%unknown account at example.com%'"), 1);
}

#[actix_web::test]
async fn guessing_is_slowed_and_the_owner_gets_in_again() {
    let app = App::start();
    let scene = app.make().org().admin();
    let user = scene.an_admin();
    for _ in 0..6 {
        assert_eq!(sign_in(&app.stranger(), &user.email, "a wrong guess").await.status, 401);
    }
    let refused = sign_in(&app.stranger(), &user.email, &user.password).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "1"));
    assert!(refused.text().contains("role=\"alert\""));
    actix_web::rt::time::sleep(std::time::Duration::from_millis(1_050)).await;
    assert_eq!(sign_in(&app.stranger(), &user.email, &user.password).await.status, 303);
    assert_eq!(count(&mut app.database().conn(), "sign_in_throttles WHERE subject LIKE 'account %'"), 0, "a success clears the account");
}

#[actix_web::test]
async fn the_id_changes_at_sign_in_and_the_one_before_is_dead() {
    let app = App::start();
    let scene = app.make().org().admin();
    let browser = app.browser(scene.an_admin()).await;
    let before = browser.cookies()[COOKIE].clone();
    assert_eq!(sign_in(&browser, &scene.an_admin().email, &scene.an_admin().password).await.status, 303);
    assert_ne!(browser.cookies()[COOKIE], before);
    let thief = app.stranger();
    thief.set_cookie(COOKIE, &before);
    assert_eq!(thief.get("/").send().await.location(), "/sign-in");
    assert_eq!(browser.get("/").send().await.location(), format!("/orgs/{}/api-keys", scene.here().slug));
    assert_eq!(count(&mut app.database().conn(), "sessions"), 1);
    let text = before.split('=').next_back().unwrap();
    assert_eq!(count(&mut app.database().conn(), &format!("sessions s WHERE s::text LIKE '%{text}%'")), 0, "the table has digests");
}

#[actix_web::test]
async fn forged_cookies_mean_signed_out_and_never_a_broken_page() {
    let app = App::start();
    let scene = app.make().org().admin();
    let cookie = app.browser(scene.an_admin()).await.cookies()[COOKIE].clone();
    let mut flipped = cookie.clone().into_bytes();
    let last = flipped.len() - 1;
    flipped[last] = if flipped[last] == b'a' { b'b' } else { b'a' };
    let (half, flipped) = (&cookie[..cookie.len() / 2], String::from_utf8(flipped).unwrap());
    for forged in [half, &flipped, "", "x", "%00%ff", "\"", &"A".repeat(4_000), &format!("{cookie}{cookie}")] {
        let browser = app.stranger();
        browser.set_cookie(COOKIE, forged);
        browser.set_cookie("latchkey-flash", forged);
        let answer = browser.get("/").send().await;
        assert_eq!((answer.status, answer.location()), (303, "/sign-in"), "{forged:?}");
        assert_eq!(browser.get("/sign-in").send().await.status, 200, "{forged:?}");
    }
}

#[actix_web::test]
async fn next_leads_to_pages_of_ours_alone() {
    let app = App::start();
    let scene = app.make().org().admin();
    let user = scene.an_admin();
    for (next, leads) in [
        ("/orgs/a/usage?status=4xx", "/orgs/a/usage?status=4xx"),
        ("https://evil.example/", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("javascript:alert(1)", "/"),
    ] {
        let fields = [("email", user.email.as_str()), ("password", user.password.as_str()), ("next", next)];
        let answer = app.stranger().post("/sign-in").form(&fields).send().await;
        assert_eq!((answer.status, answer.location()), (303, leads), "{next:?}");
    }
    let page = app.stranger().get("/sign-in?next=//evil.example/%22%3E").send().await;
    assert!(page.status == 200 && !page.text().contains("evil"), "{}", page.text());
    let page = app.stranger().get("/sign-in?next=/orgs/a/usage").send().await;
    assert!(page.text().contains("name=\"next\" value=\"/orgs/a/usage\""), "{}", page.text());
}

#[actix_web::test]
async fn signing_out_ends_the_session_itself() {
    let app = App::start();
    let scene = app.make().org().admin();
    let browser = app.browser(scene.an_admin()).await;
    let cookie = browser.cookies()[COOKIE].clone();
    let answer = browser.post("/sign-out").send().await;
    assert_eq!((answer.status, answer.location()), (303, "/sign-in"));
    assert!(!browser.cookies().contains_key(COOKIE));
    assert!(browser.get("/sign-in").send().await.text().contains("<b>Signed out.</b>"));
    assert!(!browser.get("/sign-in").send().await.text().contains("Signed out."), "told once");
    browser.set_cookie(COOKIE, &cookie);
    assert_eq!(browser.get("/").send().await.location(), "/sign-in", "a copy of the cookie is worth nothing");
    assert_eq!(audited(&mut app.database().conn()), ["session.started", "session.ended"]);
}

#[actix_web::test]
async fn signing_out_everywhere_ends_all_of_ones_own_sessions() {
    let app = App::start();
    let scene = app.make().org().admin().member();
    let (one, two) = (app.browser(scene.an_admin()).await, app.browser(scene.an_admin()).await);
    let other = app.browser(scene.a_member()).await;
    assert_eq!(one.post("/sign-out-everywhere").send().await.location(), "/sign-in");
    assert_eq!(two.get("/").send().await.location(), "/sign-in");
    assert_ne!(other.get("/").send().await.location(), "/sign-in", "nobody else's");
    assert_eq!(audited(&mut app.database().conn()).last().unwrap(), "session.ended_everywhere");
    assert_eq!(app.stranger().post("/sign-out-everywhere").send().await.status, 401);
}
