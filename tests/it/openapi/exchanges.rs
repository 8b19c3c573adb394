//! A real server's answers beside the document: bodies, headers, and the examples, which say what is sent word for word.

use std::collections::BTreeMap;

use awc::http::Method;
use latchkey::profile::{Action, Profile, Route};
use serde_json::{Value, json};

use super::{closed, judge, profiles};
use crate::admission::order::make_wrong;
use crate::support::{Answer, App, Client, NOBODY, key_text};

/// What came from a profile's server, and what its document says of it.
struct Ground {
    app: App,
    document: Value,
    exchanges: Vec<Value>,
}

impl Ground {
    async fn new(profile: &Profile) -> Self {
        let app = App::with(profile.clone());
        let document = closed(app.anon().get("/openapi.json").send().await.json());
        Self { app, document, exchanges: Vec::new() }
    }

    fn route(&self, action: Action) -> Option<&Route> {
        self.app.site.profile.route_for(action)
    }

    /// Keeps an answer for the judge.
    fn keep(&mut self, action: Action, answer: &Answer) {
        let profile = self.app.site.profile.clone();
        let route = profile.route_for(action).unwrap();
        let text = |value: &awc::http::header::HeaderValue| value.to_str().unwrap().to_owned();
        let headers: BTreeMap<&str, String> = answer.headers.iter().map(|(name, value)| (name.as_str(), text(value))).collect();
        let exchange = json!({
            "method": route.method.as_str(), "path": profile.full_path(route), "status": answer.status, "headers": headers, "body": answer.json(),
        });
        self.exchanges.push(exchange);
    }

    /// The same; and the document has this very body as the example of `case`.
    fn keep_told(&mut self, action: Action, case: &str, answer: &Answer) {
        self.keep(action, answer);
        let asked = self.exchanges.last().unwrap();
        let (path, method) = (asked["path"].as_str().unwrap(), asked["method"].as_str().unwrap().to_lowercase());
        let told = &self.document["paths"][path][method]["responses"][answer.status.to_string()];
        let example = &told["content"]["application/json"]["examples"][case]["value"];
        assert_eq!(*example, answer.json(), "{path} {case}");
    }

    /// Sends what a route takes, as a program with this key.
    async fn ask(&self, client: &Client, action: Action, id: &str) -> Answer {
        let route = self.route(action).unwrap();
        let path = self.app.site.profile.full_path(route).replace("{id}", id);
        let request = client.request(Method::from_bytes(route.method.as_str().as_bytes()).unwrap(), &path);
        match action {
            Action::JobsCreate => request.json(&json!({ "input": {}, "external_reference": "a" })).send().await,
            Action::WebhookPut => request.json(&json!({ "url": NOBODY })).send().await,
            Action::WebhookTest => request.json(&json!({})).send().await,
            _ => request.send().await,
        }
    }

    fn end(self, name: &str) {
        let complaints = judge(&[json!({ "document": self.document, "exchanges": self.exchanges })]).remove(0);
        assert!(complaints.is_empty(), "{name}: {complaints:#?}");
    }
}

#[actix_web::test]
async fn refusals_are_those_of_the_document_word_for_word() {
    for (name, profile) in profiles() {
        let mut ground = Ground::new(&profile).await;
        let action = if profile.jobs.is_empty() { Action::KeyRead } else { Action::JobsCreate };
        let answer = ground.ask(&ground.app.anon(), action, "").await;
        ground.keep_told(action, "missing", &answer);
        let unknown = Client::bearer(&ground.app.origin(), &key_text(&profile, profile.default_environment()));
        let answer = ground.ask(&unknown, action, "").await;
        ground.keep_told(action, "unknown", &answer);
        let needs_permission = ground.route(action).unwrap().permission.is_some();
        for wrong in ["suspended", "revoked", "expired", "inactive", "permission", "credits"] {
            if wrong == "permission" && !needs_permission || wrong == "credits" && profile.jobs.is_empty() {
                continue;
            }
            let scene = ground.app.make().org().admin().key();
            make_wrong(&mut ground.app.database().conn(), scene.here().id, scene.a_key(), wrong);
            let answer = ground.ask(&ground.app.partner(scene.a_key()), action, "").await;
            ground.keep_told(action, wrong, &answer);
        }
        let scene = ground.app.make().org().requests_per_minute(1).credits(1_000).key();
        let partner = ground.app.partner(scene.a_key());
        // Each limit lets one pass at least.
        let mut answer = ground.ask(&partner, action, "").await;
        while answer.status < 400 {
            ground.keep(action, &answer);
            answer = ground.ask(&partner, action, "").await;
        }
        assert_eq!(answer.status, profile.refusals.rate_limited.status, "{name}: {}", answer.text());
        ground.keep(action, &answer);
        ground.end(&name);
    }
}

