//! A small client over awc: sends one request, reads the whole answer, keeps cookies when it is a browser.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use actix_web::web::Bytes;
use awc::error::PayloadError;
use awc::http::Method;
use awc::http::header::{self, HeaderMap};
use futures_util::{Stream, StreamExt as _};
use serde::Serialize;
use serde_json::Value;

/// Who calls, and where.
#[derive(Clone)]
pub struct Client {
    http: awc::Client,
    origin: String,
    bearer: Option<String>,
    /// Only a browser has one.
    cookies: Option<Rc<RefCell<BTreeMap<String, String>>>>,
}

impl Client {
    pub fn new(origin: &str) -> Self {
        let connector = awc::Connector::new().limit(0).timeout(Duration::from_secs(10));
        let http = awc::Client::builder().connector(connector).timeout(Duration::from_secs(60)).disable_redirects().finish();
        Self { http, origin: origin.into(), bearer: None, cookies: None }
    }

    pub fn bearer(origin: &str, secret: &str) -> Self {
        Self { bearer: Some(secret.into()), ..Self::new(origin) }
    }

    pub fn browser(origin: &str) -> Self {
        Self { cookies: Some(Rc::default()), ..Self::new(origin) }
    }

    /// The cookies that a browser holds, by name.
    pub fn cookies(&self) -> BTreeMap<String, String> {
        self.cookies.as_ref().map(|cookies| cookies.borrow().clone()).unwrap_or_default()
    }

    /// Puts a cookie into the browser, as a forger would.
    pub fn set_cookie(&self, name: &str, value: &str) {
        self.cookies.as_ref().expect("a browser").borrow_mut().insert(name.into(), value.into());
    }

    pub fn get(&self, path: &str) -> Request {
        self.request(Method::GET, path)
    }

    pub fn post(&self, path: &str) -> Request {
        self.request(Method::POST, path)
    }

    pub fn put(&self, path: &str) -> Request {
        self.request(Method::PUT, path)
    }

    pub fn delete(&self, path: &str) -> Request {
        self.request(Method::DELETE, path)
    }

    /// Path and query, or an absolute URL of the same origin.
    pub fn request(&self, method: Method, path: &str) -> Request {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.origin) };
        let mut inner = self.http.request(method.clone(), url);
        if let Some(bearer) = &self.bearer {
            inner = inner.insert_header((header::AUTHORIZATION, format!("Bearer {bearer}")));
        }
        if let Some(cookies) = &self.cookies {
            inner = inner.insert_header((header::ACCEPT, "text/html,application/xhtml+xml,*/*;q=0.8"));
            if method != Method::GET {
                inner = inner.insert_header(("sec-fetch-site", "same-origin")).insert_header((header::ORIGIN, self.origin.as_str()));
            }
            let jar: Vec<String> = cookies.borrow().iter().map(|(name, value)| format!("{name}={value}")).collect();
            if !jar.is_empty() {
                inner = inner.insert_header((header::COOKIE, jar.join("; ")));
            }
        }
        Request { inner, body: Vec::new(), cookies: self.cookies.clone() }
    }
}

/// One request in the making.
pub struct Request {
    inner: awc::ClientRequest,
    body: Vec<u8>,
    cookies: Option<Rc<RefCell<BTreeMap<String, String>>>>,
}

impl Request {
    /// Sets a header in place of one of that name.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.inner = self.inner.insert_header((name, value));
        self
    }

    /// Adds a header beside one of that name.
    pub fn also_header(mut self, name: &str, value: &str) -> Self {
        self.inner = self.inner.append_header((name, value));
        self
    }

    /// As htmx sends it.
    pub fn htmx(self) -> Self {
        self.header("hx-request", "true")
    }

    pub fn json(self, value: &impl Serialize) -> Self {
        let body = serde_json::to_vec(value).unwrap();
        self.header("content-type", "application/json").body(body)
    }

    /// Fields of a form, in order.
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let encoded: Vec<String> = fields.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
        self.header("content-type", "application/x-www-form-urlencoded").body(encoded.join("&").into_bytes())
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The whole answer; panics when there is none.
    pub async fn send(self) -> Answer {
        self.try_send().await.expect("an answer")
    }

    /// The head of the answer, with a body that is read as it comes.
    pub async fn open(self) -> Open {
        let response = self.inner.send_body(self.body).await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Open { status, headers, body: Box::pin(response), rest: String::new() }
    }

    /// The whole answer, or why there is none.
    pub async fn try_send(self) -> Result<Answer, String> {
        let mut response = self.inner.send_body(self.body).await.map_err(|e| e.to_string())?;
        let body = response.body().limit(64 << 20).await.map_err(|e| e.to_string())?.to_vec();
        if let Some(cookies) = &self.cookies {
            for line in response.headers().get_all(header::SET_COOKIE) {
                keep(&mut cookies.borrow_mut(), line.to_str().unwrap());
            }
        }
        Ok(Answer { status: response.status().as_u16(), headers: response.headers().clone(), body })
    }
}

/// An answer whose body is read as it comes.
pub struct Open {
    pub status: u16,
    pub headers: HeaderMap,
    body: Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>>,
    /// What came and was not asked for yet.
    rest: String,
}

impl Open {
    /// Waits for these words: what came up to their end. Panics when the body ends before.
    pub async fn until(&mut self, words: &str) -> String {
        loop {
            if let Some(at) = self.rest.find(words) {
                let rest = self.rest.split_off(at + words.len());
                return std::mem::replace(&mut self.rest, rest);
            }
            let chunk = self.body.next().await.unwrap_or_else(|| panic!("the end before {words:?}: {}", self.rest));
            self.rest.push_str(std::str::from_utf8(&chunk.expect("more of the body")).expect("text"));
        }
    }

    /// What comes next; none at the end.
    pub async fn chunk(&mut self) -> Option<Bytes> {
        Some(self.body.next().await?.expect("more of the body"))
    }

    /// Reads to the end.
    pub async fn end(mut self) -> String {
        while let Some(chunk) = self.body.next().await {
            self.rest.push_str(std::str::from_utf8(&chunk.expect("more of the body")).expect("text"));
        }
        self.rest
    }
}

fn keep(jar: &mut BTreeMap<String, String>, line: &str) {
    let mut parts = line.split(';');
    let (name, value) = parts.next().and_then(|pair| pair.split_once('=')).expect("a cookie");
    let gone = value.is_empty() || parts.any(|attribute| attribute.trim().eq_ignore_ascii_case("max-age=0"));
    if gone {
        jar.remove(name.trim());
    } else {
        jar.insert(name.trim().into(), value.trim().into());
    }
}

fn escape(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text; panics when it is not UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    /// The body as JSON; panics with the body when it is not.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("no JSON ({e}), status {}: {}", self.status, self.text()))
    }

    /// A header, empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a header of text"))
    }

    /// Where a redirect leads, as a path.
    pub fn location(&self) -> &str {
        self.header("location")
    }
}
