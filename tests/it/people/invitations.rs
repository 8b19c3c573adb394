//! One-time links.

use std::sync::Barrier;

use latchkey::accounts::{self, Password};
use latchkey::actor::{Actor, Role};
use latchkey::clock;
use latchkey::error::Error;
use latchkey::orgs;
use time::Duration;

use super::{COOKIE, audited, count};
use crate::support::{App, TestDb};

#[actix_web::test]
async fn a_link_sets_a_password_once_and_signs_in() {
    let app = App::start();
    let (actor, now) = (Actor::command_line(), clock::now());
    let mut conn = app.database().conn();
    let org = orgs::create(&mut conn, &actor, now, "Acme Motion", None, None).unwrap();
    let user = accounts::create(&mut conn, &actor, now, "Dana@Example.com", Some("Dana Okafor")).unwrap();
    orgs::add_member(&mut conn, &actor, now, org.id, user.id, Role::Admin).unwrap();
    let token = accounts::invite(&mut conn, &actor, now, user.id).unwrap();
    let path = format!("/invitations/{}", token.reveal());
    assert!(token.reveal().starts_with("lki_"));

    let browser = app.stranger();
    let page = browser.get(&path).send().await;
    assert!(page.text().contains("Join Acme Motion") && page.text().contains("dana@example.com"), "{}", page.text());
    let short = browser.post(&path).form(&[("password", "short")]).send().await;
    assert_eq!(short.status, 422);
    assert!(short.text().contains("aria-invalid=\"true\"") && short.text().contains("5 characters are too few"), "{}", short.text());
    let accepted = browser.post(&path).form(&[("password", "correct horse battery")]).send().await;
    assert_eq!((accepted.status, accepted.location()), (303, "/"));
    assert!(browser.cookies().contains_key(COOKIE));
    assert_eq!(browser.get("/").send().await.location(), "/orgs/acme-motion/api-keys");

    for again in [app.stranger().get(&path).send().await, app.stranger().post(&path).form(&[("password", "another password")]).send().await]
    {
        assert_eq!(again.status, 404);
    }
    let fields = [("email", "dana@example.com"), ("password", "correct horse battery")];
    assert_eq!(app.stranger().post("/sign-in").form(&fields).send().await.status, 303);
    let actions = audited(&mut conn);
    assert_eq!(actions, ["account.created", "account.invited", "account.password_set", "session.started", "session.started"]);
    let digest_only = format!("invitations i WHERE i::text LIKE '%{}%'", token.reveal());
    assert_eq!(count(&mut conn, &digest_only), 0);
}

#[test]
fn of_ten_that_race_for_a_link_one_gets_it() {
    let test = TestDb::new();
    let (actor, now) = (Actor::command_line(), clock::now());
    let mut conn = test.conn();
    let user = accounts::create(&mut conn, &actor, now, "dana@example.com", None).unwrap();
    let link = accounts::invite(&mut conn, &actor, now, user.id).unwrap();
    let hashed = Password::new("correct horse battery".into()).unwrap().hash().unwrap();
    let start = Barrier::new(10);
    let won = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..10)
            .map(|_| {
                let (link, hashed, start, test) = (&link, &hashed, &start, &test);
                scope.spawn(move || {
                    let mut conn = test.conn();
                    start.wait();
                    accounts::accept_invitation(&mut conn, clock::now(), link.reveal(), hashed, "192.0.2.1", "racer")
                })
            })
            .collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(won.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(won.iter().all(|result| matches!(result, Ok(_) | Err(Error::NotFound))), "{won:?}");
}

#[test]
fn a_link_lasts_seven_days_and_a_new_password_ends_the_sessions() {
    let test = TestDb::new();
    let (actor, now) = (Actor::command_line(), clock::now());
    let mut conn = test.conn();
    let user = accounts::create(&mut conn, &actor, now, "dana@example.com", None).unwrap();
    let link = accounts::invite(&mut conn, &actor, now, user.id).unwrap();
    let old = latchkey::secret::SecretDigest::of("an old session");
    let proved = accounts::stamp(&mut conn, user.id).unwrap();
    accounts::sessions::create(&mut conn, now, old, user.id, &proved, "192.0.2.1", "browser").unwrap();
    assert!(accounts::invitation(&mut conn, now + Duration::days(7) - Duration::SECOND, link.reveal()).is_ok());
    assert!(matches!(accounts::invitation(&mut conn, now + Duration::days(7), link.reveal()), Err(Error::NotFound)));
    let hashed = Password::new("correct horse battery".into()).unwrap().hash().unwrap();
    let late = accounts::accept_invitation(&mut conn, now + Duration::days(7), link.reveal(), &hashed, "192.0.2.1", "late");
    assert!(matches!(late, Err(Error::NotFound)));
    accounts::accept_invitation(&mut conn, now, link.reveal(), &hashed, "192.0.2.1", "browser").unwrap();
    assert_eq!(accounts::sessions::load(&mut conn, now, old).unwrap(), None);
}
