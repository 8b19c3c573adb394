//! Lost passwords: the link that an admin makes, and the one that is sent to the own mailbox.

use diesel::PgConnection;
use diesel::{RunQueryDsl, sql_query};
use latchkey::accounts::{self, HashedPassword, Password};
use latchkey::actor::{Actor, Role, StaffRole};
use latchkey::clock;
use latchkey::error::Error;
use latchkey::ids::{OrgId, UserId};
use latchkey::orgs;
use time::Duration;

use super::{COOKIE, audited_in, count};
use crate::support::{App, Mailbox, TestDb};

fn password() -> HashedPassword {
    Password::new("a whole new password".into()).unwrap().hash().unwrap()
}

fn person(conn: &mut PgConnection, organization: OrgId, email: &str, role: Role) -> UserId {
    let (machine, now) = (Actor::command_line(), clock::now());
    let user = accounts::create(conn, &machine, now, email, None).unwrap().id;
    accounts::set_password(conn, &machine, now, user, &password()).unwrap();
    orgs::add_member(conn, &machine, now, organization, user, role).unwrap();
    user
}

#[test]
fn an_admin_of_one_organization_opens_no_account_of_another() {
    let test = TestDb::new();
    let (mut conn, now, machine) = (test.conn(), clock::now(), Actor::command_line());
    let [ours, theirs] = ["Ours", "Theirs"].map(|name| orgs::create(&mut conn, &machine, now, name, None, None).unwrap().id);
    let dana = person(&mut conn, ours, "dana@example.com", Role::Admin);
    let dana = Actor::member(dana, "Dana".into(), ours, Role::Admin, "192.0.2.1".into(), "browser".into()).proved(now);
    let [tom, both, staff] = ["tom", "both", "staff"].map(|name| person(&mut conn, ours, &format!("{name}@example.com"), Role::Member));
    let stranger = person(&mut conn, theirs, "stranger@example.com", Role::Member);
    orgs::add_member(&mut conn, &machine, now, theirs, both, Role::Admin).unwrap();
    accounts::set_staff_role(&mut conn, &machine, now, staff, Some(StaffRole::Support)).unwrap();
    for user in [both, staff] {
        let refused = accounts::invite_member(&mut conn, &dana, now, ours, user).unwrap_err();
        assert!(matches!(&refused, Error::Conflict(why) if why.contains("latchkey user invite")), "{refused}");
    }
    assert!(matches!(accounts::invite_member(&mut conn, &dana, now, ours, stranger), Err(Error::NotFound)));
    assert!(matches!(accounts::invite_member(&mut conn, &dana, now, theirs, stranger), Err(Error::NotFound)));
    let member = Actor::member(tom, "Tom".into(), ours, Role::Member, "192.0.2.1".into(), "browser".into()).proved(now);
    assert!(matches!(accounts::invite_member(&mut conn, &member, now, ours, tom), Err(Error::Forbidden)));
    let stale = dana.clone().proved(now - Duration::HOUR);
    assert!(matches!(accounts::invite_member(&mut conn, &stale, now, ours, tom), Err(Error::ProofNeeded)));
    assert_eq!(count(&mut conn, "invitations"), 0);
    assert!(!audited_in(&mut conn, ours.0).contains(&"member.password_link_made".to_owned()));

    // The link that was made in time is worth nothing once its person can get anywhere else, or belongs here no more.
    let accept = |conn: &mut PgConnection, link: &str, at| {
        let opens = accounts::invitation(conn, at, link).is_ok();
        let result = accounts::accept_invitation(conn, at, link, &password(), "192.0.2.7", "browser");
        assert_eq!(opens, result.is_ok(), "the page says what is so: {result:?}");
        result.is_ok()
    };
    let (_, link) = accounts::invite_member(&mut conn, &dana, now, ours, tom).unwrap();
    orgs::add_member(&mut conn, &machine, now, theirs, tom, Role::Admin).unwrap();
    assert!(!accept(&mut conn, link.reveal(), now), "another organization");
    orgs::remove_member(&mut conn, &machine, now, theirs, tom).unwrap();
    accounts::set_staff_role(&mut conn, &machine, now, tom, Some(StaffRole::Support)).unwrap();
    assert!(!accept(&mut conn, link.reveal(), now), "staff");
    accounts::set_staff_role(&mut conn, &machine, now, tom, None).unwrap();
    orgs::remove_member(&mut conn, &machine, now, ours, tom).unwrap();
    assert!(!accept(&mut conn, link.reveal(), now), "no member");
    orgs::add_member(&mut conn, &machine, now, ours, tom, Role::Member).unwrap();
    assert!(!accept(&mut conn, link.reveal(), now + Duration::hours(24)), "late");
    assert!(accept(&mut conn, link.reveal(), now));
    assert!(!accept(&mut conn, link.reveal(), now), "used");
    assert!(audited_in(&mut conn, ours.0).contains(&"member.password_link_made".to_owned()));
}

