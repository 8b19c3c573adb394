//! The Worker API: programs that do the jobs claim them here and report on them. JSON in, JSON out.
//!
//! A program proves itself with `Authorization: Bearer lkw_…`. It serves every organization; what it may touch is what it
//! holds a lease on.

mod answer;
mod body;
mod claim;
mod reports;
mod token;

use actix_web::web::{self, ServiceConfig};

use answer::Refusal;

/// Largest result, in bytes.
pub const LARGEST_RESULT: usize = 1 << 20;
/// Largest body: a result and what stands around it.
const LARGEST_BODY: usize = LARGEST_RESULT + (16 << 10);

/// Adds `/worker/v1`. Needs `web::Data<Site>` and `web::Data<Wake>`.
pub fn configure(config: &mut ServiceConfig) {
    let post_only = || web::route().to(|| async { Err::<&str, _>(Refusal::method_not_allowed()) });
    config.service(
        web::scope("/worker/v1")
            .service(web::resource("/claim").route(web::post().to(claim::claim)).default_service(post_only()))
            .service(web::resource("/jobs/{id}/progress").route(web::post().to(reports::progress)).default_service(post_only()))
            .service(web::resource("/jobs/{id}/complete").route(web::post().to(reports::complete)).default_service(post_only()))
            .service(web::resource("/jobs/{id}/fail").route(web::post().to(reports::fail)).default_service(post_only()))
            .default_service(web::route().to(|| async { Err::<&str, _>(Refusal::from(crate::error::Error::NotFound)) })),
    );
}
