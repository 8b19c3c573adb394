//! The audit log: nobody changes it unnoticed, and who may reads it.

mod chain;
mod command;
mod export;
mod page;
mod paging;
mod staff;
mod tamper;
mod words;

use std::process::Command;

use latchkey::actor::{Actor, Role, StaffRole};
use latchkey::ids::{OrgId, UserId};
use latchkey::programs::Kind;
use latchkey::{accounts, audit, clock, credits, orgs, programs, support};
use serde_json::json;

use crate::support::{App, Client, Make, TestDb};

/// `latchkey audit verify` with these arguments: its exit status, and what it printed.
fn verify(database: &TestDb, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_latchkey"));
    let output = command.args(["audit", "verify"]).args(arguments).env("DATABASE_URL", database.url()).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
}

/// Somebody of the staff, who looks at nothing.
fn staff(make: &mut Make, role: StaffRole) -> (crate::support::User, Actor) {
    let user = make.person(Some(role.as_str()));
    let actor = Actor::staff(user.id, user.name.clone(), role, None, "198.51.100.9".into(), "Firefox".into()).proved(clock::now());
    (user, actor)
}

/// An entry of this organization's log: a key was edited.
fn edited(database: &TestDb, organization: Option<OrgId>, label: &str, change: serde_json::Value) {
    let event = audit::Event {
        organization,
        action: "key.edited",
        target_id: "key_7".into(),
        target_label: label.into(),
        before: json!({"name": "before"}),
        after: change,
    };
    audit::record(&mut database.conn(), &Actor::command_line(), clock::now(), event).unwrap();
}

/// An admin of this organization, who signed in just now.
fn admin(organization: OrgId, name: &str) -> Actor {
    let agent = "Mozilla/5.0 (X11; Linux x86_64)".into();
    Actor::member(UserId::new(clock::now()), name.into(), organization, Role::Admin, "203.0.113.24".into(), agent).proved(clock::now())
}

/// What people, staff and the command line do in a day, each by the very code that does it: signs in, makes, rotates, pauses and revokes
/// keys, saves a webhook, grants credits, suspends and reinstates, visits, makes accounts, links and tokens.
async fn a_day(app: &App) -> (Make, Client) {
    let mut make = app.make().org().credits(40).admin().member();
    let (organization, slug) = (make.here().id, make.here().slug.clone());
    let browser = app.browser(make.an_admin()).await;
    let path = |rest: &str| format!("/orgs/{slug}/{rest}");
    let made = browser.post(&path("api-keys")).form(&[("environment", "live")]).send().await;
    assert_eq!(made.status, 200, "{}", made.text());
    let list = browser.get(&path("api-keys")).send().await;
    let key = list.text().split("data-key-id=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let once = latchkey::ids::new_uuid(clock::now()).to_string();
    for (verb, form) in [
        ("rotation", &[("grace", "3600"), ("generation", "1"), ("once", once.as_str())][..]),
        ("grace-end", &[]),
        ("deactivation", &[]),
        ("activation", &[]),
        ("revocation", &[]),
    ] {
        let answer = browser.post(&path(&format!("api-keys/{key}/{verb}"))).form(form).send().await;
        assert!(answer.status < 400, "{verb}: {}", answer.text());
    }
    for (place, form) in
        [("webhooks", ("url", crate::support::NOBODY)), ("webhooks/deactivation", ("", "")), ("credits/threshold", ("threshold", "5"))]
    {
        let answer = browser.post(&path(place)).form(&[form]).send().await;
        assert!(answer.status < 400, "{place}: {}", answer.text());
    }
    let wrong = [("email", make.an_admin().email.as_str()), ("password", "not this one")];
    app.stranger().post("/sign-in").form(&wrong).send().await;
    let (conn, command_line) = (&mut app.database().conn(), Actor::command_line());
    let (_, operator) = staff(&mut make, StaffRole::Operator);
    orgs::suspend(conn, &operator, clock::now(), organization, "Unpaid since March").unwrap();
    orgs::reinstate(conn, &operator, clock::now(), organization, "Paid").unwrap();
    support::open(conn, &operator, clock::now(), &slug, "Ticket 4711").unwrap();
    support::end(conn, &operator, clock::now(), organization).unwrap();
    credits::adjust(conn, &command_line, clock::now(), organization, -7, "Counted twice").unwrap();
    orgs::set_role(conn, &command_line, clock::now(), organization, make.a_member().id, Role::Admin).unwrap();
    accounts::invite(conn, &command_line, clock::now(), make.a_member().id).unwrap();
    programs::create_token(conn, &command_line, clock::now(), Kind::Worker, "worker-1").unwrap();
    (make, browser)
}
