//! How long a session lasts.

use diesel::PgConnection;
use latchkey::accounts::sessions::{self, ABSOLUTE, IDLE};
use latchkey::accounts::{self};
use latchkey::actor::Actor;
use latchkey::clock;
use latchkey::ids::UserId;
use latchkey::secret::SecretDigest;
use time::{Duration, OffsetDateTime};

use super::count;
use crate::support::TestDb;

fn begun(conn: &mut PgConnection, now: OffsetDateTime) -> (UserId, SecretDigest) {
    let user = accounts::create(conn, &Actor::command_line(), now, "dana@example.com", None).unwrap();
    let token = SecretDigest::of("a token");
    let proved = accounts::stamp(conn, user.id).unwrap();
    sessions::create(conn, now, token, user.id, &proved, "192.0.2.1", "browser").unwrap();
    (user.id, token)
}

#[test]
fn a_session_ends_after_twelve_idle_hours() {
    let test = TestDb::new();
    let (mut conn, now) = (test.conn(), clock::now());
    let (user, token) = begun(&mut conn, now);
    let almost = now + IDLE - Duration::SECOND;
    assert_eq!(sessions::load(&mut conn, almost, token).unwrap().map(|session| session.user), Some(user));
    assert_eq!(
        sessions::load(&mut conn, almost + IDLE - Duration::SECOND, token).unwrap().map(|session| session.user),
        Some(user),
        "being seen prolongs it"
    );
    assert_eq!(sessions::load(&mut conn, almost + IDLE * 2, token).unwrap(), None);
    assert_eq!(sessions::load(&mut conn, now, SecretDigest::of("another")).unwrap(), None);
}

#[test]
fn what_a_page_asks_by_itself_keeps_no_session() {
    let test = TestDb::new();
    let (mut conn, now) = (test.conn(), clock::now());
    let (user, token) = begun(&mut conn, now);
    assert_eq!(sessions::peek(&mut conn, now + IDLE - Duration::SECOND, token).unwrap().map(|session| session.user), Some(user));
    assert_eq!(sessions::peek(&mut conn, now + IDLE, token).unwrap(), None);
}

#[test]
fn a_session_ends_after_seven_days_however_busy() {
    let test = TestDb::new();
    let (mut conn, now) = (test.conn(), clock::now());
    let (user, token) = begun(&mut conn, now);
    let mut at = now;
    while at + Duration::hours(6) < now + ABSOLUTE {
        at += Duration::hours(6);
        assert_eq!(sessions::load(&mut conn, at, token).unwrap().map(|session| session.user), Some(user));
    }
    assert_eq!(sessions::load(&mut conn, now + ABSOLUTE, token).unwrap(), None);
    assert_eq!(accounts::forget_old(&mut conn, now + ABSOLUTE).unwrap(), 1);
    assert_eq!(count(&mut conn, "sessions"), 0);
}

#[test]
fn a_busy_session_is_written_once_a_minute() {
    let test = TestDb::new();
    let (mut conn, now) = (test.conn(), clock::now());
    let (_, token) = begun(&mut conn, now);
    let written = |conn: &mut PgConnection, after: Duration| {
        let before = count(conn, "sessions WHERE seen_at > created_at");
        sessions::load(conn, now + after, token).unwrap();
        count(conn, "sessions WHERE seen_at > created_at") > before
    };
    assert!(!written(&mut conn, Duration::seconds(59)));
    assert!(written(&mut conn, Duration::seconds(60)));
}
