//! The session behind the cookie: `actix-session` keeps the cookie, the table `sessions` is the truth.

use std::collections::HashMap;

use actix_session::config::{CookieContentSecurity, PersistentSession};
use actix_session::storage::{LoadError, SaveError, SessionKey, SessionStore, UpdateError};
use actix_session::{Session, SessionMiddleware};
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Key, SameSite};
use time::OffsetDateTime;

use super::WebError;
use super::guard::Client;
use crate::accounts::{Stamp, sessions};
use crate::clock;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::secret::{SecretDigest, random_base62};
use crate::site::Site;

const USER: &str = "user";
const ID: &str = "id";
const PROVED_AT: &str = "proved_at";
const STAMP: &str = "stamp";
const ADDRESS: &str = "address";
/// Stands in a session that could not be loaded: an error of the store would end the request without a page.
const AWAY: &str = "away";
const USER_AGENT: &str = "user_agent";
/// 357 bits; also the most that is looked up.
const TOKEN_LENGTH: usize = 64;

/// Name of the cookie. `__Host-` binds it to this host, by https alone.
pub fn cookie_name(site: &Site) -> &'static str {
    if site.is_https() { "__Host-latchkey" } else { "latchkey" }
}

/// The middleware that every page passes but what is the same for everybody. `by_itself`: what is asked so shows nobody's presence.
pub fn middleware(site: &Site, by_itself: bool) -> SessionMiddleware<Store> {
    let life = Duration::seconds(sessions::ABSOLUTE.whole_seconds());
    SessionMiddleware::builder(Store { db: site.db.clone(), by_itself }, Key::from(&site.keyring.newest().derive("session cookie")))
        .cookie_name(cookie_name(site).into())
        .cookie_secure(site.is_https())
        .cookie_http_only(true)
        .cookie_same_site(SameSite::Lax)
        .cookie_path("/".into())
        .cookie_content_security(CookieContentSecurity::Signed)
        .session_lifecycle(PersistentSession::default().session_ttl(life))
        .build()
}

/// Starts the session of a person that has just proved who it is, under a new id; the one before ends.
///
/// # Errors
/// `Internal` when the values can't be kept.
pub fn begin(session: &Session, user: UserId, proved: &Stamp, client: &Client) -> Result<(), WebError> {
    session.clear();
    session.renew();
    let keep = |name: &str, value: &str| session.insert(name, value).map_err(|e| Error::internal("keeping a session", e));
    keep(USER, &user.to_string())?;
    keep(STAMP, proved.as_str())?;
    keep(ADDRESS, &client.address.to_string())?;
    keep(USER_AGENT, &client.user_agent)?;
    Ok(())
}

/// The session, if somebody is signed in.
///
/// # Errors
/// `Unavailable` when the database could not say.
pub fn current(session: &Session) -> Result<Option<sessions::Session>> {
    if session.contains_key(AWAY) {
        return Err(Error::Unavailable("session not loaded".into()));
    }
    let text = |name: &str| session.get::<String>(name).ok().flatten();
    let read = || {
        let proved_at = OffsetDateTime::from_unix_timestamp(text(PROVED_AT)?.parse().ok()?).ok()?;
        Some(sessions::Session { id: text(ID)?.parse().ok()?, user: UserId::parse(&text(USER)?)?, proved_at })
    };
    Ok(read())
}

/// Whose session it is.
///
/// # Errors
/// As [`current`].
pub fn user(session: &Session) -> Result<Option<UserId>> {
    Ok(current(session)?.map(|session| session.user))
}

/// The table `sessions` as a store. What fails in writing comes out as an error of the middleware, which `edge` answers with 503.
pub struct Store {
    db: Db,
    by_itself: bool,
}

impl SessionStore for Store {
    async fn load(&self, key: &SessionKey) -> Result<Option<HashMap<String, String>>, LoadError> {
        let Some(token) = digest(key) else { return Ok(None) };
        let (now, by_itself) = (clock::now(), self.by_itself);
        let entry = |name: &str, value: String| (name.to_owned(), serde_json::Value::from(value).to_string());
        match self.db.run(move |conn| if by_itself { sessions::peek(conn, now, token) } else { sessions::load(conn, now, token) }).await {
            Ok(Some(session)) => Ok(Some(HashMap::from([
                entry(ID, session.id.to_string()),
                entry(USER, session.user.to_string()),
                entry(PROVED_AT, session.proved_at.unix_timestamp().to_string()),
            ]))),
            Ok(None) => Ok(None),
            Err(error) => {
                tracing::error!(error = %error, "loading a session");
                Ok(Some(HashMap::from([entry(AWAY, String::new())])))
            }
        }
    }

    async fn save(&self, state: HashMap<String, String>, _: &Duration) -> Result<SessionKey, SaveError> {
        let failed = |error: Error| SaveError::Other(error.into());
        let value = |name: &str| state.get(name).and_then(|text| serde_json::from_str::<String>(text).ok());
        let user = value(USER).and_then(|id| UserId::parse(&id)).ok_or_else(|| failed(Error::Internal("session without a user".into())))?;
        let proved = Stamp::from_text(value(STAMP).unwrap_or_default());
        let (address, user_agent) = (value(ADDRESS).unwrap_or_default(), value(USER_AGENT).unwrap_or_default());
        let text = random_base62(TOKEN_LENGTH).map_err(failed)?;
        let token = SecretDigest::of(&text);
        let now = clock::now();
        self.db.run(move |conn| sessions::create(conn, now, token, user, &proved, &address, &user_agent)).await.map_err(failed)?;
        text.try_into().map_err(|_| failed(Error::Internal("session key".into())))
    }

    async fn update(&self, key: SessionKey, _: HashMap<String, String>, _: &Duration) -> Result<SessionKey, UpdateError> {
        // Nothing in a session changes: it is begun, and ended.
        Ok(key)
    }

    async fn update_ttl(&self, _: &SessionKey, _: &Duration) -> Result<(), anyhow::Error> {
        Ok(())
    }

    async fn delete(&self, key: &SessionKey) -> Result<(), anyhow::Error> {
        let Some(token) = digest(key) else { return Ok(()) };
        let now = clock::now();
        Ok(self.db.run(move |conn| sessions::delete(conn, now, token)).await?)
    }
}

fn digest(key: &SessionKey) -> Option<SecretDigest> {
    let text = key.as_ref();
    (text.len() == TOKEN_LENGTH).then(|| SecretDigest::of(text))
}
