//! Signing in and out.

use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;
use tokio::sync::Semaphore;

use super::guard::Visitor;
use super::{Answer, Flash, Frame, Person, WebError, device, filters, page, page_with_status, see_other, see_other_with, session};
use crate::accounts::{self, Stamp, User, sessions};
use crate::clock;
use crate::error::{ClientError, Error, Result};
use crate::ids::UserId;

/// Passwords that are hashed at once: each takes 19 MiB and a processor, and waiting costs nothing.
static HASHING: Semaphore = Semaphore::const_new(2);

#[derive(Template)]
#[template(path = "sign_in/index.html")]
struct SignIn {
    frame: Frame,
    email: String,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "sign_in/code.html")]
struct Code {
    frame: Frame,
    /// What the first half of the sign-in left.
    challenge: String,
    next: Option<String>,
    problem: Option<String>,
}

/// The form of the second factor.
#[derive(Deserialize)]
pub struct CodeFields {
    #[serde(default)]
    challenge: String,
    #[serde(default)]
    code: String,
    next: Option<String>,
}

/// The query of the page.
#[derive(Deserialize)]
pub struct Asked {
    next: Option<String>,
}

/// The form.
#[derive(Deserialize)]
pub struct Fields {
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
    next: Option<String>,
}

/// `GET /sign-in`.
pub async fn show(visitor: Visitor, asked: web::Query<Asked>) -> Answer {
    let next = asked.into_inner().next.filter(|path| is_local(path));
    if session::user(&visitor.session)?.is_some() {
        return Ok(see_other(next.as_deref().unwrap_or("/")));
    }
    page(&SignIn { frame: visitor.frame, email: String::new(), next })
}

/// `POST /sign-in`. One answer for every failure; who has a second factor is asked for it.
pub async fn create(visitor: Visitor, fields: web::Form<Fields>) -> Answer {
    let Fields { email, password, next } = fields.into_inner();
    let next = next.filter(|path| is_local(path));
    let error = match prove(&visitor, email.clone(), password).await {
        Ok((user, stamp)) => return proved(visitor, user, stamp, next).await,
        Err(error @ (Error::Unauthenticated | Error::Limited { .. })) => ClientError::from(&error),
        Err(error) => return Err(WebError(error)),
    };
    let why = match error.retry_after_s {
        Some(_) => error.message.clone().into_owned(),
        None => "E-mail and password do not match. Check both and try again.".into(),
    };
    let frame = Frame { flash: Some(Flash::fail("Not signed in.", why)), ..visitor.frame };
    refused(&error, &SignIn { frame, email: email.chars().take(254).collect(), next })
}

/// The form once more, with the status of what was wrong.
fn refused(error: &ClientError, screen: &impl Template) -> Answer {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::UNAUTHORIZED);
    let mut response = page_with_status(status, screen)?;
    if let Some(seconds) = error.retry_after_s {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    Ok(response)
}

/// On with somebody whose password was right.
async fn proved(visitor: Visitor, user: User, stamp: Stamp, next: Option<String>) -> Answer {
    let (id, proved) = (user.id, stamp.clone());
    match visitor.site.db.run(move |conn| accounts::challenge(conn, clock::now(), id, &proved)).await? {
        Some(token) => page(&Code { frame: visitor.frame, challenge: token.reveal().to_owned(), next, problem: None }),
        None => begun(&visitor, user.id, &stamp, see_other(next.as_deref().unwrap_or("/"))),
    }
}

/// `POST /sign-in/code`: the second factor.
pub async fn answer(visitor: Visitor, fields: web::Form<CodeFields>) -> Answer {
    let CodeFields { challenge, code, next } = fields.into_inner();
    let next = next.filter(|path| is_local(path));
    let (address, user_agent) = (visitor.client.address.to_string(), visitor.client.user_agent.clone());
    let (keyring, token, device) = (visitor.site.keyring.clone(), challenge.clone(), visitor.device);
    let answer = move |conn: &mut _| accounts::answer_challenge(conn, clock::now(), &keyring, &token, &code, device, &address, &user_agent);
    let error = match visitor.site.db.run(answer).await {
        Ok(answered) => {
            let to = next.as_deref().unwrap_or("/");
            let response = answered.recovery_codes_left.map_or_else(|| see_other(to), |left| see_other_with(to, codes_left(left)));
            return begun(&visitor, answered.user.id, &answered.stamp, response);
        }
        Err(Error::NotFound) => return Ok(see_other_with(&with_next("/sign-in", next.as_deref().unwrap_or("/")), too_late())),
        Err(error @ (Error::Unauthenticated | Error::Limited { .. })) => ClientError::from(&error),
        Err(error) => return Err(WebError(error)),
    };
    let problem = match error.retry_after_s {
        Some(_) => error.message.clone().into_owned(),
        None => "This is no code of this moment, and no recovery code that is left. Each works once.".into(),
    };
    refused(&error, &Code { frame: visitor.frame, challenge, next, problem: Some(problem) })
}

