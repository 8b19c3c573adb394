//! The API reference: how it looks, how one gets there, and the first call, as the page says it.

use serde_json::json;

use crate::driver::Setup;
use crate::inspect::{Window, save};
use crate::world::{World, paste};

#[test]
fn screens_of_the_api_reference() {
    for (profile, unfolded) in [("analysis", false), ("jobs", true), ("documents", false)] {
        let world = World::of(profile);
        let person = world.person();
        person.open("/docs/api");
        person.see("First call");
        if unfolded {
            let script = "document.querySelectorAll('details').forEach((one) => { one.removeAttribute('name'); one.open = true; })";
            person.ask(script, json!([]));
        }
        person.inspect(&format!("api-reference-{profile}"));
    }
}

#[test]
fn from_a_page_to_the_first_call() {
    let world = World::start();
    let scene = world.make().org().admin().key();
    let person = world.signed_in(scene.an_admin());
    person.click("API reference");
    person.see_path("/docs/api");
    let (export, curl) = (person.text("#start li:nth-child(1) pre"), person.text("#start li:nth-child(2) pre"));
    assert_eq!(export, "export API_KEY=lk_live_…");
    let printed = paste(&format!("API_KEY={}; {curl}", scene.a_key().text));
    assert_eq!((printed.status, &printed.body["status"]), (200, &json!("active")), "{}", printed.body);
    person.click("GET /credits");
    person.see_path("/docs/api#read-credits");
}

#[test]
fn on_a_phone_without_script() {
    let world = World::of("jobs");
    let scene = world.make().org().admin();
    let person = world.person_with(Setup { no_script: true, ..Setup::default() });
    person.look_through(Window::Small);
    person.sign_in(scene.an_admin());
    person.dont_see("API reference");
    person.click("Menu");
    person.click("API reference");
    person.see_path("/docs/api");
    person.fits("api-reference, no script", Window::Small);
    person.click("Contents");
    person.click("GET /v1/jobs/{id}/results");
    person.see_path("/docs/api#read-job-results");
    person.see("Costs 5 credits");
    if std::env::var_os("LATCHKEY_SCREENS").is_some() {
        save(&person, "api-reference-no-script-360");
    }
}
