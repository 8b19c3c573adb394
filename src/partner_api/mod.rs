//! The Partner API: the routes of the profile, each behind admission, each answer in the history before it leaves.
//!
//! One way through for every route: find the key → admit → do → settle → answer. What a route does is an [`Action`]; which
//! routes there are, what they need and what refusals say is the profile's.

mod answer;
mod body;
mod credits;
mod door;
mod events;
mod jobs;
mod key;
mod query;
mod usage;
mod webhook;

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::http::{Method as HttpMethod, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};

use crate::admission::{Admit, Answer, Creation, Decision, KnownKey, Rule, Settle, Stranger};
use crate::batch::Batch;
use crate::courier::Courier;
use crate::error::{ClientError, Error, Result};
use crate::metrics::Metrics;
use crate::outcome::Outcome;
use crate::profile::{Action, JobKind, Profile, Route};
use crate::secret::SecretDigest;
use crate::site::Site;
use crate::slowdown::Slowdown;
use crate::wake::Wake;

use answer::Reply;
use door::Visit;

/// What all routes share.
pub struct Partner {
    site: Site,
    admit: Batch<Admit>,
    settle: Batch<Settle>,
    metrics: Metrics,
    wake: Wake,
    courier: Courier,
    slowdown: Slowdown,
    /// For addresses that are nobody's: they count in the profile's first limit, and need no permission.
    elsewhere: Arc<Rule>,
}

impl Partner {
    /// The Partner API of one instance.
    pub fn new(site: Site, admit: Batch<Admit>, settle: Batch<Settle>, metrics: Metrics, wake: Wake, courier: Courier) -> Self {
        let elsewhere = Arc::new(Rule::new(&site.profile, None, site.profile.limits.first().map(|limit| (1, limit))));
        Self { site, admit, settle, metrics, wake, courier, slowdown: Slowdown::default(), elsewhere }
    }

    /// How many requests wait in the two stages of admission.
    pub fn waiting(&self) -> (usize, usize) {
        (self.admit.waiting(), self.settle.waiting())
    }

    /// Where requests without a known key are counted, for who else answers them.
    pub fn slowdown(&self) -> Slowdown {
        self.slowdown.clone()
    }

    fn profile(&self) -> &Profile {
        &self.site.profile
    }

    async fn admit(&self, visit: &Visit, digest: SecretDigest, rule: &Arc<Rule>) -> Result<Decision> {
        let decision = self.admit.ask(crate::admission::Ask { digest, rule: Arc::clone(rule) }).await;
        self.metrics.admission_duration.observe(visit.started.elapsed().as_secs_f64());
        decision
    }
}

/// One route, with its rule made once.
struct Way {
    route: Route,
    /// As the history and the rollups write it.
    name: String,
    rule: Arc<Rule>,
    /// What it makes or reads.
    job: Option<JobKind>,
}

impl Way {
    fn new(profile: &Profile, route: &Route) -> Self {
        let limit = route.limit.as_deref().and_then(|name| profile.limit(name));
        Self {
            rule: Arc::new(Rule { describe: route.action == Action::KeyRead, ..Rule::new(profile, route.permission.as_deref(), limit) }),
            job: route.job.as_deref().and_then(|kind| profile.job_kind(kind)).cloned(),
            name: profile.route_name(route),
            route: route.clone(),
        }
    }
}

/// Adds the profile's routes. Add it last: its base path may be `/`, and what nobody else answers is answered here.
pub fn configure(config: &mut web::ServiceConfig, partner: &web::Data<Partner>) {
    let profile = partner.profile();
    let mut by_path: BTreeMap<String, Vec<Arc<Way>>> = BTreeMap::new();
    for route in &profile.routes {
        by_path.entry(profile.full_path(route)).or_default().push(Arc::new(Way::new(profile, route)));
    }
    for (path, ways) in by_path {
        let allow = ways.iter().map(|way| way.route.method.as_str()).collect::<Vec<_>>().join(", ");
        let mut resource = web::resource(path).app_data(partner.clone());
        for way in ways {
            let method = HttpMethod::from_bytes(way.route.method.as_str().as_bytes()).unwrap_or(HttpMethod::GET);
            let serve = move |request: HttpRequest, payload: web::Payload, partner: web::Data<Partner>| {
                let way = Arc::clone(&way);
                async move { serve(&way, &request, payload, &partner).await }
            };
            resource = resource.route(web::method(method).to(serve));
        }
        let wrong_method = move |request: HttpRequest, partner: web::Data<Partner>| {
            let allow = allow.clone();
            async move {
                let error = ClientError::new(405, "method_not_allowed", format!("This address answers {allow}."));
                let mut response = elsewhere(&request, &partner, &error).await;
                // What came before the address, as a refusal does, is not about the method.
                if response.status() == StatusCode::METHOD_NOT_ALLOWED
                    && let Ok(value) = allow.parse()
                {
                    response.headers_mut().insert(actix_web::http::header::ALLOW, value);
                }
                response
            }
        };
        config.service(resource.default_service(web::to(wrong_method)));
    }
}

