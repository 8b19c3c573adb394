//! Credentials, addresses and bytes that make no sense, up to what is hardly HTTP; and what belongs to others.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use awc::http::Method;
use serde_json::json;

use super::{INVALID_KEY, PLENTY, history, number, order};
use crate::support::{Answer, App, Client, key_text};

const MISSING: &str = r#"{"detail":"API Key is missing"}"#;

#[actix_web::test]
async fn what_is_no_key_of_ours() {
    let app = App::start();
    let scene = app.make().org().credits(5).key();
    let (key, anon) = (&scene.a_key().text, app.anon());
    let with = |value: &str| order(&anon).header("authorization", value);
    let wrong_sum = format!("{}{}", &key[..key.len() - 1], if key.ends_with('x') { 'y' } else { 'x' });
    let text = |text: String| (text, 403, INVALID_KEY);
    let cases = [
        (String::new(), 401, MISSING),
        ("Bearer".into(), 401, MISSING),
        ("Bearer ".into(), 401, MISSING),
        ("Bearer    ".into(), 401, MISSING),
        ("Basic dXNlcjpwYXNz".into(), 401, MISSING),
        (format!("Basic {key}"), 401, MISSING),
        (format!("Token {key}"), 401, MISSING),
        (key.clone(), 401, MISSING),
        text(format!("Bearer {wrong_sum}")),
        text(format!("Bearer {}", key.replacen("lk_", "xk_", 1))),
        text(format!("Bearer {}", key.replacen("_live_", "_test_", 1))),
        text(format!("Bearer {}", key.to_uppercase())),
        text(format!("Bearer {key}x")),
        text(format!("Bearer {key} {key}")),
        text(format!("Bearer {key},{key}")),
        text(format!("Bearer \"{key}\"")),
        text(format!("Bearer {}", key_text(&app.site.profile, "live"))),
        text(format!("Bearer {}", "x".repeat(8_000))),
        text("Bearer ' OR 1=1 --".into()),
        text("Bearer caf\u{e9}".into()),
    ];
    for (value, status, body) in &cases {
        let answer = with(value).send().await;
        assert_eq!((answer.status, answer.text()), (*status, *body), "{value}");
        assert_eq!(answer.header("www-authenticate"), if *status == 401 { "Bearer" } else { "" });
        assert_known_shape(&answer, value);
    }
    for request in [
        with(&format!("Bearer {key}")).also_header("authorization", &format!("Bearer {key}")),
        with(&format!("Bearer {key}")).also_header("authorization", ""),
        with("Basic x").also_header("authorization", &format!("Bearer {key}")),
    ] {
        let answer = request.send().await;
        assert_eq!((answer.status, answer.json()["code"].as_str()), (400, Some("ambiguous_credentials")));
        assert_known_shape(&answer, "two headers");
    }
    // A key is taken from where the profile says, and nowhere else.
    for request in [
        order(&anon).header("x-api-key", key),
        order(&anon).header("proxy-authorization", &format!("Bearer {key}")),
        order(&anon).header("cookie", &format!("authorization=Bearer {key}")),
        anon.post(&format!("/analyses?api_key={key}&authorization=Bearer%20{key}")).json(&json!({"input": {}})),
    ] {
        assert_eq!(request.send().await.text(), MISSING);
    }
    assert_eq!(number(&mut app.database().conn(), "SELECT count(*) FROM requests"), 0, "they belong to nobody");
    for value in [format!("bearer {key}"), format!("BEARER   {key} ")] {
        assert_eq!(with(&value).send().await.status, 202, "{value}");
    }
}

