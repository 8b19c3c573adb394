//! The request history as a file.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use latchkey::clock;
use latchkey::outcome::Outcome;
use latchkey::usage::{self, Record};
use time::{Duration, OffsetDateTime};

use super::path;
use crate::support::{App, Make, record};

const EVIL: &str = "=HYPERLINK(\"http://evil.example\",\"x\")";

/// One a second, the newest a minute ago.
fn records(make: &Make, count: usize, now: OffsetDateTime) -> Vec<Record> {
    let nth = |n: usize| {
        let at = now - Duration::seconds(60 + n as i64);
        let status = if n.is_multiple_of(10) { 429 } else { 200 };
        Record {
            path: format!("/analyses/an_{n}"),
            status,
            outcome: if status == 429 { Outcome::RateLimited } else { Outcome::Accepted },
            duration_us: 1_234 + n as i32,
            user_agent: if n == 7 { EVIL.into() } else { "say \"hi\", twice".into() },
            detail: (status == 429).then(|| "{\"limit\":60,\"reset_s\":35}".into()),
            ..record(make.here().id, make.a_key().id, at)
        }
    };
    (0..count).map(nth).collect()
}

/// The cells of a file without line breaks in its cells.
fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut quoted) = (vec![String::new()], false);
    for part in line.split_inclusive(['"', ',']) {
        let (text, last) = part.split_at(part.len() - usize::from(part.ends_with(['"', ','])));
        let cell = cells.last_mut().unwrap();
        cell.push_str(text);
        match last {
            "\"" => quoted = !quoted,
            "," if quoted => cell.push(','),
            "," => cells.push(String::new()),
            _ => {}
        }
    }
    cells
}

#[actix_web::test]
async fn a_file_has_every_row_of_the_filter_and_begins_at_once() {
    const COUNT: usize = 9_000;
    let app = App::start();
    let make = app.make().org().admin().member().key();
    let now = clock::now();
    let records = records(&make, COUNT, now);
    let mut conn = app.database().conn();
    for batch in records.chunks(1_000) {
        batch.iter().step_by(500).for_each(|record| usage::make_days(&mut conn, record.at).unwrap());
        usage::insert(&mut conn, &batch.iter().collect::<Vec<_>>()).unwrap();
    }
    let browser = app.browser(make.a_member()).await;
    let file = path(&make, "usage/requests.csv?period=7d");
    let mut answer = browser.get(&file).header("accept-encoding", "gzip").open().await;
    let header = |name: &str| answer.headers.get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!((answer.status, header("content-type").as_str()), (200, "text/csv; charset=utf-8"));
    let name = format!("attachment; filename=\"{}-requests-{}.csv\"", make.here().slug, now.date());
    assert_eq!((header("content-disposition"), header("cache-control").as_str()), (name, "no-store"));
    assert_eq!(header("content-encoding"), "identity");
    let head = answer.until("\r\n").await;
    assert!(head.starts_with("time,request_id,method,path,route,status,outcome,duration_ms,"), "{head}");
    // What is answered while it is read is not in it.
    app.partner(make.a_key()).get("/key").send().await;
    let body = answer.end().await;
    let lines: Vec<&str> = body.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), COUNT);
    for (line, record) in lines.iter().zip(&records) {
        let cells = cells(line);
        let told = [cells[1].as_str(), &cells[3], &cells[4], &cells[5], &cells[7]];
        let milliseconds = format!("{:.3}", f64::from(record.duration_us) / 1_000.0);
        let written =
            [&record.id.to_string(), record.path.as_str(), "GET /analyses/{id}", &record.status.to_string(), milliseconds.as_str()];
        assert_eq!(told, written);
        assert_eq!(cells.len(), 17, "{line}");
    }
    assert!(lines[7].contains("\"'=HYPERLINK(\"\"http"), "no formula: {}", lines[7]);
    assert!(lines[0].contains("rate_limited") && lines[0].ends_with("\"{\"\"limit\"\":60,\"\"reset_s\"\":35}\""), "{}", lines[0]);
    let refused = browser.get(&format!("{file}&status=429&path=/analyses")).send().await;
    assert_eq!(refused.text().split_terminator("\r\n").count(), 1 + COUNT / 10);
}

#[actix_web::test]
async fn other_tenants_bad_filters_and_an_empty_history() {
    let app = App::start();
    let make = app.make().org().admin().key();
    let stranger = app.make().org().admin();
    let (browser, other) = (app.browser(make.an_admin()).await, app.browser(stranger.an_admin()).await);
    let file = path(&make, "usage/requests.csv");
    assert_eq!(other.get(&file).send().await.status, 404);
    assert_eq!(browser.get(&format!("{file}?period=1y")).send().await.status, 422);
    let empty = browser.get(&file).send().await;
    assert_eq!((empty.status, empty.text().lines().count()), (200, 1));
}

#[actix_web::test]
async fn a_file_that_breaks_off_does_not_look_whole() {
    let app = App::start();
    let make = app.make().org().admin().key();
    let mut conn = app.database().conn();
    let now = clock::now();
    let records = records(&make, 60_000, now);
    for batch in records.chunks(5_000) {
        batch.iter().step_by(500).for_each(|record| usage::make_days(&mut conn, record.at).unwrap());
        usage::insert(&mut conn, &batch.iter().collect::<Vec<_>>()).unwrap();
    }
    let browser = app.browser(make.an_admin()).await;
    let cookies: Vec<String> = browser.cookies().iter().map(|(name, value)| format!("{name}={value}")).collect();
    let host = app.origin().replace("http://", "");
    let mut wire = TcpStream::connect(&host).unwrap();
    let file = path(&make, "usage/requests.csv?period=7d");
    write!(wire, "GET {file} HTTP/1.1\r\nHost: {host}\r\nCookie: {}\r\n\r\n", cookies.join("; ")).unwrap();
    let (mut read, mut some) = (Vec::new(), [0; 65_536]);
    while !String::from_utf8_lossy(&read).contains("an_1,") {
        let count = wire.read(&mut some).unwrap();
        read.extend(&some[..count]);
    }
    // Twenty megabytes don't fit between the two: the rest is read after this.
    diesel::RunQueryDsl::execute(diesel::sql_query("ALTER TABLE requests RENAME TO requests_away"), &mut conn).unwrap();
    wire.read_to_end(&mut read).unwrap();
    let read = String::from_utf8(read).unwrap();
    assert!(read.contains("\r\ntransfer-encoding: chunked\r\n") && !read.contains("an_59999,"), "{}", &read[..1_000]);
    assert!(!read.ends_with("0\r\n\r\n"), "the body ended as if it were whole");
}
