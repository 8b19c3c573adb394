//! The audit log: an admin makes and rotates a key, and reads who did.

use latchkey::actor::{Actor, StaffRole};
use serde_json::json;

use crate::driver::Setup;
use crate::inspect::Window;
use crate::person::{Person, not_yet};
use crate::webhooks::NO_SCRIPT;
use crate::world::World;

#[test]
fn the_log_at_a_desk() {
    read(Window::Wide, Setup::default());
}

#[test]
fn the_log_on_a_phone() {
    read(Window::Small, Setup::default());
}

#[test]
fn the_log_without_script() {
    read(Window::Wide, NO_SCRIPT);
}

fn see_rows(person: &Person, count: u64) {
    person.until(&format!("{count} rows"), || if person.count("[data-entry-id]") == count { Ok(()) } else { Err(not_yet()) });
}

fn read(window: Window, setup: Setup) {
    let world = World::start();
    let scene = world.make().org().credits(40).admin();
    let person = world.person_with(setup);
    person.look_through(window);
    person.sign_in(scene.an_admin());
    person.click("Generate API Key");
    person.see("Copy it before leaving the page.");
    if person.has_script {
        person.click("Copy");
        person.see_button("Copied");
    }
    person.click("API Keys");
    person.click("Rotate Key");
    person.see("When does the old key stop working?");
    person.click("Rotate Key");
    person.see("Copy it before leaving the page.");
    if person.has_script {
        person.click("Copy");
        person.see_button("Copied");
    }
    if window == Window::Small {
        person.click("Menu");
    }
    person.click("Audit log");
    person.see_path(&format!("/orgs/{}/audit-log", scene.here().slug));
    see_rows(&person, 3);
    for said in ["Created the key", "Rotated the key", "Granted credits", "Command line", &scene.an_admin().name] {
        person.see(said);
    }
    person.fits("audit log", window);
    // One is opened, and says what changed.
    person.click("Rotated the key…");
    person.see("Field Before After");
    person.see("generation 1 2");
    person.see("key.rotated");
    person.fits("audit log opened", window);
    if person.has_script {
        person.see_button("Copy hash");
        person.inspect("audit-log-opened");
        person.look_through(window);
    }
    person.click("Rotated the key…");
    person.dont_see("Field Before After");
    // Filtered; the address says it all.
    person.pick("Action", "Key: all");
    person.fill("Who", &scene.an_admin().name[..8]);
    person.click("Apply");
    see_rows(&person, 2);
    person.dont_see("Granted credits Command line");
    assert!(person.path().contains("action=key") && person.path().contains("actor="), "{}", person.path());
    person.reload();
    see_rows(&person, 2);
    assert_eq!(person.value("Action"), "key");
    // The file says what the page says.
    let fetched = person.driver.run_async(
        "const link = [...document.querySelectorAll('a')].find((one) => one.textContent.includes('Export CSV'));
         const answer = await fetch(link.href);
         return [answer.status, answer.headers.get('content-disposition'), await answer.text()];",
    );
    let fetched = fetched.unwrap_or_else(|e| panic!("{}", e.0));
    assert!(fetched[0] == json!(200) && fetched[1].as_str().unwrap().starts_with("attachment; filename=\""), "{fetched}");
    let ids: Vec<&str> = fetched[2].as_str().unwrap().lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    let shown = person.ask("return [...document.querySelectorAll('[data-entry-id]')].map((row) => row.dataset.entryId)", json!([]));
    assert_eq!((ids.len(), json!(ids)), (2, shown));
    person.fill("Target", "nothing of the sort");
    person.click("Apply");
    person.see("No entries match");
    person.fits("audit log without a match", window);
    person.click("Show all entries");
    see_rows(&person, 3);
}

#[test]
fn screens_of_the_audit_log() {
    let world = World::start();
    let mut scene = world.make().org().admin();
    let person = world.signed_in(scene.an_admin());
    let page = format!("/orgs/{}/audit-log", scene.here().slug);
    person.open(&page);
    person.see("Nothing yet");
    person.inspect("audit-log-empty");
    let user = scene.person(Some("support"));
    let actor = Actor::staff(user.id, user.name.clone(), StaffRole::Support, None, "198.51.100.9".into(), "Firefox".into());
    world.visit(&actor, &scene.here().slug, "Ticket 4711: the customer can’t see any requests since Tuesday");
    let scene = scene.credits(40);
    person.reload();
    person.see("Opened the organization as support");
    person.see("Reason: Ticket 4711");
    person.inspect("audit-log-visit");
    person.open(&format!("{page}?from=2026-11-02&to=2026-11-01"));
    person.see("2026-11-01 is before 2026-11-02.");
    person.inspect("audit-log-wrong");
    let at_work = world.signed_in(&user);
    at_work.open(&page);
    at_work.see("Viewing as support");
    at_work.inspect("audit-log-visiting");
    at_work.open("/support/audit-log");
    at_work.see("Signed in");
    at_work.see(&scene.here().name);
    at_work.click("Granted credits…");
    at_work.see("Copy hash");
    at_work.inspect("audit-log-staff");
}
