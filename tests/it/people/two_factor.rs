//! Signing in with a second factor, whose codes somebody else's library makes.

use std::sync::Barrier;

use diesel::PgConnection;
use latchkey::accounts::{self, two_factor};
use latchkey::actor::Actor;
use latchkey::clock;
use latchkey::error::{Error, Result};
use latchkey::ids::{UserId, new_uuid};
use latchkey::sealed::{Keyring, SecretKey};
use latchkey::secret::{PlainToken, SecretDigest};
use time::{Duration, OffsetDateTime};

use super::{audited, count};
use crate::support::{Answer, App, Client, TestDb, User, totp};

/// The second half that is asked for of who has just proved the password.
fn challenge_of(conn: &mut PgConnection, now: OffsetDateTime, user: UserId) -> Result<Option<PlainToken>> {
    let proved = accounts::stamp(conn, user)?;
    accounts::challenge(conn, now, user, &proved)
}

/// Turns it on in this browser: the seed's URL, and the recovery codes.
async fn turn_on(browser: &Client) -> (String, Vec<String>) {
    let url = totp::url_in(browser.get("/account/two-factor").send().await.text());
    // The step before: what signs in next may be of this one.
    let answer = browser.post("/account/two-factor").form(&[("code", totp::code(&url, -1).as_str())]).send().await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"), "{}", answer.text());
    let page = answer.text();
    let codes = page.split("id=\"codes\">").nth(1).unwrap().split("</pre>").next().unwrap();
    (url, codes.lines().map(str::to_owned).filter(|code| !code.is_empty()).collect())
}

async fn password(browser: &Client, user: &User) -> Answer {
    browser.post("/sign-in").form(&[("email", user.email.as_str()), ("password", &user.password), ("next", "/account")]).send().await
}

fn challenge(page: &str) -> String {
    page.split("name=\"challenge\" value=\"").nth(1).expect("it asks for a code").split('"').next().unwrap().to_owned()
}

async fn answer(browser: &Client, challenge: &str, code: &str) -> Answer {
    browser.post("/sign-in/code").form(&[("challenge", challenge), ("code", code), ("next", "/account")]).send().await
}

#[actix_web::test]
async fn the_password_alone_opens_nothing_any_more() {
    let app = App::start();
    let scene = app.make().org().admin();
    let (browser, elsewhere) = (app.browser(scene.an_admin()).await, app.browser(scene.an_admin()).await);
    let (url, codes) = turn_on(&browser).await;
    assert!(url.starts_with("otpauth://totp/") && url.contains("issuer=Latchkey"), "{url}");
    assert_eq!(codes.len(), 10);
    assert_eq!(elsewhere.get("/account").send().await.status, 303, "other sessions end");
    assert!(browser.get("/account").send().await.text().contains("10 recovery codes are left"));

    let other = app.stranger();
    let page = password(&other, scene.an_admin()).await;
    assert_eq!((page.status, page.header("cache-control")), (200, "no-store"));
    let token = challenge(page.text());
    assert_eq!(other.get("/account").send().await.location(), "/sign-in?next=/account", "half a sign-in is none");
    let wrong = answer(&other, &token, "000000").await;
    assert_eq!(wrong.status, 401);
    assert!(wrong.text().contains("aria-invalid=\"true\"") && wrong.text().contains(&token), "the form again: {}", wrong.text());
    let right = answer(&other, &token, &totp::code(&url, 0)).await;
    assert_eq!((right.status, right.location()), (303, "/account"), "{}", right.text());
    assert_eq!(other.get("/account").send().await.status, 200);
    let conn = &mut app.database().conn();
    assert_eq!(audited(conn).iter().filter(|action| *action == "session.refused").count(), 1);
    assert_eq!(count(conn, "sign_in_challenges"), 0);
}

#[actix_web::test]
async fn a_code_works_once_and_so_does_the_first_half() {
    let app = App::start();
    let scene = app.make().org().admin();
    let (url, _) = turn_on(&app.browser(scene.an_admin()).await).await;
    let (one, two) = (app.stranger(), app.stranger());
    let (first, second) =
        (challenge(password(&one, scene.an_admin()).await.text()), challenge(password(&two, scene.an_admin()).await.text()));
    let code = totp::code(&url, 0);
    assert_eq!(answer(&one, &first, &code).await.status, 303);
    assert_eq!(answer(&two, &second, &code).await.status, 401, "who looked over the shoulder is late");
    let late = answer(&two, &first, &totp::code(&url, 1)).await;
    assert_eq!((late.status, late.location()), (303, "/sign-in?next=/account"), "the first half was used");
    assert_eq!(two.get("/account").send().await.status, 303);
    for odd in ["", "lkc_nothing", "\0"] {
        assert_eq!(answer(&two, odd, &code).await.status, 303, "{odd:?}");
    }
}

