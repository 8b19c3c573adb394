//! A contract of somebody's own, written with nothing but what `latchkey profile show` prints at hand.

use latchkey::profile::Profile;
use serde_json::json;

use super::Stage;

const OWN: &str = include_str!("own.toml");

#[test]
fn it_has_no_setting_that_the_explained_ones_lack() {
    let explained: String = latchkey::profile::BUILT_IN.iter().map(|(_, text)| *text).collect();
    let settings = OWN.lines().filter_map(|line| line.split_once(" = ").map(|(name, _)| name.trim().to_owned()));
    for setting in settings {
        assert!(explained.contains(&format!("{setting} = ")), "nothing explains {setting}");
    }
}

#[actix_web::test]
async fn it_works() {
    let stage = Stage::with(Profile::parse(OWN).unwrap(), 4);
    let key = stage.key();
    assert!(key.starts_with("tl_prod_"), "{key}");
    let order = || stage.app.anon().post("/translate/v2/texts").json(&json!({"input": {"text": "Guten Tag"}}));
    assert_eq!(order().send().await.text(), r#"{"fault":{"reason":"keyMissing"}}"#);
    let made = order().header("x-translate-key", &key).send().await;
    assert_eq!((made.status, made.header("ratelimit-policy")), (202, "\"daily\";q=5000;w=86400"));
    let id = made.json()["translation"].as_str().unwrap().to_owned();
    assert!(id.starts_with("tr_"), "{id}");
    let balance = format!("GET /translate/v2/balance?apikey={key}");
    assert_eq!(stage.call(&balance, None, "").await.json(), json!({"available": 1, "held": 3, "settled": 0}));
    let poor = order().header("x-translate-key", &key).send().await;
    assert_eq!((poor.status, poor.text()), (402, r#"{"fault":{"reason":"topUp","missing":[3,1]}}"#));
    let worker = stage.app.worker();
    let job = worker.post("/worker/v1/claim").json(&json!({"kinds": ["translation"]})).send().await.json()["job"].clone();
    let done = json!({"lease": job["lease"], "result": {"text": "Good day"}});
    assert_eq!(worker.post(&format!("/worker/v1/jobs/{id}/complete")).json(&done).send().await.status, 200);
    let result = stage.call(&format!("GET /translate/v2/texts/{id}/result"), Some(&key), "").await;
    assert_eq!(result.json(), json!({"translation": id, "status": "completed", "result": {"text": "Good day"}}));
    let lesser = stage.key_that_may(&["glossary.read".to_owned()]);
    let refused = stage.call(&format!("GET /translate/v2/texts/{id}"), Some(&lesser), "").await;
    assert_eq!(refused.text(), r#"{"fault":{"reason":"notAllowed","needs":"text.translate"}}"#);
    stage.change_key(&lesser, "revoked_at = now(), revoked_by = 'A test'");
    assert_eq!(stage.call("GET /translate/v2/balance", Some(&lesser), "").await.status, 410);
    let page = stage.app.browser(stage.make.an_admin()).await.get("/orgs/acme-motion/api-keys").send().await;
    for words in
        ["Console / Access / ", "<h1>Credentials</h1>", "New credential", ">Credential<", ">Calls<", ">Deleted<", "5 requests a second"]
    {
        assert!(page.text().contains(words), "{words}: {}", page.text());
    }
}
