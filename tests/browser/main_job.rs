//! The whole path: sign in, generate a key, call the API with the line shown, watch it, see it counted, rotate, revoke.

use serde_json::{Value, json};

use crate::driver::Setup;
use crate::inspect::Window;
use crate::person::Person;
use crate::world::{World, paste};

#[test]
fn the_main_job_at_a_desk() {
    walk(Window::Wide, Setup::default());
}

#[test]
fn the_main_job_on_a_phone() {
    walk(Window::Small, Setup::default());
}

#[test]
fn the_main_job_without_script() {
    walk(Window::Wide, Setup { no_script: true, ..Setup::default() });
}

#[test]
fn the_main_job_on_a_phone_without_script() {
    walk(Window::Small, Setup { no_script: true, ..Setup::default() });
}

fn walk(window: Window, setup: Setup) {
    let world = World::start();
    let scene = world.make().org().credits(3).admin();
    let person = world.person_with(setup);
    person.look_through(window);
    person.open("/");
    person.fill("Email", &scene.an_admin().email);
    person.fill("Password", &scene.an_admin().password);
    person.click("Sign in");
    person.see_path(&format!("/orgs/{}/api-keys", scene.here().slug));
    person.see("No API key yet");
    person.click("Generate API Key");
    let key = take_key(&person, window);
    let line = person.text("#new-key-curl");
    assert!(line.contains(&key), "{line}");
    let called = paste(&line);
    assert_eq!(called.status, 202, "{}", called.body);
    let job = called.body["analysis_id"].as_str().unwrap();
    watch(&world, &key, job);
    counted(&person, &called.request_id, job, window);
    let key = rotate_at_once(&world, &person, &key, window);
    let key = rotate_with_grace(&world, &person, &key, window);
    revoke(&world, &person, &key, window);
    assert!(!person.everything().contains(&key));
}

/// Copies the key from the banner as the page asks to.
fn take_key(person: &Person, window: Window) -> String {
    person.see("Copy it before leaving the page. It won't be shown again.");
    let key = person.text("#new-key code");
    assert!(key.starts_with("lk_live_") && key.len() == 44, "{key}");
    person.fits("the banner", window);
    if person.has_script {
        person.click("Copy");
        person.see_button("Copied");
    } else {
        assert!(!person.has_button("Copy"), "a button that does nothing without script");
    }
    key
}

/// An analysis on its way, as the API tells of it.
fn watch(world: &World, key: &str, job: &str) {
    let partner = world.partner(key);
    let told = || -> Value { world.answer(partner.get(&format!("/analyses/{job}"))).json() };
    assert_eq!((told()["status"].as_str(), told()["percentage"].as_i64()), (Some("queued"), Some(0)));
    let worker = world.worker();
    let claimed = world.answer(worker.post("/worker/v1/claim").json(&json!({ "kinds": ["analysis"], "wait_s": 0 }))).json();
    assert_eq!(claimed["job"]["id"], job);
    let report = |verb: &str, mut body: Value| {
        body["lease"] = claimed["job"]["lease"].clone();
        let answer = world.answer(worker.post(&format!("/worker/v1/jobs/{job}/{verb}")).json(&body));
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    report("progress", json!({ "percentage": 40 }));
    assert_eq!((told()["status"].as_str(), told()["percentage"].as_i64()), (Some("processing"), Some(40)));
    report("complete", json!({ "result": { "reps": 12 } }));
    assert_eq!((told()["status"].as_str(), told()["percentage"].as_i64()), (Some("completed"), Some(100)));
    assert_eq!(world.answer(partner.get(&format!("/analyses/{job}/results"))).json()["result"]["reps"], 12);
}

/// The request under Usage, the credit under Credits, and the key nowhere any more.
fn counted(person: &Person, request: &str, job: &str, window: Window) {
    let key = person.text("#new-key code");
    person.click("Usage");
    person.see("Request history");
    assert_eq!(person.count(&format!("tr[data-request-id='{request}']")), 1);
    person.click("Why: POST /analyses…");
    person.see(job);
    person.see("Accepted");
    person.fits("usage", window);
    assert!(!person.everything().contains(&key));
    person.click("Credits");
    person.see("Available");
    assert_eq!(person.text("#credits-available"), "2");
    assert!(person.count("[data-entry-id]") >= 2, "no ledger");
    person.fits("credits", window);
    person.click("API Keys");
    person.see("Rotate Key");
    assert!(!person.everything().contains(&key));
    person.reload();
    person.see("Rotate Key");
    assert_eq!(person.count("#new-key"), 0);
    assert!(!person.everything().contains(&key));
}

fn rotate_at_once(world: &World, person: &Person, old: &str, window: Window) -> String {
    let warning = "Existing integrations will stop working immediately.";
    person.click("Rotate Key");
    person.see(warning);
    person.fits("rotation", window);
    person.click("Cancel");
    person.dont_see(warning);
    assert!(world.admits(old), "Cancel cancels");
    person.click("Rotate Key");
    person.see(warning);
    person.choose("Immediately");
    person.click("Rotate Key");
    person.see("Key rotated.");
    let new = take_key(person, window);
    assert_ne!(new, old);
    assert!(!world.admits(old));
    assert!(world.admits(&new));
    new
}

fn rotate_with_grace(world: &World, person: &Person, old: &str, window: Window) -> String {
    person.click("Rotate Key");
    person.see("When does the old key stop working?");
    person.choose("In 1 hour");
    person.click("Rotate Key");
    person.see("Cut-over to the new key");
    let new = take_key(person, window);
    assert!(world.admits(old) && world.admits(&new), "both work during grace");
    person.click("API Keys");
    person.see("Not quiet yet");
    person.see("1 with the old key");
    person.fits("cut-over", window);
    person.click("End grace now");
    person.see("Grace ended.");
    assert!(!world.admits(old));
    assert!(world.admits(&new));
    new
}

fn revoke(world: &World, person: &Person, key: &str, window: Window) {
    person.click("Revoke Key");
    person.see("for ever");
    person.click("Revoke Key");
    person.see("is revoked.");
    person.see("nobody tried it since");
    assert!(!world.admits(key));
    person.reload();
    if person.has_script {
        // The address is still the page's own: the row was opened in place.
        person.click(&format!("Receipt of {}…", &key[..12]));
    }
    person.see("First refused request");
    person.see("1 request");
    person.see_button("Generate API Key");
    person.fits("receipt", window);
}
