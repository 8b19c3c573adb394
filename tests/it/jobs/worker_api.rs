use std::time::{Duration, Instant};

use actix_web::dev::ServiceResponse;
use actix_web::http::Method;
use actix_web::test::{self, TestRequest};
use actix_web::{App, web};
use futures_util::future::join;
use latchkey::actor::Actor;
use latchkey::clock;
use latchkey::error::Error;
use latchkey::ids::JobId;
use latchkey::jobs::Status;
use latchkey::programs::{self, Kind};
use latchkey::secret::SecretDigest;
use latchkey::site::Site;
use latchkey::wake::Wake;
use latchkey::worker_api;
use serde_json::{Value, json};

use super::World;

struct Api {
    site: Site,
    wake: Wake,
    token: String,
}

struct Answer {
    status: u16,
    allow: String,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    /// Status and code, after a look at the sentence.
    fn refusal(&self) -> (u16, String) {
        let body = self.json();
        assert!(body["error"].as_str().is_some_and(|sentence| sentence.ends_with(['.', '…'])), "{body}");
        (self.status, body["code"].as_str().unwrap().to_owned())
    }

    fn fields(&self) -> Vec<String> {
        assert_eq!(self.refusal(), (422, "invalid_request".into()));
        self.json()["fields"].as_array().unwrap().iter().map(|field| field["field"].as_str().unwrap().to_owned()).collect()
    }
}

impl Api {
    fn new(world: &mut World) -> Self {
        Self { site: world.site(), wake: Wake::default(), token: world.make.worker_token() }
    }

    fn request(&self, path: &str) -> TestRequest {
        TestRequest::post()
            .uri(&format!("/worker/v1{path}"))
            .insert_header(("authorization", format!("Bearer {}", self.token)))
            .insert_header(("content-type", "application/json"))
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(path).set_payload(body.to_string())).await
    }

    async fn send(&self, request: TestRequest) -> Answer {
        let app = App::new()
            .app_data(web::Data::new(self.site.clone()))
            .app_data(web::Data::new(self.wake.clone()))
            .configure(worker_api::configure);
        let service = test::init_service(app).await;
        let response: ServiceResponse = test::call_service(&service, request.to_request()).await;
        let header = |name: &str| response.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        let (status, allow) = (response.status().as_u16(), header("allow"));
        assert!(status == 204 || header("content-type").starts_with("application/json"), "{status}: {}", header("content-type"));
        assert_eq!(header("www-authenticate") == "Bearer", status == 401);
        let text = String::from_utf8(test::read_body(response).await.to_vec()).unwrap();
        Answer { status, allow, text }
    }
}

