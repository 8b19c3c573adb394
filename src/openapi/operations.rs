//! The routes: what each takes, costs, needs and can answer.

use serde_json::Value;

use super::answers::{self, Answer, Case, conflict, done, error, invalid, not_found, of_body};
use super::bounds::{INPUT, REFERENCE};
use super::events::{self, Event};
use super::parameters::{self, Parameter, Place};
use super::schema::{Member, Named, anything, closed, flag, or_null, pattern, said, text_of, word};
use super::shapes::{self, Shape};
use crate::error::ClientError;
use crate::profile::{Action, Charge, JobKind, Limit, Profile, Route, shell_word, with_article};

/// One route.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Unique, for programs and for links.
    pub id: String,
    /// The group that it stands in.
    pub group: &'static str,
    /// `POST`.
    pub method: &'static str,
    /// Whole, with `{id}`.
    pub path: String,
    /// What it does, a sentence.
    pub summary: String,
    /// What it costs, where it costs or could be thought to.
    pub price: Option<String>,
    /// The permission it needs.
    pub permission: Option<String>,
    /// The limit it counts in.
    pub limit: Option<Limit>,
    /// What it takes beside a body.
    pub parameters: Vec<Parameter>,
    /// What it takes as JSON.
    pub body: Option<Body>,
    /// What it can answer, by status.
    pub answers: Vec<Answer>,
    /// A request for a shell, with the key in `$API_KEY`.
    pub curl: String,
}

/// A body of a request: a JSON object.
#[derive(Debug, Clone)]
pub struct Body {
    /// Its members; there may be no others.
    pub members: Vec<Parameter>,
    /// The same as a schema.
    pub schema: Value,
    /// One, as it is sent.
    pub example: String,
    /// Whether there has to be one.
    pub required: bool,
}

impl Body {
    fn of(members: &[Member<'_>], example: String, required: bool) -> Self {
        let told = |(name, schema, required): &Member<'_>| Parameter {
            name: (*name).to_owned(),
            place: Place::Body,
            required: *required,
            what: schema["description"].as_str().unwrap_or_default().to_owned(),
            schema: schema.clone(),
            example: None,
        };
        Self { members: members.iter().map(told).collect(), schema: closed(members), example, required }
    }
}

impl Operation {
    /// The answer when all goes well.
    pub fn success(&self) -> Option<&Case> {
        self.answers.iter().flat_map(|answer| &answer.cases).find(|case| case.name == "ok")
    }
}

/// Every route of the profile, in its order.
pub(super) fn operations(profile: &Profile, public_url: &str, named: &mut Named) -> Vec<Operation> {
    let mut operations: Vec<Operation> = Vec::new();
    for route in &profile.routes {
        let mut operation = operation(profile, public_url, route, named);
        let alike =
            operations.iter().filter(|known| known.id.trim_end_matches(|c: char| c == '-' || c.is_ascii_digit()) == operation.id).count();
        if alike > 0 {
            operation.id = format!("{}-{}", operation.id, alike + 1);
        }
        operations.push(operation);
    }
    operations
}

fn operation(profile: &Profile, public_url: &str, route: &Route, named: &mut Named) -> Operation {
    let about = About::of(profile, route);
    let limit = answers::limit_of(profile, route);
    let parameters = parameters::parameters(profile, route);
    let (body, mut cases) = about.takes_and_tells(named);
    // What came past admission was counted.
    for case in cases.iter_mut().filter(|case| case.status < 500 || case.name == "feed_behind") {
        case.headers.extend(limit.map(answers::counted).unwrap_or_default());
    }
    cases.extend(answers::refusals_of(profile, route, about.price()));
    cases.extend(answers::everywhere(profile));
    let path = profile.full_path(route);
    let curl = curl(&format!("{public_url}{path}"), route.method.as_str(), &parameters, body.as_ref());
    let (group, id, summary) = about.words();
    Operation {
        id,
        group,
        method: route.method.as_str(),
        path,
        summary,
        price: about.costs(),
        permission: route.permission.clone(),
        limit: limit.cloned(),
        parameters,
        body,
        answers: Answer::of(cases),
        curl,
    }
}

/// One line for each part, for a POSIX shell.
fn curl(url: &str, method: &str, parameters: &[Parameter], body: Option<&Body>) -> String {
    let given = parameters.iter().filter(|parameter| parameter.place == Place::Path);
    let url = given.fold(url.to_owned(), |url, parameter| {
        url.replace(&format!("{{{}}}", parameter.name), parameter.example.as_ref().and_then(Value::as_str).unwrap_or_default())
    });
    let method = match (method, body) {
        ("GET", _) | ("POST", Some(_)) => String::new(),
        (method, _) => format!("-X {method} "),
    };
    let mut command = format!("curl {method}{url} \\\n  -H \"Authorization: Bearer $API_KEY\"");
    if let Some(body) = body {
        command.push_str(&format!(" \\\n  -H \"Content-Type: application/json\" \\\n  -d {}", shell_word(&body.example)));
    }
    command
}

