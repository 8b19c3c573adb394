//! Bodies, queries and addresses that make no sense: each has its own answer, none changes anything, all are in the history.

use diesel::PgConnection;
use serde_json::{Value, json};

use super::{history, number};
use crate::support::{Answer, App, Client, Make, Request};

/// What may not change: jobs, credit entries, balances, stored answers, events.
fn state(conn: &mut PgConnection) -> Vec<i64> {
    ["jobs", "credit_entries", "idempotency_keys", "events"]
        .map(|table| format!("SELECT count(*) FROM {table}"))
        .into_iter()
        .chain(["SELECT sum(available) FROM credit_balances".to_owned()])
        .map(|query| number(conn, &query))
        .collect()
}

struct Ground {
    app: App,
    scene: Make,
    partner: Client,
}

impl Ground {
    fn new() -> Self {
        let app = App::start();
        let scene = app.make().org().requests_per_minute(super::PLENTY).credits(100).key();
        let partner = app.partner(scene.a_key());
        Self { app, scene, partner }
    }

    fn json(&self, body: impl Into<Vec<u8>>) -> Request {
        self.partner.post("/analyses").header("content-type", "application/json").body(body)
    }

    /// Sends what must be refused without changing anything but the history, which gets one row.
    async fn refused(&self, request: Request, status: u16, what: &str) -> Answer {
        let conn = &mut self.app.database().conn();
        let (before, rows) = (state(conn), number(conn, "SELECT count(*) FROM requests"));
        let answer = request.send().await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "application/json", "{what}");
        assert_eq!(answer.header("cache-control"), "no-store", "{what}");
        assert_eq!(state(conn), before, "{what}");
        assert_eq!(number(conn, "SELECT count(*) FROM requests"), rows + 1, "{what}");
        let row = history(conn).remove(answer.header("x-request-id")).unwrap_or_else(|| panic!("{what}: no row"));
        assert_eq!((row.status as u16, row.outcome.as_str()), (status, "accepted"), "{what}");
        answer
    }
}

fn assert_fields(answer: &Answer, fields: &[&str], what: &str) {
    let body = answer.json();
    assert_eq!(body["code"], "invalid_request", "{what}");
    assert!(body["error"].as_str().is_some_and(|text| !text.is_empty()));
    let told: Vec<&str> = body["fields"].as_array().unwrap().iter().map(|field| field["field"].as_str().unwrap()).collect();
    assert_eq!(told, fields, "{what}: {body}");
    assert!(body["fields"].as_array().unwrap().iter().all(|field| !field["message"].as_str().unwrap().is_empty()));
}

fn assert_error(answer: &Answer, code: &str, what: &str) {
    let body = answer.json();
    let members: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(members, ["code", "detail"], "{what}");
    assert_eq!(body["code"], code, "{what}: {body}");
    let detail = body["detail"].as_str().unwrap();
    assert!(!detail.is_empty() && !detail.contains("panicked") && !detail.to_lowercase().contains("sql"), "{detail}");
}

