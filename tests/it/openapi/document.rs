//! The document by itself, and how it is served.

use std::collections::BTreeSet;

use latchkey::openapi::document;
use serde_json::{Value, json};

use super::{PUBLIC_URL, closed, judge, profiles};
use crate::support::App;

#[test]
fn every_route_and_no_other_is_in_the_document() {
    for (name, profile) in profiles() {
        let document = document(&profile, PUBLIC_URL);
        let served: BTreeSet<(String, String)> =
            profile.routes.iter().map(|route| (profile.full_path(route), route.method.as_str().to_lowercase())).collect();
        let mut told = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                told.insert((path.clone(), method.clone()));
                assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{name}: {method} {path}: the id is another's");
            }
        }
        assert_eq!(told, served, "{name}");
        for route in &profile.routes {
            let operation = &document["paths"][profile.full_path(route)][route.method.as_str().to_lowercase()];
            let needed: Vec<&String> = route.permission.iter().collect();
            assert_eq!(operation["security"][0]["bearer"], json!(needed), "{name}: {}", route.path);
            let ways = 1 + profile.api.key_headers.len() + profile.api.key_parameters.len();
            assert_eq!(operation["security"].as_array().unwrap().len(), ways);
        }
        assert_eq!(document["servers"], json!([{ "url": PUBLIC_URL }]));
    }
}

#[test]
fn the_document_is_valid_and_its_examples_are_what_they_say() {
    let names: Vec<String> = profiles().into_iter().map(|(name, _)| name).collect();
    let documents: Vec<Value> = profiles().iter().map(|(_, profile)| closed(document(profile, PUBLIC_URL))).collect();
    let cases: Vec<Value> = documents.iter().map(|document| json!({ "document": document, "exchanges": [] })).collect();
    for (name, complaints) in names.iter().zip(judge(&cases)) {
        assert!(complaints.is_empty(), "{name}: {complaints:#?}");
    }
    let mut broken = documents[0].clone();
    broken["paths"]["/key"]["get"]["responses"]["200"]["content"]["application/json"]["examples"]["ok"]["value"]["status"] = json!("idle");
    broken["info"]["title"] = json!(1);
    let complaints = judge(&[json!({ "document": broken, "exchanges": [] })]).remove(0);
    assert_eq!(complaints.len(), 2, "who judges does look: {complaints:?}");
}

#[test]
fn events_are_those_that_are_sent() {
    for (name, profile) in profiles() {
        let document = closed(document(&profile, PUBLIC_URL));
        let told: BTreeSet<String> = document["webhooks"].as_object().unwrap().keys().cloned().collect();
        let sent: BTreeSet<String> = latchkey::webhooks::event_types(&profile).into_iter().map(|event| event.name).collect();
        assert_eq!(told, sent, "{name}");
        let content = |event: &str| document["webhooks"][event]["post"]["requestBody"]["content"]["application/json"].clone();
        let mut filled = document.clone();
        for event in &sent {
            let payload = latchkey::webhooks::test_payload(&profile, latchkey::clock::now(), Some(event)).unwrap();
            let payload: Value = serde_json::from_str(payload.as_str()).unwrap();
            assert_eq!(content(event)["example"]["event_type"], payload["event_type"]);
            filled["webhooks"][event]["post"]["requestBody"]["content"]["application/json"]["example"] = payload;
        }
        let complaints = judge(&[json!({ "document": filled, "exchanges": [] })]).remove(0);
        assert!(complaints.is_empty(), "{name}: {complaints:#?}");
    }
}

#[actix_web::test]
async fn anybody_may_read_it_also_from_other_sites() {
    let app = App::start();
    let answer = app.anon().get("/openapi.json").header("origin", "https://tools.example").send().await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    assert_eq!((answer.header("access-control-allow-origin"), answer.header("cache-control")), ("*", "public, max-age=300"));
    assert_eq!(answer.json(), document(&app.site.profile, &app.site.public_url));
    let again = app.anon().get("/openapi.json").header("if-none-match", answer.header("etag")).send().await;
    assert_eq!((again.status, again.body.len(), again.header("access-control-allow-origin")), (304, 0, "*"));
    let head = app.anon().request(awc::http::Method::HEAD, "/openapi.json").send().await;
    assert_eq!((head.status, head.body.len(), head.header("etag")), (200, 0, answer.header("etag")));
    let wrong = app.anon().post("/openapi.json").send().await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, "GET, HEAD"));
    let page = app.anon().get("/docs/api").send().await;
    assert_eq!((page.status, page.header("access-control-allow-origin")), (200, ""));
    let signed_in = app.browser(app.make().org().admin().an_admin()).await;
    for path in ["/openapi.json", "/docs/api"] {
        assert_eq!(signed_in.get(path).send().await.header("set-cookie"), "", "{path}: it is kept by caches");
    }
}
