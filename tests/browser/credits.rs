//! The tab Credits: where the balance went, its ledger with filters and file, and running low.

use serde_json::json;
use time::Duration;

use crate::driver::Setup;
use crate::inspect::Window;
use crate::person::{Person, not_yet};
use crate::support::Make;
use crate::webhooks::NO_SCRIPT;
use crate::world::World;

/// Two months of spending with a grant in the midst of it, as a busy organization has them.
fn two_months(world: &World) -> Make {
    let now = latchkey::clock::now();
    let mut scene = world.make().org().admin().member().key().granted(now - Duration::days(70), 2_600);
    for day in (1..=66).rev() {
        let at = now - Duration::days(day) + Duration::hours(day % 5);
        if day == 40 {
            scene = scene.granted(at, 2_000);
        }
        scene = scene.spent(at, 20 + (day % 7) as usize * 6).spent(at + Duration::hours(6), 14);
    }
    scene
}

#[test]
fn screens_of_credits() {
    let world = World::start();
    let scene = two_months(&world);
    let person = world.signed_in(scene.an_admin());
    person.click("Credits");
    person.see("Runs out");
    person.fill("Warn below", "500");
    person.click("Save threshold");
    person.see("Threshold saved.");
    person.open(&format!("/orgs/{}/credits", scene.here().slug));
    person.inspect("credits-burning");
    person.click("Show as table");
    person.see("Available after Settled Given");
    person.inspect("credits-table");
    person.pick("Period", "Days…");
    person.see_button("Export CSV");
    person.inspect("credits-days");
}

#[test]
fn the_ledger_at_a_desk() {
    read(Window::Wide, Setup::default());
}

#[test]
fn the_ledger_on_a_phone() {
    read(Window::Small, Setup::default());
}

#[test]
fn the_ledger_without_script() {
    read(Window::Wide, NO_SCRIPT);
}

/// Chooses from a list, and sends the form where no script does.
fn filter(person: &Person, label: &str, option: &str) {
    person.pick(label, option);
    if !person.has_script {
        person.click("Apply");
    }
}

fn rows(person: &Person) -> u64 {
    person.count("[data-entry-id]")
}

fn see_rows(person: &Person, count: u64) {
    person.until(&format!("{count} rows"), || if rows(person) == count { Ok(()) } else { Err(not_yet()) });
}

fn read(window: Window, setup: Setup) {
    let world = World::start();
    let now = latchkey::clock::now();
    let scene = world.make().org().admin().key().granted(now - Duration::days(20), 500).spent(now - Duration::days(10), 20);
    let scene = scene.granted(now - Duration::days(2), 7).spent(now - Duration::hours(3), 40);
    let person = world.person_with(setup);
    person.look_through(window);
    person.sign_in(scene.an_admin());
    person.click("Credits");
    person.see("447");
    assert_eq!(rows(&person), 50);
    person.click("Older");
    person.until("older entries", || if person.path().contains("before=") { Ok(()) } else { Err(not_yet()) });
    filter(&person, "Entries", "grant");
    see_rows(&person, 2);
    person.fits("credits filtered", window);
    filter(&person, "Period", "Last 7 d");
    see_rows(&person, 1);
    assert!(person.path().contains("kind=grant&period=7d"), "{}", person.path());
    // The address says it all.
    person.reload();
    see_rows(&person, 1);
    assert_eq!((person.value("Entries"), person.value("Period")), ("grant".into(), "7d".into()));
    filter(&person, "Entries", "settle");
    see_rows(&person, 40);
    // A list goes by all that is typed into it within a second; a new page has new lists.
    person.reload();
    filter(&person, "Entries", "adjust");
    person.see("No entries match");
    person.reload();
    filter(&person, "Entries", "All entries");
    filter(&person, "Period", "All time");
    see_rows(&person, 50);
    person.click("Older");
    person.until("older entries", || if person.path().contains("before=") { Ok(()) } else { Err(not_yet()) });
    person.click("Newer");
    person.until("the newest entries", || if person.path().contains("after=") { Ok(()) } else { Err(not_yet()) });
    see_rows(&person, 50);
}

#[test]
fn the_file_says_what_the_ledger_says() {
    let world = World::start();
    let now = latchkey::clock::now();
    let scene = world.make().org().admin().granted(now - Duration::days(20), 500).spent(now - Duration::days(10), 30).credits(3);
    let person = world.signed_in(scene.an_admin());
    person.open(&format!("/orgs/{}/credits?kind=grant", scene.here().slug));
    // What the button sends, without the browser's own dialog for files.
    let fetched = person.driver.run_async(
        "const button = [...document.querySelectorAll('button')].find((one) => one.textContent.includes('Export CSV'));
         const query = new URLSearchParams(new FormData(button.form));
         const answer = await fetch(`${button.formAction}?${query}`);
         return [answer.status, answer.headers.get('content-disposition'), await answer.text()];",
    );
    let fetched = fetched.unwrap_or_else(|e| panic!("{}", e.0));
    assert_eq!(fetched[0], json!(200));
    assert!(fetched[1].as_str().unwrap().starts_with("attachment; filename=\""), "{fetched}");
    let text = fetched[2].as_str().unwrap();
    let ids: Vec<&str> = text.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    let shown =
        person.ask("return [...document.querySelectorAll('[data-entry-id]')].map((row) => row.dataset.entryId).reverse()", json!([]));
    assert_eq!((ids.len(), json!(ids)), (2, shown));
}

#[test]
fn running_low_at_a_desk() {
    run_low(Window::Wide, Setup::default());
}

#[test]
fn running_low_on_a_phone() {
    run_low(Window::Small, Setup::default());
}

#[test]
fn running_low_without_script() {
    run_low(Window::Wide, NO_SCRIPT);
}

fn run_low(window: Window, setup: Setup) {
    let world = World::start();
    let scene = world.make().org().credits(10).admin().member().key();
    let person = world.person_with(setup);
    person.look_through(window);
    person.sign_in(scene.an_admin());
    person.click("Credits");
    person.see("No threshold");
    person.fill("Warn below", "a few");
    person.click("Save threshold");
    person.see("Threshold not saved.");
    person.see("“a few” is not a whole number.");
    assert_eq!(person.value("Warn below"), "a few", "what was typed is kept");
    person.fill("Warn below", "10");
    person.click("Save threshold");
    person.see("Threshold saved.");
    person.see("Above threshold");
    assert_eq!(person.count("#low-balance"), 0);
    let partner = world.partner(&scene.a_key().text);
    assert_eq!(world.answer(partner.post("/analyses").json(&json!({ "input": {} }))).status, 202);
    for tab in ["API Keys", "Webhooks", "Usage", "Credits"] {
        person.click(tab);
        person.see("Credits run low: 9 available. Your threshold is 10.");
        person.fits(&format!("{tab} running low"), window);
    }
    person.see("Below threshold");
    if person.has_script {
        person.inspect("credits-low");
        person.look_through(window);
        let member = world.signed_in(scene.a_member());
        member.see("Credits run low: 9 available.");
        member.click("Credits");
        member.see("Warns below 10 credits.");
        assert!(!member.has_button("Save threshold"));
        member.inspect("credits-low-member");
    }
    person.fill("Warn below", "");
    person.click("Save threshold");
    person.see("Threshold removed.");
    person.see("No threshold");
    assert_eq!(person.count("#low-balance"), 0);
}
