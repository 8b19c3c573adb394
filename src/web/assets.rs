//! The files of `static/`, inside the binary. Pages name them with a hash of their content, so that browsers keep them for good.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::LazyLock;

use actix_web::http::header::{AcceptEncoding, CACHE_CONTROL, CONTENT_ENCODING, ETAG, Encoding, Header as _, IF_NONE_MATCH, VARY};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::RustEmbed;
use sha2::{Digest as _, Sha256};

use super::{Answer, WebError};
use crate::error::Error;

#[derive(RustEmbed)]
#[folder = "static/"]
struct Files;

/// Something that is the same for everybody, as it is served.
pub struct Asset {
    /// First 12 hex digits of its SHA-256.
    hash: String,
    plain: Bytes,
    /// As small as gzip makes it: done once, where pages are compressed in passing.
    gzipped: Bytes,
}

impl Asset {
    fn of(name: &str) -> Option<Self> {
        let file = Files::get(name)?;
        Some(Self::new(if name.ends_with(".css") { without_comments(&file.data).into_bytes() } else { file.data.into_owned() }))
    }

    /// Compresses it, once.
    pub fn new(plain: Vec<u8>) -> Self {
        let hash = Sha256::digest(&plain).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        // Writing to memory does not fail.
        let gzipped = gzip.write_all(&plain).and_then(|()| gzip.finish()).unwrap_or_default();
        Self { hash, plain: plain.into(), gzipped: gzipped.into() }
    }

    /// The answer to a request for it: nothing, to a browser that has it already.
    pub fn answer(&self, request: &HttpRequest, kind: &str, caching: &str) -> HttpResponse {
        let tag = format!("\"{}\"", self.hash);
        let known = |tags: &str| tags.split(',').any(|given| given.trim().trim_start_matches("W/") == tag || given.trim() == "*");
        let same = request.headers().get(IF_NONE_MATCH).and_then(|tags| tags.to_str().ok()).is_some_and(known);
        let mut answer = if same { HttpResponse::NotModified() } else { HttpResponse::Ok() };
        // Weak, since it names both forms.
        answer.insert_header((CACHE_CONTROL, caching)).insert_header((ETAG, format!("W/{tag}"))).insert_header((VARY, "accept-encoding"));
        if same {
            return answer.finish();
        }
        answer.content_type(kind);
        let gzip =
            AcceptEncoding::parse(request).is_ok_and(|accepted| accepted.negotiate([Encoding::gzip()].iter()) == Some(Encoding::gzip()));
        match gzip {
            true => answer.insert_header((CONTENT_ENCODING, "gzip")).body(self.gzipped.clone()),
            false => answer.insert_header((CONTENT_ENCODING, "identity")).body(self.plain.clone()),
        }
    }
}

/// A stylesheet for browsers: its comments, a sixth of it, are for those who keep it. None of its strings holds one's beginning.
fn without_comments(css: &[u8]) -> String {
    let css = String::from_utf8_lossy(css);
    let mut parts = css.split("/*");
    let first = parts.next().unwrap_or_default().to_owned();
    let kept = parts.filter_map(|part| part.split_once("*/")).fold(first, |kept, (_, rest)| kept + rest);
    kept.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

static ASSETS: LazyLock<HashMap<String, Asset>> =
    LazyLock::new(|| Files::iter().filter_map(|name| Some((name.to_string(), Asset::of(&name)?))).collect());

/// The URL that pages use. A file that does not exist gets one too, and a 404.
pub fn url(name: &str) -> String {
    match ASSETS.get(name) {
        Some(asset) => format!("/assets/{name}?v={}", asset.hash),
        None => format!("/assets/{name}"),
    }
}

/// `GET /assets/{path}`.
pub async fn show(request: HttpRequest) -> Answer {
    let name = request.match_info().query("path");
    let Some(asset) = ASSETS.get(name) else { return Err(WebError(Error::NotFound)) };
    let hashed = request.query_string().strip_prefix("v=") == Some(&asset.hash);
    let caching = if hashed { "public, max-age=31536000, immutable" } else { "public, max-age=60" };
    let kind = mime_guess::from_path(name).first_or_octet_stream();
    let is_text = kind.type_() == "text" || kind.essence_str() == "application/javascript";
    let kind = if is_text { format!("{}; charset=utf-8", kind.essence_str()) } else { kind.to_string() };
    Ok(asset.answer(&request, &kind, caching))
}
