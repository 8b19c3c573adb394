//! Each profile from its first key to its last: make it, see it once, use it, end it, in that profile's words.

use crate::driver::Setup;
use crate::inspect::Window;
use crate::person::Person;
use crate::world::{World, paste};

/// What a profile calls things.
struct Words {
    profile: &'static str,
    place: &'static str,
    create: &'static str,
    /// Starts the key's text.
    begins: &'static str,
    /// Of the table, as far as a phone shows them too.
    columns: &'static [&'static str],
    permission: Option<&'static str>,
    end: &'static str,
    ended: &'static str,
    /// What a key that ended is answered.
    refusal: (u16, &'static str),
}

const ASSESSMENT: Words = Words {
    profile: "assessment",
    place: "Settings / Developer / API Keys",
    create: "Create API Key",
    begins: "ckiq_live_",
    columns: &["Name", "Key", "Status", "Created", "Requests"],
    permission: None,
    end: "Revoke",
    ended: "Revoked",
    refusal: (401, r#"{"error":"Invalid API key"}"#),
};

const DOCUMENTS: Words = Words {
    profile: "documents",
    place: "Account settings / API keys",
    create: "Create key",
    begins: "lk_",
    columns: &["Label", "Key", "Status", "Created", "Last used"],
    permission: None,
    end: "Revoke",
    ended: "Revoked",
    refusal: (401, r#"{"error":{"message":"This API key is not valid.","code":"invalid_key"}}"#),
};

const MESSAGING: Words = Words {
    profile: "messaging",
    place: "Settings / Developer / API Keys",
    create: "Create API Key",
    begins: "lk_live_",
    columns: &["Name", "Access scope", "Status", "Created"],
    permission: Some("messages:send"),
    end: "Delete",
    ended: "Deleted",
    refusal: (401, r#"{"message":"This API key is not valid.","code":"invalid_api_key"}"#),
};

const JOBS: Words = Words {
    profile: "jobs",
    place: "",
    create: "Create API Key",
    begins: "op_live_",
    columns: &["Name", "Environment", "Permissions", "Status", "Created", "Last used"],
    permission: Some("classify:create"),
    end: "Revoke",
    ended: "Revoked",
    refusal: (401, r#"{"error":"Invalid API key","code":"INVALID_API_KEY"}"#),
};

#[test]
fn assessment() {
    walk(&ASSESSMENT, Window::Wide, Setup::default());
}

#[test]
fn documents() {
    walk(&DOCUMENTS, Window::Wide, Setup::default());
}

#[test]
fn messaging() {
    walk(&MESSAGING, Window::Wide, Setup::default());
}

#[test]
fn jobs() {
    walk(&JOBS, Window::Wide, Setup::default());
}

#[test]
fn documents_on_a_phone_without_script() {
    walk(&DOCUMENTS, Window::Small, Setup { no_script: true, ..Setup::default() });
}

fn walk(words: &Words, window: Window, setup: Setup) {
    let world = World::of(words.profile);
    let scene = world.make().org().credits(5).admin();
    let person = world.person_with(setup);
    person.look_through(window);
    person.sign_in(scene.an_admin());
    person.see("No API keys yet");
    person.fits(&format!("{} without a key", words.profile), window);
    assert!(words.place.is_empty() || person.text("main > .hint") == words.place, "{}", person.text("main > .hint"));
    let key = create(&person, words, window);
    person.open(&format!("/orgs/{}/api-keys", scene.here().slug));
    assert!(!person.everything().contains(&key), "shown once");
    let heads = person.ask("return [...document.querySelectorAll('thead th')].map((head) => head.textContent)", serde_json::json!([]));
    let heads: Vec<&str> = heads.as_array().unwrap().iter().map(|head| head.as_str().unwrap()).collect();
    assert_eq!(heads[..heads.len() - 1], *words.columns);
    person.fits(&format!("{} with a key", words.profile), window);
    person.click("Actions for Nightly batch");
    assert_eq!(person.has_button("Rotate"), ["assessment", "jobs"].contains(&words.profile));
    person.click("Deactivate");
    person.see("Nightly batch is deactivated.");
    let partner = world.partner(&key);
    let ask = || world.answer(partner.get(&format!("{}/key", base(words))));
    assert_ne!(ask().status, 200);
    person.click("Actions for Nightly batch");
    person.click("Activate");
    person.see("Nightly batch is active again.");
    assert_eq!(ask().status, 200);
    edit(&person, words, &world, &key);
    person.click("Actions for Night batch");
    person.click(words.end);
    person.see("for ever");
    person.click(&format!("{} Key", words.end));
    person.see(&format!("Night batch is {}.", words.ended.to_lowercase()));
    person.see(words.ended);
    let refused = ask();
    assert_eq!((refused.status, refused.text()), words.refusal);
    person.fits(&format!("{} with an ended key", words.profile), window);
}

fn base(words: &Words) -> &'static str {
    if words.profile == "assessment" { "/api/v1" } else { "/v1" }
}

fn create(person: &Person, words: &Words, window: Window) -> String {
    person.click(words.create);
    person.see("Shown in the usage history.");
    person.fill("Name", "Nightly batch");
    if let Some(permission) = words.permission {
        person.choose(permission);
    }
    if words.profile == "documents" {
        person.see("The key follows your role at each request");
        person.see("exports:create");
    }
    person.fits(&format!("{}, the form", words.profile), window);
    person.click(words.create);
    person.see("It won't be shown again.");
    let (key, line) = (person.text("#new-key code"), person.text("#new-key-curl"));
    assert!(key.starts_with(words.begins), "{key}");
    let printed = paste(&line);
    assert!((200..300).contains(&printed.status), "{line}: {}", printed.body);
    if person.has_script {
        person.click("Copy");
        person.see_button("Copied");
    }
    key
}

/// Another name, and where permissions are chosen another one, which holds for the next request.
fn edit(person: &Person, words: &Words, world: &World, key: &str) {
    person.click("Actions for Nightly batch");
    person.click("Edit");
    person.see_button("Save changes");
    person.fill("Name", "Night batch");
    if let Some(permission) = words.permission {
        person.choose(permission);
        person.choose("credits:read");
    }
    person.click("Save changes");
    person.see("Night batch is saved.");
    let credits = world.answer(world.partner(key).get(&format!("{}/credits", base(words))));
    assert_eq!(credits.status, 200, "{}", credits.text());
    if words.profile == "jobs" {
        let order = serde_json::json!({ "input": {} });
        assert_eq!(world.answer(world.partner(key).post("/v1/classify").json(&order)).status, 403, "taken from it");
    }
}
