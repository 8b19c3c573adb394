//! Credits without a server: what pages, periods and figures say is what a plain look at the entries says.

use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query};
use latchkey::actor::{Actor, Role};
use latchkey::clock;
use latchkey::credits::hours;
use latchkey::credits::ledger::{self, Cursor, Filter, MOST_LOOKED, Page};
use latchkey::credits::{self, Books, EntryKind, Purpose};
use latchkey::error::{Error, Result};
use latchkey::ids::{KeyId, OrgId, UserId};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::support::{Make, TestDb};

const NOW: OffsetDateTime = datetime!(2026-11-20 14:03:41 UTC);

fn org(database: &TestDb) -> OrgId {
    let profile = latchkey::profile::Profile::load("analysis").unwrap();
    Make::new(database.conn(), profile.into()).org().here().id
}

fn purpose() -> Purpose {
    Purpose { hold_id: Uuid::from_u128(rand::random()), request_id: None, job_id: None, actor: "A test".into(), note: String::new() }
}

fn books(conn: &mut PgConnection, org: OrgId, at: OffsetDateTime, work: impl FnOnce(&mut Books)) {
    let done: Result<()> = conn.transaction(|conn| {
        let mut books = Books::open(conn, at, [org])?;
        work(&mut books);
        books.close(conn)
    });
    done.unwrap();
}

/// Eighty days of everything, much of it at the very borders of hours and days, a microsecond before or on them.
fn lively(conn: &mut PgConnection, org: OrgId, random: &mut StdRng) {
    let actor = Actor::command_line();
    credits::grant(conn, &actor, NOW - Duration::days(80), org, 100_000, "the first").unwrap();
    let mut moments: Vec<OffsetDateTime> = (0..300).map(|_| NOW - Duration::seconds(random.random_range(0..80 * 86_400))).collect();
    for days in [1, 7, 14, 30, 60] {
        let border = hours::begin_of(NOW, days);
        moments.extend([border - Duration::MICROSECOND, border, border + Duration::MICROSECOND, border - Duration::HOUR]);
    }
    moments.extend([clock::hour(NOW), NOW]);
    moments.sort_unstable();
    for at in moments {
        let amount = random.random_range(1..=9);
        match random.random_range(0..9) {
            0 => drop(credits::grant(conn, &actor, at, org, amount, "more").unwrap()),
            1 => drop(credits::adjust(conn, &actor, at, org, -amount, "less").unwrap()),
            2 => books(conn, org, at, |books| {
                let purpose = purpose();
                assert!(books.hold(org, amount, &purpose));
                books.release(org, amount, &purpose);
            }),
            _ => books(conn, org, at, |books| {
                let purpose = purpose();
                assert!(books.hold(org, amount, &purpose));
                books.settle(org, amount, &purpose);
            }),
        }
    }
}

fn sequences(page: &Page) -> Vec<i64> {
    page.entries.iter().map(|entry| entry.sequence).collect()
}

/// Newest first, by a plain look.
fn plainly(conn: &mut PgConnection, org: OrgId, filter: &Filter) -> Vec<i64> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        sequence: i64,
    }
    let query = "SELECT sequence FROM credit_entries WHERE organization_id = $1 AND ($2 IS NULL OR kind = $2)
                     AND ($3 IS NULL OR at >= $3) AND ($4 IS NULL OR at < $4) ORDER BY sequence DESC";
    let rows: Vec<Row> = sql_query(query)
        .bind::<SqlUuid, _>(org)
        .bind::<Nullable<Text>, _>(filter.kind.map(EntryKind::as_str))
        .bind::<Nullable<Timestamptz>, _>(filter.from)
        .bind::<Nullable<Timestamptz>, _>(filter.to)
        .load(conn)
        .unwrap();
    rows.into_iter().map(|row| row.sequence).collect()
}

fn settled(conn: &mut PgConnection, org: OrgId, from: OffsetDateTime, to: OffsetDateTime) -> i64 {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        n: i64,
    }
    let query = "SELECT coalesce(sum(-held_amount), 0)::int8 AS n FROM credit_entries
                 WHERE organization_id = $1 AND kind = 'settle' AND at >= $2 AND at < $3";
    let row: Row =
        sql_query(query).bind::<SqlUuid, _>(org).bind::<Timestamptz, _>(from).bind::<Timestamptz, _>(to).get_result(conn).unwrap();
    row.n
}

