//! Days are made before they begin and dropped when their time is over, without stopping anybody.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use latchkey::clock;
use latchkey::usage::{self, By, Filter, Period, rollups};
use rand::SeedableRng;
use rand::rngs::StdRng;
use time::Duration;
use time::macros::datetime;

use super::World;
use crate::support::{Server, number};

#[test]
fn what_is_past_its_time_goes_by_days_and_the_charts_keep_it() {
    let now = datetime!(2026-03-05 13:37 UTC);
    let mut world = World::new(now);
    let mut random = StdRng::seed_from_u64(7);
    world.fill(&mut random, now - Duration::days(12), now, 1_200);
    rollups::fold(&mut world.conn).expect("folded");
    let (organization, span) = (world.organization(), Period::Days(30).span(now));
    let told = |world: &mut World| {
        latchkey::db::snapshot(&mut world.conn, |conn| {
            usage::consumption(conn, organization, &world.profile, &Filter::default(), span, By::Route)
        })
        .expect("consumption")
        .total
    };
    let before = told(&mut world);
    let keep = (now - Duration::days(5)).date();
    assert_eq!(usage::drop_days(&mut world.conn, keep).expect("dropped"), 8, "7 days and the one before the first");
    assert_eq!(usage::oldest_day(&mut world.conn).expect("days"), Some(keep));
    assert_eq!(told(&mut world), before, "rollups outlive the history");
    // Pages stop where the history does, and say so at once, though the rollups know of more.
    let mut cursor = None;
    let mut seen = 0;
    loop {
        let page = usage::history(&mut world.conn, organization, &world.profile, &Filter::default(), cursor, 100).expect("a page");
        assert!(page.requests.iter().all(|request| request.at.date() >= keep));
        seen += page.requests.len() as i64;
        match page.older {
            Some(next) => cursor = Some(usage::Cursor::Before(next)),
            None => break,
        }
    }
    let kept: i64 = latchkey::schema::requests::table
        .filter(latchkey::schema::requests::organization_id.eq(organization))
        .count()
        .get_result(&mut world.conn)
        .expect("a count");
    assert_eq!(seen, kept);
    // And the rollups in their turn.
    while rollups::forget_rollups(&mut world.conn, now - Duration::days(5)).expect("forgotten") {}
    assert!(told(&mut world).requests() < before.requests());
    assert_eq!(usage::drop_days(&mut world.conn, keep).expect("nothing"), 0);
}

#[test]
fn a_day_that_was_left_half_dropped_is_finished() {
    let now = datetime!(2026-03-05 13:37 UTC);
    let mut world = World::new(now);
    world.fill(&mut StdRng::seed_from_u64(8), now - Duration::days(3), now, 100);
    // A reader holds on, so that the day can't be let go; whoever drops it gives up after a while, as a killed process would.
    let mut reader = world.database.conn();
    reader.batch_execute("BEGIN; SELECT count(*) FROM requests").expect("a reader");
    world.conn.batch_execute("SET lock_timeout = '100ms'").expect("set");
    let keep = (now - Duration::days(1)).date();
    assert!(usage::drop_days(&mut world.conn, keep).is_err());
    // Writers and readers went on meanwhile, and the day is no longer read.
    world.fill(&mut StdRng::seed_from_u64(9), now - Duration::hours(1), now, 10);
    reader.batch_execute("COMMIT").expect("done reading");
    assert_eq!(usage::drop_days(&mut world.conn, keep).expect("dropped"), 3);
    assert_eq!(usage::oldest_day(&mut world.conn).expect("days"), Some(keep));
}

#[actix_web::test]
async fn the_server_itself_makes_the_coming_days_and_drops_those_past_their_time() {
    let now = clock::now();
    let mut world = World::new(now);
    world.fill(&mut StdRng::seed_from_u64(10), now - Duration::days(9), now, 300);
    let _server = Server::start_with(&world.database, &[("LATCHKEY_HISTORY_DAYS", "3")]).await;
    let (oldest, newest) = (usage::day(now - Duration::days(3)), usage::day(now + Duration::days(7)));
    let name = format!("requests_{:04}{:02}{:02}", newest.year(), newest.month() as u8, newest.day());
    let is_done = |world: &mut World| {
        usage::oldest_day(&mut world.conn).expect("days") == Some(oldest)
            && number(&mut world.conn, &format!("SELECT count(*) FROM pg_class WHERE relname = '{name}'")) == 1
            && number(&mut world.conn, "SELECT count(*) FROM usage_pending") == 0
    };
    let asked = std::time::Instant::now();
    while !is_done(&mut world) {
        assert!(asked.elapsed() < std::time::Duration::from_secs(30), "the server does not keep the days");
        actix_web::rt::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(number(&mut world.conn, &format!("SELECT count(*) FROM requests WHERE at < '{oldest}T00:00Z'")), 0);
    assert_eq!(
        number(
            &mut world.conn,
            "SELECT sum(requests)::int8 FROM usage_days WHERE route = '*' AND key_id = '00000000-0000-0000-0000-000000000000'"
        ),
        300
    );
}

#[test]
fn many_make_the_same_days_at_once() {
    let now = datetime!(2026-03-05 13:37 UTC);
    let mut world = World::new(now);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let mut conn = world.database.conn();
            scope.spawn(move || usage::make_days(&mut conn, now).expect("days"));
        }
    });
    assert_eq!(usage::oldest_day(&mut world.conn).expect("days"), Some((now - Duration::DAY).date()));
}
