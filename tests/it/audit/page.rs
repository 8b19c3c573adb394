//! The page of an organization: what was done, the filters, who may see it.

use latchkey::actor::StaffRole;
use latchkey::{audit, clock, support};
use serde_json::json;

use super::{a_day, admin, edited, staff, verify};
use crate::support::{Answer, App, Client, Make};

fn path(make: &Make, rest: &str) -> String {
    format!("/orgs/{}/audit-log{rest}", make.here().slug)
}

/// As htmx asks for a part of the page.
async fn part(browser: &Client, path: &str) -> Answer {
    browser.get(path).htmx().header("hx-request-type", "partial").send().await
}

/// Ids of the rows, from the top.
fn rows(answer: &Answer) -> Vec<String> {
    answer.text().split("data-entry-id=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

/// What a row or a page says, without its tags.
fn words(html: &str) -> String {
    let text: String = html.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text)).collect::<Vec<_>>().join(" ");
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace("&#38;", "&")
}

/// The row of an entry.
fn row(answer: &Answer, id: &str) -> String {
    let page = answer.text();
    let start = page.find(&format!("<tbody id=\"r-{id}\"")).unwrap_or_else(|| panic!("no {id} in {page}"));
    let rest = &page[start..];
    // A panel's table has a body of its own.
    words(
        &rest[..rest
            .find("data-entry-id=")
            .and_then(|at| rest[at + 9..].find("data-entry-id=").map(|next| at + next))
            .unwrap_or(rest.len())],
    )
}