#[test]
fn pages_periods_and_figures_are_those_of_a_plain_look() {
    let seed: u64 = std::env::var("LATCHKEY_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    println!("LATCHKEY_TEST_SEED={seed}");
    let (database, mut random) = (TestDb::new(), StdRng::seed_from_u64(seed));
    let (org, other) = (org(&database), org(&database));
    let conn = &mut database.conn();
    lively(conn, org, &mut random);
    lively(conn, other, &mut random);
    assert_eq!(credits::imbalances(conn).unwrap(), []);

    let all = ledger::page(conn, org, &Filter::default(), None, 10_000).unwrap().entries;
    for _ in 0..60 {
        // Any moment, and the very moment of an entry.
        let moment = |random: &mut StdRng| match random.random_range(0..4) {
            0 => None,
            1 => Some(NOW - Duration::seconds(random.random_range(-9..82 * 86_400))),
            2 => Some(hours::begin_of(NOW, random.random_range(0..80))),
            _ => Some(all[random.random_range(0..all.len())].at),
        };
        let kind = Some(random.random_range(0..6)).filter(|at| *at < 5).map(|at: usize| EntryKind::ALL[at]);
        let filter = Filter { kind, from: moment(&mut random), to: moment(&mut random) };
        let expected = plainly(conn, org, &filter);
        // Down to the end and up again, a few at a time.
        let mut found = Vec::new();
        let mut page = ledger::page(conn, org, &filter, None, 37).unwrap();
        assert_eq!(page.newer, None);
        loop {
            found.extend(sequences(&page));
            let Some(older) = page.older else { break };
            page = ledger::page(conn, org, &filter, Some(Cursor::Before(older)), 37).unwrap();
        }
        assert_eq!(found, expected, "{filter:?}");
        let mut upward = sequences(&page);
        while let Some(newer) = page.newer {
            page = ledger::page(conn, org, &filter, Some(Cursor::After(newer)), 37).unwrap();
            upward.splice(0..0, sequences(&page));
        }
        assert_eq!(upward, expected, "{filter:?}");
        // And as a file.
        let (mut rows, mut rest) = (Vec::new(), Some(ledger::stretch(conn, org, &filter).unwrap()));
        while let Some(stretch) = rest {
            let (entries, next) = ledger::next_entries(conn, org, kind, stretch, 41).unwrap();
            rows.extend(entries.into_iter().map(|entry| entry.sequence));
            rest = next;
        }
        rows.reverse();
        assert_eq!(rows, expected, "{filter:?}");
    }

    let available = credits::balance(conn, org).unwrap().available;
    let course = hours::course(conn, NOW, org).unwrap();
    let figures = course.figures(NOW, available);
    let begin = |days| hours::begin_of(NOW, days);
    let later = NOW + Duration::SECOND;
    assert_eq!(figures.settled, settled(conn, org, begin(30), later));
    assert_eq!(figures.settled_before, settled(conn, org, begin(60), begin(30)));
    let seven = settled(conn, org, begin(7), later) as f64 / ((NOW - begin(7)).as_seconds_f64() / 86_400.0);
    assert!((figures.per_day - seven).abs() < 1e-9);
    assert_eq!(figures.per_day_before, Some(settled(conn, org, begin(14), begin(7)) as f64 / 7.0));
    assert_eq!(course.hours.last().unwrap().available_after, available);
    let given = all.iter().filter(|entry| matches!(entry.kind.as_str(), "grant" | "adjust") && entry.at >= begin(60));
    assert_eq!(course.steps.iter().map(|step| step.amount).sum::<i64>(), given.clone().map(|entry| entry.amount).sum::<i64>());
    assert_eq!(course.hours.iter().map(|hour| hour.given).sum::<i64>(), given.map(|entry| entry.amount).sum::<i64>());
}

/// What the migration makes of entries that were there before it.
#[test]
fn hours_can_be_made_of_the_entries() {
    let database = TestDb::new();
    let org = org(&database);
    let conn = &mut database.conn();
    lively(conn, org, &mut StdRng::seed_from_u64(7));
    sql_query("DELETE FROM credit_hours").execute(conn).unwrap();
    assert_eq!(credits::imbalances(conn).unwrap().len(), 1);
    let migration = include_str!("../../../migrations/2026-11-22-000008_credits/up.sql");
    // Whatever zone the session is in: a half-hour's one cuts other hours.
    sql_query("SET TimeZone = 'Asia/Kolkata'").execute(conn).unwrap();
    sql_query(&migration[migration.find("INSERT INTO").unwrap()..]).execute(conn).unwrap();
    assert_eq!(credits::imbalances(conn).unwrap(), []);
}

#[test]
fn a_stretch_that_was_chosen_does_not_grow() {
    let database = TestDb::new();
    let org = org(&database);
    let conn = &mut database.conn();
    for _ in 0..5 {
        credits::grant(conn, &Actor::command_line(), NOW, org, 1, "early").unwrap();
    }
    let stretch = ledger::stretch(conn, org, &Filter::default()).unwrap();
    let (first, rest) = ledger::next_entries(conn, org, None, stretch, 3).unwrap();
    credits::grant(conn, &Actor::command_line(), NOW, org, 1, "late").unwrap();
    let (second, end) = ledger::next_entries(conn, org, None, rest.unwrap(), 3).unwrap();
    assert_eq!((first.len(), second.len(), end), (3, 2, None));
}

/// Half a year of holds that nobody ends, and one settle before them.
#[test]
fn a_kind_that_is_not_there_is_not_looked_for_for_ever() {
    let database = TestDb::new();
    let org = org(&database);
    let conn = &mut database.conn();
    credits::grant(conn, &Actor::command_line(), NOW, org, 100_000, "plenty").unwrap();
    books(conn, org, NOW, |books| {
        let purpose = purpose();
        assert!(books.hold(org, 1, &purpose));
        books.settle(org, 1, &purpose);
    });
    for _ in 0..5 {
        books(conn, org, NOW, |books| assert!((0..4_500).all(|_| books.hold(org, 1, &purpose()))));
    }
    let filter = Filter { kind: Some(EntryKind::Settle), ..Filter::default() };
    let page = ledger::page(conn, org, &filter, None, 50).unwrap();
    assert!(page.entries.is_empty() && page.is_cut);
    assert_eq!(page.older, Some(22_503 - MOST_LOOKED + 1));
    let page = ledger::page(conn, org, &filter, page.older.map(Cursor::Before), 50).unwrap();
    assert_eq!((sequences(&page), page.is_cut, page.older), (vec![3], false, None));
    // What is few is found at once, however far away it is.
    let page = ledger::page(conn, org, &Filter { kind: Some(EntryKind::Grant), ..Filter::default() }, None, 50).unwrap();
    assert_eq!((sequences(&page), page.is_cut), (vec![1], false));
}

#[test]
fn adjustments_leave_no_less_than_nothing() {
    let database = TestDb::new();
    let org = org(&database);
    let (conn, actor, now) = (&mut database.conn(), Actor::command_line(), clock::now());
    credits::grant(conn, &actor, now, org, 30, "Invoice 7").unwrap();
    credits::set_threshold(conn, &actor, now, org, Some(20)).unwrap();
    assert_eq!(credits::adjust(conn, &actor, now, org, -25, "Wrong invoice").unwrap().available, 5);
    let mut adjust = |amount, note: &str| credits::adjust(conn, &actor, now, org, amount, note);
    let refused = |result: Result<_>| match result {
        Err(Error::Invalid(fields)) => format!("{}: {}", fields[0].field, fields[0].message),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(adjust(-6, "more")), "amount: Only 5 credits are available: -6 would leave less than none.");
    assert!(refused(adjust(0, "nothing")).starts_with("amount: 0 is neither"));
    assert!(refused(adjust(i64::MIN, "all")).starts_with("amount: -9223372036854775808 is neither"));
    for note in [" ", "\0", "two\nlines", "a\u{1b}[31m colour", &"x".repeat(201)] {
        assert!(refused(adjust(1, note)).starts_with("note: "), "{note:?}");
    }
    assert_eq!(adjust(-5, "the rest").unwrap().available, 0);
    assert_eq!(adjust(3, "some back").unwrap().available, 3);
    let count = |conn: &mut PgConnection, query: &str| crate::support::number(conn, &format!("SELECT count(*) FROM {query}"));
    assert_eq!(count(conn, "credit_entries WHERE kind = 'adjust'"), 3);
    assert_eq!(count(conn, "audit_entries WHERE action = 'credits.adjusted'"), 3);
    // Once over the threshold, by an adjustment.
    assert_eq!(count(conn, "events WHERE event_type = 'credits.low' AND job_id IS NULL"), 1);
    let person = |role| Actor::member(UserId::new(now), "Max".into(), org, role, "127.0.0.1".into(), "a test".into());
    let (admin, member) = (person(Role::Admin), person(Role::Member));
    assert!(matches!(credits::adjust(conn, &admin, now, org, 5, "for me"), Err(Error::Forbidden)), "operators alone");
    assert!(matches!(credits::set_threshold(conn, &member, now, org, None), Err(Error::Forbidden)), "admins alone");
    let key = Actor::key(KeyId::new(now), "A key".into(), org, "127.0.0.1".into(), "a test".into());
    assert!(matches!(credits::set_threshold(conn, &key, now, org, None), Err(Error::Forbidden)), "no program");
    credits::set_threshold(conn, &admin, now, org, None).unwrap();
    assert_eq!(credits::imbalances(conn).unwrap(), []);
}
