//! What the edges for the company's own programs, its workers and its services, share: bodies read field by field, errors that say
//! what to do, and whose token it is.

mod body;
mod refusal;

use actix_web::HttpRequest;
use actix_web::http::header;

pub use body::{Fields, read};
pub use refusal::Refusal;

use crate::programs::{self, Kind};
use crate::secret::SecretDigest;

/// The digest of the token that a request brought: exactly one `Authorization: Bearer` header with one of this kind.
///
/// # Errors
/// 401.
pub fn bearer(request: &HttpRequest, kind: Kind) -> Result<SecretDigest, Refusal> {
    let values = request.headers().get_all(header::AUTHORIZATION).map(|value| value.as_bytes());
    programs::presented(kind, values).ok_or_else(|| Refusal::unauthenticated(kind))
}
