//! Looking at an organization: with a reason, for an hour, and changing nothing.

use actix_web::http::Method;
use latchkey::accounts;
use latchkey::actor::Actor;
use latchkey::audit;
use latchkey::clock;
use latchkey::web::routes::{Needs, ROUTES};
use serde_json::json;

use super::{audited, number, open, run, staff, text, visitor};
use crate::support::{App, Make, NOBODY, NewDelivery};

const TABS: [&str; 4] = ["api-keys", "webhooks", "usage", "credits"];
/// What a page under a visit may still send: none of it touches the organization.
const HARMLESS: [&str; 3] = ["/sign-out", "/sign-out-everywhere", "/support/organizations/acme/visit-end"];

fn acme(app: &App) -> Make {
    app.make().org_named("acme").credits(9).threshold(100).admin().member().key().webhook(NOBODY)
}

/// Every address that a page would send something to.
fn posts(page: &str) -> Vec<&str> {
    let forms = page.split("<form").skip(1).filter_map(|form| form.split_once('>').map(|(tag, _)| tag));
    let plain = forms.filter(|tag| tag.contains("method=\"post\"")).filter_map(|tag| tag.split("action=\"").nth(1)?.split('"').next());
    plain.chain(page.split("hx-post=\"").skip(1).filter_map(|rest| rest.split('"').next())).collect()
}

#[actix_web::test]
async fn the_four_tabs_are_there_to_look_at() {
    let app = App::start();
    let mut scene = acme(&app);
    let delivery = scene.delivery(NewDelivery::default());
    let made = app.partner(scene.a_key()).post("/analyses").json(&json!({"input": {}})).send().await;
    let request = made.header("x-request-id");
    let support = staff(&app, "support");
    let browser = app.browser(&support).await;
    for tab in TABS {
        let asked = browser.get(&format!("/orgs/acme/{tab}")).send().await;
        assert_eq!((asked.status, asked.location()), (303, "/support/organizations/acme"), "{tab} wants a reason first");
        let htmx = browser.get(&format!("/orgs/acme/{tab}")).htmx().send().await;
        assert_eq!(htmx.header("hx-redirect"), "/support/organizations/acme");
    }
    let before = browser.get("/support/organizations/acme").send().await;
    assert!(before.text().contains("Organization acme") && before.text().contains(">Reason<"), "{}", before.text());
    for hidden in ["2 members", "credits", "/orgs/acme", scene.a_member().email.as_str(), &scene.a_key().prefix, "/suspension"] {
        assert!(!before.text().contains(hidden), "{hidden} before the reason: {}", before.text());
    }
    assert_eq!(open(&browser, "acme", "Ticket SUP-4821: \"429s\"").await.location(), "/orgs/acme/api-keys");
    let opened = [format!("webhooks?open={delivery}"), format!("usage?open={request}")];
    for path in TABS.map(str::to_owned).iter().chain(&opened) {
        let page = browser.get(&format!("/orgs/acme/{path}")).send().await;
        assert_eq!(page.status, 200, "{path}: {}", page.text());
        for piece in [
            "Viewing as support",
            "Ticket SUP-4821: &#34;429s&#34;",
            "ends in 60 min",
            "End viewing",
            "2 members",
            "You can look, not change.",
        ] {
            assert!(page.text().contains(piece), "{piece} on {path}: {}", page.text());
        }
        let odd: Vec<&str> = posts(page.text()).into_iter().filter(|action| !HARMLESS.contains(action)).collect();
        assert!(odd.is_empty(), "{path} would send {odd:?}");
        for word in ["Rotate Key", "Revoke Key", "Send Test Event", "Rotate Secret", "Edit URL", "Save threshold", "Resend"] {
            assert!(!page.text().contains(&format!("{word}</button>")), "{word} on {path}");
        }
        assert!(page.text().contains("href=\"/orgs/acme/usage\""), "the tabs lead on");
    }
    let console = browser.get("/support/organizations/acme").send().await;
    assert!(console.text().contains("2 members") && console.text().contains("/orgs/acme/credits"), "{}", console.text());
    // Their own admin sees the buttons, so that the test knows what it looks for.
    let admin = app.browser(scene.an_admin()).await;
    assert!(posts(admin.get("/orgs/acme/webhooks").send().await.text()).len() > HARMLESS.len());
}

/// All that the organization has, as one text.
fn everything(app: &App) -> String {
    let tables = "organizations api_keys api_key_secrets webhooks webhook_secrets deliveries delivery_lanes credit_balances credit_entries \
                  memberships membership_invitations audit_entries support_visits";
    tables.split(' ').map(|table| text(app, &format!("SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t"))).collect()
}

