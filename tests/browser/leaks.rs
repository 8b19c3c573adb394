//! Somebody finds a key, and the people whose it is are told.

use crate::driver::Setup;
use crate::world::World;

#[test]
fn a_found_key_is_reported_without_script_and_its_admin_sees_it() {
    let world = World::start();
    let scene = world.make().org_named("acme").admin().key();
    let key = scene.a_key();
    assert!(world.admits(&key.text));
    let finder = world.person_with(Setup { no_script: true, ..Setup::default() });
    finder.open("/leaked-keys");
    finder.see("Report a found key");
    finder.fill("Key", &key.text);
    // As long as a place may be, in one word.
    let place = format!("https://paste.example/raw/{}", "a".repeat(470));
    finder.fill("Where you found it (optional)", &place);
    finder.click("Report key");
    finder.see("It was a key of this API, and is revoked.");
    assert!(!finder.everything().contains(&key.text[12..]), "the key is not shown again");
    assert!(!world.admits(&key.text));

    let admin = world.signed_in(scene.an_admin());
    for tab in ["api-keys", "webhooks", "usage", "credits"] {
        admin.open(&format!("/orgs/acme/{tab}"));
        admin.see("A key was found in public.");
        admin.see(&place);
    }
    admin.open("/orgs/acme/api-keys");
    admin.see("Find leaked keys");
    admin.inspect("leaks-banner");
    admin.click("Report a found key");
    admin.see_path("/leaked-keys");
    admin.inspect("leaks-form");
}
