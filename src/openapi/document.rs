//! The description as an OpenAPI 3.1 document.

use serde_json::{Map, Value, json};

use super::answers::{self, Answer, Header};
use super::{Event, Operation, Parameter, Place, Reference, Scheme};
use crate::profile::{Profile, Scope};

/// The OpenAPI 3.1 document of what this profile serves at this URL.
pub fn document(profile: &Profile, public_url: &str) -> Value {
    let reference = Reference::of(profile, public_url);
    let mut parts = Parts { schemas: reference.schemas.clone(), ..Parts::default() };
    let mut paths = Map::new();
    for operation in &reference.operations {
        let path = paths.entry(&operation.path).or_insert_with(|| json!({}));
        path[operation.method.to_ascii_lowercase()] = parts.operation(&reference.schemes, operation);
    }
    let webhooks: Map<String, Value> =
        reference.events.iter().map(|event| (event.name.clone(), json!({ "post": webhook(&reference, event) }))).collect();
    // For addresses and methods that are not in this document; no operation of it can end so.
    let elsewhere = Answer::of(answers::elsewhere(profile))
        .iter()
        .map(|answer| (answer.cases[0].name.clone(), parts.answer(answer)))
        .collect::<Map<_, _>>();
    let schemes: Map<String, Value> = reference.schemes.iter().map(|scheme| (scheme.name(), scheme.told(profile))).collect();
    json!({
        "openapi": "3.1.1",
        "info": { "title": reference.title, "summary": reference.description, "description": introduction(), "version": env!("CARGO_PKG_VERSION") },
        "externalDocs": { "description": "The same for people", "url": format!("{public_url}/docs/api") },
        "servers": [{ "url": public_url }],
        "paths": paths,
        "webhooks": webhooks,
        "components": { "securitySchemes": schemes, "schemas": parts.schemas, "headers": parts.headers, "responses": elsewhere },
    })
}

fn introduction() -> &'static str {
    "Members may be added to the objects of answers and events, and none is renamed: ignore those that you do not know. Times are RFC 3339 in UTC, ids are opaque texts."
}

impl Scheme {
    /// Its name in the document.
    fn name(&self) -> String {
        match self {
            Self::Bearer => "bearer".into(),
            Self::Header(name) => format!("header.{name}"),
            Self::Parameter(name) => format!("query.{name}"),
        }
    }

    fn told(&self, profile: &Profile) -> Value {
        let what = "Send exactly one key, in one place.";
        match self {
            Self::Bearer => {
                json!({ "type": "http", "scheme": "bearer", "bearerFormat": format!("{}_…", profile.keys.prefix), "description": what })
            }
            Self::Header(name) => json!({ "type": "apiKey", "in": "header", "name": name, "description": what }),
            Self::Parameter(name) => json!({ "type": "apiKey", "in": "query", "name": name, "description": what }),
        }
    }
}

/// Parts that are referred to.
#[derive(Default)]
struct Parts {
    schemas: Map<String, Value>,
    headers: Map<String, Value>,
}

impl Parts {
    fn operation(&mut self, schemes: &[Scheme], operation: &Operation) -> Value {
        let permissions: Vec<&String> = operation.permission.iter().collect();
        let security: Vec<Value> = schemes.iter().map(|scheme| json!({ scheme.name(): permissions })).collect();
        let answers: Map<String, Value> = operation.answers.iter().map(|answer| (answer.status.to_string(), self.answer(answer))).collect();
        let mut told = json!({
            "operationId": operation.id,
            "tags": [operation.group],
            "summary": operation.summary,
            "description": description(operation),
            "security": security,
            "responses": answers,
        });
        if !operation.parameters.is_empty() {
            told["parameters"] = operation.parameters.iter().map(parameter).collect();
        }
        if let Some(body) = &operation.body {
            let content = json!({ "application/json": { "schema": body.schema, "example": read(&body.example) } });
            told["requestBody"] = json!({ "required": body.required, "content": content });
        }
        told
    }

