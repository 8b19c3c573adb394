//! The browser in which somebody has signed in before: a signed cookie that says so. Guesses from it are counted by themselves, so that
//! nobody who guesses elsewhere keeps the account's owner out.

use actix_web::HttpRequest;
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, CookieJar, Key, SameSite};

use crate::accounts::Device;
use crate::clock;
use crate::ids::{UserId, new_uuid};
use crate::site::Site;

/// As long as browsers keep cookies at most (RFC 6265bis).
const LIFE: Duration = Duration::days(400);

/// Name of the cookie. `__Host-` binds it to this host, by https alone.
fn name(site: &Site) -> &'static str {
    if site.is_https() { "__Host-latchkey-device" } else { "latchkey-device" }
}

fn key(site: &Site) -> Key {
    Key::from(&site.keyring.newest().derive("device cookie"))
}

/// What this browser proves; none for one that is new, or proves nothing.
pub fn read(site: &Site, request: &HttpRequest) -> Option<Device> {
    let mut jar = CookieJar::new();
    jar.add_original(request.cookie(name(site))?);
    let signed = jar.signed(&key(site)).get(name(site))?;
    let (user, id) = signed.value().split_once('.')?;
    Some(Device { user: UserId::parse(user)?, id: id.parse().ok()? })
}

/// The cookie for a browser in which this person has signed in now.
pub fn cookie(site: &Site, user: UserId) -> Option<Cookie<'static>> {
    let value = format!("{user}.{}", new_uuid(clock::now()));
    let cookie = Cookie::build(name(site), value).path("/").http_only(true).same_site(SameSite::Lax);
    let mut jar = CookieJar::new();
    jar.signed_mut(&key(site)).add(cookie.secure(site.is_https()).max_age(LIFE).finish());
    jar.delta().next().cloned()
}
