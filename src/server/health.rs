//! What supervisors, load balancers and Prometheus ask.

use actix_web::http::header;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpResponse, Responder};
use serde_json::json;

use crate::db;
use crate::metrics::Metrics;
use crate::site::Site;

/// `/healthz`, `/readyz`, `/metrics`.
pub fn configure(config: &mut ServiceConfig) {
    config.route("/healthz", web::get().to(healthz)).route("/readyz", web::get().to(readyz)).route("/metrics", web::get().to(metrics));
}

/// The process answers: nothing else is asked, so that a database that is away restarts nobody.
async fn healthz() -> &'static str {
    "ok"
}

/// The database answers, so requests can be served.
async fn readyz(site: Data<Site>) -> HttpResponse {
    match site.db.run(db::ping).await {
        Ok(()) => HttpResponse::Ok().json(json!({"status": "ready"})),
        Err(_) => HttpResponse::ServiceUnavailable()
            .insert_header((header::RETRY_AFTER, "1"))
            .json(json!({"status": "unavailable", "database": "away"})),
    }
}

async fn metrics(metrics: Data<Metrics>) -> impl Responder {
    HttpResponse::Ok().content_type("application/openmetrics-text; version=1.0.0; charset=utf-8").body(metrics.encode())
}
