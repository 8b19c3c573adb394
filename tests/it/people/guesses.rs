//! A thousand guesses: from many addresses on one account, and on many accounts from one address. They are slowed, and the owner gets in.

use std::net::{IpAddr, Ipv4Addr};

use diesel::PgConnection;
use latchkey::accounts::{self, Device, Password};
use latchkey::actor::Actor;
use latchkey::clock;
use latchkey::error::Error;
use latchkey::ids::{UserId, new_uuid};
use time::{Duration, OffsetDateTime};

use crate::support::{App, TestDb};

const EMAIL: &str = "dana@example.com";

fn account(conn: &mut PgConnection, now: OffsetDateTime) -> UserId {
    let user = accounts::create(conn, &Actor::command_line(), now, EMAIL, None).unwrap();
    let hashed = Password::new("correct horse battery".into()).unwrap().hash().unwrap();
    accounts::set_password(conn, &Actor::command_line(), now, user.id, &hashed).unwrap();
    user.id
}

/// Whether a guess gets so far that its password would be looked at.
fn is_looked_at(conn: &mut PgConnection, now: OffsetDateTime, email: &str, address: IpAddr, device: Option<Device>) -> bool {
    match accounts::begin_sign_in(conn, now, email, address, device) {
        Ok(_) => true,
        Err(Error::Limited { retry_after_s }) => {
            assert!((1..=900).contains(&retry_after_s), "a wait that ends: {retry_after_s} s");
            false
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_thousand_addresses_guess_one_account() {
    let test = TestDb::new();
    let (mut conn, now) = (test.conn(), clock::now());
    let user = account(&mut conn, now);
    let mut looked = 0;
    for n in 0..1_000u32 {
        let address = IpAddr::V4(Ipv4Addr::from(0xC612_0000 + n * 7));
        // A guess a second: a quarter of an hour of it.
        looked += usize::from(is_looked_at(&mut conn, now + Duration::seconds(n.into()), EMAIL, address, None));
    }
    assert!(looked <= 16, "{looked} of a thousand were looked at: 6, then one each 1, 2, 4 … 512 s");
    let end = now + Duration::seconds(1_000);
    let new = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    assert!(!is_looked_at(&mut conn, end, EMAIL, new, None), "a browser that nobody knows waits like the guessers");
    let known = Device { user, id: new_uuid(clock::now()) };
    let attempt = accounts::begin_sign_in(&mut conn, end, EMAIL, new, Some(known)).expect("one that the owner has used does not");
    let verified = attempt.verify("correct horse battery");
    accounts::finish_sign_in(&mut conn, end, verified, "192.0.2.1", "browser").expect("and gets in");
    assert!(is_looked_at(&mut conn, end + Duration::minutes(15), EMAIL, new, None), "everybody else within a quarter of an hour");
}

#[test]
fn a_known_browser_is_slowed_by_itself_and_known_for_its_own_account_alone() {
    let test = TestDb::new();
    let (mut conn, now) = (test.conn(), clock::now());
    let user = account(&mut conn, now);
    let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    let (stolen, other) = (Device { user, id: new_uuid(clock::now()) }, Device { user: UserId::new(now), id: new_uuid(clock::now()) });
    let looked = (0..100).filter(|_| is_looked_at(&mut conn, now, EMAIL, address, Some(stolen))).count();
    assert_eq!(looked, 6, "a stolen cookie buys no more than that");
    let looked = (0..100).filter(|_| is_looked_at(&mut conn, now, EMAIL, address, Some(other))).count();
    assert_eq!(looked, 6, "one of another account buys nothing: these count for the account");
    let own = Device { user, id: new_uuid(clock::now()) };
    assert!(is_looked_at(&mut conn, now, EMAIL, address, Some(own)), "the owner's other browser");
}

#[test]
fn one_address_guesses_a_thousand_accounts() {
    let test = TestDb::new();
    let (mut conn, now) = (test.conn(), clock::now());
    account(&mut conn, now);
    let address = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
    let guess = |n: usize| format!("person-{n}@example.com");
    let looked = (0..1_000).filter(|n| is_looked_at(&mut conn, now, &guess(*n), address, None)).count();
    assert_eq!(looked, 21, "twenty for free, as many people may share an address, and one more");
    let elsewhere = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    assert!(is_looked_at(&mut conn, now, EMAIL, elsewhere, None), "and nobody else waits for it");
    let later = now + Duration::seconds(1);
    assert!(is_looked_at(&mut conn, later, EMAIL, address, None), "from there too it ends");
}

#[actix_web::test]
async fn who_signed_in_here_before_gets_in_while_others_guess() {
    let app = App::start();
    let scene = app.make().org().admin();
    let user = scene.an_admin();
    let own = app.browser(user).await;
    own.post("/sign-out").send().await;
    let guesser = app.stranger();
    let wrong = [("email", user.email.as_str()), ("password", "a guess")];
    for _ in 0..7 {
        guesser.post("/sign-in").form(&wrong).send().await;
    }
    let right = [("email", user.email.as_str()), ("password", user.password.as_str())];
    assert_eq!(guesser.post("/sign-in").form(&right).send().await.status, 429);
    let forger = app.stranger();
    forger.set_cookie("latchkey-device", &format!("{}.{}", user.id, new_uuid(clock::now())));
    assert_eq!(forger.post("/sign-in").form(&right).send().await.status, 429, "saying so is not enough");
    assert_eq!(own.post("/sign-in").form(&right).send().await.status, 303);
}

/// Half of the attempts name an account, half none, in turns; neither is told apart by its time. Which of two medians of thirty is
/// the greater is a coin's throw where they don't differ; a hash left out would make one a hundred times the other.
#[actix_web::test]
async fn the_time_of_a_refusal_tells_of_no_account() {
    let app = App::start();
    let mut conn = app.database().conn();
    account(&mut conn, clock::now());
    let mut times: [Vec<std::time::Duration>; 2] = Default::default();
    for n in 0..60 {
        diesel::RunQueryDsl::execute(diesel::sql_query("DELETE FROM sign_in_throttles"), &mut conn).unwrap();
        let email = if n % 2 == 0 { EMAIL } else { "nobody@example.com" };
        let begun = std::time::Instant::now();
        let answer = app.stranger().post("/sign-in").form(&[("email", email), ("password", "a wrong guess")]).send().await;
        times[n % 2].push(begun.elapsed());
        assert_eq!(answer.status, 401);
    }
    let [known, unknown] = times.map(|mut times| {
        times.sort();
        times[times.len() / 2].as_secs_f64()
    });
    assert!((0.5..2.0).contains(&(known / unknown)), "{known:.4} s and {unknown:.4} s");
}
