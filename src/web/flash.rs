//! What happened, told on the next page: a signed cookie that lives until it was shown. Never a secret.

use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, CookieJar, Key, SameSite};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::site::Site;

/// How a flash looks and is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// It was done.
    Ok,
    /// It was not.
    Fail,
    /// It needs attention.
    Wait,
    /// Good to know.
    Info,
}

/// A bold result and the next step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flash {
    /// See [`Tone`].
    pub tone: Tone,
    /// What happened, one sentence.
    pub result: String,
    /// What to do next; may be empty.
    pub next: String,
}

impl Flash {
    /// It was done.
    pub fn ok(result: impl Into<String>, next: impl Into<String>) -> Self {
        Self { tone: Tone::Ok, result: result.into(), next: next.into() }
    }

    /// It was not done.
    pub fn fail(result: impl Into<String>, next: impl Into<String>) -> Self {
        Self { tone: Tone::Fail, result: result.into(), next: next.into() }
    }

    /// Its class in the stylesheet.
    pub fn class(&self) -> &'static str {
        match self.tone {
            Tone::Ok => "ok",
            Tone::Fail => "fail",
            Tone::Wait => "wait",
            Tone::Info => "info",
        }
    }

    /// Its icon.
    pub fn icon(&self) -> &'static str {
        match self.tone {
            Tone::Ok => "circle-check",
            Tone::Fail => "circle-x",
            Tone::Wait => "alert-triangle",
            Tone::Info => "info",
        }
    }

    /// How it is announced.
    pub fn role(&self) -> &'static str {
        if self.tone == Tone::Fail { "alert" } else { "status" }
    }
}

/// Name of the cookie. `__Host-` binds it to this host, by https alone.
pub fn name(site: &Site) -> &'static str {
    if site.is_https() { "__Host-latchkey-flash" } else { "latchkey-flash" }
}

fn key(site: &Site) -> Key {
    Key::from(&site.keyring.newest().derive("flash cookie"))
}

/// The cookie that carries `flash` to the next page.
pub fn cookie(site: &Site, flash: &Flash) -> Option<Cookie<'static>> {
    let text = URL_SAFE_NO_PAD.encode(serde_json::to_vec(flash).ok()?);
    let mut jar = CookieJar::new();
    jar.signed_mut(&key(site)).add(bare(site, text, Duration::minutes(5)));
    jar.delta().next().cloned()
}

/// The cookie that takes it away.
pub fn removal(site: &Site) -> Cookie<'static> {
    bare(site, String::new(), Duration::ZERO)
}

/// What a cookie of ours carries; none for any other.
pub fn read(site: &Site, cookie: Cookie<'static>) -> Option<Flash> {
    let mut jar = CookieJar::new();
    jar.add_original(cookie);
    let signed = jar.signed(&key(site)).get(name(site))?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(signed.value()).ok()?).ok()
}

fn bare(site: &Site, value: String, life: Duration) -> Cookie<'static> {
    Cookie::build(name(site), value).path("/").http_only(true).same_site(SameSite::Lax).secure(site.is_https()).max_age(life).finish()
}
