//! What happens to every request: an id of the moment it arrived, and one line of log when it is answered.

use std::time::Instant;

use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{Error, HttpMessage as _};
use tracing::{Level, enabled, info};

use crate::clock;
use crate::ids::RequestId;
use crate::server::slow_body;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Below it stand secrets: one-time links.
const SECRET_PATHS: [&str; 2] = ["/invitations/", "/invitation/"];

/// Names the request for everybody further in, and for its caller; logs its answer. For `App::wrap_fn`.
pub fn identify<S, B>(mut request: ServiceRequest, service: &S) -> impl Future<Output = Result<ServiceResponse<B>, Error>> + use<S, B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    let id = RequestId::new(clock::now());
    request.extensions_mut().insert(id);
    slow_body::bound(&mut request);
    // Not even the clock is read when nobody reads the log.
    let started = enabled!(target: "latchkey::request", Level::INFO).then(Instant::now);
    let answer = service.call(request);
    async move {
        let mut response = answer.await?;
        if let Ok(value) = HeaderValue::try_from(id.to_string()) {
            response.headers_mut().insert(X_REQUEST_ID, value);
        }
        if let Some(started) = started {
            log(&response, id, started);
        }
        Ok(response)
    }
}

/// The path goes without its query, which may carry a key.
fn log<B>(response: &ServiceResponse<B>, id: RequestId, started: Instant) {
    let request = response.request();
    let path = request.path();
    let path = SECRET_PATHS.into_iter().find(|secret| path.starts_with(secret)).unwrap_or(path);
    info!(
        target: "latchkey::request",
        method = request.method().as_str(),
        path,
        status = response.status().as_u16(),
        duration_ms = started.elapsed().as_micros() as f64 / 1_000.0,
        request_id = %id,
    );
}
