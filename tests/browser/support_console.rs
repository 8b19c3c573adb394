//! The console of the staff: looking at an organization with a reason, and what an operator does to one.

use serde_json::json;

use crate::driver::Setup;
use crate::inspect::Window;
use crate::person::Person;
use crate::support::{Make, NOBODY};
use crate::webhooks::NO_SCRIPT;
use crate::world::World;

const TABS: [&str; 4] = ["API Keys", "Webhooks", "Usage", "Credits"];

fn acme(world: &World) -> Make {
    world.make().org_named("acme").credits(1_742).threshold(2_000).admin().member().key().webhook(NOBODY)
}

#[test]
fn support_looks_at_a_desk() {
    look(Window::Wide, Setup::default());
}

#[test]
fn support_looks_on_a_phone() {
    look(Window::Small, Setup::default());
}

#[test]
fn support_looks_without_script() {
    look(Window::Wide, NO_SCRIPT);
}

fn look(window: Window, setup: Setup) {
    let world = World::start();
    let mut scene = acme(&world);
    let support = scene.person(Some("support"));
    assert!(world.admits(&scene.a_key().text));
    let person = world.person_with(setup);
    person.look_through(window);
    person.sign_in(&support);
    person.see("Newest first");
    person.fill("Search", &scene.a_key().text);
    person.click("Find");
    person.see(&format!("Only {}… was searched for.", scene.a_key().prefix));
    assert!(!person.everything().contains(&scene.a_key().text[..20]), "the key is nowhere");
    person.fits("found", window);
    person.click("Organization acme");
    person.click("Open organization");
    person.see("Say why in 1 to 200 characters");
    assert_eq!(person.path(), "/support/organizations/acme/visits");
    person.fill("Reason", "Ticket SUP-4821: 429s since the rotation");
    person.click("Open organization");
    person.see_path("/orgs/acme/api-keys");
    for tab in TABS {
        person.click(tab);
        person.see("Viewing as support Organization acme Ticket SUP-4821: 429s since the rotation ends in 60 min");
        person.see("You can look, not change.");
        assert!(person.count("form[method=post]") == 3, "{tab}: End viewing, and signing out of two kinds");
        assert_eq!(person.count("[hx-post]"), 0, "{tab}");
        for name in ["Rotate Key", "Revoke Key", "Send Test Event", "Rotate Secret", "Edit URL", "Remove", "Save threshold", "Disable"] {
            assert!(!person.has_button(name), "{name} on {tab}");
        }
        person.fits(&format!("{tab} under a visit"), window);
    }
    if person.has_script {
        let key = format!("/orgs/acme/api-keys/{}", scene.a_key().id);
        for path in [format!("{key}/rotation"), format!("{key}/revocation"), "/orgs/acme/webhooks/removal".into()] {
            assert_eq!(forced(&person, &path), 403, "{path}");
        }
    }
    assert!(world.admits(&scene.a_key().text), "the key is what it was");
    person.click("End viewing");
    person.see("You no longer view Organization acme.");
    person.open("/orgs/acme/usage");
    person.see_path("/support/organizations/acme");
    person.see("Look inside");
    let admin = world.signed_in(scene.an_admin());
    admin.click("Audit log");
    admin.see("Opened the organization as support");
    admin.see("Reason: Ticket SUP-4821: 429s since the rotation");
    admin.see("Ended the visit as support");
}

/// The status of a POST that no button of the page would send.
fn forced(person: &Person, path: &str) -> i64 {
    let script = format!(
        "return (await fetch('{path}', {{ method: 'POST', redirect: 'manual', body: new URLSearchParams({{ grace: '0', generation: '1',
        once: '0198f2a0-0000-7000-8000-000000000001' }}) }})).status"
    );
    person.driver.run_async(&script).unwrap().as_i64().unwrap()
}

#[test]
fn a_request_is_found_by_its_id() {
    let world = World::start();
    let mut scene = acme(&world);
    let support = scene.person(Some("support"));
    let made = world.answer(world.partner(&scene.a_key().text).post("/analyses").json(&json!({ "input": {} })));
    let request = made.header("x-request-id").to_owned();
    let person = world.signed_in(&support);
    person.fill("Search", &request);
    person.press("Enter");
    person.see(&format!("request {request}"));
    person.click("Organization acme");
    person.fill("Reason", "Ticket SUP-4821");
    person.click("Open organization");
    person.see_button("Copy request id");
    assert_eq!(person.count(&format!("[data-request-id={request}]")), 1);
    person.open(&format!("/support/organizations/acme?request={request}"));
    person.click("Show the request");
    person.see_button("Copy request id");
}