#[actix_web::test]
async fn recovery_codes_open_once_each_until_there_are_new_ones() {
    let app = App::start();
    let scene = app.make().org().admin();
    let browser = app.browser(scene.an_admin()).await;
    let (_, codes) = turn_on(&browser).await;
    let sign_in = async |code: &str| {
        let other = app.stranger();
        let token = challenge(password(&other, scene.an_admin()).await.text());
        (answer(&other, &token, code).await.status, other)
    };
    let (status, other) = sign_in(&codes[0].replace('-', "").to_lowercase()).await;
    assert_eq!(status, 303, "however it is typed");
    assert!(other.get("/account").send().await.text().contains("9 are left."), "told at once");
    assert_eq!(sign_in(&codes[0]).await.0, 401, "used");
    let conn = &mut app.database().conn();
    assert_eq!(count(conn, &format!("recovery_codes r WHERE r::text LIKE '%{}%'", codes[1])), 0, "digests alone");
    assert_eq!(count(conn, &format!("audit_entries e WHERE e::text LIKE '%{}%'", codes[0])), 0);
    let fresh = browser.post("/account/two-factor/recovery-codes").form(&[]).send().await;
    assert!(fresh.status == 200 && !fresh.text().contains(&codes[1]));
    assert_eq!(sign_in(&codes[1]).await.0, 401, "the old ones are worth nothing");
}

#[actix_web::test]
async fn guessing_codes_is_slowed() {
    let app = App::start();
    let scene = app.make().org().admin();
    let (url, _) = turn_on(&app.browser(scene.an_admin()).await).await;
    let thief = app.stranger();
    let token = challenge(password(&thief, scene.an_admin()).await.text());
    let mut refused = Vec::new();
    for _ in 0..8 {
        refused.push(answer(&thief, &token, "123456").await.status);
    }
    assert_eq!(refused[..6], [401; 6]);
    assert_eq!(refused[6..], [429; 2]);
    // Another first half buys no more guesses, and the right code is not looked at either.
    let token = challenge(password(&thief, scene.an_admin()).await.text());
    let right = answer(&thief, &token, &totp::code(&url, 0)).await;
    assert_eq!((right.status, right.header("retry-after")), (429, "1"));
}

#[actix_web::test]
async fn turning_it_off_takes_it_all_away() {
    let app = App::start();
    let scene = app.make().org().admin();
    let browser = app.browser(scene.an_admin()).await;
    let (_, codes) = turn_on(&browser).await;
    let question = browser.get("/account/two-factor/removal").send().await;
    assert!(question.status == 200 && question.text().contains("<h1 id=\"dialog-title\">"), "a page without script");
    let dialog = browser.get("/account/two-factor/removal").htmx().header("hx-request-type", "partial").send().await;
    assert!(dialog.text().starts_with("<form id=\"confirm\""), "the inside of the dialog with it: {}", dialog.text());
    for wrong in ["", "000000"] {
        let refused = browser.post("/account/two-factor/removal").form(&[("code", wrong)]).send().await;
        assert!(refused.status == 422 && refused.text().contains("id=\"code-error\""), "{}", refused.text());
    }
    assert_eq!(browser.post("/account/two-factor/removal").form(&[("code", codes[0].as_str())]).send().await.location(), "/account");
    let conn = &mut app.database().conn();
    assert_eq!((count(conn, "totp_seeds"), count(conn, "recovery_codes")), (0, 0));
    assert_eq!(password(&app.stranger(), scene.an_admin()).await.status, 303, "the password alone");
    assert_eq!(audited(conn).iter().filter(|action| action.starts_with("account.two_factor")).count(), 2);
    let again = browser.post("/account/two-factor/removal").form(&[]).send().await;
    assert_eq!(again.location(), "/account", "told that it is off: no error page");
}

