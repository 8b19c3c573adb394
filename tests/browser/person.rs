//! A person at a browser, who finds things by what they are called, and waits for what should come instead of a while.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix_web::rt::SystemRunner;
use serde_json::{Value, json};

use crate::driver::{Driver, Element, Failed, Setup};
use crate::support::User;

/// Longer than anything takes on a busy machine, and short of what a test may take.
const PATIENCE: Duration = Duration::from_secs(20);
const FINDERS: &str = include_str!("page.js");

/// Sits at a browser of one's own. Notices at the end what the console complained of.
pub struct Person {
    pub(crate) driver: Driver,
    pub(crate) origin: String,
    pub(crate) has_script: bool,
    complaints: RefCell<Vec<String>>,
}

impl Person {
    pub fn new(runtime: &Rc<SystemRunner>, origin: &str, setup: Setup) -> Self {
        let driver = Driver::start(runtime, setup);
        Self { driver, origin: origin.into(), has_script: !setup.no_script, complaints: RefCell::default() }
    }

    /// Goes to the sign-in page and through it.
    pub fn sign_in(&self, user: &User) {
        self.open("/sign-in");
        self.fill("Email", &user.email);
        self.fill("Password", &user.password);
        self.click("Sign in");
        self.see("account of");
    }

    /// Types an address.
    pub fn open(&self, path: &str) {
        let url = format!("{}{path}", self.origin);
        self.driver.post("url", json!({ "url": url })).unwrap_or_else(|e| self.give_up(&format!("{path}: {}", e.0)));
    }

    pub fn reload(&self) {
        self.driver.post("refresh", json!({})).unwrap_or_else(|e| self.give_up(&e.0));
    }

    /// Clicks the one visible button or link of this accessible name; a name that ends in `…` is the start of it.
    pub fn click(&self, name: &str) {
        self.until(&format!("a button {name:?} to click"), || {
            let button = self.find("button", name)?;
            self.driver.click(&button).map(drop)
        });
    }

    /// Types into the field of this label, in place of what is there.
    pub fn fill(&self, label: &str, text: &str) {
        self.until(&format!("a field {label:?}"), || {
            let field = self.find("field", label)?;
            self.driver.clear(&field)?;
            self.driver.type_into(&field, text).map(drop)
        });
    }

    /// Marks a radio button or a checkbox.
    pub fn choose(&self, label: &str) {
        self.until(&format!("a choice {label:?}"), || {
            let choice = self.find("field", &format!("{label}…"))?;
            self.driver.click(&choice).map(drop)
        });
    }

    /// Picks from a list.
    pub fn pick(&self, label: &str, option: &str) {
        self.until(&format!("{option:?} in the list {label:?}"), || {
            let list = self.find("field", label)?;
            self.driver.type_into(&list, option).map(drop)
        });
    }

    /// Presses a key wherever the focus is: `Escape`, `Tab`, `Enter`.
    pub fn press(&self, key: &str) {
        let code = match key {
            "Escape" => "\u{e00c}",
            "Tab" => "\u{e004}",
            "Enter" => "\u{e007}",
            other => panic!("no key {other}"),
        };
        let strokes = json!([{ "type": "keyDown", "value": code }, { "type": "keyUp", "value": code }]);
        let keyboard = json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": strokes }] });
        self.driver.post("actions", keyboard).unwrap_or_else(|e| self.give_up(&e.0));
    }

    /// Waits until the page says so.
    pub fn see(&self, words: &str) {
        self.until(&format!("{words:?} on the page"), || if self.words()?.contains(words) { Ok(()) } else { Err(not_yet()) });
    }

    /// Waits until the page doesn't say so any more.
    pub fn dont_see(&self, words: &str) {
        self.until(&format!("no {words:?} on the page"), || if self.words()?.contains(words) { Err(not_yet()) } else { Ok(()) });
    }

    /// Waits for a visible button or link of this name.
    pub fn see_button(&self, name: &str) {
        self.until(&format!("a button {name:?}"), || self.find("button", name).map(drop));
    }

    /// Whether there is a visible button or link of this name at this moment.
    pub fn has_button(&self, name: &str) -> bool {
        self.find("button", name).is_ok()
    }

    /// The text of the first element, once it is there.
    pub fn text(&self, selector: &str) -> String {
        let script = "return document.querySelector(arguments[0])?.textContent.trim()";
        self.until(&format!("{selector} on the page"), || {
            self.driver.run(script, json!([selector]))?.as_str().map(str::to_owned).ok_or_else(not_yet)
        })
    }

    pub fn count(&self, selector: &str) -> u64 {
        self.ask("return document.querySelectorAll(arguments[0]).length", json!([selector])).as_u64().unwrap()
    }

    /// What is in a field.
    pub fn value(&self, label: &str) -> String {
        let field = self.until(&format!("a field {label:?}"), || self.find("field", label));
        self.ask("return arguments[0].value", json!([field.reference()])).as_str().unwrap().to_owned()
    }