#[test]
fn an_operator_suspends_at_a_desk() {
    operate(Window::Wide, Setup::default());
}

#[test]
fn an_operator_suspends_on_a_phone() {
    operate(Window::Small, Setup::default());
}

#[test]
fn an_operator_suspends_without_script() {
    operate(Window::Wide, NO_SCRIPT);
}

fn operate(window: Window, setup: Setup) {
    let world = World::start();
    let mut scene = acme(&world);
    let operator = scene.person(Some("operator"));
    let key = scene.a_key().text.clone();
    let person = world.person_with(setup);
    person.look_through(window);
    person.sign_in(&operator);
    person.click("Organization acme");
    assert!(world.admits(&key));
    person.click("Suspend");
    person.see("Suspend Organization acme?");
    person.see_focus("Reason");
    person.fits("suspension", window);
    person.fill("Reason", "unpaid since June");
    person.click("Suspend");
    person.see("Organization acme is suspended.");
    let refused = world.answer(world.partner(&key).get("/key"));
    assert_eq!((refused.status, refused.json()["detail"].as_str()), (403, Some("Organization is suspended")));
    person.see("unpaid since June");
    person.click("Reinstate");
    person.fill("Reason", "paid");
    person.click("Reinstate");
    person.see("Organization acme is reinstated.");
    assert!(world.admits(&key));
    person.click("Grant credits");
    person.fill("Amount", "a few");
    person.fill("Note", "Invoice 7");
    person.click("Grant credits");
    person.see("“a few” is not a whole number.");
    assert_eq!((person.value("Amount"), person.value("Note")), ("a few".into(), "Invoice 7".into()));
    person.fits("grant refused", window);
    person.fill("Amount", "258");
    person.click("Grant credits");
    person.see("Granted 258 credits to Organization acme. 2,000 are available now.");
    person.click("Set limit");
    person.fill("Requests per minute", "120");
    person.click("Set limit");
    person.see("Organization acme may make 120 requests a minute from now on.");
}

#[test]
fn screens_of_the_console() {
    let world = World::start();
    let mut scene = acme(&world);
    for slug in ["borealis", "cedar"] {
        scene = scene.org_named(slug).admin();
    }
    let (support, operator) = (scene.person(Some("support")), scene.person(Some("operator")));
    let person = world.signed_in(&support);
    person.inspect("support-all");
    person.open(&format!("/support?q={}", scene.keys()[0].text));
    person.see("was searched for");
    person.inspect("support-found");
    person.open("/support?q=nothing-of-that-kind");
    person.inspect("support-nothing");
    person.open("/support/organizations/acme");
    person.inspect("support-organization");
    person.click("Open organization");
    person.see("Not opened.");
    person.inspect("support-reason-wrong");
    person.fill("Reason", "Ticket SUP-4821: 429s since the rotation");
    person.click("Open organization");
    for tab in TABS {
        person.click(tab);
        person.see("You can look, not change.");
        person.inspect(&format!("support-visit-{}", tab.to_lowercase().replace(' ', "-")));
    }
    person.open("/support/organizations/acme");
    person.see("Your visit");
    person.inspect("support-visit-console");
    let person = world.signed_in(&operator);
    person.open("/support/organizations/acme");
    person.inspect("support-operator");
    person.click("Suspend");
    person.see("Suspend Organization acme?");
    person.inspect("support-suspend-dialog");
    for noun in ["suspension", "reinstatement", "grants", "adjustments", "limit"] {
        person.open(&format!("/support/organizations/acme/{noun}"));
        person.inspect(&format!("support-{noun}"));
    }
    person.open("/support/organizations/acme/grants");
    person.click("Grant credits");
    person.see("No credits were granted.");
    person.inspect("support-grants-wrong");
    person.open("/support/new-organization");
    person.inspect("support-new");
    person.click("Create organization");
    person.see("No organization was created.");
    person.inspect("support-new-wrong");
    person.fill("Name", "Delta");
    person.fill("Email of the first admin", "ann@example.com");
    person.click("Create organization");
    person.see("Delta is created");
    person.inspect("support-made");
}