/// A route and what its words speak of.
struct About<'a> {
    profile: &'a Profile,
    route: &'a Route,
    kind: Option<&'a JobKind>,
    noun: &'a str,
}

impl<'a> About<'a> {
    fn of(profile: &'a Profile, route: &'a Route) -> Self {
        let own = route.job.as_deref().and_then(|kind| profile.job_kind(kind));
        let noun = match (own, profile.jobs.as_slice()) {
            (Some(kind), _) | (None, [kind]) => kind.noun.as_str(),
            _ => "job",
        };
        Self { profile, route, kind: own.or(profile.jobs.first()), noun }
    }

    /// `an analysis`.
    fn a_noun(&self) -> String {
        with_article(self.noun)
    }

    /// Credits.
    fn price(&self) -> i64 {
        if self.route.action == Action::JobsCreate { self.kind.map_or(0, |kind| i64::from(kind.price)) } else { 0 }
    }

    fn costs(&self) -> Option<String> {
        let kind = self.kind.filter(|_| self.route.action == Action::JobsCreate)?;
        let credits = match kind.price {
            0 => return Some("Costs nothing.".into()),
            1 => "1 credit".to_owned(),
            more => format!("{more} credits"),
        };
        let mut text = match kind.charge {
            Charge::OnStart => format!("Costs {credits}, charged at once and kept when it fails."),
            Charge::OnSuccess => format!("Costs {credits}, held at once and charged when it completes; a failure costs nothing."),
        };
        for environment in self.profile.keys.environments.iter().filter(|environment| environment.sandbox) {
            text.push_str(&format!(" Costs nothing with a {} key.", environment.name));
        }
        Some(text)
    }

    /// Group, id and summary.
    fn words(&self) -> (&'static str, String, String) {
        let kind =
            self.route.job.as_deref().or_else(|| Some(&self.profile.jobs.first()?.kind)).filter(|_| self.noun != "job").unwrap_or("job");
        let said = |group, id: &str, summary: String| (group, id.replace('_', "-"), summary);
        match self.route.action {
            Action::JobsCreate => said("Jobs", &format!("create-{kind}"), format!("Create {}.", self.a_noun())),
            Action::JobsRead => said("Jobs", &format!("read-{kind}"), format!("Read how far {} has come.", self.a_noun())),
            Action::JobsResults => {
                said("Jobs", &format!("read-{kind}-results"), format!("Read what {} came to, once it is completed.", self.a_noun()))
            }
            Action::CreditsRead => said("Credits", "read-credits", "Read how many credits are available.".into()),
            Action::CreditsEntries => {
                said("Credits", "list-entries", "List every credit granted, held, settled or released, newest first.".into())
            }
            Action::UsageRead => said("Usage", "list-requests", "List the requests of your organization's keys, newest first.".into()),
            Action::KeyRead => {
                said("Key", "read-key", "Read what this key is: its organization, its permissions, its limit and the credits.".into())
            }
            Action::WebhookRead => said("Webhook", "read-webhook", "Read where events go; {} when they go nowhere.".into()),
            Action::WebhookPut => {
                said("Webhook", "save-webhook", "Say where events go. The first time, the answer tells the signing secret, once.".into())
            }
            Action::WebhookDelete => {
                said("Webhook", "remove-webhook", "Let events go nowhere. What still waits to be sent is given up.".into())
            }
            Action::WebhookTest => said("Webhook", "test-webhook", "Send a test event now, once, and read what came of it.".into()),
            Action::EventsRead => said("Events", "list-events", "Read events again, oldest first, after the last one that you saw.".into()),
        }
    }

