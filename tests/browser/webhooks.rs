//! The tab Webhooks: set up, switched, rotated, removed. What it lists is in `deliveries`.

use std::sync::mpsc::channel;

use serde_json::json;

use crate::deliveries::{in_every_state, open_row};
use crate::driver::Setup;
use crate::inspect::Window;
use crate::person::Person;
use crate::support::{NOBODY, NewDelivery};
use crate::world::World;

pub const NO_SCRIPT: Setup = Setup { no_script: true, measured: false, asked: false };

#[test]
fn a_webhook_at_a_desk() {
    set_up(Window::Wide, Setup::default());
}

#[test]
fn a_webhook_on_a_phone() {
    set_up(Window::Small, Setup::default());
}

#[test]
fn a_webhook_without_script() {
    set_up(Window::Wide, NO_SCRIPT);
}

fn set_up(window: Window, setup: Setup) {
    let world = World::start();
    let scene = world.make().org().admin();
    let person = world.person_with(setup);
    person.look_through(window);
    person.sign_in(scene.an_admin());
    person.click("Webhooks");
    person.see("No webhook yet");
    person.fill("Endpoint URL", "ftp://hooks.example.com/");
    person.click("Save Webhook");
    person.see("Webhook not saved.");
    assert_eq!(person.value("Endpoint URL"), "ftp://hooks.example.com/", "what was typed is kept");
    person.see_focus("Endpoint URL");
    person.fill("Endpoint URL", NOBODY);
    person.click("Save Webhook");
    person.see("Webhook saved. Send a test event to see it arrive.");
    let first = take_secret(&person);
    person.fits("webhook with its secret", window);
    person.reload();
    person.see_button("Rotate Secret");
    assert_eq!(person.count("#webhook-secret"), 0);
    assert!(!person.everything().contains(&first), "the secret is shown once");

    assert_eq!(switch(&person), "true");
    person.click("Enabled");
    person.see("Webhook switched off.");
    assert_eq!(switch(&person), "false");
    person.click("Enabled");
    person.see("Webhook switched on.");
    assert_eq!(switch(&person), "true");

    person.click("Edit URL");
    assert_eq!(person.value("Endpoint URL"), NOBODY);
    person.click("Cancel");
    person.click("Edit URL");
    person.fill("Endpoint URL", "ftp://hooks.example.com/v2");
    person.click("Update Webhook");
    person.see("Webhook not updated.");
    assert_eq!(person.value("Endpoint URL"), "ftp://hooks.example.com/v2", "what was typed is kept");
    person.see_focus("Endpoint URL");
    person.see("No deliveries yet");
    person.fits("a refused URL", window);
    person.click("Cancel");
    person.see(NOBODY);
    person.click("Edit URL");
    person.fill("Endpoint URL", &format!("{NOBODY}/v2"));
    person.click("Update Webhook");
    person.see("Webhook updated.");
    person.see(&format!("{NOBODY}/v2"));

    person.click("Rotate Secret");
    person.see("When does the old secret stop signing?");
    person.fits("rotation", window);
    person.click("Rotate Secret");
    person.see("Both secrets sign for 24 hours.");
    let second = take_secret(&person);
    assert_ne!(first, second);
    person.see("Signs too");

    person.click("Remove");
    person.see("its signing secret is destroyed");
    person.fits("removal", window);
    person.click("Remove");
    person.see("Webhook removed.");
    person.see("No webhook yet");
    assert!(!person.everything().contains(&second));
}

#[test]
fn a_double_click_makes_one_webhook_whose_secret_is_seen() {
    let world = World::start();
    let scene = world.make().org().admin();
    let person = world.signed_in(scene.an_admin());
    let (give, word) = channel();
    scene.hold_saving(1, word);
    save_twice(&person);
    give.send(()).unwrap();
    person.see("Webhook saved.");
    take_secret(&person);
    assert_eq!(person.count("#webhook-secret"), 1);
}

fn save_twice(person: &Person) {
    person.click("Webhooks");
    person.fill("Endpoint URL", NOBODY);
    let button = person.ask("return [...document.querySelectorAll('button')].find((b) => b.textContent === 'Save Webhook')", json!([]));
    let (down, up) = (json!({ "type": "pointerDown", "button": 0 }), json!({ "type": "pointerUp", "button": 0 }));
    let clicks =
        json!([{ "type": "pointerMove", "x": 0, "y": 0, "origin": button }, down, up, { "type": "pause", "duration": 120 }, down, up]);
    let mouse = json!({ "actions": [{ "type": "pointer", "id": "mouse", "actions": clicks }] });
    person.driver.post("actions", mouse).unwrap();
}

