//! What happens to every request: an id of the moment it arrived, and one line of log when it is answered.

use std::time::Instant;

use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode, Uri};
use actix_web::{Error, HttpMessage as _};
use tracing::{Level, enabled, info};

use crate::clock;
use crate::ids::RequestId;
use crate::server::slow_body;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Below it stand one-time links.
const INVITATIONS: &str = "/invitations/";

/// Names the request for everybody further in, and for its caller; logs its answer. For `App::wrap_fn`.
pub fn identify<S, B>(mut request: ServiceRequest, service: &S) -> impl Future<Output = Result<ServiceResponse<B>, Error>> + use<S, B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    let id = RequestId::new(clock::now());
    request.extensions_mut().insert(id);
    slow_body::bound(&mut request);
    // Nothing of it when nobody reads the log.
    let line = enabled!(target: "latchkey::request", Level::INFO).then(|| Line {
        id,
        started: Instant::now(),
        method: request.method().clone(),
        uri: request.uri().clone(),
    });
    let answer = service.call(request);
    async move {
        let mut answer = answer.await;
        let status = match &mut answer {
            Ok(response) => {
                if let Ok(value) = HeaderValue::try_from(id.to_string()) {
                    response.headers_mut().insert(X_REQUEST_ID, value);
                }
                response.status()
            }
            // Of a middleware further in, which has made the whole answer itself.
            Err(error) => error.as_response_error().status_code(),
        };
        if let Some(line) = line {
            line.write(status);
        }
        answer
    }
}

struct Line {
    id: RequestId,
    started: Instant,
    method: Method,
    uri: Uri,
}

impl Line {
    /// The path goes without its query, which may carry a key.
    fn write(&self, status: StatusCode) {
        let path = self.uri.path();
        let path = if path.starts_with(INVITATIONS) { INVITATIONS } else { path };
        info!(
            target: "latchkey::request",
            method = self.method.as_str(),
            path,
            status = status.as_u16(),
            duration_ms = self.started.elapsed().as_micros() as f64 / 1_000.0,
            request_id = %self.id,
        );
    }
}
