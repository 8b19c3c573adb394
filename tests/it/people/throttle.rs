//! Guessing passwords, told with a clock of the test's own.

use std::net::IpAddr;
use std::sync::Barrier;

use diesel::PgConnection;
use latchkey::accounts::{self, Password, User};
use latchkey::actor::Actor;
use latchkey::clock;
use latchkey::error::{Error, Result};
use time::{Duration, OffsetDateTime};

use crate::support::TestDb;

const EMAIL: &str = "dana@example.com";
const PASSWORD: &str = "correct horse battery";

fn account(conn: &mut PgConnection, now: OffsetDateTime, email: &str) {
    let user = accounts::create(conn, &Actor::command_line(), now, email, None).unwrap();
    let hashed = Password::new(PASSWORD.into()).unwrap().hash().unwrap();
    accounts::set_password(conn, &Actor::command_line(), now, user.id, &hashed).unwrap();
}

fn attempt(conn: &mut PgConnection, now: OffsetDateTime, email: &str, password: &str, address: &str) -> Result<User> {
    let address: IpAddr = address.parse().unwrap();
    let verified = accounts::begin_sign_in(conn, now, email, address, None)?.verify(password);
    accounts::finish_sign_in(conn, now, verified, &address.to_string(), "guesser")
}

fn wait_of(result: Result<User>) -> Option<u64> {
    match result {
        Err(Error::Limited { retry_after_s }) => Some(retry_after_s),
        Ok(_) | Err(Error::Unauthenticated) => None,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn the_delay_doubles_up_to_a_quarter_of_an_hour_and_always_ends() {
    let test = TestDb::new();
    let (mut conn, mut now) = (test.conn(), clock::now());
    account(&mut conn, now, EMAIL);
    for _ in 0..5 {
        assert_eq!(wait_of(attempt(&mut conn, now, EMAIL, "wrong", "192.0.2.1")), None);
    }
    for wait in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
        assert_eq!(wait_of(attempt(&mut conn, now, EMAIL, "wrong", "192.0.2.1")), None, "it is looked at");
        assert_eq!(wait_of(attempt(&mut conn, now, EMAIL, PASSWORD, "192.0.2.99")), Some(wait), "from anywhere");
        let almost = now + Duration::seconds(wait as i64) - Duration::MILLISECOND;
        assert_eq!(wait_of(attempt(&mut conn, almost, EMAIL, PASSWORD, "192.0.2.1")), Some(1), "asking does not prolong it");
        now += Duration::seconds(wait as i64);
    }
    assert!(attempt(&mut conn, now, EMAIL, PASSWORD, "192.0.2.1").is_ok(), "the owner gets in when the delay is over");
    assert_eq!(wait_of(attempt(&mut conn, now, EMAIL, "wrong", "192.0.2.1")), None, "and starts afresh");
    assert!(attempt(&mut conn, now, EMAIL, PASSWORD, "192.0.2.1").is_ok());
}

#[test]
fn an_address_that_sprays_accounts_is_slowed_and_others_are_not() {
    let test = TestDb::new();
    let (mut conn, now) = (test.conn(), clock::now());
    account(&mut conn, now, EMAIL);
    for n in 0..21 {
        assert_eq!(wait_of(attempt(&mut conn, now, &format!("user{n}@example.com"), "wrong", "192.0.2.1")), None);
    }
    assert_eq!(wait_of(attempt(&mut conn, now, EMAIL, PASSWORD, "192.0.2.1")), Some(1));
    assert!(attempt(&mut conn, now, EMAIL, PASSWORD, "192.0.2.2").is_ok(), "who comes from elsewhere gets in");
    let next_day = now + Duration::DAY + Duration::SECOND;
    for n in 0..20 {
        assert_eq!(wait_of(attempt(&mut conn, next_day, &format!("user{n}@example.com"), "wrong", "192.0.2.1")), None, "forgotten");
    }
}

#[test]
fn an_own_account_buys_no_further_guesses() {
    let test = TestDb::new();
    let (mut conn, now) = (test.conn(), clock::now());
    account(&mut conn, now, EMAIL);
    account(&mut conn, now, "guesser@example.com");
    let looked_at = (0..40)
        .filter(|n| {
            let guess = attempt(&mut conn, now, &format!("user{n}@example.com"), "wrong", "192.0.2.1");
            drop(attempt(&mut conn, now, "guesser@example.com", PASSWORD, "192.0.2.1"));
            wait_of(guess).is_none()
        })
        .count();
    assert_eq!(looked_at, 21, "signing in with one's own in between takes nothing back");
}

#[test]
fn guesses_at_once_are_no_more_than_guesses_in_a_row() {
    let test = TestDb::new();
    let now = clock::now();
    account(&mut test.conn(), now, EMAIL);
    let start = Barrier::new(16);
    let looked_at: usize = std::thread::scope(|scope| {
        let guessers: Vec<_> = (0..16)
            .map(|n| {
                let (start, test) = (&start, &test);
                scope.spawn(move || {
                    let mut conn = test.conn();
                    start.wait();
                    wait_of(attempt(&mut conn, now, EMAIL, "wrong", &format!("192.0.2.{n}"))).is_none()
                })
            })
            .collect();
        guessers.into_iter().map(|guesser| usize::from(guesser.join().unwrap())).sum()
    });
    assert_eq!(looked_at, 6, "five free and the one that brings the delay");
}
