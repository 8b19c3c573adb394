//! The log as a file.

use latchkey::actor::{Actor, Role, StaffRole};
use latchkey::ids::UserId;
use latchkey::{audit, clock};
use serde_json::json;

use super::{a_day, staff, verify};
use crate::support::{Answer, App, number};

/// Cells of a file, by RFC 4180.
fn cells(file: &Answer) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut letters = file.text().chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => cell.push(letters.next().unwrap()),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\r' if !quoted => {}
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            other => cell.push(other),
        }
    }
    rows
}

fn rows(answer: &Answer) -> Vec<String> {
    answer.text().split("data-entry-id=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

#[actix_web::test]
async fn the_file_says_what_the_page_says() {
    let app = App::start();
    let (mut make, browser) = a_day(&app).await;
    let (user, _) = staff(&mut make, StaffRole::Support);
    let (own, at_work) = (format!("/orgs/{}/audit-log", make.here().slug), app.browser(&user).await);
    for (browser, start, query) in [
        (&browser, own.as_str(), ""),
        (&browser, &own, "?action=key"),
        (&browser, &own, "?kind=staff"),
        (&browser, &own, "?target=nothing"),
        (&at_work, "/support/audit-log", ""),
        (&at_work, "/support/audit-log", "?action=session&organization=-"),
        (&at_work, "/support/audit-log", &format!("?organization={}", make.here().slug)),
    ] {
        // In this order: a file that staff take is an entry itself.
        let file = browser.get(&format!("{start}/entries.csv{query}")).send().await;
        let page = browser.get(&format!("{start}{query}")).send().await;
        assert_eq!((file.status, file.header("content-type"), file.header("cache-control")), (200, "text/csv; charset=utf-8", "no-store"));
        let link = format!("{start}/entries.csv{}", query.replace('&', "&#38;"));
        assert!(page.text().contains(&format!("href=\"{link}\"")), "the page leads to {link}");
        let ids: Vec<String> = cells(&file).iter().skip(1).map(|row| row[0].clone()).collect();
        assert_eq!(ids, rows(&page), "{start}{query}");
    }
    let taken = "SELECT count(*) FROM audit_entries WHERE action = 'support.exported' AND actor_kind = 'staff'";
    assert_eq!(number(&mut app.database().conn(), taken), 3, "each of them is noted");
    let file = browser.get(&format!("{own}/entries.csv")).send().await;
    let name = file.header("content-disposition");
    assert!(name.starts_with(&format!("attachment; filename=\"{}-audit-log-2", make.here().slug)) && name.ends_with(".csv\""), "{name}");
    let table = cells(&file);
    let column = |name: &str| table[0].iter().position(|cell| cell == name).unwrap_or_else(|| panic!("no {name}"));
    let rotated = table.iter().find(|row| row[column("action")] == "key.rotated").expect("the rotation");
    let after: serde_json::Value = serde_json::from_str(&rotated[column("after")]).unwrap();
    assert_eq!((rotated[column("organization")].as_str(), &after["generation"]), (make.here().slug.as_str(), &json!(2)));
    // Line for line it is a chain, and its head the one that is proved.
    for pair in table[1..].windows(2) {
        assert_eq!(pair[0][column("previous_hash")], pair[1][column("hash")]);
    }
    let head = format!("{}={}", make.here().slug, table[1][column("hash")]);
    assert_eq!(verify(app.database(), &["--head", &head]).0, Some(0));
    let head = browser.request(awc::http::Method::HEAD, &format!("{own}/entries.csv")).send().await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[actix_web::test]
async fn what_would_be_a_formula_is_a_text() {
    let app = App::start();
    let make = app.make().org().admin();
    let organization = make.here().id;
    let evil = |what: &str| format!("={what}(\"https://evil.example\",\"x\")");
    let actor = Actor::member(UserId::new(clock::now()), evil("A"), organization, Role::Admin, "@B".into(), "+C\r\n=D".into());
    let event = audit::Event {
        organization: Some(organization),
        action: "key.edited",
        target_id: "-E".into(),
        target_label: "\t=F".into(),
        before: json!("=G"),
        after: json!({"=H": "=I"}),
    };
    audit::record(&mut app.database().conn(), &actor, clock::now(), event).unwrap();
    let file = app.browser(make.an_admin()).await.get(&format!("/orgs/{}/audit-log/entries.csv", make.here().slug)).send().await;
    let table = cells(&file);
    assert_eq!(table.len(), 2, "{}", file.text());
    for cell in &table[1] {
        assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell:?}");
    }
    assert_eq!(table[1][4], format!("'{}", evil("A")));
    assert_eq!(&table[1][6..10], ["'-E", "'\t=F", "'@B", "'+C\r\n=D"]);
}
