//! Seeds of two-factor sign-in: sealed with the secret key, turned over with it, taken away from who has lost the device.

use diesel::PgConnection;
use latchkey::accounts::{self, two_factor};
use latchkey::actor::Actor;
use latchkey::clock;
use latchkey::ids::UserId;
use latchkey::sealed::{KeyFile, Keyring};

use super::Cli;
use crate::support::totp;

/// Somebody with a second factor, and the URL of the seed.
fn somebody(conn: &mut PgConnection, keyring: &Keyring, email: &str) -> (UserId, String) {
    let now = clock::now();
    let user = accounts::create(conn, &Actor::command_line(), now, email, None).unwrap();
    let actor = Actor::person(Some(user.id), email.into(), "192.0.2.1".into(), "browser".into()).proved(now);
    let setup = two_factor::begin(conn, &actor, now, keyring, uuid::Uuid::nil(), "Latchkey").unwrap();
    two_factor::confirm(conn, &actor, now, keyring, uuid::Uuid::nil(), &totp::code(&setup.url, -1)).unwrap();
    (user.id, setup.url)
}

#[test]
fn a_new_secret_key_keeps_every_seed_and_the_old_one_opens_none() {
    let cli = Cli::new();
    cli.run(&["migrate"]).ok();
    let file = KeyFile::at(cli.data_dir().join("secret.key"));
    file.ensure().unwrap();
    let ring = || Keyring::new(file.read().unwrap().remove(0), []);
    let (old, mut conn) = (ring(), cli.database().conn());
    let (user, url) = somebody(&mut conn, &old, "dana@example.com");
    somebody(&mut conn, &old, "max@example.com");
    assert_eq!(cli.run(&["secret-key", "rotate", "--json"]).json()["sealed_again"], 2);
    assert_eq!(two_factor::check_seeds(&mut conn, &ring()).unwrap(), (2, 0));
    assert_eq!(two_factor::check_seeds(&mut conn, &old).unwrap(), (2, 2));
    let now = clock::now();
    let proved = accounts::stamp(&mut conn, user).unwrap();
    let half = accounts::challenge(&mut conn, now, user, &proved).unwrap().unwrap();
    let code = totp::code(&url, 0);
    accounts::answer_challenge(&mut conn, now, &ring(), half.reveal(), &code, None, "192.0.2.1", "x").expect("the device goes on");
    assert!(cli.run(&["doctor"]).ok().out.contains("all 2 secrets of webhooks and of two-factor sign-in open"));
}

#[test]
fn who_has_lost_the_device_is_helped_at_the_command_line() {
    let cli = Cli::new();
    cli.run(&["migrate"]).ok();
    let (mut conn, keyring) = (cli.database().conn(), Keyring::from(latchkey::sealed::SecretKey([7; 32])));
    let (user, _) = somebody(&mut conn, &keyring, "dana@example.com");
    assert!(two_factor::is_on(&mut conn, user).unwrap());
    cli.run(&["user", "reset-two-factor", "--email", "Dana@example.com"]).ok();
    assert!(!two_factor::is_on(&mut conn, user).unwrap());
    cli.run(&["user", "reset-two-factor", "--email", "dana@example.com"]).fails(1, "Two-factor sign-in is off already.");
    cli.run(&["user", "reset-two-factor", "--email", "nobody@example.com"]).fails(1, "nobody@example.com has no account");
}
