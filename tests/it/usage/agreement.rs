//! Charts, lists and a plain `SELECT` count the same: whatever the filter, wherever midnight falls, folded or not.

use std::collections::{BTreeMap, HashSet};

use diesel::prelude::*;
use diesel::sql_types as sql;
use latchkey::ids::{KeyId, RequestId};
use latchkey::usage::{self, Address, By, Consumption, Counts, Cursor, Filter, Page, Period, Record, Request, Span, Status, rollups};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use super::World;
use crate::support::record;

/// What a plain `SELECT` knows of a request.
#[derive(Debug, QueryableByName)]
struct Plain {
    #[diesel(sql_type = sql::Uuid)]
    id: RequestId,
    #[diesel(sql_type = sql::Timestamptz)]
    at: OffsetDateTime,
    #[diesel(sql_type = sql::Uuid)]
    key_id: KeyId,
    #[diesel(sql_type = sql::Text)]
    environment: String,
    #[diesel(sql_type = sql::Text)]
    path: String,
    #[diesel(sql_type = sql::Text)]
    route: String,
    #[diesel(sql_type = sql::Int2)]
    status: i16,
    #[diesel(sql_type = sql::Int4)]
    duration_us: i32,
}

/// Two weeks over a change of month, with midnights, and now in the midst of an hour.
const NOW: OffsetDateTime = datetime!(2026-03-05 13:37:11.25 UTC);

impl World {
    fn plain(&mut self, from: OffsetDateTime, to: OffsetDateTime) -> Vec<Plain> {
        diesel::sql_query("SELECT * FROM requests WHERE organization_id = $1 AND at >= $2 AND at < $3 ORDER BY id DESC")
            .bind::<sql::Uuid, _>(self.organization())
            .bind::<sql::Timestamptz, _>(from)
            .bind::<sql::Timestamptz, _>(to)
            .load(&mut self.conn)
            .expect("rows")
    }

    fn consumption(&mut self, filter: &Filter, span: Span, by: By) -> Consumption {
        let organization = self.organization();
        latchkey::db::snapshot(&mut self.conn, |conn| usage::consumption(conn, organization, &self.profile, filter, span, by))
            .expect("consumption")
    }

    fn page(&mut self, filter: &Filter, cursor: Option<Cursor>, limit: usize) -> Page {
        let organization = self.organization();
        usage::history(&mut self.conn, organization, &self.profile, filter, cursor, limit).expect("a page")
    }

    /// All pages, older and older.
    fn pages(&mut self, filter: &Filter, limit: usize) -> Vec<Request> {
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let page = self.page(filter, cursor, limit);
            assert_eq!(page.newer.is_some(), cursor.is_some());
            let next = page.older;
            all.extend(page.requests);
            let Some(next) = next else { return all };
            cursor = Some(Cursor::Before(next));
        }
    }

    fn filter(&self, random: &mut StdRng, span: Span) -> Filter {
        let mut one_of = |chance: u32| random.random_range(0..chance) == 0;
        let (key, status, environment, address) = (one_of(3), one_of(2), one_of(3), one_of(2));
        let statuses = [Status::Class(2), Status::Class(4), Status::Class(5), Status::Exactly(429), Status::Exactly(418)];
        let typed = ["/analyses", "GET /analyses/{id}", "/analyses/an_1", "/nowhere", "/credits", "/analyses/an_1/results"];
        let keys = &self.organizations[0].1;
        Filter {
            key: key.then(|| keys[random.random_range(0..keys.len())].0),
            status: status.then(|| statuses[random.random_range(0..statuses.len())]),
            environment: environment.then(|| ["live", "test"][random.random_range(0..2)].to_owned()),
            address: if address { Address::parse(&self.profile, typed[random.random_range(0..typed.len())]) } else { None },
            from: Some(span.from),
            to: Some(span.to),
        }
    }
}

