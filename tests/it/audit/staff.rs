//! All logs, for the staff.

use latchkey::actor::StaffRole;
use serde_json::json;

use super::{a_day, edited, staff};
use crate::support::{Answer, App};

fn rows(answer: &Answer) -> Vec<String> {
    answer.text().split("data-entry-id=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

#[actix_web::test]
async fn staff_read_all_of_them_and_nobody_else_does() {
    let app = App::start();
    let (mut make, admin) = a_day(&app).await;
    let other = app.make().org().credits(3);
    for place in ["/support/audit-log", "/support/audit-log/entries.csv", "/support/audit-log?open=aud_1"] {
        assert_eq!(admin.get(place).send().await.status, 404, "{place} by an admin");
        assert!(app.stranger().get(place).send().await.location().starts_with("/sign-in?next="), "{place}");
    }
    for role in [StaffRole::Support, StaffRole::Operator] {
        let (user, _) = staff(&mut make, role);
        let browser = app.browser(&user).await;
        let page = browser.get("/support/audit-log").send().await;
        assert!(page.status == 200 && page.text().contains("<h1>Audit log</h1>"), "{}", page.text());
        assert!(page.text().contains("href=\"/support/audit-log\" aria-current=\"true\""), "the header marks it");
        for said in [&make.here().name, &other.here().name, "Signed in", "Was refused at sign-in", "Created the worker token"] {
            assert!(page.text().contains(said), "{said}");
        }
        // One organization's alone, the deployment's own, and one that is not.
        let only = |slug: &str| browser.get(&format!("/support/audit-log?organization={slug}")).send();
        let own = rows(&admin.get(&format!("/orgs/{}/audit-log", make.here().slug)).send().await);
        let chain = make.here().id.0.simple();
        let expected: Vec<String> = own.iter().map(|id| format!("{id}_{chain}")).collect();
        assert_eq!(rows(&only(&make.here().slug).await), expected);
        let deployment = rows(&only("-").await);
        assert!(!deployment.is_empty() && deployment.iter().all(|id| id.ends_with("_00000000000000000000000000000000")), "{deployment:?}");
        let unknown = only("nobodys").await;
        assert!(unknown.status == 422 && unknown.text().contains("There is no organization with the slug &#34;nobodys&#34;."));
        assert_eq!(browser.get("/support/audit-log/entries.csv?organization=nobodys").send().await.status, 422);
        // A row opens with its organization.
        let opened =
            browser.get(&format!("/support/audit-log?open={}", expected[0])).htmx().header("hx-request-type", "partial").send().await;
        assert!(opened.text().contains(&format!("of {}", make.here().slug)) && opened.text().contains("Copy hash"), "{}", opened.text());
        assert_eq!(browser.get("/support/audit-log?open=aud_1").send().await.status, 404, "of which chain?");
    }
}

/// An organization's page has no way to another's entries.
#[actix_web::test]
async fn an_id_of_another_chain_opens_nothing() {
    let app = App::start();
    let make = app.make().org().admin().org();
    let [ours, theirs] = [&make.orgs()[0], &make.orgs()[1]];
    edited(app.database(), Some(ours.id), "Ours", json!({}));
    edited(app.database(), Some(theirs.id), "Theirs", json!({}));
    let browser = app.browser(make.an_admin()).await;
    let (page, id) = (format!("/orgs/{}/audit-log", ours.slug), format!("aud_1_{}", theirs.id.0.simple()));
    for query in [format!("open={id}"), format!("before={id}"), format!("after={id}"), format!("begin={id}")] {
        for htmx in [false, true] {
            let request = browser.get(&format!("{page}?{query}"));
            let answer = if htmx { request.htmx().header("hx-request-type", "partial").send().await } else { request.send().await };
            assert!(answer.status == 404 && !answer.text().contains("Theirs"), "{query}: {}", answer.status);
        }
    }
    let narrowed = browser.get(&format!("{page}?organization={}", theirs.slug)).send().await;
    assert!(narrowed.status == 200 && rows(&narrowed) == ["aud_1"] && !narrowed.text().contains("Theirs"), "that filter is for staff");
}