#[test]
fn nobodys_mailbox_is_flooded_and_other_links_stay() {
    let test = TestDb::new();
    let (mut conn, now, machine) = (test.conn(), clock::now(), Actor::command_line());
    let user = accounts::create(&mut conn, &machine, now, "dana@example.com", None).unwrap().id;
    let old = accounts::invite(&mut conn, &machine, now - Duration::DAY, user).unwrap();
    let mut ask = |at, typed: &str| accounts::reset_link(&mut conn, at, typed, "192.0.2.7", "browser").unwrap().map(|(_, link)| link);
    assert!(ask(now, "nobody@example.com").is_none() && ask(now, "no address").is_none());
    let links: Vec<_> = (0..10).filter_map(|_| ask(now, " Dana@Example.com ")).collect();
    assert_eq!(links.len(), 3);
    assert!(ask(now + Duration::minutes(59), "dana@example.com").is_none());
    assert!(ask(now + Duration::minutes(61), "dana@example.com").is_some());
    let end = now + Duration::HOUR;
    assert!(accounts::invitation(&mut conn, end - Duration::SECOND, links[0].reveal()).is_ok());
    assert!(matches!(accounts::invitation(&mut conn, end, links[0].reveal()), Err(Error::NotFound)));
    assert!(accounts::invitation(&mut conn, now, old.reveal()).is_ok(), "who asks is nobody in particular");
    accounts::accept_invitation(&mut conn, now, links[0].reveal(), &password(), "192.0.2.7", "browser").unwrap();
    assert!(
        accounts::invitation(&mut conn, now, links[1].reveal()).is_err() && accounts::invitation(&mut conn, now, old.reveal()).is_err()
    );
}

#[actix_web::test]
async fn the_page_sends_a_link_and_tells_nobody_who_has_an_account() {
    let mailbox = Mailbox::start();
    let app = App::with_mail(&mailbox);
    let mut make = app.make().org().admin();
    let (known, other) = (make.an_admin().clone(), make.person(None));
    let browser = app.stranger();
    let signing_in = browser.get("/sign-in").send().await;
    assert!(signing_in.text().contains("href=\"/password-reset\""));
    assert_eq!(browser.get("/password-reset").send().await.status, 200);
    let mut answers = Vec::new();
    for email in [known.email.as_str(), "nobody@example.com", "no address", ""] {
        let answer = browser.post("/password-reset").form(&[("email", email)]).send().await;
        let cookies = browser.cookies();
        answers.push((answer.status, answer.text().to_owned(), cookies));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "one answer for all");
    assert!(answers[0].1.contains("If this address has an account"));
    let letter = mailbox.next();
    assert_eq!(letter.to, known.email);
    assert!(letter.text.contains("Subject: A new password for Latchkey") && letter.text.contains("for an hour"), "{}", letter.text);
    let old = app.browser(&known).await;
    let (link, fresh) = (letter.link(), app.stranger());
    assert!(fresh.get(&link).send().await.text().contains("Choose a new password"));
    assert_eq!(fresh.post(&link).form(&[("password", "a whole new password")]).send().await.status, 303);
    assert!(fresh.cookies().contains_key(COOKIE));
    assert_eq!(old.get("/").send().await.location(), "/sign-in", "the other sessions have ended");
    // Whatever else was asked for is done by now, or comes after this one.
    browser.post("/password-reset").form(&[("email", &other.email)]).send().await;
    assert_eq!(mailbox.next().to, other.email);
    assert!(mailbox.rest().is_empty());
}