#[actix_web::test]
async fn what_was_done_is_read_as_a_page_as_a_part_and_opened() {
    let app = App::start();
    let (make, browser) = a_day(&app).await;
    let page = browser.get(&path(&make, "")).send().await;
    assert_eq!((page.status, page.header("cache-control")), (200, "no-store"));
    assert!(page.text().contains("<h1>Audit log</h1>") && page.text().contains("latchkey audit verify"));
    assert!(page.text().contains("/audit-log\" aria-current=\"true\">Audit log</a>"), "the header marks it");
    let ids = rows(&page);
    assert!(ids.len() > 12 && ids.windows(2).all(|pair| pair[0] != pair[1]), "{ids:?}");
    assert_eq!(ids.last().unwrap(), "aud_1");
    let text = words(page.text());
    for said in [
        "Rotated the key",
        "Created the key",
        "Revoked the key",
        "Granted credits",
        "Saved the webhook",
        "Suspended the organization",
        "Reason: Unpaid since March",
        "Command line",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    // Somebody of the staff looked: marked, with the reason.
    let visit = ids.iter().map(|id| row(&page, id)).find(|row| row.contains("Opened the organization as support")).expect("the visit");
    assert!(visit.contains(" support ") && visit.contains("Reason: Ticket 4711"), "{visit}");
    let rotated = ids.iter().find(|id| row(&page, id).contains("Rotated the key")).expect("the rotation").clone();
    assert!(!row(&page, &rotated).contains("generation"), "closed");
    // Opened by htmx, closed again, and the same as a page of its own.
    let opened = part(&browser, &path(&make, &format!("?action=key&open={rotated}"))).await;
    assert!(opened.text().trim_start().starts_with("<tbody") && rows(&opened) == [rotated.clone()], "{}", opened.text());
    let whole = browser.get(&path(&make, &format!("?action=key&open={rotated}"))).send().await;
    assert!(whole.text().starts_with("<!doctype html>"));
    for text in [words(opened.text()), row(&whole, &rotated)] {
        let sequence = rotated.strip_prefix("aud_").unwrap();
        for said in [
            "Field Before After",
            "generation 1 2",
            "old ends at – 20",
            "key.rotated",
            "Address 127.0.0.1",
            "Copy hash",
            &format!("Entry {sequence}, key.rotated"),
        ] {
            assert!(text.contains(said), "{said}: {text}");
        }
    }
    let closed = part(&browser, &path(&make, &format!("?action=key&row={rotated}"))).await;
    assert!(rows(&closed) == [rotated.clone()] && !closed.text().contains("Before"));
    // The hash that it shows is the one that is proved.
    let newest = part(&browser, &path(&make, &format!("?open={}", ids[0]))).await;
    let hash = newest.text().split("data-copy-text=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert!(words(newest.text()).contains(&format!("{}…", &hash[..16])));
    let head = format!("{}={hash}", make.here().slug);
    assert_eq!(verify(app.database(), &["--head", &head]).0, Some(0));
    // Nothing there, and nothing of the sort.
    for nowhere in ["aud_999", "aud_0", "aud_x", "aud_1_00000000000000000000000000000000"] {
        assert_eq!(part(&browser, &path(&make, &format!("?open={nowhere}"))).await.status, 404, "{nowhere}");
    }
}

#[actix_web::test]
async fn filters_narrow_it_and_stay_in_the_address() {
    let app = App::start();
    let make = app.make().org().admin();
    let (database, organization) = (app.database(), make.here().id);
    let conn = &mut database.conn();
    // Literal: neither a per cent sign nor an underscore stands for others.
    for (name, label) in [("Dana Okafor", "Night_ly"), ("Tomás Rey", "Nightxly"), ("100% Bot", "Weekly"), ("100 Bot\\", "back\\slash")] {
        let event = audit::Event {
            organization: Some(organization),
            action: if label == "Weekly" { "webhook.updated" } else { "key.edited" },
            target_id: format!("id of {name}"),
            target_label: label.into(),
            before: json!(null),
            after: json!(null),
        };
        audit::record(conn, &admin(organization, name), clock::now() - time::Duration::days(i64::from(label == "Weekly") * 3), event)
            .unwrap();
    }
    edited(database, Some(organization), "By hand", json!({}));
    let browser = app.browser(make.an_admin()).await;
    let day = |days: i64| (clock::now() - time::Duration::days(days)).date();
    for (query, expected) in [
        ("", "5 4 3 2 1"),
        ("kind=user", "4 3 2 1"),
        ("kind=command_line", "5"),
        ("kind=staff", ""),
        ("actor=okafor", "1"),
        ("actor=TOM%C3%81S", "2"),
        ("actor=100%25", "3"),
        ("actor=%25", "3"),
        ("actor=_", ""),
        ("actor=%5C", "4"),
        ("target=t_l", "1"),
        ("target=night", "2 1"),
        ("target=ID%20of%20100", "4 3"),
        ("target=%5Cs", "4"),
        ("action=key", "5 4 2 1"),
        ("action=key.edited", "5 4 2 1"),
        ("action=webhook.updated", "3"),
        ("action=ke", ""),
        ("action=robot.painted", ""),
        ("action=key&actor=rey", "2"),
        ("action=key&actor=rey&actor=okafor", "1"),
        (&format!("to={}", day(2)), "3"),
        (&format!("from={}", day(1)), "5 4 2 1"),
        (&format!("from={0}&to={0}", day(3)), "3"),
        (&format!("from={}&to={}", day(9), day(4)), ""),
    ] {
        let whole = browser.get(&path(&make, &format!("?{query}"))).send().await;
        let by_htmx = part(&browser, &path(&make, &format!("?{query}"))).await;
        let expected: Vec<String> = expected.split_whitespace().map(|sequence| format!("aud_{sequence}")).collect();
        assert_eq!((whole.status, rows(&whole), rows(&by_htmx)), (200, expected.clone(), expected.clone()), "{query}");
        assert!(by_htmx.text().trim_start().starts_with("<div id=\"audit\">") && !by_htmx.text().contains("<html"));
        assert!(!expected.is_empty() || whole.text().contains("No entries match"), "{query}");
    }
    let kept = browser.get(&path(&make, "?kind=user&action=key.edited&actor=a&to=2999-01-01")).send().await;
    for mark in ["value=\"user\" selected", "value=\"key.edited\" selected", "name=\"actor\" value=\"a\"", "value=\"2999-01-01\""] {
        assert!(kept.text().contains(mark), "{mark}");
    }
    let empty = app.make().org().admin();
    assert!(app.browser(empty.an_admin()).await.get(&path(&empty, "")).send().await.text().contains("Nothing yet"));
}

#[actix_web::test]
async fn bad_filters_are_told_what_is_wrong_with_them() {
    let app = App::start();
    let make = app.make().org().credits(5).admin().member();
    let (browser, member) = (app.browser(make.an_admin()).await, app.browser(make.a_member()).await);
    let long = "x".repeat(201);
    for (query, said) in [
        ("kind=robot", "is no kind of actor. There are: user, staff, key, command_line, system."),
        ("action=%3Cscript%3E", "&#60;script&#62;"),
        ("action=a.b.c", "is no action."),
        ("from=20.11.2026", "is not a day. Write it like 2026-11-20."),
        ("to=9999-12-31", "is not a day."),
        ("from=2026-11-02&to=2026-11-01", "2026-11-01 is before 2026-11-02."),
        (&format!("actor={long}"), "Look for at most 200 characters."),
        (&format!("target={long}"), "Look for at most 200 characters."),
    ] {
        for answer in
            [browser.get(&path(&make, &format!("?{query}"))).send().await, part(&browser, &path(&make, &format!("?{query}"))).await]
        {
            assert_eq!(answer.status, 422, "{query}");
            assert!(answer.text().contains(said) && answer.text().contains("aria-invalid=\"true\""), "{query}: {}", answer.text());
            assert!(!answer.text().contains("<script>") && rows(&answer).is_empty());
        }
        assert_eq!(browser.get(&path(&make, &format!("/entries.csv?{query}"))).send().await.status, 422, "{query}");
        assert_eq!(member.get(&path(&make, &format!("?{query}"))).send().await.status, 403, "{query}");
    }
    for (query, status) in
        [("before=-1", 404), ("after=aud_0", 404), ("begin=x", 404), ("actor=%00", 200), ("before=aud_9223372036854775807", 200)]
    {
        assert_eq!(browser.get(&path(&make, &format!("?{query}"))).send().await.status, status, "{query}");
    }
}

#[actix_web::test]
async fn only_admins_and_visiting_staff_read_it() {
    let app = App::start();
    let mut make = app.make().org().credits(5).admin().member();
    let other = app.make().org().credits(5).admin();
    let (user, actor) = staff(&mut make, StaffRole::Support);
    let at_work = app.browser(&user).await;
    for rest in ["", "/entries.csv"] {
        let place = path(&make, rest);
        assert_eq!(app.browser(make.an_admin()).await.get(&place).send().await.status, 200);
        assert_eq!(app.browser(make.a_member()).await.get(&place).send().await.status, 403);
        assert_eq!(app.browser(other.an_admin()).await.get(&place).send().await.status, 404);
        assert!(app.stranger().get(&place).send().await.location().starts_with("/sign-in?next="));
        // Staff say why first.
        let asked = at_work.get(&place).send().await;
        assert_eq!((asked.status, asked.location()), (303, format!("/support/organizations/{}", make.here().slug).as_str()));
    }
    support::open(&mut app.database().conn(), &actor, clock::now(), &make.here().slug, "Ticket 12").unwrap();
    let page = at_work.get(&path(&make, "")).send().await;
    assert!(page.status == 200 && page.text().contains("Viewing as support") && page.text().contains("Reason: <bdi>Ticket 12</bdi>"));
    assert_eq!(at_work.get(&path(&make, "/entries.csv")).send().await.status, 200);
    assert_eq!(at_work.get(&path(&other, "")).send().await.status, 303, "a visit opens one organization");
    support::end(&mut app.database().conn(), &actor, clock::now(), make.here().id).unwrap();
    assert_eq!(at_work.get(&path(&make, "")).send().await.status, 303);
}

#[actix_web::test]
async fn what_others_chose_is_text() {
    let app = App::start();
    let make = app.make().org().admin();
    let organization = make.here().id;
    let evil = "<script>alert(1)</script>\"><img src=x onerror=alert(1)>";
    let actor = latchkey::actor::Actor::member(
        latchkey::ids::UserId::new(clock::now()),
        evil.into(),
        organization,
        latchkey::actor::Role::Admin,
        evil.into(),
        evil.into(),
    );
    let event = audit::Event {
        organization: Some(organization),
        action: "key.edited",
        target_id: evil.into(),
        target_label: evil.into(),
        before: json!({evil: evil, "list": [evil, {"a": evil}]}),
        after: json!({"reason": evil}),
    };
    audit::record(&mut app.database().conn(), &actor, clock::now(), event).unwrap();
    let browser = app.browser(make.an_admin()).await;
    for answer in [
        browser.get(&path(&make, "?open=aud_1&actor=%22%3E%3Cscript%3E")).send().await,
        browser.get(&path(&make, "?open=aud_1")).send().await,
        part(&browser, &path(&make, "?open=aud_1")).await,
    ] {
        assert!(answer.status == 200 && !answer.text().contains("<script>") && !answer.text().contains("<img"), "{}", answer.text());
    }
    let shown = part(&browser, &path(&make, "?open=aud_1")).await;
    assert!(shown.text().matches("&#60;script&#62;alert(1)").count() >= 9, "{}", shown.text());
}
