//! A close look at every screen in each of its states, and at what a first visit weighs.

use serde_json::json;

use crate::driver::Setup;
use crate::inspect::Window;
use crate::person::{Person, not_yet};
use crate::support::NOBODY;
use crate::world::World;

/// Bytes.
const FIRST_VISIT: u64 = 45_000;
const HTML: u64 = 14_000;

#[test]
fn screens_without_an_organization_and_errors() {
    let world = World::start();
    let mut scene = world.make().org().admin();
    let lonely = scene.person(None);
    let person = world.person();
    person.open("/sign-in");
    person.inspect("sign-in");
    person.fill("Email", "nobody@example.com");
    person.fill("Password", "wrong");
    person.click("Sign in");
    person.see("Not signed in.");
    person.inspect("sign-in-failed");
    person.open("/invitations/lki_nothing");
    person.inspect("invitation-unknown");
    person.open("/sign-in");
    person.fill("Email", &lonely.email);
    person.fill("Password", &lonely.password);
    person.click("Sign in");
    person.see_button("Latchkey");
    person.inspect("no-organization");
    person.open("/orgs/nobodys/usage");
    person.see("Not found");
    person.inspect("not-found");
}

#[test]
fn screens_before_the_first_key() {
    let world = World::start();
    let scene = world.make().org().admin().member();
    let person = world.signed_in(scene.an_admin());
    person.inspect("api-keys-empty");
    person.click("Usage");
    person.see("No requests yet");
    person.inspect("usage-empty");
    person.click("Credits");
    person.see("Available");
    person.inspect("credits-empty");
    let member = world.signed_in(scene.a_member());
    member.inspect("api-keys-empty-member");
    member.open(&format!("/orgs/{}/api-keys/new", scene.here().slug));
    member.inspect("forbidden");
}

#[test]
fn screens_of_making_and_rotating_a_key() {
    let world = World::start();
    let scene = world.make().org().credits(1).admin();
    let person = world.signed_in(scene.an_admin());
    person.click("Generate API Key");
    person.click("Copy");
    person.see_button("Copied");
    person.inspect("api-keys-banner");
    let key = person.text("#new-key code");
    person.click("API Keys");
    person.see_button("Rotate Key");
    person.inspect("api-keys-card");
    person.click("Rotate Key");
    person.see("When does the old key stop working?");
    person.inspect("rotate-dialog");
    person.choose("In 24 hours");
    person.click("Rotate Key");
    person.see("Cut-over to the new key");
    world.admits(&key);
    person.click("Copy");
    person.see_button("Copied");
    person.click("API Keys");
    person.see("1 with the old key");
    person.inspect("api-keys-grace");
    person.click("End grace now");
    person.see("Grace ended.");
    person.inspect("api-keys-grace-ended");
}

#[test]
fn screens_of_ending_a_key() {
    let world = World::start();
    let scene = world.make().org().credits(1).admin().key();
    let person = world.signed_in(scene.an_admin());
    let key = format!("/orgs/{}/api-keys/{}", scene.here().slug, scene.a_key().id);
    for page in ["rotation", "revocation", "edit"] {
        person.open(&format!("{key}/{page}"));
        person.inspect(&format!("page-{page}"));
    }
    person.click("Cancel");
    person.see_button("Revoke Key");
    person.click("More actions for…");
    person.inspect("api-keys-card-menu");
    person.click("Deactivate");
    person.see("is deactivated.");
    person.inspect("api-keys-inactive");
    person.click("Revoke Key");
    person.see("for ever");
    person.inspect("revoke-dialog");
    person.click("Revoke Key");
    person.see("is revoked.");
    world.admits(&scene.a_key().text);
    person.reload();
    person.click("Receipt of…");
    person.see("First refused request");
    person.inspect("api-keys-receipt");
}

#[test]
fn screens_of_usage_and_credits() {
    let world = World::start();
    let scene = world.make().org().credits(2).admin().key();
    use_up(&world, &scene.a_key().text);
    let person = world.signed_in(scene.an_admin());
    person.click("Usage");
    person.see("Request history");
    person.pick("Status", "4xx refused");
    person.click("Apply");
    person.see_path(&format!("/orgs/{}/usage?period=7d&key=&status=4xx&environment=&path=", scene.here().slug));
    person.dont_see("3 in 7 days");
    person.click("Why: POST /analyses…");
    person.see("It needed 1 and 0 were available.");
    person.inspect("usage-refused");
    person.pick("Status", "2xx accepted");
    person.click("Apply");
    person.see_path(&format!("/orgs/{}/usage?period=7d&key=&status=2xx&environment=&path=", scene.here().slug));
    person.dont_see("It needed 1");
    person.click("Copy base URL");
    person.inspect("usage-filtered");
    person.click("Credits");
    person.see("Ledger");
    person.inspect("credits");
}