    /// The accessible name of what has the focus.
    pub fn focused(&self) -> String {
        let active = self.driver.get("element/active").ok().as_ref().and_then(Element::of);
        active.and_then(|active| self.driver.name_of(&active).ok()).unwrap_or_default()
    }

    /// Waits until something of this name, or of a name that starts so, has the focus.
    pub fn see_focus(&self, name: &str) {
        self.until(&format!("the focus on {name:?}"), || if self.focused().starts_with(name) { Ok(()) } else { Err(not_yet()) });
    }

    /// Path and query of the address.
    pub fn path(&self) -> String {
        let url = self.driver.get("url").unwrap_or_else(|e| self.give_up(&e.0));
        url.as_str().unwrap().strip_prefix(&self.origin).expect("a page of ours").to_owned()
    }

    /// Waits until the address is this one.
    pub fn see_path(&self, path: &str) {
        self.until(&format!("the address {path}"), || if self.path() == path { Ok(()) } else { Err(not_yet()) });
    }

    /// Everything that the page is made of, and what the browser keeps of the site.
    pub fn everything(&self) -> String {
        let cookies = self.driver.get("cookie").unwrap_or_default();
        let kept =
            self.ask("return JSON.stringify([{...localStorage}, {...sessionStorage}, document.documentElement.outerHTML])", json!([]));
        format!("{} {cookies} {kept}", self.path())
    }

    /// Whether the browser is asking something, such as whether to leave.
    pub fn is_asked(&self) -> bool {
        self.driver.get("alert/text").is_ok()
    }

    /// Waits for the browser's question and says yes, or no.
    pub fn answer(&self, yes: bool) {
        let command = if yes { "alert/accept" } else { "alert/dismiss" };
        self.until("a question of the browser", || self.driver.post(command, json!({})).map(drop));
    }

    /// Asks the page itself.
    pub fn ask(&self, script: &str, arguments: Value) -> Value {
        self.until("an answer of the page", || match self.driver.run(script, arguments.clone()) {
            // A page that is just being left is asked again when the next one is there.
            Err(failed) if failed.0.contains("navigation") => Err(failed),
            other => Ok(other.unwrap_or_else(|e| self.give_up(&format!("{script}: {}", e.0)))),
        })
    }

    /// Tries until it works, and tells what was waited for when it never does.
    pub fn until<T>(&self, what: &str, mut attempt: impl FnMut() -> Result<T, Failed>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match attempt() {
                Ok(found) => return found,
                Err(failed) if Instant::now() > deadline => self.give_up(&format!("no {what}: {}", failed.0)),
                Err(_) => std::thread::sleep(Duration::from_millis(30)),
            }
        }
    }

    fn find(&self, kind: &str, name: &str) -> Result<Element, Failed> {
        let start = name.strip_suffix('…');
        let script = format!("{FINDERS} return find(arguments[0], arguments[1]);");
        let found = self.driver.run(&script, json!([kind, start.unwrap_or(name)]))?;
        let mut named = Vec::new();
        for element in found.as_array().into_iter().flatten().filter_map(Element::of) {
            let its = self.driver.name_of(&element)?;
            if its == name || start.is_some_and(|start| its.starts_with(start)) {
                named.push(element);
            }
        }
        match named.len() {
            1 => Ok(named.remove(0)),
            0 => Err(not_yet()),
            n => Err(Failed(format!("{n} of them"))),
        }
    }

    fn words(&self) -> Result<String, Failed> {
        let text = self.driver.run("return document.body.innerText", json!([]))?;
        Ok(text.as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" "))
    }

    fn give_up(&self, why: &str) -> ! {
        let file = crate::inspect::save(self, &format!("failed-{}", std::thread::current().name().unwrap_or("test").replace("::", "-")));
        let path = self.driver.get("url").map(|url| url.to_string()).unwrap_or_default();
        panic!("{why}\nat {path}, screen in {file}, which says:\n{}", self.words().unwrap_or_else(|e| e.0));
    }

    /// What the console complained of so far. A page that is refused on purpose is no complaint; a file of ours that fails is.
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = self.complaints.borrow_mut();
        for entry in self.driver.log("browser") {
            let message = entry["message"].as_str().unwrap_or_default();
            let refused = entry["source"] == "network" && message.contains("status of 4") && !message.contains("/assets/");
            if entry["level"] != "INFO" && entry["level"] != "DEBUG" && !refused {
                complaints.push(format!("{} {message}", entry["level"]));
            }
        }
        complaints.clone()
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let complaints = self.complaints();
            assert!(complaints.is_empty(), "the console says {complaints:#?}");
        }
    }
}

/// Worth another try.
pub fn not_yet() -> Failed {
    Failed("not there".into())
}
