//! What becomes of a key, by its state and by the setting, and what its people see.

use diesel::prelude::*;
use diesel::sql_types::{Timestamptz, Uuid};
use latchkey::actor::Actor;
use latchkey::clock;
use latchkey::keys::{self, Became, Rotation};
use latchkey::site::LeakedKeys;
use time::Duration;

use super::{PLACE, actions, call, flagging, label, report};
use crate::support::{App, Make};

const BANNER: &str = "A key was found in public.";

/// Rotates the key made last, with an hour of grace; its new text.
fn rotate(app: &App, scene: &Make) -> String {
    let rotation = Rotation { grace: Some(app.site.profile.keys.grace[0]), expected_generation: 1, form_token: None };
    let (org, key) = (scene.here().id, scene.a_key().id);
    let (conn, profile) = (&mut app.database().conn(), &app.site.profile);
    let (_, plain) = keys::rotate(conn, &Actor::command_line(), clock::now(), profile, org, key, rotation).unwrap();
    plain.reveal().to_owned()
}

/// Moves everything about an organization's leaks into the past.
fn age(app: &App, scene: &Make, days: i64) {
    diesel::sql_query(
        "UPDATE api_key_secrets SET leaked_at = leaked_at - $1, ends_at = ends_at - $1 WHERE organization_id = $2"
            .replace("$1", &format!("interval '{days} days'"))
            .replace("$2", "$1"),
    )
    .bind::<Uuid, _>(scene.here().id)
    .execute(&mut app.database().conn())
    .unwrap();
}

#[actix_web::test]
async fn a_flagged_key_lives_and_its_people_are_told_until_it_is_replaced() {
    let app = flagging();
    let scene = app.make().org().admin().member().key();
    let stranger = app.make().org().admin();
    assert_eq!(label(&report(&app.anon(), &scene.a_key().text).await), "true_positive");
    assert_eq!(call(&app, &scene.a_key().text).await, 200, "alive");
    assert_eq!(actions(&app, scene.here().id), ["key.leaked"]);
    let (admin, member) = (app.browser(scene.an_admin()).await, app.browser(scene.a_member()).await);
    let path = |rest: &str| format!("/orgs/{}/{rest}", scene.here().slug);
    let rotation = path(&format!("api-keys/{}/rotation", scene.a_key().id));
    for tab in ["api-keys", "webhooks", "usage", "credits"] {
        let page = admin.get(&path(tab)).send().await;
        let page = page.text();
        assert!(page.contains(BANNER) && page.contains(&format!("{}…", scene.a_key().prefix)), "{tab}");
        assert!(page.contains(PLACE) && page.contains("It still works.") && page.contains(&format!("href=\"{rotation}\"")), "{tab}");
        let page = member.get(&path(tab)).send().await;
        assert!(page.text().contains(BANNER) && page.text().contains("Ask an admin") && !page.text().contains(&rotation), "{tab}");
    }
    assert!(admin.get(&path("api-keys")).send().await.text().contains("Found in public"), "the card says it too");
    let theirs = app.browser(stranger.an_admin()).await.get(&format!("/orgs/{}/api-keys", stranger.here().slug)).send().await;
    assert!(!theirs.text().contains(BANNER));
    age(&app, &scene, 30);
    assert!(admin.get(&path("usage")).send().await.text().contains(BANNER), "it stays while the key works");
    let rotated = rotate(&app, &scene);
    let page = admin.get(&path("usage")).send().await;
    assert!(page.text().contains("until its grace ends") && page.text().contains("End its grace now"), "{}", page.text());
    keys::end_grace(&mut app.database().conn(), &Actor::command_line(), clock::now(), scene.here().id, scene.a_key().id).unwrap();
    assert!(!admin.get(&path("usage")).send().await.text().contains(BANNER), "somebody has dealt with it");
    assert_eq!(call(&app, &rotated).await, 200);
}

#[actix_web::test]
async fn the_answer_to_its_rotation_tells_of_a_flagged_key_no_more() {
    let app = flagging();
    let scene = app.make().org().admin().key();
    report(&app.anon(), &scene.a_key().text).await;
    let admin = app.browser(scene.an_admin()).await;
    let path = format!("/orgs/{}/api-keys/{}/rotation", scene.here().slug, scene.a_key().id);
    let once = latchkey::ids::new_uuid(clock::now()).to_string();
    let rotated = admin.post(&path).form(&[("grace", "0"), ("generation", "1"), ("once", &once)]).send().await;
    assert!(rotated.status == 200 && rotated.text().contains("id=\"new-key\""), "{}", rotated.text());
    assert!(!rotated.text().contains(BANNER));
}

