//! The tab of an organization that has many keys, and their form.

use super::{call, part, path, shown_key};
use crate::support::App;

fn start() -> App {
    App::with_changes(&[
        ("max_active = 1", "max_active = 0"),
        ("create_label = \"Generate API Key\"", "create_label = \"Create API Key\""),
        ("grant = \"none\"\nlist = []", "grant = \"chosen\"\nlist = [\"scan:create\", \"jobs:read\", \"credits:read\"]"),
    ])
}

#[actix_web::test]
async fn errors_keep_the_input_and_name_the_field() {
    let app = start();
    let make = app.make().org().admin();
    let browser = app.browser(make.an_admin()).await;
    let list = path(&make, "api-keys");
    let new = browser.get(&format!("{list}/new")).send().await;
    for label in ["<label for=\"name\">Name</label>", "<label for=\"environment\">Environment</label>", "<code>scan:create</code></label>"]
    {
        assert!(new.text().contains(label), "{label}");
    }
    let bad = [("name", " "), ("environment", "test"), ("expires", "2020-01-01"), ("permission", "keys:write")];
    let answer = browser.post(&list).form(&bad).send().await;
    assert_eq!(answer.status, 422);
    for kept in
        ["A name is missing.", "is not a permission here", "This moment has passed.", "value=\"2020-01-01\"", "value=\"test\" selected"]
    {
        assert!(answer.text().contains(kept), "{kept}");
    }
    assert_eq!(answer.text().matches("autofocus").count(), 1);
    for (name, value) in [("expires", "soon"), ("expires", "99999-01-01"), ("name", "a\u{0}b"), ("environment", "prod")] {
        let mut form = vec![("permission", "jobs:read"), (name, value)];
        if name != "name" {
            form.push(("name", "Batch"));
        }
        let answer = browser.post(&list).form(&form).send().await;
        assert_eq!(answer.status, 422, "{name}={value}");
        assert!(answer.text().contains(&format!("id=\"{name}-error\"")), "{name}={value}");
    }
    for (kind, body) in [("application/json", "{}"), ("application/x-www-form-urlencoded", "name=%ff%fe")] {
        let answer = browser.post(&list).header("content-type", kind).body(body).send().await;
        assert_eq!(answer.status, 422, "{kind}");
    }
    let page = browser.get(&list).send().await;
    assert!(page.text().contains("No API keys yet"), "and nothing was made");
    assert!(page.text().contains(&format!("action=\"{list}/new\"")), "the button opens the form without script too");
}

#[actix_web::test]
async fn a_key_is_made_edited_and_listed() {
    let app = start();
    let make = app.make().org().admin();
    let browser = app.browser(make.an_admin()).await;
    let list = path(&make, "api-keys");
    let form = [("name", "Nightly <batch>"), ("environment", "live"), ("permission", "scan:create"), ("permission", "jobs:read")];
    let made = browser.post(&list).form(&form).send().await;
    let text = shown_key(&made);
    assert_eq!(call(&app, &text).await, 200);
    let page = made.text();
    assert!(page.contains("Nightly &#60;batch&#62;") && !page.contains("<batch>"));
    let id = page.split("data-key-id=\"").nth(1).unwrap().split('"').next().unwrap();
    let edit = browser.get(&format!("{list}/{id}/edit")).send().await;
    assert!(edit.text().contains("value=\"scan:create\" checked") && edit.text().contains("Part of the key's text"));
    let refused = browser.post(&format!("{list}/{id}")).form(&[("name", ""), ("permission", "jobs:read")]).send().await;
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("name-error") && !refused.text().contains("value=\"scan:create\" checked"));
    let named = [("name", "API key"), ("permission", "jobs:read")];
    browser.post(&format!("{list}/{id}")).form(&named).send().await;
    let usage = browser.get(&path(&make, "usage")).send().await;
    assert!(usage.text().contains("… API key</option>"), "a name that somebody gave is shown");
    let form = [("name", "Nightly"), ("permission", "jobs:read"), ("expires", "2999-01-31"), ("environment", "test")];
    let saved = browser.post(&format!("{list}/{id}")).form(&form).send().await;
    assert_eq!((saved.status, saved.location()), (303, list.as_str()));
    let shown = browser.get(&list).send().await;
    assert!(shown.text().contains("Nightly is saved.") && !shown.text().contains("scan:create") && shown.text().contains(">live</span>"));
    assert!(browser.get(&format!("{list}/{id}/edit")).send().await.text().contains("value=\"2999-01-31\""));
    let rotation = [("once", "01a1fc20-3c5f-7e5f-b3a1-24a48210f36a"), ("generation", "1"), ("grace", "3600")];
    shown_key(&browser.post(&format!("{list}/{id}/rotation")).form(&rotation).send().await);
    let open = part(&browser, &format!("{list}?open={id}")).await;
    assert!(open.text().trim_start().starts_with("<tbody") && open.text().contains("Cut-over to the new key"), "{}", open.text());
    assert!(browser.get(&format!("{list}?open={id}")).send().await.text().contains("Cut-over to the new key"));
    assert!(!browser.get(&list).send().await.text().contains("Cut-over to the new key"), "a row opens when asked");
}
