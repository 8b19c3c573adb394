//! Who may see and do what: signing in and out, members, strangers, several organizations.

use serde_json::json;

use crate::driver::Element;
use crate::person::{Person, not_yet};
use crate::world::World;

#[test]
fn a_wrong_password_is_told_and_the_email_kept() {
    let world = World::start();
    let scene = world.make().org().admin();
    let person = world.person();
    person.open(&format!("/orgs/{}/usage", scene.here().slug));
    person.fill("Email", &scene.an_admin().email);
    person.fill("Password", "wrong");
    person.click("Sign in");
    person.see("E-mail and password do not match.");
    assert_eq!(person.value("Email"), scene.an_admin().email);
    person.see_focus("Password");
    person.fill("Password", &scene.an_admin().password);
    person.press("Enter");
    person.see("No requests yet");
    person.see_path(&format!("/orgs/{}/usage", scene.here().slug));
}

#[test]
fn a_member_looks_and_changes_nothing() {
    let world = World::start();
    let scene = world.make().org().member().key();
    let keys = format!("/orgs/{}/api-keys", scene.here().slug);
    let person = world.signed_in(scene.a_member());
    person.see("You can look, not change.");
    for name in ["Generate API Key", "Generate Test Key", "Rotate Key", "Revoke Key"] {
        assert!(!person.has_button(name), "{name}");
    }
    let key = format!("{keys}/{}", scene.a_key().id);
    assert_eq!(forced(&person, &keys), 403);
    for verb in ["", "/rotation", "/revocation", "/grace-end", "/deactivation", "/activation"] {
        assert_eq!(forced(&person, &format!("{key}{verb}")), 403, "{verb}");
    }
    assert!(world.admits(&scene.a_key().text));
    person.open(&format!("{key}/rotation"));
    person.see("Only admins");
    assert!(!person.has_button("Rotate Key"));
    person.open(&format!("/orgs/{}/usage", scene.here().slug));
    person.see("GET /key");
}

#[test]
fn another_tenant_and_its_key_are_not_found() {
    let world = World::start();
    let scene = world.make().org().key().org().admin().key();
    let (theirs, mine) = (scene.orgs()[0].slug.clone(), scene.orgs()[1].slug.clone());
    let their_key = scene.keys()[0].clone();
    let person = world.signed_in(scene.an_admin());
    for path in ["", "/api-keys", "/usage", "/credits", "/api-keys/new"] {
        person.open(&format!("/orgs/{theirs}{path}"));
        person.see("Not found");
        assert!(!person.everything().contains(&their_key.prefix));
    }
    for org in [&theirs, &mine] {
        let key = format!("/orgs/{org}/api-keys/{}", their_key.id);
        for verb in ["rotation", "revocation", "edit"] {
            person.open(&format!("{key}/{verb}"));
            person.see("Not found");
        }
        for verb in ["", "/rotation", "/revocation", "/deactivation"] {
            assert_eq!(forced(&person, &format!("{key}{verb}")), 404, "{verb}");
        }
    }
    assert!(world.admits(&their_key.text));
}

#[test]
fn the_switcher_leads_to_the_other_organization() {
    let world = World::start();
    let mut scene = world.make().org_named("acme").admin();
    let admin = scene.an_admin().clone();
    scene = scene.org_named("borealis").join_as(&admin, "member");
    assert_eq!(scene.orgs().len(), 2);
    let person = world.signed_in(&admin);
    let (here, there) = if person.path().contains("acme") { ("acme", "borealis") } else { ("borealis", "acme") };
    person.click(&format!("Organization {here} , switch…"));
    person.click(&format!("Organization {there}"));
    person.see_path(&format!("/orgs/{there}/api-keys"));
    person.see(&format!("Organization {there}"));
    // The last one is where the next visit starts.
    person.open("/");
    person.see_path(&format!("/orgs/{there}/api-keys"));
}

#[test]
fn signing_out_ends_this_browser_alone() {
    let world = World::start();
    let scene = world.make().org().admin();
    let (desk, phone) = (world.signed_in(scene.an_admin()), world.signed_in(scene.an_admin()));
    open_account(&desk, &scene.an_admin().name);
    desk.click("Sign out");
    desk.see("Signed out.");
    desk.open(&format!("/orgs/{}/api-keys", scene.here().slug));
    desk.see_button("Sign in");
    phone.reload();
    phone.see("No API key yet");
}

#[test]
fn signing_out_everywhere_ends_the_other_browser() {
    let world = World::start();
    let scene = world.make().org().admin().key();
    let (desk, phone) = (world.signed_in(scene.an_admin()), world.signed_in(scene.an_admin()));
    open_account(&desk, &scene.an_admin().name);
    desk.click("Sign out everywhere");
    desk.see("Signed out everywhere.");
    // What was open there still looks alive; the next click leads to the sign-in, not into a dialog.
    phone.click("Rotate Key");
    phone.see_button("Sign in");
    assert_eq!(phone.count("dialog[open]"), 0);
    assert!(world.admits(&scene.a_key().text));
}

fn open_account(person: &Person, name: &str) {
    person.until("the account menu", || {
        let script = "return [...document.querySelectorAll('summary')].find((e) => e.textContent.includes(arguments[0]))";
        let found = person.driver.run(script, json!([format!("account of {name}")]))?;
        let menu = Element::of(&found).ok_or_else(not_yet)?;
        person.driver.click(&menu).map(drop)
    });
}

/// The status of a POST that no button of the page would send.
fn forced(person: &Person, path: &str) -> i64 {
    let script = format!(
        "return (await fetch('{path}', {{ method: 'POST', redirect: 'manual', body: new URLSearchParams({{ grace: '0', generation: '1',
        once: '0198f2a0-0000-7000-8000-000000000001', environment: 'live', name: 'Forced' }}) }})).status"
    );
    person.driver.run_async(&script).unwrap().as_i64().unwrap()
}