#[test]
fn an_address_that_asks_for_many_is_slowed() {
    let test = TestDb::new();
    let (mut conn, now) = (test.conn(), clock::now());
    let mut ask = |at, address: &str| accounts::count_reset(&mut conn, at, address.parse().unwrap());
    for _ in 0..11 {
        ask(now, "192.0.2.7").unwrap();
    }
    assert!(matches!(ask(now, "192.0.2.7"), Err(Error::Limited { retry_after_s: 1 })));
    assert!(ask(now, "192.0.2.8").is_ok(), "others are not");
    assert!(ask(now + Duration::SECOND, "192.0.2.7").is_ok(), "and it ends");
    // It slows no sign-in from there.
    assert!(accounts::begin_sign_in(&mut conn, now + Duration::SECOND, "dana@example.com", "192.0.2.7".parse().unwrap(), None).is_ok());
}

#[actix_web::test]
async fn the_page_says_when_to_ask_again() {
    let mailbox = Mailbox::start();
    let app = App::with_mail(&mailbox);
    let make = app.make().org().admin();
    let browser = app.stranger();
    browser.post("/password-reset").form(&[("email", "nobody@example.com")]).send().await;
    let blocked = "UPDATE sign_in_throttles SET failures = 30, blocked_until = now() + interval '10 minutes'";
    assert_eq!(sql_query(blocked).execute(&mut app.database().conn()).unwrap(), 1);
    let slowed = browser.post("/password-reset").form(&[("email", &make.an_admin().email)]).send().await;
    assert_eq!(slowed.status, 429);
    assert!(slowed.text().contains("Nothing was sent.") && !slowed.header("retry-after").is_empty());
    assert_eq!(count(&mut app.database().conn(), "invitations"), 0);
    app.browser(make.an_admin()).await;
}

#[actix_web::test]
async fn without_mail_there_is_no_such_page() {
    let app = App::start();
    let browser = app.stranger();
    let page = browser.get("/sign-in").send().await;
    assert!(page.text().contains("Ask an admin of your organization for a link.") && !page.text().contains("/password-reset"));
    assert_eq!(browser.get("/password-reset").send().await.status, 404);
    assert_eq!(browser.post("/password-reset").form(&[("email", "dana@example.com")]).send().await.status, 404);
}

#[actix_web::test]
async fn a_link_is_no_second_factor() {
    let app = App::start();
    let make = app.make().org().admin();
    let user = make.an_admin().clone();
    let mut conn = app.database().conn();
    sql_query(format!(
        "INSERT INTO totp_seeds (user_id, sealed, created_at, confirmed_at, last_step, session_id)
             VALUES ('{}', '\\x00', now(), now(), 0, gen_random_uuid())",
        user.id.0
    ))
    .execute(&mut conn)
    .unwrap();
    let link = accounts::invite(&mut conn, &Actor::command_line(), clock::now(), user.id).unwrap();
    let browser = app.stranger();
    let path = format!("/invitations/{}", link.reveal());
    let set = browser.post(&path).form(&[("password", "a whole new password")]).send().await;
    assert_eq!((set.status, set.location()), (303, "/sign-in"));
    assert!(!browser.cookies().contains_key(COOKIE), "not signed in");
    assert!(browser.get("/sign-in").send().await.text().contains("Password set."));
    assert_eq!(count(&mut conn, "totp_seeds WHERE confirmed_at IS NOT NULL"), 1, "and it is still on");
    assert_eq!(count(&mut conn, "sessions"), 0);
}