#[actix_web::test]
async fn nothing_can_be_forced_under_a_visit() {
    let app = App::start();
    let mut scene = acme(&app);
    let delivery = scene.delivery(NewDelivery::default());
    for role in ["support", "operator"] {
        let user = staff(&app, role);
        let browser = visitor(&app, &user, "acme").await;
        let stranger = app.browser(&staff(&app, role)).await;
        let before = everything(&app);
        let fields = [
            ("name", "Forced"),
            ("environment", "live"),
            ("grace", "0"),
            ("generation", "1"),
            ("once", "0198f2a0-0000-7000-8000-000000000001"),
            ("url", NOBODY),
            ("threshold", "7"),
            ("email", "eve@example.com"),
            ("role", "admin"),
            ("password", user.password.as_str()),
        ];
        let mut tried = 0;
        for route in ROUTES.iter().filter(|route| route.needs == Needs::Admin) {
            let path = route.path.replace("{slug}", "acme").replace("{key}", &scene.a_key().id.to_string());
            let path = path.replace("{delivery}", &delivery.to_string()).replace("{user}", &scene.an_admin().id.to_string());
            let path = path.replace("{invitation}", &latchkey::ids::InvitationId::new(latchkey::clock::now()).to_string());
            let name = format!("{} {} by {role}", route.method, route.path);
            if route.method == Method::GET {
                assert_eq!(browser.get(&path).send().await.status, 403, "{name}");
                continue;
            }
            tried += 1;
            assert_eq!(browser.post(&path).form(&fields).send().await.status, 403, "{name}");
            assert_eq!(browser.post(&path).form(&fields).htmx().send().await.status, 403, "{name}, as htmx");
            assert_eq!(stranger.post(&path).form(&fields).send().await.status, 403, "{name}, without a visit");
        }
        assert!(tried > 10, "{tried}");
        assert_eq!(everything(&app), before, "and nothing has changed");
    }
    let partner = app.partner(scene.a_key()).get("/key").send().await;
    assert_eq!(partner.status, 200, "the key is what it was");
}

#[actix_web::test]
async fn a_reason_has_to_say_something() {
    let app = App::start();
    acme(&app);
    let browser = app.browser(&staff(&app, "support")).await;
    let long = "x".repeat(201);
    for reason in ["", "   ", long.as_str(), "two\nlines", "nul\0"] {
        let refused = open(&browser, "acme", reason).await;
        assert_eq!(refused.status, 422, "{reason:?}");
        assert!(refused.text().contains("Say why in 1 to 200 characters") && refused.text().contains("Not opened."), "{}", refused.text());
    }
    assert!(open(&browser, "acme", &long).await.text().contains(&long), "what was typed is kept");
    assert_eq!(browser.post("/support/organizations/acme/visits").body("reason").send().await.status, 422);
    assert_eq!(open(&browser, "nobodys", "why").await.status, 404);
    assert_eq!(number(&app, "SELECT count(*) FROM support_visits"), 0);
    assert_eq!(browser.get("/orgs/acme/usage").send().await.status, 303);
    assert_eq!(open(&browser, "acme", &"é".repeat(200)).await.status, 303, "characters are counted, not bytes");
}

#[actix_web::test]
async fn what_others_wrote_is_text() {
    let app = App::start();
    acme(&app);
    run(&app, "UPDATE organizations SET name = '<script>name</script>' WHERE slug = 'acme'");
    let mut support = staff(&app, "support");
    run(&app, &format!("UPDATE users SET name = '<b>staff</b>' WHERE id = '{}'", support.id.0));
    support.name = "<b>staff</b>".into();
    let browser = app.browser(&support).await;
    assert_eq!(open(&browser, "acme", "<img src=x onerror=alert(1)>").await.status, 303);
    for path in ["/support", "/support?q=script", "/support/organizations/acme", "/orgs/acme/api-keys", "/support?q=%3Cscript%3Ex"] {
        let page = browser.get(path).send().await;
        assert_eq!(page.status, 200);
        for evil in ["<script>name", "<img", "<b>staff", "<script>x"] {
            assert!(!page.text().contains(evil), "{evil} on {path}: {}", page.text());
        }
    }
}

