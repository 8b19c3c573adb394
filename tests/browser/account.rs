//! One's own account: two-factor sign-in with codes of somebody else's library, the password again before what can't be undone, sessions.

use crate::driver::Setup;
use crate::inspect::Window;
use crate::person::Person;
use crate::support::{User, totp};
use crate::world::World;

fn seed_of(person: &Person) -> String {
    totp::url_in(person.ask("return document.documentElement.outerHTML", serde_json::json!([])).as_str().unwrap())
}

/// The password, and what comes after it.
fn first_half(person: &Person, user: &User) {
    person.open("/sign-in");
    person.fill("Email", &user.email);
    person.fill("Password", &user.password);
    person.click("Sign in");
    person.see("Now the code that your device shows");
}

#[test]
fn an_admin_turns_on_two_factor_and_signs_in_with_a_code() {
    let world = World::start();
    let scene = world.make().org().admin();
    let person = world.signed_in(scene.an_admin());
    person.open("/account");
    person.see("Set up two-factor sign-in");
    person.inspect("account");
    person.click("Set up two-factor sign-in");
    person.see("Scan the picture");
    person.inspect("two-factor");
    person.fill("Code", "000000");
    person.click("Turn on two-factor sign-in");
    person.see("This is not the code of this moment.");
    person.inspect("two-factor-wrong");
    let seed = seed_of(&person);
    person.fill("Code", &totp::code(&seed, -1));
    person.click("Turn on two-factor sign-in");
    person.see("They won't be shown again.");
    person.inspect("recovery-codes");
    let codes: Vec<String> = person.text("#codes").lines().map(str::to_owned).collect();
    assert_eq!(codes.len(), 10, "{codes:?}");
    person.click("Copy");
    person.see_button("Copied");
    person.click("Done");
    person.see("10 recovery codes are left");
    person.inspect("account-two-factor");
    person.click("Sign out everywhere");
    person.see("Signed out everywhere.");

    first_half(&person, scene.an_admin());
    person.inspect("sign-in-code");
    person.fill("Code", "000000");
    person.click("Sign in");
    person.see("This is no code of this moment");
    person.fill("Code", &totp::code(&seed, 0));
    person.click("Sign in");
    person.see("Generate API Key");
    let other = world.person();
    first_half(&other, scene.an_admin());
    other.fill("Code", &codes[3]);
    other.click("Sign in");
    other.see("Signed in with a recovery code.");
}

#[test]
fn two_factor_on_a_phone_without_script() {
    let world = World::start();
    let scene = world.make().org().admin();
    let person = world.person_with(Setup { no_script: true, ..Setup::default() });
    person.look_through(Window::Small);
    person.sign_in(scene.an_admin());
    person.open("/account/two-factor");
    person.fits("two-factor on a phone", Window::Small);
    let seed = seed_of(&person);
    person.fill("Code", &totp::code(&seed, 0));
    person.click("Turn on two-factor sign-in");
    person.see("They won't be shown again.");
    person.fits("recovery codes on a phone", Window::Small);
    person.click("Done");
    person.click("Turn off");
    person.see("Turn off two-factor sign-in?");
    person.fits("the question on a phone", Window::Small);
    person.fill("Code", &totp::code(&seed, 1));
    person.click("Turn off");
    person.see("Your password alone signs you in.");
}

#[test]
fn an_hour_later_revoking_asks_for_the_password_in_its_dialog() {
    let world = World::start();
    let scene = world.make().org().admin().key();
    let person = world.signed_in(scene.an_admin());
    world.an_hour_passes();
    person.open(&format!("/orgs/{}/api-keys", scene.here().slug));
    person.click("Revoke Key");
    person.see("You proved it over an hour ago.");
    person.see_focus("Password");
    person.inspect("revoke-with-password");
    person.fill("Password", "wrong");
    person.press("Enter");
    person.see("This is not your password.");
    assert!(world.admits(&scene.a_key().text));
    person.fill("Password", &scene.an_admin().password);
    person.click("Revoke Key");
    person.see("its receipt is below");
    assert!(!world.admits(&scene.a_key().text));
}

#[test]
fn a_session_elsewhere_is_ended_and_a_password_changed() {
    let world = World::start();
    let scene = world.make().org().admin();
    let (here, there) = (world.signed_in(scene.an_admin()), world.signed_in(scene.an_admin()));
    here.open("/account");
    assert_eq!(here.count("[data-session-id]"), 2);
    here.click("Sign out Chrome on Linux");
    here.see("That browser has to sign in again.");
    there.open("/account");
    there.see("Sign in");
    here.fill("Current password", &scene.an_admin().password);
    here.fill("New password", "quite another one");
    here.click("Change password");
    here.see("Password changed.");
    here.inspect("account-password-changed");
    there.fill("Email", &scene.an_admin().email);
    there.fill("Password", "quite another one");
    there.click("Sign in");
    there.see("Account");
}