fn lets_through(filter: &Filter, row: &Plain) -> bool {
    let status = row.status as u16;
    filter.key.is_none_or(|key| key == row.key_id)
        && filter.environment.as_ref().is_none_or(|environment| *environment == row.environment)
        && match filter.status {
            Some(Status::Exactly(only)) => status == only,
            Some(Status::Class(class)) => status / 100 == u16::from(class),
            None => true,
        }
        && match &filter.address {
            Some(Address::Routes(routes)) => routes.contains(&row.route),
            Some(Address::Path(path)) => row.path == *path || row.path.starts_with(&format!("{path}/")),
            None => true,
        }
}

fn counts<'a>(rows: impl Iterator<Item = &'a Plain>) -> Counts {
    let mut counts = Counts::default();
    for row in rows {
        match row.status {
            429 => counts.rate_limited += 1,
            ..400 => counts.accepted += 1,
            400..500 => counts.refused += 1,
            _ => counts.failed += 1,
        }
    }
    counts
}

/// The rows that the charts are about: of a path, those of its routes.
fn charted<'a>(world: &World, filter: &Filter, rows: &'a [Plain]) -> Vec<&'a Plain> {
    let address = match &filter.address {
        Some(Address::Path(path)) => {
            let routes = Address::routes_of(&world.profile, path);
            Some(Address::Routes(if routes.is_empty() { vec![String::new()] } else { routes }))
        }
        other => other.clone(),
    };
    let filter = Filter { address, ..filter.clone() };
    rows.iter().filter(|row| lets_through(&filter, row)).collect()
}

fn check(world: &mut World, filter: &Filter, span: Span) {
    let rows = world.plain(span.from, span.to);
    let charted = charted(world, filter, &rows);
    let told = world.consumption(filter, span, By::Route);
    let what = format!("{filter:?} {span:?}");
    assert_eq!(told.total, counts(charted.iter().copied()), "{what}");
    for bin in &told.bins {
        let of_bin = charted.iter().copied().filter(|row| row.at >= bin.starts_at && row.at < bin.starts_at + span.bin);
        assert_eq!(bin.counts, counts(of_bin), "{} of {what}", bin.starts_at);
    }
    assert_eq!(told.bins.last().map(|bin| bin.starts_at + span.bin >= span.to), Some(true), "to the end");
    let mut hours = [[0; 24]; 7];
    for row in &charted {
        hours[usize::from(row.at.weekday().number_days_from_monday())][usize::from(row.at.hour())] += 1;
    }
    assert_eq!(told.hours, hours, "{what}");
    let mut by_route: BTreeMap<&str, Vec<&Plain>> = BTreeMap::new();
    charted.iter().for_each(|row| by_route.entry(&row.route).or_default().push(row));
    let shares: BTreeMap<&str, Counts> = told.routes.iter().map(|share| (share.of.as_str(), share.counts)).collect();
    assert_eq!(shares, by_route.iter().map(|(route, rows)| (*route, counts(rows.iter().copied()))).collect(), "{what}");
    let by_key = world.consumption(filter, span, By::Key).keys;
    for share in &by_key {
        assert_eq!(share.counts, counts(charted.iter().copied().filter(|row| row.key_id == share.of)), "{what}");
    }
    assert_eq!(by_key.iter().map(|share| share.counts.requests()).sum::<i64>(), charted.len() as i64, "{what}");
    let mut durations: Vec<i32> = charted.iter().map(|row| row.duration_us).collect();
    durations.sort_unstable();
    if let Some(p95) = told.durations.p95 {
        let exact = f64::from(durations[(durations.len() * 95).div_ceil(100) - 1]);
        assert!((p95 as f64 - exact).abs() <= exact * 0.05 + 1.0, "p95 {p95} of {exact}: {what}");
    } else {
        assert!(durations.is_empty());
    }
    // The list, older and older in pages of an odd size.
    let wanted: Vec<RequestId> = rows.iter().filter(|row| lets_through(filter, row)).map(|row| row.id).collect();
    let listed: Vec<RequestId> = world.pages(filter, 37).into_iter().map(|request| request.id).collect();
    assert_eq!(listed, wanted, "{what}");
    // And back from the middle.
    if let Some(middle) = wanted.get(wanted.len() / 2) {
        let page = world.page(filter, Some(Cursor::After(*middle)), 10);
        let newer: Vec<RequestId> = page.requests.iter().map(|request| request.id).collect();
        let end = wanted.len() / 2;
        assert_eq!(newer, wanted[end.saturating_sub(10)..end], "{what}");
        assert_eq!((page.newer.is_some(), page.older.is_some()), (end > 10, true));
    }
}