#[actix_web::test]
async fn a_flagged_key_that_is_paused_is_told_so() {
    let app = flagging();
    let scene = app.make().org().admin().member().key();
    report(&app.anon(), &scene.a_key().text).await;
    let (conn, org, key) = (&mut app.database().conn(), scene.here().id, scene.a_key().id);
    keys::deactivate(conn, &Actor::command_line(), clock::now(), org, key).unwrap();
    let path = format!("/orgs/{}/usage", scene.here().slug);
    for (user, next) in [(scene.an_admin(), "/rotation\">Rotate it now"), (scene.a_member(), "ask an admin to replace it.")] {
        let page = app.browser(user).await.get(&path).send().await;
        let paused = "It is paused. It would work again when it is activated:";
        assert!(page.text().contains(paused) && page.text().contains(next), "{}", page.text());
        assert!(page.text().contains(BANNER) && !page.text().contains("It still works"), "{}", page.text());
    }
}

#[test]
fn of_many_those_that_work_are_told_first() {
    let app = App::start();
    let mut scene = app.make().org();
    for _ in 0..7 {
        scene = scene.key();
    }
    let (conn, start, profile) = (&mut app.database().conn(), clock::now(), &app.site.profile);
    let finder = Actor::leak_report("203.0.113.9".into(), "a test".into());
    for (n, key) in (0..).zip(scene.keys()) {
        // The oldest two go on working.
        let then = if n < 2 { LeakedKeys::Flag } else { LeakedKeys::Revoke };
        keys::report(conn, &finder, start + Duration::seconds(n), profile, then, &key.text, "").unwrap().expect("a key");
    }
    let told = keys::leaked(conn, scene.here().id, start + Duration::MINUTE).unwrap();
    let expected = [1, 0, 6, 5, 4].map(|n: usize| scene.keys()[n].id);
    assert_eq!(told.iter().map(|leaked| leaked.key).collect::<Vec<_>>(), expected);
    assert_eq!(told.iter().filter(|leaked| leaked.works()).count(), 2);
}

#[actix_web::test]
async fn a_revoked_key_is_told_of_for_a_week() {
    let app = App::start();
    let scene = app.make().org().admin().key();
    report(&app.anon(), &scene.a_key().text).await;
    let admin = app.browser(scene.an_admin()).await;
    let path = |rest: &str| format!("/orgs/{}/{rest}", scene.here().slug);
    let page = admin.get(&path("webhooks")).send().await;
    assert!(
        page.text().contains(BANNER) && page.text().contains("It was revoked at once") && page.text().contains(PLACE),
        "{}",
        page.text()
    );
    let receipt = admin.get(&path(&format!("api-keys?open={}-1", scene.a_key().id))).send().await;
    let (list, opened) = receipt.text().split_once("Former keys").expect("a former key");
    assert!(
        list.contains(BANNER) && opened.contains("Found in public") && opened.contains(PLACE) && opened.contains("Leak report"),
        "{opened}"
    );
    age(&app, &scene, 6);
    assert!(admin.get(&path("webhooks")).send().await.text().contains(BANNER));
    age(&app, &scene, 1);
    let page = admin.get(&path("webhooks")).send().await;
    assert!(!page.text().contains(BANNER));
}

#[actix_web::test]
async fn an_old_text_in_grace_ends_alone() {
    let app = App::start();
    let scene = app.make().org().admin().key();
    let (old, new) = (scene.a_key().text.clone(), rotate(&app, &scene));
    assert_eq!((call(&app, &old).await, call(&app, &new).await), (200, 200));
    assert_eq!(label(&report(&app.anon(), &old).await), "true_positive");
    assert_eq!((call(&app, &old).await, call(&app, &new).await), (403, 200), "the new text lives on");
    let admin = app.browser(scene.an_admin()).await;
    let page = admin.get(&format!("/orgs/{}/api-keys", scene.here().slug)).send().await;
    assert!(page.text().contains(BANNER) && page.text().contains("the new key works on"), "{}", page.text());
    assert_eq!(actions(&app, scene.here().id), ["key.rotated", "key.leaked"]);
    report(&app.anon(), &new).await;
    assert_eq!(call(&app, &new).await, 403);
    assert_eq!(actions(&app, scene.here().id), ["key.rotated", "key.leaked", "key.leaked"], "another text, another report");
}

#[actix_web::test]
async fn what_is_over_is_noted_once_and_alarms_nobody() {
    let app = App::start();
    let scene = app.make().org().admin().key();
    let (actor, org, key) = (Actor::command_line(), scene.here().id, scene.a_key());
    keys::revoke(&mut app.database().conn(), &actor, clock::now(), org, key.id).unwrap();
    for _ in 0..2 {
        assert_eq!(label(&report(&app.anon(), &key.text).await), "true_positive", "it was one of ours");
    }
    assert_eq!(actions(&app, org), ["key.revoked", "key.leaked"]);
    let admin = app.browser(scene.an_admin()).await;
    let page = admin.get(&format!("/orgs/{}/api-keys?open={}-1", scene.here().slug, key.id)).send().await;
    assert!(!page.text().contains(BANNER) && page.text().contains("Found in public"), "{}", page.text());
}

