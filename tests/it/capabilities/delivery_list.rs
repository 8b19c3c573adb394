//! Pages of deliveries where few of very many match: looking is bounded, and goes on.

use diesel::sql_types::{Array, Uuid as SqlUuid};
use diesel::{RunQueryDsl, sql_query};
use latchkey::clock;
use latchkey::ids::{EventId, JobId, new_uuid};
use latchkey::profile::Profile;
use latchkey::webhooks::list::{self, Cursor, Filter, MOST_LOOKED, Page, State};
use time::Duration;

use crate::support::{Make, TestDb};

#[test]
fn looking_for_few_among_many_ends_and_goes_on_from_there() {
    let test = TestDb::new();
    let (mut conn, now) = (test.conn(), clock::now());
    let make = Make::new(test.conn(), Profile::load("analysis").unwrap().into()).org();
    let org = make.here().id;
    // 45,000, the oldest first; delivered, or behind a retry, are the second, the 20,000th and the newest but one.
    let events: Vec<_> = (0..45_000).map(|n| new_uuid(now - Duration::milliseconds(45_000 - n))).collect();
    let fill = "INSERT INTO deliveries (organization_id, event_id, lane, sequence, event_type, state, attempts, failures, finished_at)
        SELECT $1, id, $3, place, 'analysis.started', CASE WHEN place IN (2, 20000, 44999) THEN 'delivered' ELSE 'gave_up' END, 1, 1, now()
        FROM unnest($2) WITH ORDINALITY AS e (id, place)";
    let fill = sql_query(fill).bind::<SqlUuid, _>(org).bind::<Array<SqlUuid>, _>(&events);
    fill.bind::<SqlUuid, _>(JobId::new(now)).execute(&mut conn).unwrap();
    let delivered = Filter { state: Some(State::Delivered), ..Filter::default() };
    let mut look = |filter: &Filter, cursor| list::page(&mut conn, org, filter, cursor, 25).unwrap();
    let ids = |page: &Page| page.deliveries.iter().map(|delivery| delivery.event.0).collect::<Vec<_>>();
    let at = |place: usize| EventId(events[place - 1]);

    let first = look(&delivered, None);
    assert_eq!((ids(&first), first.is_cut, first.newer), (vec![at(44_999).0], true, None));
    let edge = 45_000 - MOST_LOOKED as usize + 1;
    assert_eq!(first.older, Some(at(edge)), "as far as it looked");
    let second = look(&delivered, first.older.map(Cursor::Before));
    assert_eq!((ids(&second), second.is_cut), (vec![at(20_000).0], true));
    let third = look(&delivered, second.older.map(Cursor::Before));
    assert_eq!((ids(&third), third.is_cut, third.older), (vec![at(2).0], false, None));
    let back = look(&delivered, third.newer.map(Cursor::After));
    assert_eq!((ids(&back), back.is_cut), (vec![at(20_000).0], true));

    // What an index knows is found wherever it is.
    let given_up = Filter { state: Some(State::GaveUp), ..Filter::default() };
    let all = look(&given_up, Some(Cursor::Before(at(3))));
    assert_eq!((ids(&all), all.is_cut, all.older), (vec![at(1).0], false, None));
    let full = look(&given_up, None);
    assert!(full.deliveries.len() == 25 && !full.is_cut && full.older == Some(EventId(*ids(&full).last().unwrap())));
}
