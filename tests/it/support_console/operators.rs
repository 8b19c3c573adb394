//! What operators do to an organization, and nobody else.

use futures_util::future::join_all;
use serde_json::json;

use super::{audited, number, run, staff, text};
use crate::support::{Answer, App, Client, Make};

fn acme(app: &App) -> Make {
    app.make().org_named("acme").credits(9).admin().key()
}

fn at(noun: &str) -> String {
    format!("/support/organizations/acme/{noun}")
}

/// The id of a form.
async fn form(browser: &Client, noun: &str) -> String {
    let page = browser.get(&at(noun)).send().await;
    assert_eq!(page.status, 200, "{}", page.text());
    page.text().split("name=\"once\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

async fn send(browser: &Client, noun: &str, fields: &[(&str, &str)]) -> Answer {
    browser.post(&at(noun)).form(fields).send().await
}

/// What the page says happened.
async fn told(browser: &Client, answer: &Answer) -> String {
    assert_eq!((answer.status, answer.location()), (303, "/support/organizations/acme"), "{}", answer.text());
    let page = browser.get(answer.location()).send().await;
    let flash = page.text().split("id=\"flash\"").nth(1).expect("a flash");
    flash.split("<b>").nth(1).unwrap().split("</div>").next().unwrap().replace("</b>", "").replace("</span>", "")
}

#[actix_web::test]
async fn a_suspended_organization_is_refused_at_once_and_reinstated_at_once() {
    let app = App::start();
    let scene = acme(&app);
    let sibling = app.sibling();
    let (here, there) = (app.partner(scene.a_key()), sibling.partner(scene.a_key()));
    let make = || json!({"input": {}});
    assert_eq!(here.post("/analyses").json(&make()).send().await.status, 202);
    let browser = app.browser(&staff(&app, "operator")).await;
    let page = browser.get(&at("suspension")).send().await;
    assert!(page.text().contains("<h1 id=\"dialog-title\">Suspend Organization acme?</h1>"), "{}", page.text());
    let part = browser.get(&at("suspension")).htmx().header("hx-request-type", "partial").send().await;
    assert!(part.text().starts_with("<form id=\"confirm\"") && part.text().contains("<h2 id=\"dialog-title\">"), "{}", part.text());
    let long = "x".repeat(201);
    for reason in ["", "  ", long.as_str()] {
        let wrong = send(&browser, "suspension", &[("reason", reason)]).await;
        assert_eq!(wrong.status, 422);
        assert!(wrong.text().contains("Not suspended.") && wrong.text().contains("Say why in 1 to 200 characters"), "{}", wrong.text());
    }
    assert_eq!(here.get("/key").send().await.status, 200, "a mistake suspends nobody");
    let done = send(&browser, "suspension", &[("reason", "unpaid")]).await;
    for partner in [&here, &there] {
        let refused = partner.post("/analyses").json(&make()).send().await;
        assert_eq!((refused.status, refused.json()["detail"].as_str()), (403, Some("Organization is suspended")), "{}", refused.text());
    }
    assert_eq!(told(&browser, &done).await, "Organization acme is suspended. Its keys are refused from the very next request on.");
    let again = send(&browser, "suspension", &[("reason", "unpaid")]).await;
    assert_eq!(again.status, 409);
    assert!(again.text().contains("Organization acme is suspended already."), "{}", again.text());
    let done = send(&browser, "reinstatement", &[("reason", "paid")]).await;
    for partner in [&here, &there] {
        assert_eq!(partner.post("/analyses").json(&make()).send().await.status, 202);
    }
    assert_eq!(told(&browser, &done).await, "Organization acme is reinstated. Its keys work again.");
    assert_eq!(send(&browser, "reinstatement", &[("reason", "paid")]).await.status, 409);
    let log = audited(&app, &scene);
    assert!(log.contains("staff Person") && log.contains("organization.suspended") && log.contains("unpaid"), "{log}");
}

fn available(app: &App) -> i64 {
    number(app, "SELECT available FROM credit_balances b JOIN organizations o ON o.id = b.organization_id WHERE o.slug = 'acme'")
}

#[actix_web::test]
async fn a_form_of_credits_does_its_work_once() {
    let app = App::start();
    let scene = acme(&app);
    let operator = staff(&app, "operator");
    let browser = app.browser(&operator).await;
    let once = form(&browser, "grants").await;
    for (amount, note, wrong) in [
        ("", "Invoice", "Enter a whole number."),
        ("many", "Invoice", "“many” is not a whole number."),
        ("0", "Invoice", "0 is not between 1 and"),
        ("-5", "Invoice", "-5 is not between 1 and"),
        ("99999999999999999999", "Invoice", "is not a whole number."),
        ("1,5", "Invoice", "“1,5” is not a whole number."),
        ("10,5", "Invoice", "“10,5” is not a whole number."),
        ("1,0000", "Invoice", "“1,0000” is not a whole number."),
        ("1000,000", "Invoice", "“1000,000” is not a whole number."),
        ("1,000,00", "Invoice", "“1,000,00” is not a whole number."),
        (",500", "Invoice", "“,500” is not a whole number."),
        ("0,500", "Invoice", "“0,500” is not a whole number."),
        ("1 500", "Invoice", "“1 500” is not a whole number."),
        ("5", " ", "A note of 1 to 200 characters"),
        ("5", "Invoice\0", "A note of 1 to 200 characters on one line"),
        ("5", "Invoice\n7", "A note of 1 to 200 characters on one line"),
        ("<b>", "Invoice", "“&#60;b&#62;” is not a whole number."),
    ] {
        let refused = send(&browser, "grants", &[("once", &once), ("amount", amount), ("note", note)]).await;
        assert_eq!(refused.status, 422, "{amount:?}");
        assert!(refused.text().contains(wrong) && refused.text().contains("No credits were granted."), "{amount:?}: {}", refused.text());
        assert!(refused.text().contains(&format!("value=\"{once}\"")), "the same form goes on");
        assert!(amount == "<b>" || refused.text().contains(&format!("value=\"{amount}\"")), "what was typed is kept");
    }
    let fields = [("once", once.as_str()), ("amount", "1,500"), ("note", "Invoice 7")];
    // Ten clicks at once.
    let answers = join_all((0..10).map(|_| send(&browser, "grants", &fields))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!((statuses[0], statuses[1..].iter().all(|status| *status == 409)), (303, true), "{statuses:?}");
    assert_eq!(available(&app), 1_509);
    let again = send(&browser, "grants", &fields).await;
    assert!(again.status == 409 && again.text().contains("This form has done its work already."), "{}", again.text());
    let once = form(&browser, "adjustments").await;
    let too_much = send(&browser, "adjustments", &[("once", &once), ("amount", "-1,510"), ("note", "Mistake")]).await;
    assert!(too_much.status == 422 && too_much.text().contains("Only 1509 credits are available"), "{}", too_much.text());
    let done = send(&browser, "adjustments", &[("once", &once), ("amount", "−9"), ("note", "Mistake")]).await;
    assert_eq!(told(&browser, &done).await, "Adjusted the credits of Organization acme by −9. 1,500 are available now.");
    for broken in [&[][..], &[("once", "")], &[("once", "1")], &[("once", "0198f2a0-0000-7000-8000-00000000000")]] {
        for noun in ["grants", "adjustments"] {
            let fields = [&[("amount", "1"), ("note", "Without an id of its own")][..], broken].concat();
            let refused = send(&browser, noun, &fields).await;
            assert_eq!(refused.status, 422, "{noun} {broken:?}");
            assert!(refused.text().contains("The form did not arrive as it was sent."), "{broken:?}: {}", refused.text());
            let once = broken.first().map_or("", |(_, once)| *once);
            assert!(refused.text().contains(&format!("name=\"once\" value=\"{once}\"")), "only who asks for a form gets an id");
        }
    }
    assert_eq!(available(&app), 1_500, "and nothing was granted");
    let once = form(&browser, "grants").await;
    let done = send(&browser, "grants", &[("once", &once), ("amount", " 1,000,000 "), ("note", "Invoice 8")]).await;
    assert_eq!(told(&browser, &done).await, "Granted 1,000,000 credits to Organization acme. 1,001,500 are available now.");
    let ledger = text(&app, "SELECT string_agg(concat_ws(' ', kind, amount, actor, note), E'\\n' ORDER BY sequence) FROM credit_entries");
    assert!(ledger.contains(&format!("grant 1500 {} Invoice 7\nadjust -9 {} Mistake", operator.name, operator.name)), "{ledger}");
    let log = audited(&app, &scene);
    assert!(log.contains(&format!("staff {} credits.granted", operator.name)) && log.contains("credits.adjusted"), "{log}");
    assert_eq!(log.matches("credits.granted").count(), 3, "the first, and two by the operator");
}

#[actix_web::test]
async fn a_limit_is_set_and_given_back() {
    let app = App::start();
    let scene = acme(&app);
    let browser = app.browser(&staff(&app, "operator")).await;
    for wrong in ["0", "-1", "2.5", "many", "3000000000"] {
        let refused = send(&browser, "limit", &[("requests_per_minute", wrong)]).await;
        assert_eq!(refused.status, 422, "{wrong}");
        assert!(refused.text().contains("The limit was not changed.") && refused.text().contains(&format!("value=\"{wrong}\"")));
    }
    let limit = async || app.partner(scene.a_key()).get("/key").send().await.json()["rate_limit"]["limit"].as_i64();
    assert_eq!(limit().await, Some(60));
    let done = send(&browser, "limit", &[("requests_per_minute", "1,200")]).await;
    assert_eq!(told(&browser, &done).await, "Limit set. Organization acme may make 1,200 requests a minute from now on.");
    assert_eq!(limit().await, Some(1_200));
    assert!(browser.get(&at("limit")).send().await.text().contains("value=\"1200\""), "it stands in its form");
    let done = send(&browser, "limit", &[("requests_per_minute", " ")]).await;
    assert!(told(&browser, &done).await.starts_with("Limit removed."));
    assert_eq!(limit().await, Some(60));
    assert_eq!(audited(&app, &scene).matches("organization.limit_set").count(), 2);
}

const FORMS: [(&str, &[(&str, &str)]); 5] = [
    ("suspension", &[("reason", "unpaid")]),
    ("grants", &[("once", "0198f2a0-0000-7000-8000-000000000001"), ("amount", "5"), ("note", "kept")]),
    ("adjustments", &[("once", "0198f2a0-0000-7000-8000-000000000002"), ("amount", "5"), ("note", "kept")]),
    ("limit", &[("requests_per_minute", "7")]),
    ("reinstatement", &[("reason", "paid")]),
];

#[actix_web::test]
async fn the_password_is_asked_for_after_an_hour() {
    let app = App::start();
    let scene = acme(&app);
    let operator = staff(&app, "operator");
    let browser = app.browser(&operator).await;
    let new = [("name", "Borealis"), ("email", "ann@example.com")];
    let new = ("/support/new-organization".to_owned(), new.as_slice());
    for (path, fields) in FORMS.map(|(noun, fields)| (at(noun), fields)).into_iter().chain([new]) {
        run(&app, "UPDATE sessions SET proved_at = proved_at - interval '61 min'");
        let before = audited(&app, &scene);
        let asked = browser.get(&path).send().await;
        assert!(asked.text().contains("name=\"password\""), "{path}: {}", asked.text());
        for (password, said) in [("", "Enter your password"), ("wrong", "This is not your password.")] {
            let with = [fields, &[("password", password)]].concat();
            let refused = browser.post(&path).form(&with).send().await;
            assert!(refused.status == 422 && refused.text().contains(said), "{path}: {}", refused.text());
            for (_, typed) in fields {
                assert!(refused.text().contains(&format!("value=\"{typed}\"")), "{path} keeps {typed}");
            }
        }
        assert_eq!(audited(&app, &scene), before, "{path}: nothing was done");
        let with = [fields, &[("password", operator.password.as_str())]].concat();
        let done = browser.post(&path).form(&with).send().await;
        assert!(done.status < 400, "{path}: {}", done.text());
        assert!(!browser.get(&at("limit")).send().await.text().contains("name=\"password\""), "{path}: proved for an hour");
    }
}

#[actix_web::test]
async fn only_operators_operate() {
    let app = App::start();
    let scene = acme(&app);
    let (support, admin) = (app.browser(&staff(&app, "support")).await, app.browser(scene.an_admin()).await);
    let before = audited(&app, &scene);
    let new = ("/support/new-organization".to_owned(), [("name", "Borealis"), ("email", "ann@example.com")].as_slice());
    for (path, fields) in FORMS.map(|(noun, fields)| (at(noun), fields)).into_iter().chain([new]) {
        for (browser, status) in [(&support, 403), (&admin, 404)] {
            assert_eq!(browser.get(&path).send().await.status, status, "GET {path}");
            assert_eq!(browser.post(&path).form(fields).send().await.status, status, "POST {path}");
        }
    }
    assert_eq!(audited(&app, &scene), before);
    assert_eq!(number(&app, "SELECT count(*) FROM organizations"), 1);
    let page = support.get("/support/organizations/acme").send().await;
    assert!(!page.text().contains("Operate") && !page.text().contains("Suspend"), "{}", page.text());
    assert!(!support.get("/support").send().await.text().contains("New organization"));
    let operator = app.browser(&staff(&app, "operator")).await;
    assert_eq!(operator.get("/support/organizations/nobodys/grants").send().await.status, 404);
    assert_eq!(operator.post("/support/organizations/nobodys/grants").form(&[("amount", "1"), ("note", "x")]).send().await.status, 404);
}

#[actix_web::test]
async fn an_organization_is_made_with_its_first_admin() {
    let app = App::start();
    let taken = app.make().org_named("acme").admin();
    let browser = app.browser(&staff(&app, "operator")).await;
    let make = async |name: &str, slug: &str, credits: &str, email: &str| {
        let fields = [("name", name), ("slug", slug), ("credits", credits), ("email", email)];
        browser.post("/support/new-organization").form(&fields).send().await
    };
    for (name, slug, credits, email, wrong) in [
        ("", "", "", "ann@example.com", "Name the organization"),
        ("Other", "acme", "", "ann@example.com", "acme is taken."),
        ("Other", "Not A Slug", "", "ann@example.com", "is no slug."),
        ("Other", "", "-3", "ann@example.com", "-3 is not between 1 and"),
        ("Other", "", "some", "ann@example.com", "“some” is not a whole number."),
        ("Other", "", "", "ann", "This is no e-mail address."),
        ("Other", "", "", "", "This is no e-mail address."),
    ] {
        let refused = make(name, slug, credits, email).await;
        assert!(refused.status == 422 && refused.text().contains(wrong), "{wrong}: {}", refused.text());
        assert!(refused.text().contains("No organization was created."));
    }
    assert_eq!(number(&app, "SELECT count(*) FROM organizations"), 1);
    assert_eq!(number(&app, "SELECT count(*) FROM users WHERE email LIKE 'ann%'"), 0);
    let made = make("New", "new", "1,000", "Ann@Example.com").await;
    assert_eq!((made.status, made.header("cache-control")), (200, "no-store"), "{}", made.text());
    let link = made.text().split("<code id=\"invitation\">").nth(1).unwrap().split('<').next().unwrap().to_owned();
    assert_eq!(make("New", "new", "1,000", "Ann@Example.com").await.status, 422, "sent again it makes no second one");
    assert!(browser.get("/support/organizations/new").send().await.text().contains("1,000"), "a slug like a word of ours is one");
    let ann = app.stranger();
    let joined = ann.post(link.strip_prefix(&app.origin()).unwrap()).form(&[("password", "a long enough password")]).send().await;
    assert_eq!(joined.status, 303, "{}", joined.text());
    let page = ann.get("/orgs/new/api-keys").send().await;
    assert!(page.status == 200 && page.text().contains("Generate API Key"), "as its admin: {}", page.text());
    // A link opens no account that is there: its person joins after signing in, and nobody else.
    let made = make("Borealis", "", "", &taken.an_admin().email).await;
    let link = made.text().split("<code id=\"invitation\">").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let link = link.strip_prefix(&app.origin()).unwrap().to_owned();
    let thief = app.stranger();
    thief.post(&link).form(&[("password", "a long enough password")]).send().await;
    assert_eq!(thief.get("/orgs/borealis/api-keys").send().await.status, 303, "who only has the link stays outside");
    let admin = app.browser(taken.an_admin()).await;
    assert_eq!(admin.post(&link).form(&[]).send().await.status, 303);
    assert_eq!(admin.get("/orgs/borealis/api-keys").send().await.status, 200);
}