#[test]
fn a_paused_key_can_not_come_back_and_an_expired_one_stays_as_it_is() {
    let app = App::start();
    let scene = app.make().org().key().key_in("test");
    let (conn, actor, now, profile) = (&mut app.database().conn(), Actor::command_line(), clock::now(), &app.site.profile);
    let finder = Actor::leak_report("203.0.113.9".into(), "a test".into());
    let org = scene.here().id;
    let (paused, expired) = (&scene.keys()[0], &scene.keys()[1]);
    keys::deactivate(conn, &actor, now, org, paused.id).unwrap();
    diesel::sql_query("UPDATE api_keys SET created_at = $1, expires_at = $2 WHERE id = $3")
        .bind::<Timestamptz, _>(now - Duration::DAY)
        .bind::<Timestamptz, _>(now - Duration::HOUR)
        .bind::<Uuid, _>(expired.id)
        .execute(conn)
        .unwrap();
    let mut told = |text: &str| keys::report(conn, &finder, now, profile, LeakedKeys::Revoke, text, "").unwrap().unwrap().became;
    assert_eq!((told(&paused.text), told(&expired.text)), (Became::Revoked, Became::Over));
    assert!(keys::activate(conn, &actor, now, org, paused.id).is_err(), "revoked, for ever");
    let told = keys::leaked(conn, org, now).unwrap();
    assert_eq!(told.iter().map(|leaked| leaked.key).collect::<Vec<_>>(), [paused.id]);
}

#[test]
fn what_was_flagged_dies_at_the_next_report_when_the_setting_has_changed() {
    let app = App::start();
    let scene = app.make().org().key();
    let (conn, now, profile) = (&mut app.database().conn(), clock::now(), &app.site.profile);
    let finder = Actor::leak_report("203.0.113.9".into(), "a test".into());
    let mut became = |then, at| {
        let reported = keys::report(conn, &finder, at, profile, then, &scene.a_key().text, PLACE).unwrap().unwrap();
        (reported.became, reported.is_news)
    };
    assert_eq!(became(LeakedKeys::Flag, now), (Became::Flagged, true));
    assert_eq!(became(LeakedKeys::Flag, now), (Became::Flagged, false));
    assert_eq!(became(LeakedKeys::Revoke, now + Duration::DAY), (Became::Revoked, false));
    assert_eq!(became(LeakedKeys::Revoke, now + Duration::DAY), (Became::Over, false));
    assert_eq!(actions(&app, scene.here().id), ["key.leaked", "key.revoked"]);
    let told = keys::leaked(conn, scene.here().id, now + Duration::days(2)).unwrap();
    assert_eq!((told.len(), told[0].works(), told[0].leak.at), (1, false, now));
}

#[test]
fn where_it_was_found_is_one_line_without_a_key() {
    let app = App::start();
    let (conn, now, profile) = (&mut app.database().conn(), clock::now(), &app.site.profile);
    let finder = Actor::leak_report("203.0.113.9".into(), "a test".into());
    let mut place = |place: &dyn Fn(&str) -> String| {
        let scene = app.make().org().key();
        let text = &scene.a_key().text;
        let reported = keys::report(conn, &finder, now, profile, LeakedKeys::Flag, text, &place(text)).unwrap().unwrap();
        let random = text[12..].to_owned();
        assert!(!reported.leak.place.contains(&random), "{}", reported.leak.place);
        let link = reported.leak.link().map(str::to_owned);
        (reported.leak.place, link)
    };
    let link = "https://example.com/a?b=c#d";
    assert_eq!(place(&|_| format!("  {link}\n")), (link.into(), Some(link.into())));
    assert_eq!(place(&|_| "a\nb\u{202e}c\0d".into()), ("abcd".into(), None));
    assert_eq!(place(&|_| "x".repeat(10_000)).0.len(), 500);
    assert_eq!(place(&|_| "javascript:alert(1)".into()).1, None);
    assert_eq!(place(&|_| "http://example.com/".into()).1, None);
    assert_eq!(place(&|_| "https://exa mple.com/".into()).1, None);
    assert_eq!(place(&|_| "https://github.com@evil.example/".into()).1, None);
    assert_eq!(place(&|_| "https://:github.com@evil.example/".into()).1, None);
    let (shown, link) = place(&|text| format!("https://example.com/?key={text}"));
    assert!(shown.starts_with("https://example.com/?key=lk_live_") && shown.ends_with('…') && link.is_none(), "{shown}");
    assert!(place(&|text| format!("https://example.com/?key={}", text.replace('_', "%5F"))).0.ends_with("lk%5Flive%5F…"));
    assert!(place(&|text| format!("{}\0{}", &text[..20], &text[20..])).0.ends_with('…'));
}