#[actix_web::test]
async fn an_organization_that_asks_for_it_opens_to_nobody_without() {
    let app = App::start();
    let scene = app.make().org().admin().key();
    let here = format!("/orgs/{}/api-keys", scene.here().slug);
    let browser = app.browser(scene.an_admin()).await;
    let required = "UPDATE organizations SET two_factor_required_at = now()";
    diesel::RunQueryDsl::execute(diesel::sql_query(required), &mut app.database().conn()).unwrap();
    let sent = browser.get(&here).send().await;
    assert_eq!((sent.status, sent.location()), (303, format!("/account/two-factor?next={here}").as_str()));
    assert_eq!(browser.post(&here).form(&[("name", "x")]).send().await.status, 403);
    let page = browser.get(sent.location()).send().await.text().to_owned();
    assert!(page.contains("The organization that you opened asks for it."), "{page}");
    let form = [("code", totp::code(&totp::url_in(&page), 0)), ("next", here.clone())];
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let done = browser.post("/account/two-factor").form(&form).send().await;
    assert!(done.status == 200 && done.text().contains(&format!("href=\"{here}\"")), "and on to where one wanted to go");
    assert_eq!(browser.get(&here).send().await.status, 200);
    // Who moves to another device turns it off with the old one, and is outside until the new one is set up.
    let seed = totp::url_in(&page);
    let off = browser.post("/account/two-factor/removal").form(&[("code", totp::code(&seed, 1).as_str())]).send().await;
    assert_eq!(off.location(), "/account");
    assert!(browser.get(&here).send().await.location().starts_with("/account/two-factor?next="));
    assert_ne!(totp::url_in(browser.get("/account/two-factor").send().await.text()), seed, "a new seed");
    assert_eq!(app.partner(scene.a_key()).get("/key").send().await.status, 200, "keys are no people");
}

#[test]
fn of_five_that_show_one_code_at_once_one_gets_in() {
    let test = TestDb::new();
    let (mut conn, now) = (test.conn(), clock::now());
    let user = accounts::create(&mut conn, &Actor::command_line(), now, "dana@example.com", None).unwrap();
    let keyring = Keyring::from(SecretKey([7; 32]));
    let actor = Actor::person(Some(user.id), "Dana".into(), "192.0.2.1".into(), "browser".into()).proved(now);
    let setup = two_factor::begin(&mut conn, &actor, now, &keyring, uuid::Uuid::nil(), "Latchkey").unwrap();
    let again = two_factor::begin(&mut conn, &actor, now, &keyring, uuid::Uuid::nil(), "Latchkey").unwrap();
    assert_eq!(setup.secret, again.secret, "a reload shows the seed that was scanned");
    let session = uuid::Uuid::nil();
    let wrong = two_factor::confirm(&mut conn, &actor, now, &keyring, session, "000000");
    assert!(matches!(wrong, Err(Error::Invalid(_))));
    two_factor::confirm(&mut conn, &actor, now, &keyring, session, &totp::code(&setup.url, -1)).unwrap();
    let code = totp::code(&setup.url, 0);
    let tokens: Vec<String> = (0..5).map(|_| challenge_of(&mut conn, now, user.id).unwrap().unwrap().reveal().to_owned()).collect();
    let barrier = Barrier::new(tokens.len());
    let entered: usize = std::thread::scope(|scope| {
        let enter = |token: &String| {
            let (mut conn, token, code, barrier, keyring) = (test.conn(), token.clone(), code.clone(), &barrier, keyring.clone());
            scope.spawn(move || {
                barrier.wait();
                accounts::answer_challenge(&mut conn, clock::now(), &keyring, &token, &code, None, "192.0.2.1", "x").is_ok()
            })
        };
        let threads: Vec<_> = tokens.iter().map(enter).collect();
        threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum()
    });
    assert_eq!(entered, 1);
}

#[test]
fn half_a_sign_in_is_forgotten_after_ten_minutes() {
    let test = TestDb::new();
    let (mut conn, now) = (test.conn(), clock::now());
    let user = accounts::create(&mut conn, &Actor::command_line(), now, "dana@example.com", None).unwrap();
    let keyring = Keyring::from(SecretKey([7; 32]));
    let actor = Actor::person(Some(user.id), "Dana".into(), "192.0.2.1".into(), "browser".into()).proved(now);
    let setup = two_factor::begin(&mut conn, &actor, now, &keyring, uuid::Uuid::nil(), "Latchkey").unwrap();
    assert!(challenge_of(&mut conn, now, user.id).unwrap().is_none(), "a seed that nobody confirmed asks for nothing");
    two_factor::confirm(&mut conn, &actor, now, &keyring, uuid::Uuid::nil(), &totp::code(&setup.url, 0)).unwrap();
    let token = challenge_of(&mut conn, now, user.id).unwrap().unwrap();
    let late = accounts::answer_challenge(&mut conn, now + Duration::minutes(10), &keyring, token.reveal(), "1", None, "192.0.2.1", "x");
    assert!(matches!(late, Err(Error::NotFound)));
    assert_eq!(accounts::forget_old(&mut conn, now + Duration::minutes(10)).unwrap(), 1);
    // The seed is of no use to who has the database alone, nor in another row.
    assert!(Keyring::from(SecretKey([8; 32])).open(&format!("seed of {}", user.id), b"").is_err());
    assert_eq!(two_factor::check_seeds(&mut conn, &keyring).unwrap(), (1, 0));
    assert_eq!(two_factor::check_seeds(&mut conn, &Keyring::from(SecretKey([8; 32]))).unwrap(), (1, 1));
}