fn too_late() -> Flash {
    Flash::fail("Not signed in.", "The code came more than ten minutes after the password, or a second time. Begin again.")
}

fn codes_left(left: i64) -> Flash {
    let next = match left {
        0 => "It was the last one. Make new ones under Account.".into(),
        1 => "One is left. Make new ones under Account.".into(),
        _ => format!("{left} are left."),
    };
    Flash { tone: super::Tone::Wait, ..Flash::ok("Signed in with a recovery code.", next) }
}

/// Starts the session, in a browser that is known from now on.
///
/// # Errors
/// As [`session::begin`].
pub fn begun(visitor: &Visitor, user: UserId, proved: &Stamp, mut response: HttpResponse) -> Answer {
    session::begin(&visitor.session, user, proved, &visitor.client)?;
    if let Some(cookie) = device::cookie(&visitor.site, user) {
        response.add_cookie(&cookie).map_err(|e| Error::internal("a cookie", e))?;
    }
    Ok(response)
}

async fn prove(visitor: &Visitor, email: String, password: String) -> Result<(User, Stamp)> {
    let db = &visitor.site.db;
    let (address, device) = (visitor.client.address, visitor.device);
    let attempt = db.run(move |conn| accounts::begin_sign_in(conn, clock::now(), &email, address, device)).await?;
    let verified = hashing(move || attempt.verify(&password)).await?;
    let (address, user_agent) = (visitor.client.address.to_string(), visitor.client.user_agent.clone());
    let stamp = verified.stamp();
    let user = db.run(move |conn| accounts::finish_sign_in(conn, clock::now(), verified, &address, &user_agent)).await?;
    Ok((user, stamp))
}

/// Runs what hashes a password on a thread that may block, a few at a time.
///
/// # Errors
/// `Unavailable` when the server stops.
pub async fn hashing<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let stopped = || Error::Unavailable("worker thread stopped".into());
    let _permit = HASHING.acquire().await.map_err(|_| stopped())?;
    web::block(work).await.map_err(|_| stopped())
}

/// `POST /sign-out`.
pub async fn sign_out(visitor: Visitor) -> Answer {
    visitor.session.purge();
    Ok(see_other_with("/sign-in", Flash::ok("Signed out.", "")))
}

/// `POST /sign-out-everywhere`.
pub async fn sign_out_everywhere(person: Person) -> Answer {
    let Person { site, actor, session, .. } = person;
    site.db.run(move |conn| sessions::end_everywhere(conn, &actor, clock::now())).await?;
    session.purge();
    Ok(see_other_with("/sign-in", Flash::ok("Signed out everywhere.", "Every browser that was signed in has to sign in again.")))
}

/// A page of ours that goes on to `path`.
pub fn with_next(page: &str, path: &str) -> String {
    if path == "/" || !is_local(path) {
        return page.into();
    }
    let mut location = format!("{page}?next=");
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            location.push(char::from(byte));
        } else {
            location.push_str(&format!("%{byte:02X}"));
        }
    }
    location
}

/// Whether a path stays on this host, and is no way in or out. Browsers read `//host` and `/\host` as other hosts, and drop tabs and line breaks first.
pub fn is_local(path: &str) -> bool {
    path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains('\\')
        && path.bytes().all(|byte| (0x21..0x7f).contains(&byte))
        && path.len() <= 2_000
        && !path.starts_with("/sign-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_ours_are_gone_on_to() {
        for good in ["/", "/orgs/acme/usage?status=4xx&cursor=a%20b"] {
            assert!(is_local(good), "{good}");
        }
        for bad in
            ["", "https://evil.example", "//evil.example", "/\\evil.example", "/\t/evil.example", "javascript:1", "/a\r\nb", "/sign-out"]
        {
            assert!(!is_local(bad), "{bad:?}");
        }
        assert_eq!(with_next("/sign-in", "/orgs/acme/usage?a=b&c=d"), "/sign-in?next=/orgs/acme/usage%3Fa%3Db%26c%3Dd");
        assert_eq!(with_next("/sign-in", "//evil.example"), "/sign-in");
    }
}