#[test]
fn all_numbers_agree_whatever_is_asked_folded_or_not() {
    let mut world = World::new(NOW);
    let mut random = StdRng::seed_from_u64(4);
    let spans = [
        Period::Day.span(NOW),
        Period::Days(7).span(NOW),
        Period::Days(30).span(NOW),
        Period::Custom(NOW.date() - Duration::days(5), NOW.date() - Duration::days(4)).span(NOW),
        Period::Custom(NOW.date() - Duration::days(200), NOW.date()).span(NOW),
    ];
    for round in 0..3 {
        world.fill(&mut random, NOW - Duration::days(14), NOW, 2_000);
        // Around a midnight, to the millisecond.
        let midnight = datetime!(2026-03-01 00:00 UTC);
        world.fill(&mut random, midnight - Duration::milliseconds(20), midnight + Duration::milliseconds(20), 100);
        for span in spans {
            check(&mut world, &Filter { from: Some(span.from), to: Some(span.to), ..Filter::default() }, span);
            for _ in 0..6 {
                let filter = world.filter(&mut random, span);
                check(&mut world, &filter, span);
            }
        }
        if round < 2 {
            rollups::fold(&mut world.conn).expect("folded");
        }
    }
}

#[test]
fn nothing_is_counted_twice_or_not_at_all_while_it_is_folded() {
    let mut world = World::new(NOW);
    let mut random = StdRng::seed_from_u64(5);
    let (span, organization) = (Period::Days(7).span(NOW), world.organization());
    world.fill(&mut random, NOW - Duration::hours(2), NOW, 50);
    let (url, writers) = (world.database.db(), 2);
    let total = |world: &mut World| world.consumption(&Filter::default(), span, By::Route).total.requests();
    std::thread::scope(|scope| {
        let batches: Vec<Vec<_>> =
            (0..writers).map(|_| (0..1_500).map(|n| world.record(&mut random, NOW - Duration::milliseconds(n % 900))).collect()).collect();
        let mut hands = Vec::new();
        for records in batches {
            let mut conn = url.connect().expect("a connection");
            hands.push(scope.spawn(move || {
                for batch in records.chunks(11) {
                    usage::insert(&mut conn, &batch.iter().collect::<Vec<_>>()).expect("a batch");
                }
            }));
        }
        for _ in 0..2 {
            let mut conn = url.connect().expect("a connection");
            hands.push(scope.spawn(move || (0..60).for_each(|_| _ = rollups::fold(&mut conn).expect("folded"))));
        }
        // Under one snapshot the charts and a plain SELECT are equal at any moment.
        while hands.iter().any(|hand| !hand.is_finished()) {
            let (told, counted) = latchkey::db::snapshot(&mut world.conn, |conn| {
                let told = usage::consumption(conn, organization, &world.profile, &Filter::default(), span, By::Key)?;
                let counted: i64 = latchkey::schema::requests::table
                    .filter(latchkey::schema::requests::organization_id.eq(organization))
                    .count()
                    .get_result(conn)?;
                Ok((told, counted))
            })
            .expect("a snapshot");
            assert_eq!(told.total.requests(), counted);
            assert_eq!(told.keys.iter().map(|share| share.counts.requests()).sum::<i64>(), counted);
        }
    });
    while rollups::fold(&mut world.conn).expect("folded") > 0 {}
    assert_eq!(total(&mut world), world.plain(span.from, span.to).len() as i64);
}

