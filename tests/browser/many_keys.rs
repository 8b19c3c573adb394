//! The table of many keys: the form, the row menus, and what they do to the key.

use serde_json::json;

use crate::driver::Setup;
use crate::inspect::Window;
use crate::person::Person;
use crate::world::World;

#[test]
fn many_keys_at_a_desk() {
    walk(Window::Wide, Setup::default());
}

#[test]
fn many_keys_on_a_phone_without_script() {
    walk(Window::Small, Setup { no_script: true, ..Setup::default() });
}

fn walk(window: Window, setup: Setup) {
    let world = World::with_many_keys();
    let scene = world.make().org().credits(2).admin();
    let person = world.person_with(setup);
    person.look_through(window);
    person.sign_in(scene.an_admin());
    person.see("No API keys yet");
    let key = create(&person, window);
    let partner = world.partner(&key);
    let make = || world.answer(partner.post("/analyses").json(&json!({ "input": {} }))).status;
    assert_eq!(make(), 202);
    let lacking = world.answer(partner.get("/credits"));
    assert_eq!((lacking.status, lacking.text().contains("credits:read")), (403, true));
    edit(&person, window);
    assert_eq!(world.answer(partner.get("/credits")).status, 200);
    pause(&world, &person, &key);
    let key = rotate(&world, &person, &key);
    menu(&person, "Revoke");
    person.see("for ever");
    person.click("Revoke Key");
    person.see("Night batch is revoked.");
    assert!(!world.admits(&key));
    person.see("Revoked");
    person.fits("the table", window);
}

fn create(person: &Person, window: Window) -> String {
    person.click("Create API Key");
    person.see("Shown in the usage history.");
    person.choose("analyses:write");
    person.pick("Environment", "live");
    person.fill("Expires optional", "12312019");
    person.click("Create API Key");
    person.see("Key not created.");
    person.fits("the form's errors", window);
    assert_eq!(person.value("Expires optional"), "2019-12-31", "what was typed is kept");
    assert_eq!(person.ask("return document.querySelector('[value=\"analyses:write\"]').checked", json!([])), true);
    assert!(person.count("[aria-invalid=true]") >= 1, "the field is named");
    person.fill("Name", "Nightly batch");
    person.fill("Expires optional", "12312099");
    person.click("Create API Key");
    take(person)
}

fn take(person: &Person) -> String {
    person.see("It won't be shown again.");
    if person.has_script {
        person.click("Copy");
        person.see_button("Copied");
    }
    person.text("#new-key code")
}

fn edit(person: &Person, window: Window) {
    person.click("Actions for Nightly batch");
    person.click("Edit");
    person.see_button("Save changes");
    assert_eq!(person.value("Name"), "Nightly batch");
    person.fits("the form", window);
    person.fill("Name", "Night batch");
    person.choose("credits:read");
    person.click("Save changes");
    person.see("Night batch is saved.");
}

fn pause(world: &World, person: &Person, key: &str) {
    menu(person, "Deactivate");
    person.see("Night batch is deactivated.");
    assert!(!world.admits(key));
    menu(person, "Activate");
    person.see("Night batch is active again.");
    assert!(world.admits(key));
}

fn rotate(world: &World, person: &Person, old: &str) -> String {
    menu(person, "Rotate");
    person.see("Existing integrations will stop working immediately.");
    person.choose("In 24 hours");
    person.click("Rotate Key");
    let new = take(person);
    assert!(world.admits(old) && world.admits(&new));
    // A second rotation has to wait for the first one's grace.
    menu(person, "Rotate");
    person.see("still in grace");
    person.open(&person.path().replace("/rotation", "").rsplit_once("/api-keys").map(|(org, _)| format!("{org}/api-keys")).unwrap());
    person.click("Cut-over of Night batch");
    person.see("1 with the old key");
    person.click("End grace now");
    person.see("Grace ended.");
    assert!(!world.admits(old));
    new
}

fn menu(person: &Person, item: &str) {
    person.click("Actions for Night batch");
    person.click(item);
}
