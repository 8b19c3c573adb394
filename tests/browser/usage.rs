//! The tab Usage: what was asked, in numbers and one by one, as it happens, and as a file.

use serde_json::json;

use crate::driver::Setup;
use crate::inspect::Window;
use crate::person::{Person, not_yet};
use crate::support::Make;
use crate::webhooks::NO_SCRIPT;
use crate::world::World;

#[test]
fn usage_is_found_followed_and_explained() {
    walk(Window::Wide, Setup::default());
}

#[test]
fn usage_on_a_phone() {
    walk(Window::Small, Setup::default());
}

#[test]
fn usage_without_script() {
    walk(Window::Wide, NO_SCRIPT);
}

fn walk(window: Window, setup: Setup) {
    let world = World::with_changes(&[("requests = 60", "requests = 70")]);
    let scene = world.make().org().credits(5).admin().key().key_in("test");
    let [live, test] = scene.keys() else { panic!("two keys") };
    let (partner, tester) = (world.partner(&live.text), world.partner(&test.text));
    for _ in 0..4 {
        assert_eq!(world.answer(partner.post("/analyses").json(&json!({ "input": {} }))).status, 202);
    }
    assert_eq!(world.answer(tester.get("/credits")).status, 200);
    assert_eq!(world.answer(tester.get("/nowhere")).status, 404);
    for _ in 0..66 {
        world.admits(&live.text);
    }
    assert_eq!(world.answer(partner.get("/credits")).status, 429);
    let person = world.person_with(setup);
    person.look_through(window);
    person.sign_in(scene.an_admin());
    person.open(&format!("/orgs/{}/usage", scene.here().slug));
    numbers(&person);
    person.fits("usage", window);
    pages(&person);
    why(&person, window);
    filtered(&person, &scene, window);
    exported(&person, &scene);
    if person.has_script {
        followed(&world, &person, &scene);
    } else {
        assert!(!person.has_button("Pause"), "a button that does nothing without script");
    }
}

/// A person may start with another's filters: back to all.
fn start_over(person: &Person, scene: &Make) {
    person.open(&format!("/orgs/{}/usage", scene.here().slug));
    person.see("73 in 7 days");
}

/// Legend, table and tops are of the same requests.
fn numbers(person: &Person) {
    person.see("73 in 7 days");
    let legend = person.ask("return [...document.querySelectorAll('#consumption .legend b')].map((b) => b.textContent)", json!([]));
    assert_eq!(legend, json!(["71", "1", "1", "0"]));
    let together = "return [...document.querySelectorAll('#consumption .as-table tfoot td')].slice(0, 4).map((cell) => cell.textContent)";
    assert_eq!(person.ask(together, json!([])), legend);
    person.see("GET /key");
    person.click("Key");
    person.see("Top keys");
    assert!(person.path().contains("by=key"), "{}", person.path());
    person.click("Route");
    person.see("Top routes");
}

fn pages(person: &Person) {
    person.until("a page", || if person.count("[data-request-id]") == 50 { Ok(()) } else { Err(not_yet()) });
    person.click("Older");
    person.until("the rest", || if person.count("[data-request-id]") == 23 { Ok(()) } else { Err(not_yet()) });
    person.click("Newer");
    person.until("the first", || if person.count("[data-request-id]") == 50 { Ok(()) } else { Err(not_yet()) });
}

/// Reads why a 429 happened.
fn why(person: &Person, window: Window) {
    person.pick("Status", "429 rate limited");
    person.click("Apply");
    person.see("1 in 7 days");
    person.click("Why: GET /credits…");
    person.see("Why: refused by the rate limit");
    person.see("The key had used all 70 requests of its minute. Nothing was charged.");
    person.see("70 requests a minute");
    person.see("70 of 70 used");
    person.see("window opened");
    person.see("Retry-After");
    assert_eq!(person.count("li.passed"), 6);
    assert_eq!(person.text("li.refused").trim(), "Rate limit: refused here");
    person.fits("why", window);
}

fn filtered(person: &Person, scene: &Make, window: Window) {
    start_over(person, scene);
    person.pick("Environment", "test");
    person.click("Apply");
    person.see("2 in 7 days");
    person.fill("Path", "/nowhere");
    person.click("Apply");
    person.see("Consumption is counted by route");
    assert_eq!(person.count("[data-request-id]"), 1);
    person.reload();
    assert_eq!((person.count("[data-request-id]"), person.value("Path").as_str()), (1, "/nowhere"));
    start_over(person, scene);
    person.fill("Path", "/analyses");
    person.click("Apply");
    person.see("4 in 7 days");
    person.click("24 h");
    person.see("4 in 24 hours, by hour");
    person.click("Custom");
    person.see_button("Apply");
    person.until("its days", || if person.count("input[type=date]") == 2 { Ok(()) } else { Err(not_yet()) });
    assert_eq!(person.value("Path"), "/analyses", "filters stay with the period");
    person.fits("a custom period", window);
}

/// What the page lists is what the file has.
fn exported(person: &Person, scene: &Make) {
    start_over(person, scene);
    person.pick("Status", "4xx refused");
    person.click("Apply");
    person.see("2 in 7 days");
    let read = "return (await fetch(document.querySelector('a[download]').href)).text()";
    let file = person.driver.run_async(read).expect("a file");
    let lines: Vec<&str> = file.as_str().unwrap().split_terminator("\r\n").collect();
    let listed = person.ask("return [...document.querySelectorAll('[data-request-id]')].map((row) => row.dataset.requestId)", json!([]));
    let in_file: Vec<&str> = lines[1..].iter().map(|line| line.split(',').nth(1).unwrap()).collect();
    assert_eq!(json!(in_file), listed);
    assert_eq!(in_file.len(), 2);
}

/// New requests appear, an opened row stays where it is, and a pause holds them back.
fn followed(world: &World, person: &Person, scene: &Make) {
    start_over(person, scene);
    person.see("Live");
    let [_, test] = scene.keys() else { panic!("two keys") };
    let tester = world.partner(&test.text);
    person.click("Why: GET /credits…");
    person.see("Why: refused by the rate limit");
    let place = || person.ask("return document.querySelector('tr.open').getBoundingClientRect().top", json!([]));
    let before = place();
    let make = || world.answer(tester.post("/analyses").json(&json!({ "input": {} })));
    let first = make();
    let row = |id: &str| format!("tr[data-request-id='{id}']");
    let arrives = |id: &str| person.until("the new row", || if person.count(&row(id)) == 1 { Ok(()) } else { Err(not_yet()) });
    arrives(first.header("x-request-id"));
    assert_eq!(place(), before, "an opened row does not move");
    person.inspect("usage-live");
    person.click("Pause");
    person.see("Paused");
    let held = make();
    // Something that takes as long as two looks of the stream: the page itself, twice over.
    let waited = std::time::Instant::now();
    while waited.elapsed() < std::time::Duration::from_millis(2_500) {
        assert_eq!(person.count(&row(held.header("x-request-id"))), 0, "held back");
    }
    person.click("Resume");
    arrives(held.header("x-request-id"));
    person.see("Live");
    // The row that came is like any other.
    person.ask("document.querySelector(`${arguments[0]} .opens`).click()", json!([row(held.header("x-request-id"))]));
    person.see("Accepted: a job was created");
}
