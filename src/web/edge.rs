//! What every answer of the dashboard passes: the origin check, the headers, error pages, the way to the sign-in.

use std::net::IpAddr;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{HttpMessage, HttpRequest, HttpResponse};

use super::flash::{self, Flash};
use super::frame::Frame;
use super::page::{WholePage, is_htmx, see_other};
use super::{errors, leaks, sign_in};
use crate::clock;
use crate::error::{ClientError, Error};
use crate::ids::RequestId;
use crate::site::Site;

const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

/// The middleware.
pub async fn edge(request: ServiceRequest, next: Next<impl MessageBody + 'static>) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let Some(site) = request.app_data::<Data<Site>>().cloned() else {
        return Ok(request.into_response(HttpResponse::InternalServerError().finish()));
    };
    // The server has named the request, for its log.
    let id = request.extensions().get::<RequestId>().copied().unwrap_or_else(|| RequestId::new(clock::now())).to_string();
    let dress = |headers: &mut HeaderMap, trustworthy: bool| dress(headers, &site, &id, trustworthy);
    let trustworthy = is_trustworthy(request.headers(), &site);
    if !request.method().is_safe() && !is_same_origin(request.headers(), &site) {
        let error = ClientError::new(403, "cross_origin", "Only pages of this console may change something here. Nothing was changed.");
        let is_program = leaks::is_program(request.request());
        let mut response = if is_program { errors::json(&error) } else { errors::render(&Frame::of_site(&site), &error, &id) };
        dress(response.headers_mut(), trustworthy);
        return Ok(request.into_response(response));
    }
    match next.call(request).await {
        Ok(response) => {
            let mut response = answered(response.map_into_boxed_body(), &site, &id);
            dress(response.headers_mut(), trustworthy);
            Ok(response)
        }
        // Only the session's store fails out here, in writing: the database is away. The cookie is left alone.
        Err(error) => {
            tracing::error!(request_id = %id, error = ?error, "session");
            let shown = ClientError::from(&Error::Unavailable(String::new()));
            let mut response = errors::render(&Frame::of_site(&site), &shown, &id);
            dress(response.headers_mut(), trustworthy);
            Err(InternalError::from_response("session", response).into())
        }
    }
}

/// Replaces an error by its page, and brings the flash to its cookie.
fn answered(response: ServiceResponse, site: &Site, id: &str) -> ServiceResponse {
    let (request, mut response) = response.into_parts();
    let error = response.extensions().get::<ClientError>().cloned().or_else(|| bare_error(&response));
    if let Some(error) = error {
        if error.status >= 500 {
            let text = response.error().map(ToString::to_string).unwrap_or_default();
            tracing::error!(request_id = %id, status = error.status, error = %text, "{} {}", request.method(), route(&request));
        }
        let page = error_answer(&request, site, &error, id);
        response = keep_headers(response, page);
    }
    let told = response.extensions().get::<Flash>().and_then(|told| flash::cookie(site, told));
    let shown = response.extensions().get::<WholePage>().is_some() && request.cookie(flash::name(site)).is_some();
    let cookie = told.or_else(|| shown.then(|| flash::removal(site)));
    if let Some(cookie) = cookie.and_then(|cookie| HeaderValue::from_str(&cookie.encoded().to_string()).ok()) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    ServiceResponse::new(request, response)
}

/// An error that actix made: it has a status, and neither a page nor words for a program.
fn bare_error(response: &HttpResponse) -> Option<ClientError> {
    let kind = response.headers().get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let has_words = kind.starts_with(b"text/html") || kind == b"application/json";
    let status = response.status();
    (!has_words && (status.is_client_error() || status.is_server_error())).then(|| errors::of_status(status))
}

fn error_answer(request: &HttpRequest, site: &Site, error: &ClientError, id: &str) -> HttpResponse {
    if leaks::is_program(request) {
        return errors::json(error);
    }
    if error.status == 401 && (request.method().is_safe() || is_htmx(request)) {
        return to_sign_in(request);
    }
    if request.method().is_safe() || is_htmx(request) {
        match error.code {
            "two_factor_needed" => return elsewhere(request, &sign_in::with_next("/account/two-factor", asked_page(request))),
            "visit_needed" => {
                let slug = request.match_info().get("slug").unwrap_or_default();
                return elsewhere(request, &format!("/support/organizations/{slug}"));
            }
            _ => {}
        }
    }
    let frame = request.extensions().get::<Frame>().cloned().unwrap_or_else(|| Frame::of_site(site));
    errors::render(&frame, error, id)
}