/// The answer to an address that is nobody's: JSON. If the request brought a known key, it is in the key's history.
pub async fn not_found(request: HttpRequest, partner: web::Data<Partner>) -> HttpResponse {
    elsewhere(&request, &partner, &ClientError::new(404, "not_found", "There is nothing at this address.")).await
}

async fn serve(way: &Way, request: &HttpRequest, payload: web::Payload, partner: &Partner) -> HttpResponse {
    let mut visit = Visit::new(request, &way.name, &partner.site.proxies);
    let digest = match visit.digest(request, partner.profile()) {
        Ok(digest) => digest,
        Err(refused) => return door::stranger(partner, &visit, refused).await,
    };
    let decision = match partner.admit(&visit, digest, &way.rule).await {
        Ok(decision) => decision,
        Err(error) => return answer::failed(partner, &visit, &error),
    };
    let Some(key) = decision.key else {
        return door::stranger(partner, &visit, Stranger::Refused(Outcome::Unknown)).await;
    };
    let reply = if decision.outcome == Outcome::Accepted {
        let call = Call { way, request, partner, visit: &visit, key: &key, decision: &decision };
        match call.act(payload).await {
            Ok(reply) => reply,
            Err(error) => Reply::error(partner.profile(), &ClientError::from(&logged(error, &visit))),
        }
    } else {
        Answer::refusal(partner.profile(), &decision, &way.rule).into()
    };
    finish(partner, &visit, &way.rule, &decision, key, reply).await
}

async fn finish(partner: &Partner, visit: &Visit, rule: &Rule, decision: &Decision, key: KnownKey, reply: Reply) -> HttpResponse {
    let response = answer::finish(partner, visit, rule, decision, key, reply).await;
    partner.metrics.request_duration.observe(visit.started.elapsed().as_secs_f64());
    response
}

/// 404 and 405. A key is looked at as anywhere: a known one has it in its history and in the profile's first limit, a refused
/// one is told so first, and who tries keys is slowed. Without one it is a plain answer.
async fn elsewhere(request: &HttpRequest, partner: &Partner, error: &ClientError) -> HttpResponse {
    let mut visit = Visit::new(request, "", &partner.site.proxies);
    let digest = match visit.digest(request, partner.profile()) {
        Ok(digest) => digest,
        Err(Stranger::Refused(Outcome::Missing)) => return Reply::error(partner.profile(), error).into_response(),
        Err(refused) => return door::stranger(partner, &visit, refused).await,
    };
    let decision = match partner.admit(&visit, digest, &partner.elsewhere).await {
        Ok(decision) => decision,
        Err(error) => return answer::failed(partner, &visit, &error),
    };
    let Some(key) = decision.key else {
        return door::stranger(partner, &visit, Stranger::Refused(Outcome::Unknown)).await;
    };
    let reply = match decision.outcome {
        Outcome::Accepted => Reply::error(partner.profile(), error),
        _ => Answer::refusal(partner.profile(), &decision, &partner.elsewhere).into(),
    };
    finish(partner, &visit, &partner.elsewhere, &decision, key, reply).await
}

/// Writes what the reader will not be told to the log.
fn logged(error: Error, visit: &Visit) -> Error {
    if matches!(error, Error::Internal(_) | Error::Constraint { .. }) {
        tracing::error!(request_id = %visit.seen.id, error = %error, "request failed");
    }
    error
}

/// An admitted request on its way through a route.
struct Call<'a> {
    way: &'a Way,
    request: &'a HttpRequest,
    partner: &'a Partner,
    visit: &'a Visit,
    key: &'a KnownKey,
    decision: &'a Decision,
}

impl Call<'_> {
    async fn act(&self, payload: web::Payload) -> Result<Reply> {
        match self.way.route.action {
            Action::JobsCreate => jobs::create(self, payload).await,
            Action::JobsRead => jobs::read(self).await,
            Action::JobsResults => jobs::results(self).await,
            Action::CreditsRead => credits::read(self).await,
            Action::CreditsEntries => credits::entries(self).await,
            Action::UsageRead => usage::read(self).await,
            Action::KeyRead => key::read(self),
            Action::WebhookRead => webhook::read(self).await,
            Action::WebhookPut => webhook::put(self, payload).await,
            Action::WebhookDelete => webhook::delete(self).await,
            Action::WebhookTest => webhook::test(self, payload).await,
            Action::EventsRead => events::read(self).await,
        }
    }

    fn profile(&self) -> &Profile {
        self.partner.profile()
    }
}
