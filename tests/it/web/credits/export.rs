//! The ledger as a file.

use diesel::sql_types::{BigInt, Text};
use diesel::{Connection, QueryableByName, RunQueryDsl, sql_query};
use latchkey::actor::Actor;
use latchkey::credits::{Books, Purpose};
use latchkey::{clock, credits};
use time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use uuid::Uuid;

use super::super::path;
use crate::support::{App, TestDb, number};

#[derive(QueryableByName, Debug, PartialEq)]
struct Row {
    #[diesel(sql_type = BigInt)]
    sequence: i64,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = BigInt)]
    amount: i64,
    #[diesel(sql_type = BigInt)]
    held_amount: i64,
    #[diesel(sql_type = BigInt)]
    available_after: i64,
    #[diesel(sql_type = Text)]
    at: String,
}

fn entries(database: &TestDb, condition: &str) -> Vec<Row> {
    let query = format!(
        "SELECT sequence, kind, amount, held_amount, available_after,
             to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS at
         FROM credit_entries WHERE {condition} ORDER BY sequence"
    );
    sql_query(query).load(&mut database.conn()).unwrap()
}

/// Rows of a file without quotes in it.
fn rows(text: &str) -> Vec<Row> {
    assert!(text.ends_with("\r\n") && !text.replace("\r\n", "").contains('\n'), "lines end as RFC 4180 has it");
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        let number = |at: usize| cells[at].parse().unwrap();
        let sequence = cells[0].strip_prefix("cre_").unwrap().parse().unwrap();
        let (kind, at) = (cells[2].to_owned(), cells[1].to_owned());
        Row { sequence, kind, amount: number(3), held_amount: number(4), available_after: number(5), at }
    };
    text.split_terminator("\r\n").skip(1).map(row).collect()
}

#[actix_web::test]
async fn twelve_thousand_entries_are_all_in_it_and_once() {
    let app = App::start();
    let now = clock::now();
    let make = app.make().org().admin().granted(now - Duration::days(9), 9_000).spent(now - Duration::days(8), 2_500);
    let make = make.granted(now - Duration::days(5), 10).spent(now - Duration::days(5), 2_500).spent(now - Duration::hours(3), 1_000);
    // Somebody else's is never in it.
    app.make().org().credits(77);
    let browser = app.browser(make.an_admin()).await;
    let org = format!("organization_id = '{}'", make.here().id.0);
    let whole = browser.get(&path(&make, "credits/entries.csv")).header("accept-encoding", "gzip").send().await;
    assert_eq!((whole.status, whole.header("content-type")), (200, "text/csv; charset=utf-8"));
    let name = whole.header("content-disposition");
    assert!(name.starts_with(&format!("attachment; filename=\"{}-credits-2", make.here().slug)) && name.ends_with(".csv\""), "{name}");
    assert_eq!((whole.header("cache-control"), whole.header("content-encoding")), ("no-store", "identity"));
    let head = whole.text().split("\r\n").next().unwrap();
    assert_eq!(head, "entry_id,at,kind,available,held,available_after,held_after,job_id,request_id,actor,note");
    let all = rows(whole.text());
    assert_eq!(all.len(), 12_002);
    assert_eq!(all, entries(app.database(), &org));
    let hour = "date_trunc('hour', now(), 'UTC')";
    for (query, condition) in [
        ("kind=settle", "kind = 'settle'".to_owned()),
        ("kind=grant", "kind = 'grant'".into()),
        ("kind=adjust", "false".into()),
        ("period=7d", format!("at >= {hour} - interval '7 days'")),
        ("kind=hold&period=24h", format!("kind = 'hold' AND at >= {hour} - interval '24 hours'")),
    ] {
        let file = browser.get(&path(&make, &format!("credits/entries.csv?{query}"))).send().await;
        assert_eq!(rows(file.text()), entries(app.database(), &format!("{org} AND {condition}")), "{query}");
    }
    let head = browser.request(awc::http::Method::HEAD, &path(&make, "credits/entries.csv")).send().await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    let stranger = app.make().org().admin();
    assert_eq!(app.browser(stranger.an_admin()).await.get(&path(&make, "credits/entries.csv")).send().await.status, 404);
}

