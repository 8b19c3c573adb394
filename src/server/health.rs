//! What supervisors and load balancers ask.

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, http::header};
use serde_json::json;

use crate::error::Result;
use crate::site::Site;

/// `/healthz`, `/readyz`.
pub fn configure(config: &mut ServiceConfig) {
    config.route("/healthz", web::get().to(healthz)).route("/readyz", web::get().to(readyz));
}

/// The process answers: nothing else is asked, so that a database that is away restarts nobody.
async fn healthz() -> &'static str {
    "ok"
}

/// The database answers, so requests can be served.
async fn readyz(site: web::Data<Site>) -> HttpResponse {
    let answer: Result<()> = site.db.run(crate::db::ping).await;
    match answer {
        Ok(()) => HttpResponse::Ok().json(json!({"status": "ready"})),
        Err(_) => HttpResponse::ServiceUnavailable()
            .insert_header((header::RETRY_AFTER, "1"))
            .json(json!({"status": "unavailable", "database": "away"})),
    }
}
