//! A reported key is found nowhere afterwards, however it was reported.

use std::fs::File;
use std::process::Stdio;

use serde_json::json;

use crate::partner_api::dump;
use crate::support::{Client, Make, Server, TestDb};

#[actix_web::test]
async fn no_reported_key_is_logged_or_kept() {
    let database = TestDb::new();
    let log = std::env::temp_dir().join(format!("latchkey-test-{}.log", latchkey::secret::random_base62(12).unwrap()));
    let profile = latchkey::profile::Profile::load("analysis").unwrap();
    let mut server = Server::start_at(database.url(), &[("LATCHKEY_LOG", "trace")], Stdio::from(File::create(&log).unwrap())).await;
    let scene = Make::new(database.conn(), profile.into()).org().admin().key().key_in("test").key();
    let (anon, browser) = (Client::new(&server.origin()), Client::browser(&server.origin()));
    let texts: Vec<&str> = scene.keys().iter().map(|key| key.text.as_str()).collect();
    let place = |text: &str| format!("https://example.com/search?q={text}&again={}", text.replace('_', "%5f"));
    let program = json!([{"token": texts[0], "type": texts[0], "url": place(texts[0]), "source": texts[0]}]);
    assert_eq!(anon.post("/leaked-keys").json(&program).send().await.status, 200);
    let broken = format!("[{{\"token\":\"{}\"", texts[0]);
    assert_eq!(anon.post("/leaked-keys").header("content-type", "application/json").body(broken).send().await.status, 400);
    let wrong = json!([{"token": [texts[0]]}, {"token": texts[0], "url": {"a": texts[0]}}]);
    assert_eq!(anon.post("/leaked-keys").json(&wrong).send().await.status, 422);
    for text in &texts[1..] {
        let form = [("key", *text), ("where", &place(text))];
        let answer = browser.post("/leaked-keys").form(&form).send().await;
        assert!(answer.text().contains("is revoked") && !answer.text().contains(&text[12..]), "{}", answer.text());
    }
    let admin = Client::browser(&server.origin());
    let user = scene.an_admin();
    admin.post("/sign-in").form(&[("email", user.email.as_str()), ("password", user.password.as_str())]).send().await;
    let page = admin.get(&format!("/orgs/{}/api-keys", scene.here().slug)).send().await;
    assert!(page.text().contains("A key was found in public."), "{}", page.text());
    let mut places = vec![("the page".to_owned(), page.text().to_owned())];
    places.push(("/metrics".into(), anon.get("/metrics").send().await.text().to_owned()));
    assert!(server.terminate());
    places.extend(dump(&mut database.conn()));
    let logged = String::from_utf8_lossy(&std::fs::read(&log).unwrap()).into_owned();
    let _ = std::fs::remove_file(&log);
    assert!(logged.contains("/leaked-keys"), "it was logged");
    places.push(("the log".into(), logged));
    assert!(places.iter().any(|(place, text)| place == "table audit_entries" && text.contains("key.leaked")), "it was written");
    for text in texts {
        for (place, kept) in &places {
            assert!(!kept.contains(&text[12..]) && !kept.contains(&text[12..32]), "{place} has {text}");
        }
    }
}
