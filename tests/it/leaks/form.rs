//! The public form.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::{actions, call, flagging};
use crate::support::{App, key_text};

#[actix_web::test]
async fn anybody_can_report_a_key() {
    let app = App::start();
    let scene = app.make().org().admin().key();
    let key = scene.a_key();
    let browser = app.stranger();
    let page = browser.get("/leaked-keys").send().await;
    assert_eq!((page.status, page.header("cache-control")), (200, "no-store"));
    for words in ["<title>Report a found key", "<label for=\"key\">Key</label>", "Where you found it", "Report key"] {
        assert!(page.text().contains(words), "{words} in {}", page.text());
    }
    let place = "A <script>alert(1)</script> paste";
    let text = format!("  API_KEY=\"{}\" # production\n", key.text);
    let answer = browser.post("/leaked-keys").form(&[("key", text.as_str()), ("where", place)]).send().await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("It was a key of this API, and is revoked."), "{}", answer.text());
    assert!(!answer.text().contains(&key.text[12..]) && !answer.text().contains(&scene.here().name), "neither the key nor whose it is");
    assert_eq!(call(&app, &key.text).await, 403);
    let again = browser.post("/leaked-keys").form(&[("key", key.text.as_str())]).send().await;
    assert!(again.text().contains("works no more"), "{}", again.text());
    assert_eq!(actions(&app, scene.here().id), ["key.leaked"]);
    let admin = app.browser(scene.an_admin()).await.get(&format!("/orgs/{}/usage", scene.here().slug)).send().await;
    assert!(admin.text().contains("A &#60;script&#62;alert(1)&#60;/script&#62; paste"), "as text: {}", admin.text());
}

#[actix_web::test]
async fn what_is_no_key_is_told_so() {
    let app = flagging();
    let browser = app.stranger();
    let unknown = key_text(&app.site.profile, "live");
    for text in [unknown.as_str(), "hunter2", "é\0"] {
        let answer = browser.post("/leaked-keys").form(&[("key", text), ("where", "somewhere")]).send().await;
        assert_eq!(answer.status, 200);
        assert!(answer.text().contains("This is no key of this API.") && !answer.text().contains(text), "{}", answer.text());
    }
    let missing = browser.post("/leaked-keys").form(&[("key", " "), ("where", "kept \"here\"")]).send().await;
    assert_eq!(missing.status, 422);
    assert!(
        missing.text().contains("The key is missing.") && missing.text().contains("value=\"kept &#34;here&#34;\""),
        "{}",
        missing.text()
    );
    let large = browser.post("/leaked-keys").form(&[("key", "a".repeat(20_000).as_str())]).send().await;
    assert_eq!((large.status, large.header("content-type")), (413, "text/html; charset=utf-8"));
    let scene = app.make().org().key();
    let mut told = Vec::new();
    for _ in 0..2 {
        told.push(browser.post("/leaked-keys").form(&[("key", scene.a_key().text.as_str())]).send().await.text().to_owned());
    }
    assert!(told[0].contains("It is a key of this API.") && told[1].contains("was reported before"), "{told:?}");
    assert_eq!(call(&app, &scene.a_key().text).await, 200);
}

#[actix_web::test]
async fn trying_texts_by_the_thousand_gets_slow_and_honest_reports_do_not() {
    let app = App::start();
    let scene = app.make().org().key();
    let (anon, browser, text) = (app.anon(), app.stranger(), key_text(&app.site.profile, "live"));
    let tokens = serde_json::json!(vec![serde_json::json!({"token": text}); 159]);
    // As many at once as it takes to reach the longest wait.
    let before = Instant::now();
    assert_eq!(anon.post("/leaked-keys").json(&tokens).send().await.status, 200);
    assert!(before.elapsed() >= Duration::from_millis(1_900), "by program: {:?}", before.elapsed());
    let before = Instant::now();
    join_all((0..3).map(|_| browser.post("/leaked-keys").form(&[("key", text.as_str())]).send())).await;
    assert!(before.elapsed() >= Duration::from_millis(1_900), "by form: {:?}", before.elapsed());
    let before = Instant::now();
    let found = browser.post("/leaked-keys").form(&[("key", scene.a_key().text.as_str())]).send().await;
    assert!(found.text().contains("is revoked") && before.elapsed() < Duration::from_millis(1_500), "{:?}", before.elapsed());
}

#[actix_web::test]
async fn every_key_of_a_pasted_file_is_reported() {
    let app = App::start();
    let scene = app.make().org().key().key_in("test").key();
    let texts: Vec<&str> = scene.keys().iter().map(|key| key.text.as_str()).collect();
    // One is over already: the page tells what matters most.
    app.stranger().post("/leaked-keys").form(&[("key", texts[0])]).send().await;
    let file = format!(
        "OLD={}\nURL=https://x.example/?next=%3Fk%3D{}\nTEXT=\"a\\n{}\"\nNONE={}\n",
        texts[0],
        texts[1],
        texts[2],
        key_text(&app.site.profile, "live")
    );
    let answer = app.stranger().post("/leaked-keys").form(&[("key", file.as_str()), ("where", "a file")]).send().await;
    assert!(answer.status == 200 && answer.text().contains("is revoked"), "{}", answer.text());
    for text in texts {
        assert_eq!(call(&app, text).await, 403);
        assert!(!answer.text().contains(&text[12..]), "{}", answer.text());
    }
    assert_eq!(actions(&app, scene.here().id), ["key.leaked", "key.leaked", "key.leaked"]);
}

#[actix_web::test]
async fn reporting_what_is_known_by_the_thousand_gets_slow_too() {
    let app = flagging();
    let scene = app.make().org().key();
    let tokens = serde_json::json!(vec![serde_json::json!({"token": scene.a_key().text}); 300]);
    let honest = Instant::now();
    let answer = app.anon().post("/leaked-keys").json(&tokens).send().await;
    assert!(answer.status == 200 && honest.elapsed() < Duration::from_millis(1_500), "news, all of it: {:?}", honest.elapsed());
    assert!(answer.json().as_array().unwrap().iter().all(|told| told["label"] == "true_positive"), "{}", answer.text());
    let before = Instant::now();
    assert_eq!(app.anon().post("/leaked-keys").json(&tokens).send().await.status, 200);
    assert!(before.elapsed() >= Duration::from_millis(1_900), "{:?}", before.elapsed());
    // And now before there is any work, whatever is sent.
    let before = Instant::now();
    assert_eq!(app.anon().post("/leaked-keys").json(&serde_json::json!({})).send().await.status, 422);
    assert!(before.elapsed() >= Duration::from_millis(1_900), "{:?}", before.elapsed());
    assert_eq!(actions(&app, scene.here().id), ["key.leaked"]);
}
