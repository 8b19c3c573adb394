//! The verify API: the company's own services ask here whether a key may pass, and tell what became of the request.
//!
//! ```text
//! POST /verify/v1/keys                    may this key pass? 200, whatever the answer is
//! POST /verify/v1/requests/{id}/outcome   what became of it
//! ANY  /verify/v1/forward                 the same question as nginx, Caddy and Traefik ask it
//! ```
//! Questions go through the two stages of admission that the Partner API goes through, in the same batches: the same checks in the same
//! order, and the history has the answer before it leaves.

mod forward;
mod keys;
mod needs;
mod outcome;
mod verdict;

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpMessage, HttpRequest};

use crate::admission::{Admit, Reports, Settle};
use crate::batch::Batch;
use crate::clock;
use crate::error::Error;
use crate::ids::{RequestId, uuid_time};
use crate::json_call::{self, Fields, Refusal};
use crate::metrics::Metrics;
use crate::profile::Profile;
use crate::programs::{Kind, Known};
use crate::secret::SecretDigest;
use crate::site::Site;
use crate::slowdown::Slowdown;

/// Largest body.
const LARGEST_BODY: usize = 16 << 10;
/// Longest text that says what was asked for, or where a call came from, in characters.
const LONGEST_TEXT: usize = 200;

/// What all its calls share.
pub struct Verify {
    site: Site,
    stages: Stages,
    metrics: Metrics,
    /// Where the Partner API counts requests without a known key.
    slowdown: Slowdown,
}

/// The asking ends of the batches.
#[derive(Clone)]
pub struct Stages {
    /// The first stage of admission.
    pub admit: Batch<Admit>,
    /// The second one.
    pub settle: Batch<Settle>,
    /// Reports of what became of requests.
    pub report: Batch<Reports>,
    /// Whether a service's token is one.
    pub services: Batch<Known>,
}

impl Verify {
    /// The verify API of one instance.
    pub fn new(site: Site, stages: Stages, metrics: Metrics, slowdown: Slowdown) -> Self {
        Self { site, stages, metrics, slowdown }
    }

    /// How many reports wait to be written, and tokens to be looked up.
    pub fn waiting(&self) -> (usize, usize) {
        (self.stages.report.waiting(), self.stages.services.waiting())
    }

    fn profile(&self) -> &Profile {
        &self.site.profile
    }

    /// Refuses whoever brings no service token.
    async fn require(&self, request: &HttpRequest) -> Result<(), Refusal> {
        self.known(json_call::bearer(request, Kind::Service)?).await
    }

    async fn known(&self, digest: SecretDigest) -> Result<(), Refusal> {
        let is_known = self.stages.services.ask(digest).await?;
        is_known.then_some(()).ok_or_else(|| Refusal::unauthenticated(Kind::Service))
    }
}

/// Adds `/verify/v1`.
pub fn configure(config: &mut ServiceConfig, verify: &web::Data<Verify>) {
    let post_only = || web::route().to(|| async { Err::<&str, _>(Refusal::post_alone()) });
    config.service(
        web::scope("/verify/v1")
            .app_data(verify.clone())
            .service(web::resource("/keys").route(web::post().to(keys::verify)).default_service(post_only()))
            .service(web::resource("/requests/{id}/outcome").route(web::post().to(outcome::report)).default_service(post_only()))
            .service(web::resource("/forward").default_service(web::route().to(forward::forward)))
            .default_service(web::route().to(|| async { Err::<&str, _>(Refusal::from(Error::NotFound)) })),
    );
}

fn request_id(request: &HttpRequest) -> RequestId {
    request.extensions().get::<RequestId>().copied().unwrap_or_else(|| RequestId::new(clock::now()))
}

/// When the request with this id arrived.
fn arrival(id: RequestId) -> time::OffsetDateTime {
    uuid_time(id.0).unwrap_or_else(clock::now)
}

async fn body(request: &HttpRequest, payload: web::Payload) -> Result<Fields, Refusal> {
    let too_large = || Refusal::new(413, "too_large", format!("The body is larger than {} KiB.", LARGEST_BODY / 1024));
    json_call::read(request, payload, LARGEST_BODY, too_large).await
}

/// Whether a text may be asked for, and kept: not too long, and nothing in it that no text has.
fn is_text(text: &str) -> bool {
    text.chars().count() <= LONGEST_TEXT && !text.chars().any(char::is_control)
}