#[test]
fn a_seed_that_somebody_else_saw_is_never_the_one() {
    let test = TestDb::new();
    let (mut conn, now) = (test.conn(), clock::now());
    let user = accounts::create(&mut conn, &Actor::command_line(), now, "dana@example.com", None).unwrap();
    let keyring = Keyring::from(SecretKey([7; 32]));
    let actor = Actor::person(Some(user.id), "Dana".into(), "192.0.2.1".into(), "browser".into()).proved(now);
    let (here, there) = (new_uuid(clock::now()), new_uuid(clock::now()));
    let mut seed = |at, session| two_factor::begin(&mut conn, &actor, at, &keyring, session, "Latchkey").unwrap().secret;
    let first = seed(now, here);
    assert_eq!(seed(now + Duration::minutes(14), here), first, "a reload shows what was scanned");
    let second = seed(now + Duration::minutes(14), there);
    assert_ne!(second, first, "another session has its own");
    assert_ne!(seed(now + Duration::minutes(30), there), second, "and not for long");
    let pending = seed(now + Duration::minutes(31), there);
    let hashed = accounts::Password::new("a brand new one".into()).unwrap().hash().unwrap();
    accounts::set_password(&mut test.conn(), &Actor::command_line(), now, user.id, &hashed).unwrap();
    assert_ne!(seed(now + Duration::minutes(31), there), pending, "a new password ends what was begun");
}

#[test]
fn who_is_on_the_way_in_stays_outside_when_the_password_changes() {
    let test = TestDb::new();
    let (mut conn, now) = (test.conn(), clock::now());
    let user = accounts::create(&mut conn, &Actor::command_line(), now, "dana@example.com", None).unwrap();
    let set = |conn: &mut PgConnection, password: &str| {
        let hashed = accounts::Password::new(password.into()).unwrap().hash().unwrap();
        accounts::set_password(conn, &Actor::command_line(), now, user.id, &hashed).unwrap();
    };
    set(&mut conn, "the stolen one");
    let attempt = accounts::begin_sign_in(&mut conn, now, "dana@example.com", "192.0.2.1".parse().unwrap(), None).unwrap();
    let verified = attempt.verify("the stolen one");
    let proved = verified.stamp();
    set(&mut conn, "quite another one");
    accounts::finish_sign_in(&mut conn, now, verified, "192.0.2.1", "thief").unwrap();
    let session = accounts::sessions::create(&mut conn, now, SecretDigest::of("x"), user.id, &proved, "192.0.2.1", "thief");
    assert!(matches!(session, Err(Error::Unauthenticated)));
    let half = accounts::challenge(&mut conn, now, user.id, &proved);
    assert!(matches!(half, Err(Error::Unauthenticated)));
    assert_eq!(count(&mut conn, "sessions"), 0);
    // The same where a second factor was turned on meanwhile.
    let proved = accounts::stamp(&mut conn, user.id).unwrap();
    let keyring = Keyring::from(SecretKey([7; 32]));
    let actor = Actor::person(Some(user.id), "Dana".into(), "192.0.2.1".into(), "browser".into()).proved(now);
    let setup = two_factor::begin(&mut conn, &actor, now, &keyring, uuid::Uuid::nil(), "Latchkey").unwrap();
    two_factor::confirm(&mut conn, &actor, now, &keyring, uuid::Uuid::nil(), &totp::code(&setup.url, 0)).unwrap();
    let session = accounts::sessions::create(&mut conn, now, SecretDigest::of("y"), user.id, &proved, "192.0.2.1", "thief");
    assert!(matches!(session, Err(Error::Unauthenticated)));
}

#[actix_web::test]
async fn who_guesses_codes_elsewhere_keeps_no_owner_out() {
    let app = App::start();
    let scene = app.make().org().admin();
    let own = app.browser(scene.an_admin()).await;
    let (url, _) = turn_on(&own).await;
    own.post("/sign-out").send().await;
    let thief = app.stranger();
    let token = challenge(password(&thief, scene.an_admin()).await.text());
    for _ in 0..8 {
        answer(&thief, &token, "123456").await;
    }
    let token = challenge(password(&own, scene.an_admin()).await.text());
    assert_eq!(answer(&own, &token, &totp::code(&url, 0)).await.status, 303);
}