#[actix_web::test]
async fn a_worker_claims_reports_and_completes() {
    let mut world = World::new();
    let api = Api::new(&mut world);
    let claim = json!({"kinds": ["analysis"], "wait_s": 0});
    let nothing = api.post("/claim", &claim).await;
    assert_eq!((nothing.status, nothing.text.as_str()), (204, ""));

    let id = world.queue(clock::now());
    let public = world.kind().public_id(id);
    let claimed = api.post("/claim", &claim).await;
    assert_eq!(claimed.status, 200);
    let lease = claimed.json()["job"]["lease"].as_str().unwrap().to_owned();
    let expires = claimed.json()["job"]["lease_expires_at"].as_str().unwrap().to_owned();
    let expected = format!(
        r#"{{"job":{{"id":"{public}","kind":"analysis","environment":"live","input":{{"n": 1.0}},"lease":"{lease}","lease_expires_at":"{expires}"}}}}"#
    );
    assert_eq!(claimed.text, expected);

    let report = |word: &str| format!("/jobs/{public}/{word}");
    let answer = api.post(&report("progress"), &json!({"lease": lease, "percentage": 55})).await;
    assert_eq!((answer.status, answer.json()), (200, json!({"status": "processing", "percentage": 55})));
    let body = format!(r#"{{"result": {{"b": 1.0,"a":[]}}, "lease": "{lease}"}}"#);
    let answer = api.send(api.request(&report("complete")).set_payload(body.clone())).await;
    assert_eq!((answer.status, answer.json()), (200, json!({"status": "completed", "percentage": 100})));
    assert_eq!(world.read(id).result.unwrap().as_str(), r#"{"b": 1.0,"a":[]}"#);
    let again = api.send(api.request(&report("complete")).set_payload(body)).await;
    assert_eq!(again.refusal(), (409, "conflict".into()));

    let id = world.queue(clock::now());
    let lease = api.post("/claim", &json!({"kinds": ["analysis"]})).await.json()["job"]["lease"].clone();
    let path = format!("/jobs/{}/fail", world.kind().public_id(id));
    let answer = api.post(&path, &json!({"lease": lease, "code": "bad_video", "message": ""})).await;
    assert_eq!((answer.status, answer.json()), (200, json!({"status": "failed", "percentage": 0})));
}

#[actix_web::test]
async fn sandbox_jobs_are_not_for_real_workers() {
    let mut world = World::new();
    world.queue_sandbox("{}");
    let api = Api::new(&mut world);
    assert_eq!(api.post("/claim", &json!({"kinds": ["analysis"]})).await.status, 204);
}

#[actix_web::test]
async fn a_long_poll_is_answered_by_a_ring_by_the_stop_and_by_its_end() {
    let mut world = World::new();
    let api = Api::new(&mut world);
    let poll = |wait_s: u32| json!({"kinds": ["analysis"], "wait_s": wait_s});
    let soon = Duration::from_millis(200);

    let started = Instant::now();
    let queue = async {
        actix_web::rt::time::sleep(soon).await;
        let id = world.queue(clock::now());
        api.wake.ring();
        id
    };
    let body = poll(30);
    let (answer, id) = join(api.post("/claim", &body), queue).await;
    assert_eq!(answer.json()["job"]["id"], world.kind().public_id(id));
    assert!(started.elapsed() < Duration::from_secs(10));

    let started = Instant::now();
    assert_eq!(api.post("/claim", &poll(1)).await.status, 204);
    assert!((1..10).contains(&started.elapsed().as_secs()));

    let stop = async {
        actix_web::rt::time::sleep(soon).await;
        api.wake.stop();
    };
    let started = Instant::now();
    let body = poll(30);
    let (answer, ()) = join(api.post("/claim", &body), stop).await;
    assert_eq!(answer.status, 204);
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[actix_web::test]
async fn only_worker_tokens_pass() {
    let mut world = World::new();
    let api = Api::new(&mut world);
    let request = |authorization: &[String]| {
        let mut request = TestRequest::post().uri("/worker/v1/claim").insert_header(("content-type", "application/json"));
        for value in authorization {
            request = request.append_header(("authorization", value.as_str()));
        }
        request.set_payload(r#"{"kinds":["analysis"]}"#)
    };
    let good = format!("Bearer {}", api.token);
    let key = format!("Bearer {}", world.make.a_key().text);
    let bad: [&[String]; 7] = [
        &[],
        &[key],
        &["Bearer".into()],
        &["Bearer lkw_0000000000000000000000000000000000000000".into()],
        &[format!("Basic {}", api.token)],
        std::slice::from_ref(&api.token),
        &[good.clone(), good.clone()],
    ];
    for authorization in bad {
        assert_eq!(api.send(request(authorization)).await.refusal(), (401, "unauthenticated".into()), "{authorization:?}");
    }
    assert_eq!(api.send(request(&[good])).await.status, 204);
    // Not even a broken body is looked at before the token is.
    let broken = TestRequest::post().uri("/worker/v1/claim").set_payload("{");
    assert_eq!(api.send(broken).await.status, 401);
}

#[actix_web::test]
async fn bad_bodies_are_refused_and_change_nothing() {
    let mut world = World::new();
    let api = Api::new(&mut world);
    let id = world.queue(clock::now());
    let lease = api.post("/claim", &json!({"kinds": ["analysis"]})).await.json()["job"]["lease"].as_str().unwrap().to_owned();
    let before = (format!("{:?}", world.read(id)), world.payloads(id));
    let report = |word: &str| format!("/jobs/{}/{word}", world.kind().public_id(id));
    let (progress, complete, fail) = (report("progress"), report("complete"), report("fail"));

    let raw: [&[u8]; 6] = [b"", b"{", b"{\"lease\":\"\xff\"}", b"{\"lease\":\"\0\"}", b"{} {}", b"\0"];
    for body in raw {
        let answer = api.send(api.request(&complete).set_payload(body.to_vec())).await;
        assert_eq!(answer.refusal(), (400, "invalid_json".into()), "{body:?}");
    }
    let large = format!(r#"{{"lease":"{lease}","result":{{"a":"{}"}}}}"#, "x".repeat(1 << 20));
    assert_eq!(api.send(api.request(&complete).set_payload(large)).await.refusal(), (413, "too_large".into()));
    assert_eq!(api.send(api.request(&complete).set_payload(vec![b' '; 2 << 20])).await.refusal(), (413, "too_large".into()));
    for kind in ["text/plain", "application/x-www-form-urlencoded", ""] {
        let request = api.request(&complete).insert_header(("content-type", kind)).set_payload("{}");
        assert_eq!(api.send(request).await.refusal(), (415, "unsupported_media_type".into()));
    }

    let deep = format!(r#"{{"lease":"{lease}","result":{{"a":{}{}}}}}"#, "[".repeat(200_000), "]".repeat(200_000));
    assert_eq!(api.send(api.request(&complete).set_payload(deep)).await.fields(), ["result"]);
    let cases = [
        (&progress, json!([]), vec!["body"]),
        (&progress, json!({}), vec!["lease", "percentage"]),
        (&progress, json!({"lease": 5, "percentage": "50"}), vec!["lease", "percentage"]),
        (&progress, json!({"lease": "no-uuid", "percentage": 5.5}), vec!["lease", "percentage"]),
        (&progress, json!({"lease": lease, "percentage": 101}), vec!["percentage"]),
        (&progress, json!({"lease": lease, "percentage": -1}), vec!["percentage"]),
        (&progress, json!({"lease": lease, "percentage": 1e30}), vec!["percentage"]),
        (&complete, json!({"lease": lease}), vec!["result"]),
        (&complete, json!({"lease": lease, "result": null}), vec!["result"]),
        (&complete, json!({"lease": lease, "result": [1]}), vec!["result"]),
        (&fail, json!({"lease": lease, "code": 1, "message": null}), vec!["code", "message"]),
        (&fail, json!({"lease": lease, "code": "", "message": "x".repeat(1001)}), vec!["code", "message"]),
        (&fail, json!({"lease": lease, "code": "a\0b", "message": "\0"}), vec!["code", "message"]),
    ];
    for (path, body, fields) in cases {
        assert_eq!(api.post(path, &body).await.fields(), fields, "{body}");
    }
    for (body, field) in [
        (json!({}), "kinds"),
        (json!({"kinds": []}), "kinds"),
        (json!({"kinds": "analysis"}), "kinds"),
        (json!({"kinds": ["analysis", "\0"]}), "kinds"),
        (json!({"kinds": ["analysis"], "wait_s": 31}), "wait_s"),
        (json!({"kinds": ["analysis"], "wait_s": -1}), "wait_s"),
    ] {
        assert_eq!(api.post("/claim", &body).await.fields(), [field], "{body}");
    }
    assert_eq!((format!("{:?}", world.read(id)), world.payloads(id)), before);
    assert_eq!(world.read(id).status(), Status::Processing);
}

#[actix_web::test]
async fn unknown_addresses_and_methods_are_told_in_json() {
    let mut world = World::new();
    let api = Api::new(&mut world);
    let unknown = world.kind().public_id(JobId::new(clock::now()));
    let body = json!({"lease": uuid::Uuid::nil(), "percentage": 1});
    for id in [unknown.as_str(), "an_x", "%00", "%ff", "..", &"9".repeat(5000)] {
        let answer = api.post(&format!("/jobs/{id}/progress"), &body).await;
        assert_eq!(answer.refusal(), (404, "not_found".into()), "{id}");
    }
    for path in ["", "/", "/claims", "/jobs", &format!("/jobs/{unknown}")] {
        assert_eq!(api.post(path, &body).await.refusal(), (404, "not_found".into()), "{path}");
    }
    for path in ["/claim", &format!("/jobs/{unknown}/fail")] {
        let answer = api.send(TestRequest::default().method(Method::PUT).uri(&format!("/worker/v1{path}"))).await;
        assert_eq!((answer.refusal(), answer.allow.as_str()), ((405, "method_not_allowed".into()), "POST"));
    }
}

#[test]
fn a_token_is_made_once_under_a_name() {
    let mut world = World::new();
    let now = clock::now();
    let make = |world: &mut World, name: &str| programs::create_token(&mut world.conn, &Actor::command_line(), now, Kind::Worker, name);
    let token = make(&mut world, " gpu 1 ").unwrap();
    assert!(token.reveal().starts_with("lkw_") && token.reveal().len() == 44);
    assert!(programs::is_known(&mut world.conn, Kind::Worker, token.digest()).unwrap());
    assert!(!programs::is_known(&mut world.conn, Kind::Service, token.digest()).unwrap());
    assert!(!programs::is_known(&mut world.conn, Kind::Worker, SecretDigest::of("lkw_x")).unwrap());
    for bad in ["gpu 1", "", " ", "a\0b", &"x".repeat(101)] {
        let Err(Error::Invalid(fields)) = make(&mut world, bad) else { panic!("{bad:?}") };
        assert_eq!(fields[0].field, "name");
    }
    let person = Actor::person(None, "Ann".into(), "192.0.2.1".into(), "browser".into());
    assert!(matches!(programs::create_token(&mut world.conn, &person, now, Kind::Worker, "mine"), Err(Error::Forbidden)));
    let verified = latchkey::audit::verify(&mut world.conn).unwrap();
    assert!(verified.first_break.is_none());
}
