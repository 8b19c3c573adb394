//! What supervisors, load balancers and Prometheus ask.

use std::time::Duration;

use actix_web::http::header;
use actix_web::rt::time::timeout;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpResponse, Responder, guard};
use serde_json::json;

use crate::db;
use crate::jobs;
use crate::metrics::Metrics;
use crate::partner_api::Partner;
use crate::site::Site;
use crate::verify_api::Verify;
use crate::webhooks;

/// `/healthz`, `/readyz`, `/metrics`.
pub fn configure(config: &mut ServiceConfig) {
    let read = || web::route().guard(guard::Any(guard::Get()).or(guard::Head()));
    config.route("/healthz", read().to(healthz)).route("/readyz", read().to(readyz)).route("/metrics", read().to(metrics));
}

/// How long the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The process answers: nothing else is asked, so that a database that is away restarts nobody.
async fn healthz() -> &'static str {
    "ok"
}

/// The database answers, so requests can be served.
async fn readyz(site: Data<Site>) -> HttpResponse {
    match timeout(PATIENCE, site.db.run(db::ping)).await {
        Ok(Ok(())) => HttpResponse::Ok().json(json!({"status": "ready"})),
        Ok(Err(_)) | Err(_) => HttpResponse::ServiceUnavailable()
            .insert_header((header::RETRY_AFTER, "1"))
            .json(json!({"status": "unavailable", "database": "away"})),
    }
}

/// What the counters say, and what waits at this moment. A database that does not say what waits costs those numbers and not
/// the page.
async fn metrics(metrics: Data<Metrics>, partner: Data<Partner>, verify: Data<Verify>, site: Data<Site>) -> impl Responder {
    let (admit, settle) = partner.waiting();
    metrics.admit_waiting.set(admit as i64);
    metrics.settle_waiting.set(settle as i64);
    let (reports, tokens) = verify.waiting();
    metrics.report_waiting.set(reports as i64);
    metrics.token_waiting.set(tokens as i64);
    let waiting = timeout(PATIENCE, site.db.run(|conn| Ok((jobs::queued_count(conn)?, webhooks::backlog(conn)?)))).await;
    let waiting = waiting.ok().and_then(Result::ok);
    metrics.queued_jobs.set(waiting.map_or(f64::NAN, |(queued, _)| queued as f64));
    metrics.delivery_lanes.set(waiting.map_or(f64::NAN, |(_, backlog)| backlog.lanes as f64));
    metrics.delivery_lag.set(waiting.map_or(f64::NAN, |(_, backlog)| backlog.lag_s));
    HttpResponse::Ok().content_type("application/openmetrics-text; version=1.0.0; charset=utf-8").body(metrics.encode())
}