#[actix_web::test]
async fn broken_json_is_400() {
    let ground = Ground::new();
    let mut cases: Vec<Vec<u8>> = [
        "",
        " ",
        "{",
        "}",
        "{\"input\":{}",
        "{\"input\":{}}}",
        "{\"input\":{}} x",
        "{'input':{}}",
        "{input:{}}",
        "{\"input\":{},}",
        "nul",
        "{\"input\":{\"a\":01}}",
        "{\"input\":{\"a\":+1}}",
        "{\"input\":{\"a\":.5}}",
        "{\"input\":{\"a\":NaN}}",
        "{\"input\":{\"a\":\"\\x\"}}",
        "{\"input\":{\"a\":\"tab\there\"}}",
        "{\"input\":{\"a\":\"\u{0}\"}}",
        "{\"input\":{\"\u{0}\":1}}",
        "\u{feff}{\"input\":{}}",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec();
    cases.push(b"{\"input\":{\"a\":\"\xff\xfe\"}}".to_vec());
    cases.push(b"{\"input\":{\"a\":\"\xed\xa0\x80\"}}".to_vec());
    cases.push(b"{\"input\":{\"a\":\"\xc0\xaf\"}}".to_vec());
    cases.push(vec![0; 100]);
    for case in cases {
        let what = String::from_utf8_lossy(&case).into_owned();
        assert_error(&ground.refused(ground.json(case), 400, &what).await, "invalid_json", &what);
    }
}

#[actix_web::test]
async fn wrong_fields_are_named() {
    let ground = Ground::new();
    let deep = format!(r#"{{"input":{{"a":{}{}}}}}"#, "[".repeat(100), "]".repeat(100));
    let cases: &[(&str, &[&str])] = &[
        ("[]", &["body"]),
        ("null", &["body"]),
        ("1", &["body"]),
        ("\"text\"", &["body"]),
        ("{}", &["input"]),
        (r#"{"input":null}"#, &["input"]),
        (r#"{"input":[]}"#, &["input"]),
        (r#"{"input":"{}"}"#, &["input"]),
        (r#"{"input":1e999}"#, &["input"]),
        (r#"{"Input":{}}"#, &["Input", "input"]),
        (r#"{"input":{},"webhook":true}"#, &["webhook"]),
        (r#"{"input":{},"\u0000":true}"#, &["\0"]),
        (r#"{"input":{},"external_reference":1}"#, &["external_reference"]),
        (r#"{"input":{},"external_reference":{}}"#, &["external_reference"]),
        (r#"{"input":{},"external_reference":"a\u0000b"}"#, &["external_reference"]),
        (r#"{"input":{},"external_reference":"\ud800"}"#, &["external_reference"]),
        (r#"{"input":{},"external_reference":1e999}"#, &["external_reference"]),
        (r#"{"input":{},"notify_via_webhook":"true"}"#, &["notify_via_webhook"]),
        (r#"{"input":{},"notify_via_webhook":1}"#, &["notify_via_webhook"]),
        (r#"{"input":1,"external_reference":1,"notify_via_webhook":1,"x":1}"#, &["x", "external_reference", "notify_via_webhook", "input"]),
        (&deep, &["input"]),
    ];
    for (body, fields) in cases {
        assert_fields(&ground.refused(ground.json(*body), 422, body).await, fields, body);
    }
    let long = json!({"input": {}, "external_reference": "x".repeat(256)}).to_string();
    assert_fields(&ground.refused(ground.json(long), 422, "256 characters").await, &["external_reference"], "256 characters");
    let deeper = |levels: usize| format!(r#"{{"input":{}{}}}"#, "{\"a\":".repeat(levels), "}".repeat(levels));
    for levels in [1_000, 9_000] {
        let answer = ground.refused(ground.json(deeper(levels).replace("\"a\":}", "\"a\":1}")), 422, "deep").await;
        assert_fields(&answer, &["input"], "deep");
    }
    let many: Value = (0..500).map(|n| (format!("unknown_{n}"), json!(1))).collect::<serde_json::Map<_, _>>().into();
    let answer = ground.refused(ground.json(many.to_string()), 422, "many").await;
    assert!(answer.body.len() < 4_096, "the answer to nonsense stays small");
}

#[actix_web::test]
async fn too_much_is_413_and_another_type_415() {
    let ground = Ground::new();
    let padded = |size: usize| format!(r#"{{"input":{{"a":"{}"}}}}"#, "x".repeat(size - r#"{"a":""}"#.len()));
    let deep = format!(r#"{{"input":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    for (body, what) in [
        (padded((64 << 10) + 1), "64 KiB and one byte of input"),
        (padded(1 << 20), "1 MiB"),
        (deep, "100,000 levels"),
        (" ".repeat(1 << 20), "1 MiB of nothing"),
    ] {
        assert_error(&ground.refused(ground.json(body), 413, what).await, "too_large", what);
    }
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp", "json", ""] {
        let request = ground.partner.post("/analyses").header("content-type", kind).body("{\"input\":{}}");
        assert_error(&ground.refused(request, 415, kind).await, "unsupported_media_type", kind);
    }
    let none = ground.partner.post("/analyses").body("{\"input\":{}}");
    assert_error(&ground.refused(none, 415, "no type").await, "unsupported_media_type", "no type");
}

/// What is unusual but right is kept to the byte.
#[actix_web::test]
async fn what_is_right_is_kept_as_sent() {
    let ground = Ground::new();
    let worker = ground.app.worker();
    let full = format!(r#"{{"a":"{}"}}"#, "x".repeat((64 << 10) - 8));
    assert_eq!(full.len(), 64 << 10);
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(99), "]".repeat(99));
    let inputs = [
        full.as_str(),
        deep.as_str(),
        "{}",
        r#"{"b": 1.0,  "a":12345678901234567890123, "a":2}"#,
        r#"{"n":[1e999,-1e-999,-0,1E+2,0.10]}"#,
        r#"{"nul":"\u0000","half":"\ud800","escaped":"\u00e9\/"}"#,
        "{\"text\":\"\u{e9}\u{1f511}\u{202e}\u{7f}\"}",
        r#"{"sql":"'; DROP TABLE jobs; --","html":"</script><script>alert(1)</script>"}"#,
    ];
    for input in inputs {
        let shown: String = input.chars().take(60).collect();
        let answer = ground.json(format!("{{\"input\":{input},\"external_reference\":null,\"notify_via_webhook\":null}}")).send().await;
        assert_eq!(answer.status, 202, "{shown}: {}", answer.text());
        let claimed = worker.post("/worker/v1/claim").json(&json!({"kinds": ["analysis"], "wait_s": 0})).send().await;
        assert_eq!(claimed.status, 200, "{shown}");
        assert!(claimed.text().contains(&format!("\"input\":{input}")), "{shown}");
        let id = answer.json()["analysis_id"].as_str().unwrap().to_owned();
        assert_eq!(ground.partner.get(&format!("/analyses/{id}")).send().await.json()["status"], "processing");
    }
    for kind in ["application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.example+json"] {
        let request = ground.partner.post("/analyses").header("content-type", kind).body("{\"input\":{}}");
        assert_eq!(request.send().await.status, 202, "{kind}");
    }
    let reference = "r\u{e9}f\u{1f511}".repeat(60);
    let answer = ground.json(json!({"input": {}, "external_reference": reference}).to_string()).send().await;
    assert_eq!((answer.status, &answer.json()["external_reference"]), (202, &json!(reference)));
    assert_eq!(super::balance(&mut ground.app.database().conn(), ground.scene.here().id).0, 100 - inputs.len() as i64 - 4);
}

#[actix_web::test]
async fn queries_that_make_no_sense_name_their_field() {
    let ground = Ground::new();
    for (path, names) in [
        ("/usage", ["limit", "cursor", "status", "from", "to", "key", "environment"].as_slice()),
        ("/credits/entries", &["limit", "cursor", "kind", "from", "to"]),
    ] {
        let most = "9".repeat(40);
        let values = [
            "-1",
            "0",
            "600",
            "1.5",
            "x",
            "%00",
            "%ff",
            "1%2c2",
            "cre_-1",
            "cre_0",
            "req_",
            "', ''",
            most.as_str(),
            "2026-13-45T00:00:00Z",
        ];
        for name in names {
            for value in values {
                let address = format!("{path}?{name}={}", value.replace(' ', "%20").replace('\'', "%27"));
                assert_fields(&ground.refused(ground.partner.get(&address), 422, &address).await, &[name], &address);
            }
            let twice = format!("{path}?{name}=1&{name}=2");
            assert_fields(&ground.refused(ground.partner.get(&twice), 422, &twice).await, &[name], &twice);
        }
        let all = format!("{path}?limit=-5&cursor=-5");
        assert_fields(&ground.refused(ground.partner.get(&all), 422, &all).await, &["limit", "cursor"], &all);
    }
    // The edges of what time and numbers can be.
    for query in [
        "from=0000-01-01T00:00:00Z",
        "to=9999-12-31T23:59:59Z",
        "from=9999-12-31T23:59:59.999999999-23:59",
        "from=0001-01-01T00:00:00%2B23:59&to=0001-01-01T00:00:00Z",
        "from=2030-01-01T00:00:00Z&to=2020-01-01T00:00:00Z",
        "status=599",
        "status=5xx",
        "limit=",
        "unknown=1",
        "path=%00",
        "path=/bogus%00",
        "path=/",
        "key=key_0000000000000000000000",
    ] {
        for path in ["/usage", "/credits/entries"] {
            let answer = ground.partner.get(&format!("{path}?{query}")).send().await;
            assert!(matches!(answer.status, 200 | 422), "{path}?{query}: {}", answer.text());
        }
    }
    let last = ground.partner.get(&format!("/credits/entries?cursor=cre_{}", i64::MAX)).send().await;
    assert_eq!(last.status, 200);
}