/// Two analyses that pass and one without a credit.
fn use_up(world: &World, key: &str) {
    let partner = world.partner(key);
    let make = || world.answer(partner.post("/analyses").json(&json!({ "input": { "video": "squat" } }))).status;
    assert_eq!([make(), make()], [202, 202]);
    let mut refused = world.answer(partner.get("/analyses/an_nothing")).status;
    assert_eq!(refused, 404);
    refused = make();
    assert_eq!(refused, 402);
}

#[test]
fn screens_of_many_keys() {
    let world = World::with_many_keys();
    let scene = world.make().org().credits(5).admin().key().key_in("test").key();
    let person = world.signed_in(scene.an_admin());
    world.admits(&scene.keys()[0].text);
    person.inspect("many-keys");
    person.click("Actions for Key 1");
    person.inspect("many-keys-menu");
    person.click("Edit");
    person.see_button("Save changes");
    person.inspect("many-keys-edit");
    person.click("Cancel");
    person.click("Create API Key");
    person.see("Shown in the usage history.");
    person.inspect("many-keys-form");
    person.click("Create API Key");
    person.see("Key not created.");
    person.inspect("many-keys-form-errors");
}

#[test]
fn screens_of_many_keys_in_grace() {
    let world = World::with_many_keys();
    let scene = world.make().org().credits(5).admin().key().key();
    let person = world.signed_in(scene.an_admin());
    person.click("Actions for Key 1");
    person.click("Rotate");
    person.choose("In 7 days");
    person.click("Rotate Key");
    person.click("Copy");
    person.see_button("Copied");
    world.admits(&scene.keys()[0].text);
    person.inspect("many-keys-banner");
    person.click("API Keys");
    person.click("Cut-over of Key 1");
    person.see("1 with the old key");
    person.inspect("many-keys-cut-over");
}

#[test]
fn pages_are_light() {
    let world = World::start();
    let scene = world.make().org().credits(100).requests_per_minute(1_000).admin().key().webhook(NOBODY);
    let partner = world.partner(&scene.a_key().text);
    for _ in 0..60 {
        assert_eq!(world.answer(partner.post("/analyses").json(&json!({ "input": {} }))).status, 202);
    }
    let person = world.person_with(Setup { measured: true, ..Setup::default() });
    person.look_through(Window::Wide);
    weigh(&person, "/sign-in");
    person.driver.devtools("Network.clearBrowserCache", json!({}));
    weigh(&person, "/docs/api");
    person.driver.devtools("Network.clearBrowserCache", json!({}));
    person.sign_in(scene.an_admin());
    for tab in ["api-keys", "webhooks", "usage", "credits", "members"] {
        person.driver.devtools("Network.clearBrowserCache", json!({}));
        weigh(&person, &format!("/orgs/{}/{tab}", scene.here().slug));
    }
}

/// As if for the first time: everything that crosses the wire, headers too.
fn weigh(person: &Person, path: &str) {
    person.driver.log("performance");
    person.open(path);
    let (mut asked, mut came) = (Vec::new(), Vec::new());
    // The browser tells in its own time.
    person.until("the whole page", || {
        for entry in person.driver.log("performance") {
            let entry: serde_json::Value = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
            let (method, about) = (&entry["message"]["method"], &entry["message"]["params"]);
            let is_ours = || about["request"]["url"].as_str().is_some_and(|url| url.starts_with(&person.origin));
            // The stream of live rows has no end.
            if method == "Network.requestWillBeSent" && about["type"] != "EventSource" && is_ours() {
                asked.push((about["requestId"].clone(), about["type"] == "Document"));
            } else if method == "Network.loadingFinished" {
                came.push((about["requestId"].clone(), about["encodedDataLength"].as_f64().unwrap() as u64));
            }
        }
        let is_here = |(id, _): &(serde_json::Value, bool)| came.iter().any(|(came, _)| came == id);
        let documents = asked.iter().filter(|(_, is_document)| *is_document).count();
        if documents > 0 && asked.len() > documents && asked.iter().all(is_here) { Ok(()) } else { Err(not_yet()) }
    });
    let bytes = |documents_only: bool| -> u64 {
        let counts = |id| asked.iter().any(|(asked, is_document)| asked == id && (*is_document || !documents_only));
        came.iter().filter(|(id, _)| counts(id)).map(|(_, bytes)| bytes).sum()
    };
    let (page, all) = (bytes(true), bytes(false));
    eprintln!("{path}: HTML {page}, first visit {all} bytes");
    assert!(page > 0 && page <= HTML, "{path}: HTML of {page} bytes");
    assert!(all <= FIRST_VISIT, "{path}: a first visit of {all} bytes");
}
