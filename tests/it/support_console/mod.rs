//! The console of the staff: who finds what, who looks at what, and what operators do.

mod operators;
mod plans;
mod search;
mod visits;

use diesel::sql_types::{BigInt, Nullable, Text};
use diesel::{QueryableByName, RunQueryDsl, sql_query};

use crate::support::{Answer, App, Client, Make, User};

/// Somebody of the staff.
fn staff(app: &App, role: &str) -> User {
    app.make().person(Some(role))
}

/// Somebody of the staff who looks at this organization.
async fn visitor(app: &App, user: &User, slug: &str) -> Client {
    let browser = app.browser(user).await;
    let opened = open(&browser, slug, "Ticket SUP-4821").await;
    assert_eq!((opened.status, opened.location()), (303, format!("/orgs/{slug}/api-keys").as_str()), "{}", opened.text());
    browser
}

async fn open(browser: &Client, slug: &str, reason: &str) -> Answer {
    browser.post(&format!("/support/organizations/{slug}/visits")).form(&[("reason", reason)]).send().await
}

fn run(app: &App, text: &str) {
    sql_query(text).execute(&mut app.database().conn()).unwrap();
}

fn number(app: &App, text: &str) -> i64 {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        n: i64,
    }
    sql_query(format!("SELECT ({text})::int8 AS n")).get_result::<Row>(&mut app.database().conn()).unwrap().n
}

fn text(app: &App, query: &str) -> String {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Nullable<Text>)]
        text: Option<String>,
    }
    let query = format!("SELECT ({query})::text AS text");
    sql_query(query).get_result::<Row>(&mut app.database().conn()).unwrap().text.unwrap_or_default()
}

/// `actor_kind actor_label action` of an organization's own chain, in order, with what changed.
fn audited(app: &App, scene: &Make) -> String {
    let line = "concat_ws(' ', actor_kind, actor_label, action, changes::text)";
    text(app, &format!("SELECT string_agg({line}, E'\\n' ORDER BY sequence) FROM audit_entries WHERE chain = '{}'", scene.here().id.0))
}

/// The ids of the rows of organizations on a page.
fn rows(page: &Answer) -> usize {
    page.text().matches("data-organization-id=").count()
}
