//! The page's charts, their table, the list, the file, the API and a plain `SELECT` tell the same numbers.

use diesel::RunQueryDsl;
use diesel::sql_types as sql;
use latchkey::clock;
use latchkey::outcome::Outcome;
use latchkey::usage::{self, Record};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use time::{Duration, OffsetDateTime};

use super::path;
use crate::support::{self, Answer, App, Client, Make};

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = sql::BigInt)]
    count: i64,
}

/// What is asked, of the page and the file, of the API, and in SQL.
const ASKED: [(&str, &str, &str); 5] = [
    ("", "", "true"),
    ("&status=4xx", "&status=4xx", "status BETWEEN 400 AND 499"),
    ("&status=429", "&status=429", "status = 429"),
    ("&path=/analyses", "&path=/analyses", "route LIKE '% /analyses%'"),
    ("&environment=test&status=2xx", "&environment=test&status=2xx", "environment = 'test' AND status BETWEEN 200 AND 299"),
];

fn traffic(make: &Make, random: &mut StdRng, from: OffsetDateTime, to: OffsetDateTime, count: usize) -> Vec<Record> {
    let routes = [("POST", "/analyses", "POST /analyses"), ("GET", "/analyses/an_1", "GET /analyses/{id}"), ("GET", "/x", "")];
    let statuses = [(200, Outcome::Accepted), (202, Outcome::Accepted), (429, Outcome::RateLimited), (404, Outcome::Accepted)];
    let span = (to - from).whole_milliseconds() as i64;
    let mut record = || {
        let at = from + Duration::milliseconds(random.random_range(0..span));
        let (key, environment) = if random.random_range(0..4) == 0 { (&make.keys()[1], "test") } else { (&make.keys()[0], "live") };
        let (method, path, route) = routes[random.random_range(0..routes.len())];
        let (status, outcome) = statuses[random.random_range(0..statuses.len())];
        Record {
            environment: environment.into(),
            method: method.into(),
            path: path.into(),
            route: route.into(),
            status,
            outcome,
            duration_us: random.random_range(100..900_000),
            ..support::record(make.here().id, key.id, at)
        }
    };
    (0..count).map(|_| record()).collect()
}

/// The number before ` in `, ` on ` or ` from ` of the first chart.
fn charted(page: &Answer) -> i64 {
    let Some(note) = page.text().split("id=\"requests-title\"").nth(1).and_then(|rest| rest.split("class=\"hint\">").nth(1)) else {
        return 0;
    };
    note.split(' ').next().unwrap().replace(',', "").parse().unwrap_or(0)
}

/// The four outcomes in the foot of the charts' table.
fn together(page: &Answer) -> i64 {
    let Some(foot) = page.text().split("<tfoot>").nth(1) else { return 0 };
    let cell = |cell: &str| cell.split('<').next().unwrap().replace(',', "").parse::<i64>().unwrap();
    foot.split("<td>").skip(1).take(4).map(cell).sum()
}

/// All pages of the list.
async fn listed(browser: &Client, first: &str) -> i64 {
    let (mut count, mut next) = (0, Some(first.to_owned()));
    while let Some(url) = next {
        let page = browser.get(&url).send().await;
        count += page.text().matches("data-request-id=").count() as i64;
        let link = page.text().split("rel=\"next\" href=\"").nth(1).map(|rest| rest.split('"').next().unwrap());
        next = link.map(|link| link.replace("&#38;", "&").replace("&amp;", "&"));
    }
    count
}

async fn told(partner: &Client, query: &str) -> i64 {
    let (mut count, mut cursor) = (0, String::new());
    loop {
        let page = partner.get(&format!("/usage?limit=100{query}{cursor}")).send().await;
        assert_eq!(page.status, 200, "{}", page.text());
        let page = page.json();
        count += page["requests"].as_array().unwrap().len() as i64;
        let Some(next) = page["next_cursor"].as_str() else { return count };
        cursor = format!("&cursor={next}");
    }
}

#[actix_web::test]
async fn all_that_tells_usage_tells_the_same_while_traffic_flows() {
    let app = App::start();
    let make = app.make().org().requests_per_minute(1_000_000).admin().key().key_in("test");
    let now = clock::now();
    // Until yesterday's end, so that what flows meanwhile is of another day: midnight is the only thing between the two.
    let today = usage::day(now).midnight().assume_utc();
    let (from, first, last) = (today - Duration::days(3), usage::day(today - Duration::days(3)), usage::day(today - Duration::DAY));
    let mut random = StdRng::seed_from_u64(11);
    let mut conn = app.database().conn();
    let records = traffic(&make, &mut random, from, today, 900);
    for days in 0..4 {
        usage::make_days(&mut conn, from + Duration::days(days)).unwrap();
    }
    for batch in records.chunks(50) {
        usage::insert(&mut conn, &batch.iter().collect::<Vec<_>>()).unwrap();
    }
    let browser = app.browser(make.an_admin()).await;
    let partner = app.partner(make.a_key());
    let flowing = app.partner(make.a_key());
    let stopped = std::cell::Cell::new(false);
    let flow = async {
        let mut sent = 0_i64;
        while !stopped.get() {
            assert_eq!(flowing.get("/key").send().await.status, 200);
            sent += 1;
        }
        sent
    };
    let compare = async {
        for (page, api, condition) in ASKED {
            let query = format!("?period=custom&from={first}&to={last}{page}");
            let usage = browser.get(&path(&make, &format!("usage{query}"))).send().await;
            let file = browser.get(&path(&make, &format!("usage/requests.csv{query}"))).send().await;
            let select = format!("SELECT count(*) FROM requests WHERE organization_id = $1 AND at >= $2 AND at < $3 AND {condition}");
            let rows = diesel::sql_query(select)
                .bind::<sql::Uuid, _>(make.here().id)
                .bind::<sql::Timestamptz, _>(from)
                .bind::<sql::Timestamptz, _>(today);
            let counted = rows.get_result::<Count>(&mut app.database().conn()).unwrap().count;
            let period = format!("&from={}&to={}{api}", clock::rfc3339(from), clock::rfc3339(today));
            let numbers = [
                charted(&usage),
                together(&usage),
                listed(&browser, &path(&make, &format!("usage{query}"))).await,
                file.text().split_terminator("\r\n").count() as i64 - 1,
                told(&partner, &period).await,
            ];
            assert_eq!(numbers, [counted; 5], "{page}");
            assert!(counted > 0, "{page}");
        }
        stopped.set(true);
    };
    let (sent, ()) = futures_util::future::join(flow, compare).await;
    // And of today: all that flowed, what the comparison asked itself, and nothing else.
    let usage = browser.get(&path(&make, &format!("usage?period=custom&from={0}&to={0}&path=/key", usage::day(now)))).send().await;
    assert_eq!((charted(&usage), together(&usage)), (sent, sent));
}
