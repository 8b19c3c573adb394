//! The Worker API: programs that do the jobs claim them here and report on them. JSON in, JSON out.
//!
//! A program proves itself with `Authorization: Bearer lkw_…`. It serves every organization; what it may touch is what it
//! holds a lease on.

mod claim;
mod reports;

use actix_web::HttpRequest;
use actix_web::web::{self, ServiceConfig};

use crate::json_call::{self, Fields, Refusal};
use crate::programs::{self, Kind};
use crate::site::Site;

/// Largest result, in bytes.
pub const LARGEST_RESULT: usize = 1 << 20;
/// Largest body: a result and what stands around it.
const LARGEST_BODY: usize = LARGEST_RESULT + (16 << 10);

/// Adds `/worker/v1`. Needs `web::Data<Site>` and `web::Data<Wake>`.
pub fn configure(config: &mut ServiceConfig) {
    let post_only = || web::route().to(|| async { Err::<&str, _>(Refusal::post_alone()) });
    config.service(
        web::scope("/worker/v1")
            .service(web::resource("/claim").route(web::post().to(claim::claim)).default_service(post_only()))
            .service(web::resource("/jobs/{id}/progress").route(web::post().to(reports::progress)).default_service(post_only()))
            .service(web::resource("/jobs/{id}/complete").route(web::post().to(reports::complete)).default_service(post_only()))
            .service(web::resource("/jobs/{id}/fail").route(web::post().to(reports::fail)).default_service(post_only()))
            .default_service(web::route().to(|| async { Err::<&str, _>(Refusal::from(crate::error::Error::NotFound)) })),
    );
}

/// Refuses whoever brings no worker token.
async fn require(request: &HttpRequest, site: &Site) -> Result<(), Refusal> {
    let digest = json_call::bearer(request, Kind::Worker)?;
    let is_known = site.db.run(move |conn| programs::is_known(conn, Kind::Worker, digest)).await?;
    is_known.then_some(()).ok_or_else(|| Refusal::unauthenticated(Kind::Worker))
}

fn too_large() -> Refusal {
    Refusal::new(413, "too_large", "The body is too large: a result may have 1 MiB.")
}

async fn body(request: &HttpRequest, payload: web::Payload) -> Result<Fields, Refusal> {
    json_call::read(request, payload, LARGEST_BODY, too_large).await
}