#[actix_web::test]
async fn a_visit_is_ones_own_and_ends() {
    let app = App::start();
    let scene = acme(&app);
    app.make().org_named("borealis").admin();
    let (first, second) = (staff(&app, "support"), staff(&app, "support"));
    let browser = visitor(&app, &first, "acme").await;
    let tab = "/orgs/acme/usage";
    assert_eq!(browser.get("/orgs/borealis/usage").send().await.location(), "/support/organizations/borealis", "of one organization");
    let other = app.browser(&second).await;
    assert_eq!(other.get(tab).send().await.location(), "/support/organizations/acme", "somebody else says why first");
    let theirs = other.post("/support/organizations/acme/visit-end").send().await;
    assert_eq!((theirs.status, theirs.location()), (303, "/support"), "and ends nothing of the first one's");
    assert_eq!(browser.get(tab).send().await.status, 200);
    // By the clock: an hour, and then the very next page.
    assert_eq!(number(&app, "SELECT extract(epoch FROM ends_at - opened_at) FROM support_visits"), 3_600);
    run(&app, "UPDATE support_visits SET opened_at = opened_at - interval '59 min 30 s', ends_at = ends_at - interval '59 min 30 s'");
    assert!(browser.get(tab).send().await.text().contains("ends in 1 min"));
    run(&app, "UPDATE support_visits SET opened_at = opened_at - interval '31 s', ends_at = ends_at - interval '31 s'");
    assert_eq!(browser.get(tab).send().await.location(), "/support/organizations/acme");
    assert_eq!(browser.get("/orgs/acme/usage/requests.csv").send().await.status, 303);
    // Another one, which its person ends; what was open twice is closed once for all.
    for _ in 0..2 {
        assert_eq!(open(&browser, "acme", "Ticket SUP-4822").await.status, 303);
    }
    run(&app, "UPDATE support_visits SET ends_at = now() + interval '30 min' WHERE reason = 'Ticket SUP-4822'");
    let ended = browser.post("/support/organizations/acme/visit-end").send().await;
    assert_eq!((ended.status, ended.location()), (303, "/support"));
    assert!(browser.get("/support").send().await.text().contains("You no longer view Organization acme."));
    assert_eq!(browser.get(tab).send().await.location(), "/support/organizations/acme");
    // With the role it ends at once, and does not come back with it.
    assert_eq!(open(&browser, "acme", "Ticket SUP-4823").await.status, 303);
    let (mut conn, actor) = (app.database().conn(), Actor::command_line());
    accounts::set_staff_role(&mut conn, &actor, clock::now(), first.id, None).unwrap();
    assert_eq!(browser.get(tab).send().await.status, 404);
    assert_eq!(browser.get("/support").send().await.status, 404);
    accounts::set_staff_role(&mut conn, &actor, clock::now(), first.id, Some(latchkey::actor::StaffRole::Support)).unwrap();
    assert_eq!(browser.get(tab).send().await.location(), "/support/organizations/acme");
    let log = audited(&app, &scene);
    assert!(log.contains("command_line Command line support.ended"), "{log}");
}

#[actix_web::test]
async fn a_visit_stands_in_the_organizations_own_log() {
    let app = App::start();
    let scene = acme(&app);
    let support = staff(&app, "support");
    let browser = visitor(&app, &support, "acme").await;
    for file in ["usage/requests.csv", "credits/entries.csv"] {
        let path = format!("/orgs/acme/{file}");
        assert_eq!(browser.get(&path).send().await.status, 200);
        assert_eq!(app.browser(scene.a_member()).await.get(&path).send().await.status, 200);
    }
    browser.post("/support/organizations/acme/visit-end").send().await;
    browser.post("/support/organizations/acme/visit-end").send().await;
    let log = audited(&app, &scene);
    let name = &support.name;
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("support.")).collect();
    assert_eq!(lines.len(), 4, "what members take is theirs, and what is not open can't end: {log}");
    assert!(lines[0].starts_with(&format!("staff {name} support.opened")) && lines[0].contains("Ticket SUP-4821"), "{log}");
    assert!(lines[1].starts_with(&format!("staff {name} support.exported")) && lines[1].contains("requests.csv"), "{log}");
    assert!(lines[2].contains("entries.csv") && lines[3].starts_with(&format!("staff {name} support.ended")), "{log}");
    assert_eq!(audit::verify(&mut app.database().conn()).unwrap().first_break, None);
}

#[actix_web::test]
async fn a_request_is_followed_into_the_usage_tab() {
    let app = App::start();
    let scene = acme(&app);
    let made = app.partner(scene.a_key()).post("/analyses").json(&json!({"input": {}})).send().await;
    let request = made.header("x-request-id").to_owned();
    let browser = app.browser(&staff(&app, "support")).await;
    let page = browser.get(&format!("/support/organizations/acme?request={request}")).send().await;
    assert!(page.text().contains(&format!("name=\"request\" value=\"{request}\"")), "{}", page.text());
    let fields = [("reason", "Ticket"), ("request", request.as_str())];
    let opened = browser.post("/support/organizations/acme/visits").form(&fields).send().await;
    let location = opened.location().split('#').next().unwrap().to_owned();
    assert!(location.starts_with("/orgs/acme/usage?"), "{location}");
    let usage = browser.get(&location).send().await;
    assert!(usage.text().contains("Copy request id") && usage.text().contains(&request), "opened: {}", usage.text());
    let elsewhere = [("reason", "Ticket"), ("request", "//evil.example")];
    let opened = browser.post("/support/organizations/acme/visits").form(&elsewhere).send().await;
    assert_eq!(opened.location(), "/orgs/acme/api-keys", "what is no request leads nowhere else");
}