#[actix_web::test]
async fn errors_are_those_of_the_document_word_for_word() {
    for (name, profile) in profiles().into_iter().filter(|(_, profile)| !profile.jobs.is_empty()) {
        let mut ground = Ground::new(&profile).await;
        let scene = ground.app.make().org().requests_per_minute(10_000).credits(100).key();
        let partner = ground.app.partner(scene.a_key());
        let create = profile.full_path(ground.route(Action::JobsCreate).unwrap());
        let order = |body: &str| partner.post(&create).header("content-type", "application/json").body(body);
        let long = format!("{{\"input\":\"{}\"}}", "x".repeat(100 << 10));
        let bearer = format!("Bearer {}", scene.a_key().text);
        for (case, request) in [
            ("ambiguous_credentials", order("{}").also_header("authorization", &bearer)),
            ("invalid_json", order("x")),
            ("too_large", order(&long)),
            ("unsupported_media_type", order("{}").header("content-type", "text/plain")),
            ("invalid_request", order("{}")),
        ] {
            let answer = request.send().await;
            ground.keep_told(Action::JobsCreate, case, &answer);
        }
        let answer = ground.ask(&partner, Action::JobsRead, "nothing").await;
        ground.keep_told(Action::JobsRead, "not_found", &answer);
        if ground.route(Action::WebhookTest).is_some() {
            let answer = ground.ask(&partner, Action::WebhookTest, "").await;
            ground.keep_told(Action::WebhookTest, "conflict", &answer);
        }
        let elsewhere = [
            ("not_found", partner.get("/nothing")),
            ("method_not_allowed", partner.post(&profile.full_path(ground.route(Action::KeyRead).unwrap()))),
        ];
        for (case, request) in elsewhere {
            let answer = request.send().await;
            let told = &ground.document["components"]["responses"][case]["content"]["application/json"]["examples"][case]["value"];
            assert_eq!(answer.json(), *told, "{name}: {case}");
        }
        ground.end(&name);
    }
}

#[actix_web::test]
async fn what_goes_well_is_as_the_document_says() {
    for (name, profile) in profiles() {
        let mut ground = Ground::new(&profile).await;
        let scene = ground.app.make().org().requests_per_minute(10_000).credits(100).admin().key();
        let partner = ground.app.partner(scene.a_key());
        let mut id = String::new();
        if let Some(job) = profile.jobs.first() {
            let answer = ground.ask(&partner, Action::JobsCreate, "").await;
            assert_eq!(answer.status, 202);
            ground.keep(Action::JobsCreate, &answer);
            id = answer.json()[&job.id_field].as_str().unwrap().to_owned();
            let answer = ground.ask(&partner, Action::JobsResults, &id).await;
            assert_eq!(answer.status, 409);
            ground.keep(Action::JobsResults, &answer);
        }
        use Action::{
            CreditsEntries, CreditsRead, EventsRead, JobsRead, KeyRead, UsageRead, WebhookDelete, WebhookPut, WebhookRead, WebhookTest,
        };
        for action in [
            JobsRead,
            CreditsRead,
            CreditsEntries,
            UsageRead,
            KeyRead,
            WebhookPut,
            WebhookRead,
            WebhookTest,
            WebhookDelete,
            WebhookRead,
            EventsRead,
        ] {
            if ground.route(action).is_some() {
                let answer = ground.ask(&partner, action, &id).await;
                assert_eq!(answer.status, 200, "{name}: {action:?}: {}", answer.text());
                ground.keep(action, &answer);
            }
        }
        assert!(ground.exchanges.len() >= 4, "{name}");
        ground.end(&name);
    }
}