    fn answer(&mut self, answer: &Answer) -> Value {
        let mut schemas: Vec<Value> = Vec::new();
        let mut examples = Map::new();
        for case in &answer.cases {
            let schema = if case.name == "ok" { case.schema.clone() } else { self.named(&format!("Error.{}", case.name), &case.schema) };
            if !schemas.contains(&schema) {
                schemas.push(schema);
            }
            examples.insert(case.name.clone(), json!({ "summary": case.what, "value": read(&case.example) }));
        }
        let schema = if schemas.len() == 1 { schemas.remove(0) } else { json!({ "anyOf": schemas }) };
        let headers: Map<String, Value> =
            answer.headers().into_iter().map(|header| (header.name.to_owned(), self.header(header))).collect();
        let whats: Vec<&str> = answer.cases.iter().map(|case| case.what.as_str()).collect();
        json!({
            "description": whats.join(" "),
            "headers": headers,
            "content": { "application/json": { "schema": schema, "examples": examples } },
        })
    }

    fn named(&mut self, name: &str, schema: &Value) -> Value {
        match self.schemas.entry(name).or_insert_with(|| schema.clone()) {
            same if *same == *schema => json!({ "$ref": format!("#/components/schemas/{name}") }),
            _ => schema.clone(),
        }
    }

    fn header(&mut self, header: Header) -> Value {
        let told = json!({ "description": header.what, "schema": header.schema, "required": header.always });
        match self.headers.entry(header.name).or_insert_with(|| told.clone()) {
            same if *same == told => json!({ "$ref": format!("#/components/headers/{}", header.name) }),
            _ => told,
        }
    }
}

fn parameter(parameter: &Parameter) -> Value {
    let mut told = json!({
        "name": parameter.name,
        "in": parameter.place.as_str(),
        "required": parameter.required,
        "description": parameter.what,
        "schema": parameter.schema,
    });
    if parameter.place == Place::Query {
        // Empty counts as absent.
        told["allowEmptyValue"] = json!(true);
    }
    if let Some(example) = &parameter.example {
        told["example"] = example.clone();
    }
    told
}

fn description(operation: &Operation) -> String {
    let mut parts = Vec::from_iter(operation.price.clone());
    parts.extend(operation.permission.as_ref().map(|permission| format!("Needs the permission {permission}.")));
    parts.extend(operation.limit.as_ref().map(|limit| {
        let scope = if limit.scope == Scope::Key { "key" } else { "organization" };
        format!(
            "Counts in the limit {}: {} requests in {} s for each {scope}, unless yours was set otherwise.",
            limit.name,
            limit.requests,
            limit.window.as_secs()
        )
    }));
    parts.join(" ")
}

fn webhook(reference: &Reference, event: &Event) -> Value {
    let like = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    let header = |name: &str, schema: Value, what: String| json!({ "name": name, "in": "header", "required": true, "schema": schema, "description": what });
    let mut headers = vec![
        header("webhook-id", like("^evt_[0-9A-Za-z]{22}$"), "The event's id, the same on every attempt.".into()),
        header("webhook-timestamp", like("^[0-9]+$"), "Seconds since 1970, of this attempt.".into()),
        header(
            "webhook-signature",
            like("^v1,[0-9A-Za-z+/]+=*( v1,[0-9A-Za-z+/]+=*)*$"),
            "Standard Webhooks: HMAC-SHA256 of id, timestamp and body.".into(),
        ),
    ];
    headers.extend(reference.signatures.iter().map(|signature| {
        let what = format!("{}, with the HMAC-SHA256 of {} by the newest secret.", signature.value, signature.signed);
        header(&signature.name, json!({ "type": "string" }), what)
    }));
    json!({
        "operationId": format!("event-{}", event.name.replace('.', "-")),
        "tags": ["Events"],
        "summary": event.what,
        // The signature is all that tells who sends it.
        "security": [],
        "parameters": headers,
        "requestBody": { "required": true, "content": { "application/json": { "schema": event.schema, "example": read(&event.example) } } },
        "responses": {
            "2XX": { "description": "Received." },
            "410": { "description": "Gone: the webhook is switched off." },
            "default": { "description": "Not received, redirects too: it is sent again later." },
        },
    })
}

/// Examples are kept as the text that is sent.
fn read(example: &str) -> Value {
    serde_json::from_str(example).unwrap_or(Value::Null)
}
