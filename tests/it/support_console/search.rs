//! Finding an organization by whatever a customer sends.

use serde_json::json;

use super::{rows, run, staff};
use crate::support::{Answer, App, Client};

async fn find(browser: &Client, text: &str) -> Answer {
    let mut query = String::new();
    for byte in text.bytes() {
        query.push_str(&format!("%{byte:02X}"));
    }
    browser.get(&format!("/support?q={query}")).send().await
}

/// As the form of the page does it.
async fn type_in(browser: &Client, text: &str) -> Answer {
    browser.post("/support/searches").form(&[("q", text)]).send().await
}

#[actix_web::test]
async fn by_name_slug_key_member_and_request() {
    let app = App::start();
    let scene = app.make().org_named("acme-motion").credits(5).admin().member().key();
    app.make().org_named("borealis").admin().key();
    let made = app.partner(scene.a_key()).post("/analyses").json(&json!({"input": {}})).send().await;
    assert_eq!(made.status, 202);
    let request = made.header("x-request-id").to_owned();
    let browser = app.browser(&staff(&app, "support")).await;
    let email = &scene.a_member().email;
    let prefix = &scene.a_key().prefix;
    for (typed, why) in [
        ("acme-m", "name".to_owned()),
        ("ORGANIZATION ACME", "name".into()),
        ("motion", "name".into()),
        (prefix.as_str(), format!("key <code>{prefix}…</code>")),
        (&format!("{prefix}…"), format!("key <code>{prefix}…</code>")),
        (&prefix[..prefix.len() - 1], format!("key <code>{prefix}…</code>")),
        (email, format!("member <code>{email}</code>")),
        (&email.to_uppercase(), format!("member <code>{email}</code>")),
        (&email[..8], format!("member <code>{}…</code>", &email[..8])),
        (&request, format!("request <code>{request}</code>")),
        (&format!(" {request}\n"), format!("request <code>{request}</code>")),
    ] {
        let page = find(&browser, typed).await;
        assert_eq!((page.status, rows(&page)), (200, 1), "{typed}: {}", page.text());
        assert!(page.text().contains("acme-motion") && !page.text().contains("borealis"), "{typed}");
        assert!(page.text().contains(&why), "{typed} by {why}: {}", page.text());
    }
    let page = find(&browser, &request).await;
    assert!(page.text().contains(&format!("/support/organizations/acme-motion?request={request}")), "and leads on to the request");
    let both = find(&browser, "organization").await;
    assert_eq!(rows(&both), 2);
    let none = find(&browser, "req_0000000000000000000001").await;
    assert!(none.status == 200 && rows(&none) == 0 && none.text().contains("Nothing found"), "{}", none.text());
    // Before a reason is said, no more of a member's address is shown than was typed.
    assert!(!find(&browser, &email[..8]).await.text().contains(email.as_str()));
}

#[actix_web::test]
async fn characters_that_stand_for_others_stand_for_themselves() {
    let app = App::start();
    let scene = app.make().org_named("plain").admin().key();
    app.make().org_named("percent");
    run(&app, "UPDATE organizations SET name = '100%_\\ \"Quoted\" O''Neil' WHERE slug = 'percent'");
    let browser = app.browser(&staff(&app, "support")).await;
    for typed in ["%", "_", "\\", "0%_", "\"q", "o'neil", "100%_\\ \"Quoted\" O'Neil"] {
        let page = find(&browser, typed).await;
        assert_eq!((page.status, rows(&page)), (200, 1), "{typed}: {}", page.text());
        assert!(page.text().contains("/organizations/percent"), "{typed}");
    }
    let key = &scene.a_key().prefix;
    for typed in ["%%%", "__", "' OR 1=1 --", "\0%", "l%_live", &key.replace('_', "%"), &key.replace("live", "____"), "%@%", "\u{202e}é"] {
        let page = find(&browser, typed).await;
        let expected = if typed == "\0%" { 1 } else { 0 };
        assert_eq!((page.status, rows(&page)), (200, expected), "{typed:?}: {}", page.text());
    }
    let long = find(&browser, &"x".repeat(5_000)).await;
    assert_eq!((long.status, rows(&long)), (200, 0));
}

