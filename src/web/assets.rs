//! The files of `static/`, inside the binary. Pages name them with a hash of their content, so that browsers keep them for good.

use std::collections::HashMap;
use std::sync::LazyLock;

use actix_web::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use actix_web::{HttpRequest, HttpResponse};
use rust_embed::RustEmbed;

use super::{Answer, WebError};
use crate::error::Error;

#[derive(RustEmbed)]
#[folder = "static/"]
struct Files;

/// First 12 hex digits of each file's SHA-256.
static HASHES: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
    let hash = |name: &str| Files::get(name).map(|file| file.metadata.sha256_hash().iter().take(6).map(|b| format!("{b:02x}")).collect());
    Files::iter().filter_map(|name| Some((name.to_string(), hash(&name)?))).collect()
});

/// The URL that pages use. A file that does not exist gets one too, and a 404.
pub fn url(name: &str) -> String {
    match HASHES.get(name) {
        Some(hash) => format!("/assets/{name}?v={hash}"),
        None => format!("/assets/{name}"),
    }
}

/// `GET /assets/{path}`.
pub async fn show(request: HttpRequest) -> Answer {
    let name = request.match_info().query("path");
    let (Some(file), Some(hash)) = (Files::get(name), HASHES.get(name)) else { return Err(WebError(Error::NotFound)) };
    let tag = format!("\"{hash}\"");
    let hashed = request.query_string().strip_prefix("v=") == Some(hash);
    let caching = if hashed { "public, max-age=31536000, immutable" } else { "public, max-age=60" };
    let known = |tags: &str| tags.split(',').any(|given| given.trim().trim_start_matches("W/") == tag || given.trim() == "*");
    let same = request.headers().get(IF_NONE_MATCH).and_then(|tags| tags.to_str().ok()).is_some_and(known);
    let mut answer = if same { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    answer.insert_header((CACHE_CONTROL, caching)).insert_header((ETAG, tag));
    if same {
        return Ok(answer.finish());
    }
    let kind = mime_guess::from_path(name).first_or_octet_stream();
    let text = kind.type_() == "text" || kind.essence_str() == "application/javascript";
    answer.content_type(if text { format!("{}; charset=utf-8", kind.essence_str()) } else { kind.to_string() });
    Ok(answer.body(file.data.into_owned()))
}
