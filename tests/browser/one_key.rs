//! What surrounds the main job on the one-key page: leaving the banner, repeating a form, the keyboard, two people at once.

use crate::driver::Setup;
use crate::world::World;

#[test]
fn leaving_the_banner_without_the_key_asks_once() {
    let world = World::start();
    let scene = world.make().org().admin();
    let person = world.person_with(Setup { asked: true, ..Setup::default() });
    person.sign_in(scene.an_admin());
    person.click("Generate API Key");
    person.see("Copy it before leaving the page.");
    person.click("Usage");
    person.answer(false);
    person.see("Copy it before leaving the page.");
    assert!(world.admits(&person.text("#new-key code")), "the key is still there to be copied");
    person.click("Usage");
    person.see("Request history");
    assert!(!person.is_asked());
}

#[test]
fn who_has_copied_the_key_leaves_unasked() {
    let world = World::start();
    let scene = world.make().org().admin();
    let person = world.person_with(Setup { asked: true, ..Setup::default() });
    person.sign_in(scene.an_admin());
    person.click("Generate API Key");
    person.click("Copy");
    person.see_button("Copied");
    person.click("Credits");
    person.see("Available");
    assert!(!person.is_asked());
}

#[test]
fn a_repeated_form_makes_no_second_key() {
    let world = World::start();
    let scene = world.make().org().admin();
    let person = world.signed_in(scene.an_admin());
    person.see_button("Generate API Key");
    // Two clicks so quick that both are on their way before the first answer.
    let script = "const form = document.querySelector('form[method=post][action$=\"/api-keys\"]');
        const send = () => fetch(form.action, { method: 'POST', body: new URLSearchParams(new FormData(form)) }).then((answer) => answer.text());
        return (await Promise.all([send(), send(), send()])).filter((page) => page.includes('id=\"new-key\"')).length";
    assert_eq!(person.driver.run_async(script).unwrap(), 1, "one answer shows a key");
    person.open(&format!("/orgs/{}/api-keys", scene.here().slug));
    person.see_button("Rotate Key");
    assert_eq!(person.count("[data-key-id]"), 1, "one key");
}

#[test]
fn reloading_the_banner_makes_no_second_key() {
    let world = World::start();
    let scene = world.make().org().admin();
    let person = world.person_with(Setup { no_script: true, ..Setup::default() });
    person.sign_in(scene.an_admin());
    person.click("Generate API Key");
    person.see("It won't be shown again.");
    let key = person.text("#new-key code");
    // The browser sends the form once more.
    person.reload();
    person.see_button("Rotate Key");
    assert!(!person.everything().contains(&key));
    assert_eq!(person.count("#new-key"), 0);
    assert_eq!(person.count("[data-key-id]"), 1);
    assert!(world.admits(&key));
}

#[test]
fn the_keyboard_is_enough() {
    let world = World::start();
    let scene = world.make().org().admin().key();
    let person = world.signed_in(scene.an_admin());
    tab_to(&person, "Rotate Key");
    person.press("Enter");
    person.see("When does the old key stop working?");
    person.see_focus("Immediately");
    person.press("Escape");
    person.dont_see("When does the old key stop working?");
    person.see_focus("Rotate Key");
    tab_to(&person, "Revoke Key");
    person.press("Enter");
    person.see("for ever");
    person.see_focus("Cancel");
    person.press("Enter");
    person.dont_see("for ever");
    person.see_focus("Revoke Key");
    person.press("Enter");
    person.see_focus("Cancel");
    person.press("Tab");
    person.see_focus("Revoke Key");
    person.press("Enter");
    person.see("is revoked.");
    assert!(!world.admits(&scene.a_key().text));
}

#[test]
fn who_comes_second_rotates_nothing() {
    let world = World::start();
    let scene = world.make().org().admin().key();
    let (first, second) = (world.signed_in(scene.an_admin()), world.signed_in(scene.an_admin()));
    second.click("Rotate Key");
    second.see("When does the old key stop working?");
    first.click("Rotate Key");
    first.see("When does the old key stop working?");
    first.click("Rotate Key");
    first.see("Key rotated.");
    let key = first.text("#new-key code");
    second.click("Rotate Key");
    second.see("The key was not rotated.");
    assert!(world.admits(&key));
    first.click("Copy");
    first.see_button("Copied");
}

/// Tabs along until something of this name has the focus.
fn tab_to(person: &crate::person::Person, name: &str) {
    for _ in 0..60 {
        if person.focused() == name {
            return;
        }
        person.press("Tab");
    }
    panic!("no {name:?} within sixty tabs");
}