#[actix_web::test]
async fn what_belongs_to_others_is_not_there() {
    let app = App::start();
    let scene = app.make().org().credits(9).key().key_in("test").org().credits(9).key();
    let partners: Vec<Client> = scene.keys().iter().map(|key| app.partner(key)).collect();
    let [live, test, stranger] = partners.as_slice() else { panic!() };
    let job = |answer: Answer| answer.json()["analysis_id"].as_str().unwrap().to_owned();
    let (of_live, of_test) = (job(order(live).send().await), job(order(test).send().await));
    for (client, id, status) in [
        (live, &of_live, 200),
        (test, &of_test, 200),
        (live, &of_test, 404),
        (test, &of_live, 404),
        (stranger, &of_live, 404),
        (stranger, &of_test, 404),
    ] {
        assert_eq!(client.get(&format!("/analyses/{id}")).send().await.status, status);
        let results = client.get(&format!("/analyses/{id}/results")).send().await;
        assert!(results.status == 404 || status == 200, "{}", results.status);
    }
    let absent = stranger.get("/analyses/an_0000000000000000000000").send().await;
    assert_eq!(absent.body, stranger.get(&format!("/analyses/{of_live}")).send().await.body, "nobody can tell which");
    // A cursor says where, never whose.
    let request = order(live).send().await.header("x-request-id").to_owned();
    let own = stranger.get("/usage").send().await.json()["requests"].as_array().unwrap().len();
    for cursor in [request.as_str(), "req_7N42dgm5tFLK9N8MT7fHC7"] {
        let page = stranger.get(&format!("/usage?cursor={cursor}&limit=100")).send().await;
        assert_eq!(page.status, 200);
        assert!(page.json()["requests"].as_array().unwrap().len() <= own + 2);
        assert!(!page.text().contains(&scene.keys()[0].id.to_string()), "another organization's rows");
    }
    let entries = stranger.get("/credits/entries?cursor=cre_1000").send().await;
    assert_eq!(entries.json()["entries"].as_array().unwrap().len(), 1, "its own grant alone");
}

#[actix_web::test]
async fn addresses_and_methods_that_are_not_there() {
    let app = App::start();
    let scene = app.make().org().requests_per_minute(PLENTY).credits(5).key();
    let (partner, anon, conn) = (app.partner(scene.a_key()), app.anon(), &mut app.database().conn());
    let long = format!("/{}", "x".repeat(3_000));
    let paths = [
        "/nothing",
        "/analyses/",
        "/analyses//x",
        "/analyses/x/y",
        "/analyses/%00",
        "/analyses/%2e%2e",
        "/analyses/%2F",
        "/analyses/%ff",
        "/analyses/an_%ff%00",
        "/%61nalysesx",
        "//analyses",
        "/../key",
        "/key/..",
        "/key%2f",
        "/KEY",
        "/worker",
        "/api/v1/x",
        "/analyses/*",
        "/.env",
        "/key;x=1",
        "/analyses/an_zzzzzzzzzzzzzzzzzzzzzz",
        "/analyses/key_0000000000000000000000",
        &long,
    ];
    for path in paths {
        let answer = partner.get(path).send().await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
        assert_eq!(answer.json()["code"], "not_found", "{path}");
        assert_known_shape(&answer, path);
        let row = history(conn).remove(answer.header("x-request-id")).unwrap_or_else(|| panic!("{path}: no row"));
        assert!(row.path.len() <= 210 && row.method == "GET", "{}", row.path);
        assert_eq!(anon.get(path).send().await.header("content-type"), "application/json", "{path}");
    }
    // A program that also takes HTML is still a program.
    for accept in ["text/html", "*/*", "application/json, text/html;q=0.5"] {
        let answer = partner.get("/nothing").header("accept", accept).send().await;
        assert_eq!((answer.status, answer.header("content-type")), (404, "application/json"), "{accept}");
    }
    for (method, path, allow) in [
        (Method::GET, "/analyses", "POST"),
        (Method::DELETE, "/analyses", "POST"),
        (Method::PATCH, "/analyses/an_x", "GET"),
        (Method::POST, "/key", "GET"),
        (Method::PUT, "/credits", "GET"),
        (Method::OPTIONS, "/usage", "GET"),
        (Method::from_bytes(b"BREW").unwrap(), "/usage", "GET"),
    ] {
        let answer = partner.request(method.clone(), path).send().await;
        assert_eq!((answer.status, answer.header("allow")), (405, allow), "{method} {path}");
        assert_eq!(answer.json()["code"], "method_not_allowed");
        assert_known_shape(&answer, path);
        let row = history(conn).remove(answer.header("x-request-id")).unwrap_or_else(|| panic!("{method} {path}: no row"));
        assert_eq!(row.method, method.as_str());
    }
    let head = partner.request(Method::HEAD, "/key").send().await;
    assert!(matches!(head.status, 200 | 405) && head.body.is_empty(), "{head:?}");
    assert!(head.header("x-request-id").starts_with("req_"));
    assert!(history(conn).contains_key(head.header("x-request-id")));
    // An encoded letter is that letter.
    assert_eq!(partner.get("/%6bey").send().await.status, 200);
    assert_eq!(number(conn, "SELECT count(*) FROM jobs"), 0);
}