#[test]
fn a_page_that_finds_little_says_how_far_it_looked_and_goes_on_from_there() {
    let mut world = World::new(NOW);
    let mut random = StdRng::seed_from_u64(6);
    // One in an hour of many: more than are looked at for a page.
    let hour = datetime!(2026-03-05 12:00 UTC);
    let mut records: Vec<_> = (0..25_000).map(|n| world.record(&mut random, hour + Duration::milliseconds(n * 140))).collect();
    let organization = world.organization();
    let (live, test) = (world.organizations[0].1[0].0, world.organizations[0].1[1].0);
    for record in &mut records {
        (record.organization, record.key, record.status) = (organization, live, 200);
    }
    for rare in [3, 12_000, 24_990] {
        records[rare].key = test;
    }
    usage::make_days(&mut world.conn, hour).expect("days");
    for batch in records.chunks(2_000) {
        usage::insert(&mut world.conn, &batch.iter().collect::<Vec<_>>()).expect("a batch");
    }
    for folded in [false, true] {
        let filter = Filter { key: Some(test), ..Filter::default() };
        let first = world.page(&filter, None, 50);
        assert_eq!(first.requests.iter().map(|request| request.id).collect::<Vec<_>>(), [records[24_990].id]);
        assert_eq!((first.older, first.is_cut), (Some(records[15_000].id), true), "of 25,000 the newest 10,000");
        let second = world.page(&filter, first.older.map(Cursor::Before), 50);
        assert_eq!(second.requests[0].id, records[12_000].id);
        let third = world.page(&filter, second.older.map(Cursor::Before), 50);
        assert_eq!((third.requests[0].id, third.older, third.is_cut), (records[3].id, None, false));
        // And back: a page that found nothing leads on, and to where it came from.
        let nothing = world.page(&filter, third.newer.map(Cursor::After), 50);
        assert_eq!((nothing.requests.len(), nothing.newer, nothing.is_cut), (0, Some(records[10_003].id), true));
        let again = world.page(&filter, nothing.older.map(Cursor::Before), 50);
        assert_eq!(again.requests[0].id, records[3].id);
        let onward = world.page(&filter, nothing.newer.map(Cursor::After), 50);
        assert_eq!(onward.requests[0].id, records[12_000].id);
        let ids: HashSet<_> = world.pages(&filter, 50).into_iter().map(|request| request.id).collect();
        assert_eq!(ids.len(), 3);
        if !folded {
            while rollups::fold(&mut world.conn).expect("folded") > 0 {}
        }
    }
}

/// Days are read a few at a time: an answer that there is only once is found wherever their border falls, from either end.
#[test]
fn an_answer_that_there_is_once_is_found_wherever_it_stands() {
    const DAYS: u16 = 40;
    let mut world = World::new(NOW - Duration::days(DAYS.into()));
    let (organization, keys) = world.organizations[0].clone();
    let mut records: Vec<Record> = Vec::new();
    for day in 0..DAYS {
        let at = NOW - Duration::days(day.into());
        // Live ones before those of the test environment on one day, after them on the next. The first day and the last have none of these, so
        // that borders fall between the two of a day.
        let is_inner = day > 0 && day < DAYS - 1;
        for (number, (key, environment)) in keys.iter().enumerate().filter(|(number, _)| *number == 0 || is_inner) {
            let hours = if (usize::from(day) + number) % 2 == 0 { 1 } else { 9 };
            let status = if number == 0 { 500 } else { 400 } + day;
            let made = record(organization, *key, at - Duration::hours(hours));
            records.push(Record { status, environment: (*environment).into(), ..made });
        }
        usage::make_days(&mut world.conn, at - Duration::hours(9)).expect("days");
    }
    usage::insert(&mut world.conn, &records.iter().collect::<Vec<_>>()).expect("rows");
    rollups::fold(&mut world.conn).expect("folded");
    let (newest, oldest) = (RequestId::new(NOW), RequestId::new(NOW - Duration::days(50)));
    for record in &records {
        let filter = Filter { status: Some(Status::Exactly(record.status)), ..Filter::default() };
        for cursor in [None, Some(Cursor::Before(newest)), Some(Cursor::After(oldest))] {
            let found: Vec<RequestId> = world.page(&filter, cursor, 50).requests.iter().map(|request| request.id).collect();
            assert_eq!(found, [record.id], "{} of {}, {cursor:?}", record.status, record.at);
        }
    }
}

