//! The reader's own account: name, password, second factor, sessions.

mod password;
mod two_factor;

use actix_web::http::StatusCode;
use actix_web::web::{Form, Path};
use askama::Template;
use serde::Deserialize;
use uuid::Uuid;

pub use password::change as change_password;
pub use two_factor::{ask_off, ask_renewal, renew, set_up, turn_off, turn_on};

use super::{Answer, Flash, Frame, Person, Section, filters, page, page_with_status, see_other_with};
use crate::accounts::sessions::SessionView;
use crate::accounts::{self, sessions, two_factor as factor};
use crate::error::{Error, FieldError, Result};

/// Where it is.
const HERE: &str = "/account";

/// The page.
#[derive(Template)]
#[template(path = "account/index.html")]
struct Index {
    frame: Frame,
    /// As it is, or as it was typed.
    name: String,
    has_two_factor: bool,
    recovery_codes_left: i64,
    sessions: Vec<SessionView>,
    /// The session of this request.
    here: Uuid,
    errors: Vec<FieldError>,
}

impl Index {
    async fn read(person: &Person) -> Result<Self> {
        let (user, now) = (person.user.id, person.frame.now);
        let look = move |conn: &mut _| Ok((sessions::list(conn, user, now)?, factor::recovery_codes_left(conn, user)?));
        let (sessions, recovery_codes_left) = person.site.db.run(look).await?;
        Ok(Self {
            frame: person.frame.clone().in_section(Section::Account),
            name: person.user.name.clone(),
            has_two_factor: person.has_two_factor,
            recovery_codes_left,
            sessions,
            here: person.current.id,
            errors: Vec::new(),
        })
    }

    fn error(&self, field: &str) -> Option<&str> {
        self.errors.iter().find(|error| error.field == field).map(|error| error.message.as_str())
    }

    fn program(&self, session: &SessionView) -> String {
        program(&session.user_agent)
    }

    fn is_here(&self, session: &SessionView) -> bool {
        session.id == self.here
    }

    /// The page with what was not accepted in its fields: 422.
    fn refuse(mut self, result: &str, errors: Vec<FieldError>) -> Answer {
        self.frame.flash = Some(Flash::fail(result, "Something needs a change below."));
        page_with_status(StatusCode::UNPROCESSABLE_ENTITY, &Self { errors, ..self })
    }
}

/// `Firefox on Linux`, as far as a program tells what it is; else what it says of itself, cut off.
fn program(user_agent: &str) -> String {
    // In this order: most say that they are several.
    let name = [("Edg", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari")];
    let system =
        [("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"), ("Mac OS", "macOS"), ("Linux", "Linux")];
    let known = |list: &[(&str, &'static str)]| list.iter().find(|(sign, _)| user_agent.contains(sign)).map(|(_, name)| *name);
    match (known(&name), known(&system)) {
        (Some(name), Some(system)) => format!("{name} on {system}"),
        (Some(name), None) => name.into(),
        _ if user_agent.is_empty() => "A program without a name".into(),
        _ => user_agent.chars().take(60).collect(),
    }
}

/// `GET /account`.
pub async fn index(person: Person) -> Answer {
    page(&Index::read(&person).await?)
}

/// The form of the name.
#[derive(Deserialize)]
pub struct NameFields {
    #[serde(default)]
    name: String,
}

/// `POST /account/name`.
pub async fn rename(person: Person, fields: Form<NameFields>) -> Answer {
    let (actor, now, name) = (person.actor.clone(), person.frame.now, fields.into_inner().name);
    let typed = name.clone();
    match person.site.db.run(move |conn| accounts::rename(conn, &actor, now, &name)).await {
        Ok(()) => Ok(see_other_with(HERE, Flash::ok("Name saved.", "What you did before keeps the name that it was done under."))),
        Err(Error::Invalid(errors)) => Index { name: typed, ..Index::read(&person).await? }.refuse("Name not saved.", errors),
        Err(error) => Err(error.into()),
    }
}

/// `POST /account/sessions/{session}/sign-out`.
pub async fn end_session(person: Person, session: Path<String>) -> Answer {
    let session: Uuid = session.parse().map_err(|_| Error::NotFound)?;
    let (actor, now) = (person.actor.clone(), person.frame.now);
    match person.site.db.run(move |conn| sessions::end(conn, &actor, now, session)).await {
        Ok(()) if session == person.current.id => Ok(see_other_with("/sign-in", Flash::ok("Signed out.", ""))),
        Ok(()) => Ok(see_other_with(HERE, Flash::ok("Signed out there.", "That browser has to sign in again."))),
        Err(Error::NotFound) => Ok(see_other_with(HERE, Flash::ok("That session is over already.", ""))),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::program;

    #[test]
    fn browsers_are_told_by_what_they_say_they_are() {
        let of = |agent| program(agent);
        assert_eq!(of("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"), "Firefox on Linux");
        assert_eq!(
            of("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.0 Safari/605.1.15"),
            "Safari on macOS"
        );
        assert_eq!(of("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/129.0 Safari/537.36 Edg/129.0"), "Edge on Windows");
        assert_eq!(of("curl/8.5"), "curl/8.5");
        assert_eq!(of(""), "A program without a name");
    }
}
