//! The screens, each as a whole page, as the part that htmx swaps, and as a form without script.

mod agreement;
mod credits;
mod deliveries;
mod export;
mod keys;
mod live;
mod many_keys;
mod usage;
mod webhooks;

use crate::support::{Answer, App, Client, Make};

/// What a hidden field of the page carries; of the last form that has one.
fn hidden(page: &str, name: &str) -> String {
    let start = format!("name=\"{name}\" value=\"");
    let at = page.rfind(&start).unwrap_or_else(|| panic!("no field {name} in {page}")) + start.len();
    page[at..].split('"').next().unwrap().to_owned()
}

/// The text of the banner's first `code`.
fn shown_key(answer: &Answer) -> String {
    let page = answer.text();
    let banner = &page[page.find("id=\"new-key\"").unwrap_or_else(|| panic!("no banner, {}: {page}", answer.status))..];
    let code = &banner[banner.find("<code").unwrap()..];
    code[code.find('>').unwrap() + 1..code.find("</code>").unwrap()].to_owned()
}

/// Between `<main` and `</main>`: what a screen has of its own.
fn main_of(answer: &Answer) -> &str {
    let page = answer.text();
    &page[page.find("<main").expect("a page")..page.find("</main>").expect("a page")]
}

/// A path below the organization made last.
fn path(make: &Make, rest: &str) -> String {
    format!("/orgs/{}/{rest}", make.here().slug)
}

/// As htmx asks for a part of the page.
async fn part(browser: &Client, path: &str) -> Answer {
    browser.get(path).htmx().header("hx-request-type", "partial").send().await
}

/// Makes a key as a person would, without script.
async fn generate(browser: &Client, make: &Make, environment: &str) -> String {
    let answer = browser.post(&path(make, "api-keys")).form(&[("environment", environment)]).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    shown_key(&answer)
}

/// The status of a call with this key.
async fn call(app: &App, key: &str) -> u16 {
    Client::bearer(&app.origin(), key).get("/key").send().await.status
}