    /// The body, and the cases beyond refusals and what can happen everywhere.
    fn takes_and_tells(&self, named: &mut Named) -> (Option<Body>, Vec<Case>) {
        let (profile, route, limit) = (self.profile, self.route, answers::limit_of(self.profile, self.route));
        let ok = |what: &str, (schema, example): Shape| done(200, what, schema, example);
        let number = || invalid(route.name("limit"), "Send a number from 1 to 100.");
        match (route.action, self.kind) {
            (Action::JobsCreate, Some(kind)) => self.creating(kind, named),
            (Action::JobsRead, Some(kind)) => {
                let found = ok("How far it has come.", shapes::job(profile, kind, named, false));
                (None, vec![found, self.no_job()])
            }
            (Action::JobsResults, Some(kind)) => {
                let unfinished = format!("This {} is not finished yet: it is processing.", kind.noun);
                let early = conflict(profile, &unfinished, "It is not finished yet, or failed and has no results.");
                (None, vec![ok("What it came to.", shapes::results(kind, named)), self.no_job(), early])
            }
            // A checked profile has a kind for each of these.
            (Action::JobsCreate | Action::JobsRead | Action::JobsResults, None) => (None, Vec::new()),
            (Action::CreditsRead, _) => (None, vec![ok("The balance.", shapes::balance(named))]),
            (Action::CreditsEntries, _) => (None, vec![ok("A page of the ledger.", shapes::entries(profile, route, named)), number()]),
            (Action::UsageRead, _) => {
                let page = shapes::requests(profile, route, named);
                (None, vec![ok("A page of the history.", page), number()])
            }
            (Action::KeyRead, _) => (None, vec![ok("What it is.", shapes::key(profile, limit, named))]),
            (Action::WebhookRead, _) => (None, vec![ok("Where events go.", shapes::webhook(named))]),
            (Action::WebhookDelete, _) => (None, vec![ok("They go nowhere.", shapes::no_webhook())]),
            (Action::WebhookPut, _) => self.saving(named),
            (Action::WebhookTest, _) => self.testing(named),
            (Action::EventsRead, _) => {
                let events = events::events(profile, named);
                let payloads: Vec<Value> = events.iter().map(|event| event.schema.clone()).collect();
                let text = "Many events before this one were never read and are being put in order. Ask again in a second.";
                let behind = ClientError { retry_after_s: Some(1), ..ClientError::new(503, "feed_behind", text) };
                let behind = error(profile, &behind, "Many events before this one were never read and are being put in order.");
                let page = ok("A page of the feed.", shapes::feed(&payloads, sample(&events), named));
                (None, vec![page, number(), behind])
            }
        }
    }

    fn no_job(&self) -> Case {
        let environment = if self.profile.keys.environments.len() > 1 { " in this key's environment" } else { "" };
        not_found(self.profile, &format!("Your organization has no such {}{environment}.", self.noun))
    }

    fn creating(&self, kind: &JobKind, named: &mut Named) -> (Option<Body>, Vec<Case>) {
        let input = said(anything(), &format!("What the work is to be done on, as JSON of {} KiB at most.", INPUT / 1024));
        let members = [
            ("input", input, true),
            ("external_reference", said(or_null(text_of(REFERENCE)), "What you call it. Comes back in answers and events."), false),
            ("notify_via_webhook", said(or_null(flag()), "Whether its events go to your webhook. They do unless you say false."), false),
        ];
        let example = format!(r#"{{"input":{},"external_reference":"order-1042"}}"#, kind.example_input);
        let (schema, answer) = shapes::job(self.profile, kind, named, true);
        let mut accepted = done(202, "Accepted; a worker will take it.", schema, answer);
        accepted.headers.push(answers::replayed());
        let mut cases = vec![accepted, invalid("input", "It is missing: send a JSON object, what the work is to be done on.")];
        cases.extend(of_body(self.profile));
        (Some(Body::of(&members, example, true)), cases)
    }

    fn saving(&self, named: &mut Named) -> (Option<Body>, Vec<Case>) {
        let mut url = pattern("^https?://");
        (url["format"], url["maxLength"]) = ("uri".into(), 2_048.into());
        let members = [
            ("url", said(url, "Where events go: https, to an address that the internet can reach."), true),
            ("enabled", said(or_null(flag()), "Whether they are sent. Left out, it stays as it is, and a new webhook is on."), false),
        ];
        let example = format!(r#"{{"url":"{}","enabled":true}}"#, shapes::ENDPOINT);
        let (schema, answer) = shapes::saved_webhook(named);
        let mut cases = vec![
            done(200, "Saved.", schema, answer),
            invalid("url", "10.0.4.17 is a private address. Use one that the internet can reach."),
        ];
        cases.extend(of_body(self.profile));
        (Some(Body::of(&members, example, true)), cases)
    }

    fn testing(&self, named: &mut Named) -> (Option<Body>, Vec<Case>) {
        let events = events::events(self.profile, named);
        let event = events.iter().find(|event| event.name.ends_with(".completed")).or(events.first());
        let name = event.map_or("", |event| &event.name);
        let names: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
        let names = said(or_null(word(&names)), &format!("Which one; {name} unless you say."));
        let payload = sample(&events).replacen('}', ",\"test\":true}", usize::from(!sample(&events).contains("\"test\":")));
        let (schema, answer) = shapes::test(&payload, named);
        let none = "There is no webhook to test yet: save one first.";
        let mut cases = vec![
            done(200, "It was sent: status and time, or why nothing answered.", schema, answer),
            conflict(self.profile, none, "There is no webhook, or two tests of it are under way."),
            invalid("event_type", &format!("There is no such event. There are: {}.", listed(&events))),
        ];
        cases.extend(of_body(self.profile));
        let example = format!(r#"{{"event_type":"{name}"}}"#);
        (Some(Body::of(&[("event_type", names, false)], example, false)), cases)
    }
}

fn sample(events: &[Event]) -> &str {
    events.iter().find(|event| event.name.ends_with(".completed")).or(events.first()).map_or("{}", |event| &event.example)
}

fn listed(events: &[Event]) -> String {
    events.iter().map(|event| event.name.as_str()).collect::<Vec<_>>().join(", ")
}