#[actix_web::test]
async fn what_is_hardly_http_is_refused_and_the_server_lives() {
    let app = App::start();
    let scene = app.make().org().requests_per_minute(PLENTY).credits(5).key();
    let (key, address) = (scene.a_key().text.clone(), app.origin().trim_start_matches("http://").to_owned());
    let good = format!("GET /key HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n");
    let many: String = (0..500).map(|n| format!("x-{n}: 1\r\n")).collect();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("a header of 200 KiB", format!("{good}x: {}\r\n\r\n", "x".repeat(200 << 10)).into()),
        ("500 headers", format!("{good}{many}\r\n").into()),
        ("an address of 200 KiB", format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(200 << 10)).into()),
        ("NUL in a header", format!("{good}x: a\0b\r\n\r\n").into()),
        ("NUL in the address", b"GET /ke\0y HTTP/1.1\r\nhost: x\r\n\r\n".to_vec()),
        ("a header without a colon", format!("{good}nonsense\r\n\r\n").into()),
        ("a folded header", format!("{good}x: a\r\n b\r\n\r\n").into()),
        ("two lengths", format!("POST /analyses HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{{}}").into()),
        ("length and chunks", format!("POST /analyses HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\ncontent-length: 12\r\ntransfer-encoding: chunked\r\n\r\nc\r\n{{\"input\":{{}}}}\r\n0\r\n\r\n").into()),
        ("a negative length", b"POST /analyses HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n".to_vec()),
        ("an endless length", format!("POST /analyses HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", "9".repeat(30)).into()),
        ("a broken chunk", format!("POST /analyses HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n").into()),
        ("no HTTP at all", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(20)),
        ("another protocol", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        ("another version", b"GET /key HTTP/9.9\r\nhost: x\r\n\r\n".to_vec()),
    ];
    for (what, bytes) in cases {
        let start = Instant::now();
        let told = raw(&address, &bytes);
        assert!(start.elapsed() < Duration::from_secs(20), "{what}: {:?}", start.elapsed());
        let status = told.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).unwrap_or("closed");
        assert!(matches!(status, "400" | "413" | "414" | "431" | "505" | "closed"), "{what}: {told}");
        assert!(!told.contains("panicked") && !told.contains("src/"), "{what}: {told}");
    }
    // Bytes above 127 in an address, where an answer must come and be JSON.
    let told = raw(
        &address,
        &[
            b"GET /caf\xc3\xa9 HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer ",
            key.as_bytes(),
            b"\r\nuser-agent: \xff\xfe\r\n\r\n",
        ]
        .concat(),
    );
    assert!(told.starts_with("HTTP/1.1 404") && told.contains("x-request-id: req_") || told.starts_with("HTTP/1.1 400"), "{told}");
    let told = raw(&address, format!("{good}user-agent: \u{e9}\r\nconnection: close\r\n\r\n").as_bytes());
    assert!(told.starts_with("HTTP/1.1 200"), "{told}");
    assert_eq!(app.partner(scene.a_key()).get("/key").send().await.status, 200, "it lives");
    assert_eq!(number(&mut app.database().conn(), "SELECT count(*) FROM jobs"), 0);
}

/// Sends bytes and reads until the other side closes, or has not said anything for a while.
fn raw(address: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    // Who closes before it has read everything makes the rest of the writing fail.
    let _ = stream.write_all(bytes);
    let (mut told, mut part) = (Vec::new(), [0; 4_096]);
    while let Ok(count) = stream.read(&mut part) {
        if count == 0 {
            break;
        }
        told.extend_from_slice(&part[..count]);
    }
    String::from_utf8_lossy(&told).into_owned()
}

/// JSON, kept by nobody, with the id to ask about.
fn assert_known_shape(answer: &Answer, what: &str) {
    answer.json();
    assert_eq!(answer.header("content-type"), "application/json", "{what}");
    assert_eq!(answer.header("cache-control"), "no-store", "{what}");
    assert!(answer.header("x-request-id").starts_with("req_"), "{what}");
}