/// What lies between two hours with what is wanted is not read, however much it is.
#[test]
fn two_that_stand_far_apart_are_on_one_page() {
    let mut world = World::new(NOW);
    let (organization, keys) = world.organizations[0].clone();
    let busy = datetime!(2026-03-05 09:30 UTC);
    let rare = [busy - Duration::hours(2), busy + Duration::hours(2)].map(|at| record(organization, keys[1].0, at));
    let between: Vec<Record> = (0..10_000).map(|n| record(organization, keys[0].0, busy + Duration::milliseconds(n))).collect();
    usage::make_days(&mut world.conn, busy).expect("days");
    for batch in [&between[..5_000], &between[5_000..], &rare[..]] {
        usage::insert(&mut world.conn, &batch.iter().collect::<Vec<_>>()).expect("a batch");
    }
    while rollups::fold(&mut world.conn).expect("folded") > 0 {}
    let filter = Filter { key: Some(keys[1].0), ..Filter::default() };
    for cursor in [None, Some(Cursor::After(RequestId::new(busy - Duration::hours(3))))] {
        let page = world.page(&filter, cursor, 50);
        assert_eq!(page.requests.iter().map(|request| request.id).collect::<Vec<_>>(), [rare[1].id, rare[0].id], "{cursor:?}");
        assert!(!page.is_cut);
    }
}

/// Hours with one each, each behind more of others than is read with them: a page takes some and leads to the rest.
#[test]
fn many_that_stand_apart_are_on_pages_that_go_on() {
    const HOURS: i64 = 45;
    let mut world = World::new(NOW);
    let (organization, keys) = world.organizations[0].clone();
    let mut expected = Vec::new();
    for n in 0..HOURS {
        let at = NOW - Duration::hours(2 * n);
        usage::make_days(&mut world.conn, at - Duration::HOUR).expect("days");
        usage::make_days(&mut world.conn, at).expect("days");
        let wanted = record(organization, keys[1].0, at);
        expected.push(wanted.id);
        let others = (0..1_001).map(|ms| record(organization, keys[0].0, at - Duration::HOUR + Duration::milliseconds(ms)));
        let records: Vec<Record> = std::iter::once(wanted).chain(others).collect();
        usage::insert(&mut world.conn, &records.iter().collect::<Vec<_>>()).expect("a batch");
    }
    while rollups::fold(&mut world.conn).expect("folded") > 0 {}
    let filter = Filter { key: Some(keys[1].0), ..Filter::default() };
    let first = world.page(&filter, None, 50);
    assert!(first.is_cut && (10..HOURS as usize).contains(&first.requests.len()), "{}", first.requests.len());
    let ids: Vec<RequestId> = world.pages(&filter, 50).iter().map(|request| request.id).collect();
    assert_eq!(ids, expected);
    let (mut back, mut cursor) = (Vec::new(), Some(RequestId::new(NOW - Duration::days(9))));
    while let Some(after) = cursor {
        let page = world.page(&filter, Some(Cursor::After(after)), 50);
        back.extend(page.requests.iter().rev().map(|request| request.id));
        cursor = page.newer;
    }
    expected.reverse();
    assert_eq!(back, expected);
}