#[actix_web::test]
async fn a_pasted_key_goes_no_further_than_its_start() {
    let app = App::start();
    let scene = app.make().org_named("acme").admin().key();
    let (key, prefix) = (scene.a_key().text.clone(), scene.a_key().prefix.clone());
    let secret = &key[prefix.len()..];
    let browser = app.browser(&staff(&app, "support")).await;
    for typed in [key.clone(), format!("curl -H 'Authorization: Bearer {key}'"), format!("{}\n{}", &key[..15], &key[15..])] {
        for by_form in [false, true] {
            let answer = if by_form { type_in(&browser, &typed).await } else { find(&browser, &typed).await };
            assert_eq!((answer.status, answer.location()), (303, format!("/support?q={prefix}").as_str()), "{}", answer.text());
            let head: String = answer.headers.iter().map(|(name, value)| format!("{name}: {value:?}\n")).collect();
            assert!(!head.contains(&secret[..8]) && !answer.text().contains(&secret[..8]), "{head}");
            let page = browser.get(answer.location()).send().await;
            assert_eq!(rows(&page), 1);
            assert!(page.text().contains(&format!("Only {prefix}… was searched for.")), "{}", page.text());
            assert!(!page.text().contains(&secret[..8]) && !format!("{:?}", browser.cookies()).contains(&secret[..8]));
        }
    }
    // The form itself never makes an address of what is typed.
    let page = browser.get("/support").send().await;
    let form = page.text().split("<form class=\"search\"").nth(1).unwrap().split('>').next().unwrap().to_owned();
    assert!(form.contains("method=\"post\"") && form.contains("action=\"/support/searches\""), "{form}");
    for (typed, address) in [("acme & co", "/support?q=acme+%26+co"), (" acme ", "/support?q=acme"), ("", "/support?q=")] {
        let answer = type_in(&browser, typed).await;
        assert_eq!((answer.status, answer.location()), (303, address), "{typed:?}");
        let page = browser.get(address).send().await;
        assert!(page.status == 200 && !page.text().contains("was searched for"), "{typed:?}: nothing was cut");
    }
    // Who is not signed in any more is sent to do so without it.
    let stranger = find(&app.stranger(), &key).await;
    assert_eq!((stranger.status, stranger.location()), (303, "/sign-in?next=/support"));
}

#[actix_web::test]
async fn one_with_many_keys_hides_no_other() {
    let app = App::start();
    let scene = app.make().org_named("many").admin().key();
    let other = app.make().org_named("other").admin().key();
    run(
        &app,
        &format!(
            "INSERT INTO api_key_secrets (organization_id, key_id, generation, digest, prefix, created_at, created_by)
             SELECT '{}', '{}', i, sha256(i::text::bytea), 'lk_live_' || lpad(to_hex(i), 4, '0'), now(), 'A test'
             FROM generate_series(2, 2000) i",
            scene.here().id.0,
            scene.a_key().id.0,
        ),
    );
    // The last of all keys.
    run(&app, &format!("UPDATE api_key_secrets SET prefix = 'lk_live_zzzz' WHERE organization_id = '{}'", other.here().id.0));
    let browser = app.browser(&staff(&app, "support")).await;
    let page = find(&browser, "lk_live_").await;
    assert_eq!(rows(&page), 2, "{}", page.text());
    assert!(page.text().contains("/organizations/other") && !page.text().contains("There are more."), "{}", page.text());
    assert_eq!(page.text().matches("key <code>").count(), 3 + 1, "three reasons of the one, the one of the other");
}

#[actix_web::test]
async fn all_are_listed_by_pages_and_many_are_said_to_be_more() {
    let app = App::start();
    run(
        &app,
        "INSERT INTO organizations (id, slug, name, created_at)
         SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, 'crowd-' || i, 'Crowd ' || i, now()
         FROM generate_series(1, 120) i",
    );
    let browser = app.browser(&staff(&app, "support")).await;
    let found = find(&browser, "crowd").await;
    assert_eq!(rows(&found), 50);
    assert!(found.text().contains("There are more."), "{}", found.text());
    assert!(!find(&browser, "crowd-11").await.text().contains("There are more."));
    let exact = find(&browser, "crowd-1").await;
    let (first, second) = (exact.text().find(">Crowd 1<").unwrap(), exact.text().find(">Crowd 10<").unwrap());
    assert!(first < second, "the one that is called so comes first");
    let (mut path, mut seen) = ("/support".to_owned(), Vec::new());
    loop {
        let page = browser.get(&path).send().await;
        let slugs = page.text().split("<code>crowd-").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned());
        seen.extend(slugs);
        let Some(older) = page.text().split("href=\"/support?before=").nth(1) else { break };
        path = format!("/support?before={}", older.split('"').next().unwrap());
    }
    let expected: Vec<String> = (1..=120).rev().map(|i| i.to_string()).collect();
    assert_eq!(seen, expected, "every one once, the newest first");
}

#[actix_web::test]
async fn nobody_else_has_a_console() {
    let app = App::start();
    let scene = app.make().org().admin();
    let browser = app.browser(scene.an_admin()).await;
    for path in
        ["/support".to_owned(), format!("/support?q={}", scene.here().slug), format!("/support/organizations/{}", scene.here().slug)]
    {
        assert_eq!(browser.get(&path).send().await.status, 404, "{path}");
    }
    assert!(!browser.get(&format!("/orgs/{}/api-keys", scene.here().slug)).send().await.text().contains("/support"));
}

#[actix_web::test]
async fn the_way_in_of_staff_is_the_console() {
    let app = App::start();
    let support = staff(&app, "support");
    let browser = app.browser(&support).await;
    assert_eq!(browser.get("/").send().await.location(), "/support");
    app.make().org_named("own").join_as(&support, "member");
    assert_eq!(browser.get("/").send().await.location(), "/orgs/own/api-keys", "who belongs somewhere goes there");
}
