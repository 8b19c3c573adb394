//! Proof that a worker calls.

use actix_web::HttpRequest;
use actix_web::http::header;

use super::answer::Refusal;
use crate::error::Error;
use crate::jobs::worker_tokens;
use crate::secret::SecretDigest;
use crate::site::Site;

/// Refuses unless exactly one `Authorization: Bearer` header carries a worker token.
pub(super) async fn require(request: &HttpRequest, site: &Site) -> Result<(), Refusal> {
    let digest = presented(request).ok_or(Error::Unauthenticated)?;
    let known = site.db.run(move |conn| worker_tokens::authenticate(conn, digest)).await?;
    known.map(|_| ()).ok_or_else(|| Error::Unauthenticated.into())
}

fn presented(request: &HttpRequest) -> Option<SecretDigest> {
    let mut headers = request.headers().get_all(header::AUTHORIZATION);
    let (first, second) = (headers.next()?, headers.next());
    let (scheme, token) = first.to_str().ok()?.split_once(' ')?;
    let prefix = token.trim().strip_prefix(worker_tokens::PREFIX)?;
    (second.is_none() && scheme.eq_ignore_ascii_case("bearer") && prefix.starts_with('_')).then(|| SecretDigest::of(token.trim()))
}