/// What was asked is opened after signing in.
fn to_sign_in(request: &HttpRequest) -> HttpResponse {
    let page = asked_page(request);
    // What staff look for may be a whole key by mistake: it goes no further.
    let page = page.split('?').next().filter(|path| *path == "/support").unwrap_or(page);
    elsewhere(request, &sign_in::with_next("/sign-in", page))
}

/// On to another page. htmx is told to leave the one that it is in; a 303 it would follow and swap in.
fn elsewhere(request: &HttpRequest, location: &str) -> HttpResponse {
    if is_htmx(request) {
        return HttpResponse::build(StatusCode::UNAUTHORIZED).insert_header(("HX-Redirect", location)).finish();
    }
    see_other(location)
}

/// The page that the reader wanted, or is in.
fn asked_page(request: &HttpRequest) -> &str {
    if is_htmx(request) {
        return request.headers().get("HX-Current-URL").and_then(|url| url.to_str().ok()).and_then(path_of).unwrap_or("/");
    }
    request.uri().path_and_query().map_or("/", |whole| whole.as_str())
}

fn path_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    rest.find('/').map(|at| &rest[at..])
}

fn keep_headers(old: HttpResponse, mut new: HttpResponse) -> HttpResponse {
    for name in [header::ALLOW, header::SET_COOKIE] {
        for value in old.headers().get_all(&name) {
            new.headers_mut().append(name.clone(), value.clone());
        }
    }
    new
}

/// The path as the route table has it: the log sees no invitation's token.
fn route(request: &HttpRequest) -> String {
    request.match_pattern().unwrap_or_default()
}

/// Whether browsers trust the way to here enough for Fetch Metadata (W3C Secure Contexts): https, or this machine.
fn is_trustworthy(headers: &HeaderMap, site: &Site) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, port)| if port.ends_with(']') { host } else { name });
    let literal = name.trim_matches(['[', ']']).parse::<IpAddr>();
    site.is_https() || name == "localhost" || literal.is_ok_and(|address| address.is_loopback())
}

fn dress(headers: &mut HeaderMap, site: &Site, id: &str, trustworthy: bool) {
    let mut set = |name: HeaderName, value: &'static str| headers.insert(name, HeaderValue::from_static(value));
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    // Under `no-referrer` forms carry `Origin: null` (Fetch), and where there is no Fetch Metadata beside it they would be refused.
    set(header::REFERRER_POLICY, if trustworthy { "no-referrer" } else { "same-origin" });
    set(header::X_FRAME_OPTIONS, "DENY");
    if site.is_https() {
        set(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
}

/// Whether a request that may change something was sent by a page of ours, or by no page at all. Browsers say so in
/// `Sec-Fetch-Site` (Fetch Metadata), older ones in `Origin`; what sends neither is a program, which no site can misuse.
fn is_same_origin(headers: &HeaderMap, site: &Site) -> bool {
    if let Some(from) = headers.get("Sec-Fetch-Site") {
        return from == "same-origin" || from == "none";
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    origin == site.public_url || origin.split_once("://").is_some_and(|(_, authority)| Some(authority) == host)
}

/// Answers what no route of a path serves: 405 with `Allow`.
pub fn wrong_method(allowed: &[Method]) -> HttpResponse {
    let allow = allowed.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
    HttpResponse::MethodNotAllowed().insert_header((header::ALLOW, allow)).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str) -> HeaderMap {
        let value = HeaderValue::from_str(name).expect("a host");
        HeaderMap::from_iter([(header::HOST, value)])
    }

    #[test]
    fn only_this_machine_is_trusted_without_https() {
        let site = Site {
            db: crate::db::Db::new("postgres://nowhere.invalid", 1),
            profile: std::sync::Arc::new(crate::profile::Profile::load("analysis").expect("the default profile")),
            public_url: "http://console.example".into(),
            keyring: crate::sealed::SecretKey([7; 32]).into(),
            webhooks: std::sync::Arc::default(),
            retention: crate::site::Retention::default(),
            news: crate::news::News::default(),
            mail: None,
            leaks: std::sync::Arc::default(),
            proxies: std::sync::Arc::default(),
        };
        for trusted in ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "[::1]"] {
            assert!(is_trustworthy(&host(trusted), &site), "{trusted}");
        }
        for other in ["console.example", "192.168.1.5:8080", "localhost.evil.example", "[fe80::1]:80", ""] {
            assert!(!is_trustworthy(&host(other), &site), "{other}");
        }
        assert!(is_trustworthy(&host("console.example"), &Site { public_url: "https://console.example".into(), ..site }));
    }
}