/// A page in which nothing was found is not the end of the file.
#[actix_web::test]
async fn what_stands_far_behind_is_found() {
    let app = App::start();
    let make = app.make().org().admin().credits(9_000);
    let org = make.here().id;
    let purpose =
        |n: u128| Purpose { hold_id: Uuid::from_u128(n), request_id: None, job_id: None, actor: "A test".into(), note: String::new() };
    let write = |work: &dyn Fn(&mut Books)| {
        let written: latchkey::error::Result<()> = app.database().conn().transaction(|conn| {
            let mut books = Books::open(conn, clock::now(), [org])?;
            work(&mut books);
            books.close(conn)
        });
        written.unwrap();
    };
    for half in [1..=4_500, 4_501..=9_000] {
        write(&|books| assert!(half.clone().all(|n| books.hold(org, 1, &purpose(n)))));
    }
    write(&|books| books.settle(org, 1, &purpose(7)));
    let file = app.browser(make.an_admin()).await.get(&path(&make, "credits/entries.csv?kind=settle")).send().await;
    assert_eq!(rows(file.text()).iter().map(|row| row.sequence).collect::<Vec<_>>(), [9_002]);
}

#[actix_web::test]
async fn what_would_be_a_formula_is_a_text() {
    let app = App::start();
    let make = app.make().org().admin();
    let conn = &mut app.database().conn();
    let note = "=HYPERLINK(\"https://evil.example\",\"click\")";
    credits::grant(conn, &Actor::command_line(), clock::now(), make.here().id, 30, note).unwrap();
    credits::adjust(conn, &Actor::command_line(), clock::now(), make.here().id, -25, "-1+1, so to say").unwrap();
    let file = app.browser(make.an_admin()).await.get(&path(&make, "credits/entries.csv")).send().await;
    let lines: Vec<&str> = file.text().split("\r\n").collect();
    assert!(lines[1].ends_with(",Command line,\"'=HYPERLINK(\"\"https://evil.example\"\",\"\"click\"\")\""), "{}", lines[1]);
    assert!(lines[2].ends_with(",adjust,-25,0,5,0,,,Command line,\"'-1+1, so to say\""), "{}", lines[2]);
}

#[actix_web::test]
async fn a_database_that_goes_away_breaks_it_off() {
    let app = App::start();
    let make = app.make().org().credits(5).admin();
    let browser = app.browser(make.an_admin()).await;
    let (mut holder, mut watcher) = (app.database().conn(), app.database().conn());
    for statement in ["BEGIN", "LOCK TABLE credit_entries IN ACCESS EXCLUSIVE MODE"] {
        sql_query(statement).execute(&mut holder).unwrap();
    }
    // As it comes over the wire: this client takes a connection's end for the end of a body.
    let export = async {
        let cookies: Vec<String> = browser.cookies().iter().map(|(name, value)| format!("{name}={value}")).collect();
        let host = app.origin().split_once("://").unwrap().1.to_owned();
        let mut wire = tokio::net::TcpStream::connect(&host).await.unwrap();
        let file = path(&make, "credits/entries.csv");
        let request = format!("GET {file} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncookie: {}\r\n\r\n", cookies.join("; "));
        wire.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = wire.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    };
    let breaking = async {
        // The reader of the first page waits for the table: its connection is cut.
        let waits = "SELECT coalesce(max(pid), 0) FROM pg_locks WHERE relation = 'credit_entries'::regclass AND NOT granted";
        let mut pid = 0;
        while pid == 0 {
            actix_web::rt::time::sleep(std::time::Duration::from_millis(5)).await;
            pid = number(&mut watcher, waits);
        }
        assert_eq!(number(&mut watcher, &format!("SELECT pg_terminate_backend({pid})::int")), 1);
    };
    let (answer, ()) = futures_util::future::join(export, breaking).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("entry_id,at,kind"), "it had begun: {answer}");
    assert!(answer.contains("transfer-encoding: chunked") && !answer.ends_with("0\r\n\r\n"), "an answer that looks whole: {answer}");
    sql_query("ROLLBACK").execute(&mut holder).unwrap();
    assert_eq!(rows(browser.get(&path(&make, "credits/entries.csv")).send().await.text()).len(), 1);
}
