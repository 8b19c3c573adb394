//! Pages lead through the whole log and back, whatever is added meanwhile.

use diesel::connection::SimpleConnection;
use latchkey::actor::StaffRole;
use serde_json::json;

use super::{edited, staff};
use crate::support::{Answer, App, Client, number};

fn rows(answer: &Answer) -> Vec<String> {
    answer.text().split("data-entry-id=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

fn link(answer: &Answer, rel: &str) -> Option<String> {
    let rest = answer.text().split(&format!("rel=\"{rel}\" href=\"")).nth(1)?;
    Some(rest.split('"').next()?.replace("&#38;", "&").replace("&amp;", "&"))
}

/// Every id from the newest page on to the oldest; `meanwhile` happens between the pages. And the last page.
async fn walk(browser: &Client, start: &str, meanwhile: impl Fn()) -> (Vec<String>, Answer) {
    let mut page = browser.get(start).send().await;
    let mut all = rows(&page);
    while let Some(older) = link(&page, "next") {
        meanwhile();
        page = browser.get(&older).send().await;
        assert_eq!(page.status, 200, "{older}");
        all.extend(rows(&page));
    }
    (all, page)
}

#[actix_web::test]
async fn pages_have_no_gaps_and_no_repeats_while_entries_are_added() {
    let app = App::start();
    let make = app.make().org().admin();
    let (database, organization) = (app.database(), make.here().id);
    for n in 0..130 {
        edited(database, Some(organization), &format!("Nightly {n}"), json!({"n": n}));
    }
    let browser = app.browser(make.an_admin()).await;
    let start = format!("/orgs/{}/audit-log", make.here().slug);
    let ids = |newest: i64| (1..=newest).rev().map(|n| format!("aud_{n}")).collect::<Vec<_>>();
    let add = || (0..7).for_each(|_| edited(database, Some(organization), "Meanwhile", json!({})));
    let (all, last) = walk(&browser, &start, add).await;
    assert_eq!(all, ids(130));
    // Back again, to what came meanwhile.
    let (mut page, mut back) = (last.clone(), vec![rows(&last)]);
    while let Some(newer) = link(&page, "prev") {
        page = browser.get(&newer).send().await;
        back.push(rows(&page));
    }
    back.reverse();
    assert_eq!(back.concat(), ids(144));
    let (filtered, _) = walk(&browser, &format!("{start}?target=nightly&action=key"), add).await;
    assert_eq!(filtered, ids(130));
    // A row that was opened on the first page is still open when others have moved it off.
    let fiftieth = rows(&browser.get(&start).send().await)[49].clone();
    (0..3).for_each(|_| add());
    let opened = browser.get(&format!("{start}?open={fiftieth}")).send().await;
    assert_eq!(rows(&opened)[0], fiftieth);
    assert!(opened.text().contains("aria-expanded=\"true\"") && link(&opened, "prev").is_some());
}

#[actix_web::test]
async fn all_logs_together_have_no_gaps_and_no_repeats_either() {
    let app = App::start();
    let mut make = app.make().org().org();
    let chains = [None, Some(make.orgs()[0].id), Some(make.orgs()[1].id)];
    let (user, _) = staff(&mut make, StaffRole::Support);
    let browser = app.browser(&user).await;
    // Many of one moment: the time alone is no order.
    let moment = latchkey::clock::now();
    let write = |at, n: usize| {
        let event = latchkey::audit::Event {
            organization: chains[n % 3],
            action: "key.edited",
            target_id: String::new(),
            target_label: "x".into(),
            before: json!(null),
            after: json!({"n": n}),
        };
        latchkey::audit::record(&mut app.database().conn(), &latchkey::actor::Actor::command_line(), at, event).unwrap();
    };
    (0..160).for_each(|n| write(moment - time::Duration::seconds(i64::from(n < 40)), n));
    let there = number(&mut app.database().conn(), "SELECT count(*) FROM audit_entries");
    let (mut all, last) = walk(&browser, "/support/audit-log", || write(latchkey::clock::now(), 7)).await;
    let (mut page, mut back) = (last.clone(), rows(&last));
    while let Some(newer) = link(&page, "prev") {
        page = browser.get(&newer).send().await;
        back.extend(rows(&page));
    }
    let walked = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!((walked as i64, all.len() as i64), (there, there), "each once");
    back.sort_unstable();
    back.dedup();
    assert_eq!(back.len() as i64, number(&mut app.database().conn(), "SELECT count(*) FROM audit_entries"));
}

/// What matches nothing for longer than a page looks: it says so, leads on, and the file has it all.
#[actix_web::test]
async fn what_stands_far_behind_is_found() {
    let app = App::start();
    let mut make = app.make().org().admin();
    let organization = make.here().id;
    edited(app.database(), Some(organization), "The needle", json!({}));
    let hay = format!(
        "INSERT INTO audit_entries SELECT chain, n, at + n * interval '1 ms', actor_kind, actor_id, actor_label, action, 'x', 'hay', NULL,
             NULL, changes, hash, hash FROM audit_entries, generate_series(2, 21000) AS n WHERE chain = '{}'",
        organization.0
    );
    app.database().conn().batch_execute(&hay).unwrap();
    let (user, _) = staff(&mut make, StaffRole::Support);
    let own = format!("/orgs/{}/audit-log", make.here().slug);
    for (browser, start) in [(app.browser(make.an_admin()).await, own.as_str()), (app.browser(&user).await, "/support/audit-log")] {
        let asked = format!("{start}?target=needle");
        let page = browser.get(&asked).send().await;
        assert!(page.text().contains("None among these") && page.text().contains("20,000 entries were looked through"), "{}", page.text());
        let (found, _) = walk(&browser, &asked, || ()).await;
        assert_eq!(found.len(), 1, "{start}");
        assert!(found[0].starts_with("aud_1"));
        let file = browser.get(&format!("{start}/entries.csv?target=needle")).send().await;
        assert_eq!(file.text().lines().count(), 2, "{start}");
        // A period is found by itself, however far back.
        let whole = browser.get(&format!("{start}/entries.csv")).send().await;
        assert!(whole.text().lines().count() > 21_000);
    }
}