/// Copies the secret as the page asks to.
fn take_secret(person: &Person) -> String {
    person.see("Copy it before leaving the page. It won't be shown again.");
    let secret = person.text("#webhook-secret code");
    assert!(secret.starts_with("whsec_") && secret.len() == 50, "{secret}");
    if person.has_script {
        let copy = "return [...document.querySelectorAll('#webhook-secret button')].map((b) => b.textContent.trim())";
        assert_eq!(person.ask(copy, json!([])), json!(["Copy"]));
        person.click("Copy");
        person.see_button("Copied");
    }
    secret
}

fn switch(person: &Person) -> String {
    person.ask("return document.querySelector('[role=switch]').getAttribute('aria-checked')", json!([])).as_str().unwrap().to_owned()
}

#[test]
fn what_is_typed_meanwhile_is_left_alone() {
    let world = World::start();
    let mut scene = world.make().org().admin().webhook(NOBODY);
    let person = world.signed_in(scene.an_admin());
    person.click("Webhooks");
    person.click("Edit URL");
    person.fill("Endpoint URL", "https://half-typ");
    scene.delivery(NewDelivery::default());
    person.see("1 of 1");
    assert_eq!(person.value("Endpoint URL"), "https://half-typ");
    assert!(person.focused().starts_with("Endpoint URL"), "{}", person.focused());
}

#[test]
fn screens_of_a_webhook() {
    let world = World::start();
    let mut scene = world.make().org().admin().member();
    let person = world.signed_in(scene.an_admin());
    person.click("Webhooks");
    person.see("No webhook yet");
    person.inspect("webhooks-empty");
    person.fill("Endpoint URL", "https:/");
    person.click("Save Webhook");
    person.see("Webhook not saved.");
    person.inspect("webhooks-url-refused");
    person.fill("Endpoint URL", NOBODY);
    person.click("Save Webhook");
    person.see("Webhook saved.");
    person.inspect("webhooks-secret");
    in_every_state(&mut scene);
    person.click("Webhooks");
    person.see("1 job behind a retry");
    open_row(&person, 1);
    person.see("the next try is at");
    person.inspect("webhooks-row-open");
    for (button, words, name) in [
        ("Rotate Secret", "When does the old secret stop signing?", "webhooks-rotation"),
        ("Remove", "its signing secret is destroyed", "webhooks-removal"),
        ("Resend failed since…", "Given up since", "webhooks-replays"),
    ] {
        person.click(button);
        person.see(words);
        person.inspect(name);
        person.press("Escape");
        person.dont_see(words);
    }
    person.click("Edit URL");
    person.see_focus("Endpoint URL");
    person.inspect("webhooks-edit");
    person.fill("Endpoint URL", "https://user:word@hooks.example.com/");
    person.click("Update Webhook");
    person.see("Webhook not updated.");
    person.inspect("webhooks-edit-refused");
    let mut shut = world.make().org().admin().webhook(NOBODY);
    in_every_state(&mut shut);
    shut.break_secrets();
    let owner = world.signed_in(shut.an_admin());
    owner.click("Webhooks");
    owner.see("The signing secret can’t be opened");
    open_row(&owner, 1);
    owner.see("leaves when there is a signing secret");
    owner.inspect("webhooks-shut");
    owner.click("Rotate Secret");
    owner.see("It can’t be opened, so it signs nothing any more.");
    owner.inspect("webhooks-shut-rotation");
    let stopped = world.make().org().admin().webhook(NOBODY).stopped_webhook("failing").join_as(scene.a_member(), "member");
    let admin = world.signed_in(stopped.an_admin());
    admin.see("Latchkey switched your webhook off");
    admin.inspect("webhook-stopped-elsewhere");
    admin.click("Webhooks");
    admin.see("Latchkey switched it off");
    admin.inspect("webhooks-stopped");
    let member = world.signed_in(scene.a_member());
    member.open(&format!("/orgs/{}/webhooks", scene.here().slug));
    member.see("You can look, not change.");
    member.inspect("webhooks-member");
}
