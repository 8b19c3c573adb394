//! Turning two-factor sign-in on and off, and the recovery codes.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{Form, Query};
use askama::Template;
use qrcodegen::{QrCode, QrCodeEcc};
use serde::Deserialize;

use super::HERE;
use crate::accounts::two_factor::{self, Setup};
use crate::error::{ClientError, Error, Result};
use crate::web::sign_in::is_local;
use crate::web::{
    Answer, Flash, Frame, Person, Section, filters, fragment, page, page_with_status, prove, see_other, see_other_with, wants_fragment,
};

/// What a device takes over.
#[derive(Template)]
#[template(path = "account/two_factor.html")]
struct SetUp {
    frame: Frame,
    setup: Setup,
    /// Of the picture, in modules.
    size: i32,
    /// The dark modules, as an SVG path.
    dark: String,
    /// Where the reader was going.
    next: Option<String>,
    problem: Option<String>,
}

impl SetUp {
    /// The secret in groups of four, as people type it.
    fn groups(&self) -> String {
        self.setup.secret.as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ")
    }
}

/// The recovery codes, once.
#[derive(Template)]
#[template(path = "account/recovery_codes.html")]
struct Codes {
    frame: Frame,
    codes: Vec<String>,
    next: String,
}

/// Which question.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    TurnOff,
    Renew,
}

#[derive(Template)]
#[template(path = "account/confirm.html", blocks = ["confirm"])]
struct Confirm {
    frame: Frame,
    verb: Verb,
    /// What is wrong with the code.
    problem: Option<String>,
    /// A page of its own, whose question is the h1.
    whole: bool,
}

impl Confirm {
    fn is_renewal(&self) -> bool {
        self.verb == Verb::Renew
    }

    fn action(&self) -> &'static str {
        if self.is_renewal() { "/account/two-factor/recovery-codes" } else { "/account/two-factor/removal" }
    }
}

/// The query of the page.
#[derive(Deserialize)]
pub struct Asked {
    next: Option<String>,
}

/// The forms.
#[derive(Deserialize)]
pub struct Fields {
    #[serde(default)]
    code: String,
    password: Option<String>,
    next: Option<String>,
}

/// `GET /account/two-factor`.
pub async fn set_up(person: Person, asked: Query<Asked>) -> Answer {
    let next = asked.into_inner().next.filter(|path| is_local(path));
    if person.has_two_factor {
        return Ok(see_other(next.as_deref().unwrap_or(HERE)));
    }
    page(&show(&person, next, None).await?)
}

async fn show(person: &Person, next: Option<String>, problem: Option<String>) -> Result<SetUp> {
    let frame = person.frame.clone().in_section(Section::Account);
    let (actor, now, keyring) = (person.actor.clone(), frame.now, person.site.keyring.clone());
    let issuer = format!("Latchkey {}", frame.host);
    let session = person.current.id;
    let setup = person.site.db.run(move |conn| two_factor::begin(conn, &actor, now, &keyring, session, &issuer)).await?;
    let code = QrCode::encode_text(&setup.url, QrCodeEcc::Medium).map_err(|e| Error::internal("a QR code", e))?;
    let modules = (0..code.size()).flat_map(|y| (0..code.size()).map(move |x| (x, y)));
    let dark = modules.filter(|(x, y)| code.get_module(*x, *y)).map(|(x, y)| format!("M{x} {y}h1v1h-1z")).collect();
    Ok(SetUp { frame, setup, size: code.size(), dark, next, problem })
}

/// `POST /account/two-factor`: the first code turns it on. The answer alone shows the recovery codes.
pub async fn turn_on(mut person: Person, fields: Form<Fields>) -> Answer {
    let Fields { code, password, next } = fields.into_inner();
    let next = next.filter(|path| is_local(path));
    let problem = match try_turn_on(&mut person, password.as_deref(), code).await {
        Ok(codes) => return shown_once(person, codes, next),
        Err(Error::ProofNeeded) => None,
        Err(Error::Invalid(errors)) => errors.into_iter().next().map(|error| error.message),
        Err(Error::Conflict(why)) => return Ok(see_other_with(HERE, Flash::fail("Nothing was changed.", why))),
        Err(error) => return Err(error.into()),
    };
    let mut screen = show(&person, next, problem).await?;
    screen.frame.flash = Some(Flash::fail("Two-factor sign-in is not on.", "Something needs a change below."));
    page_with_status(StatusCode::UNPROCESSABLE_ENTITY, &screen)
}

async fn try_turn_on(person: &mut Person, password: Option<&str>, code: String) -> Result<Vec<String>> {
    prove(person, password).await?;
    let (actor, now, keyring, session) = (person.actor.clone(), person.frame.now, person.site.keyring.clone(), person.current.id);
    person.site.db.run(move |conn| two_factor::confirm(conn, &actor, now, &keyring, session, &code)).await
}

fn shown_once(person: Person, codes: Vec<String>, next: Option<String>) -> Answer {
    page(&Codes { frame: person.frame.in_section(Section::Account), codes, next: next.unwrap_or_else(|| HERE.into()) })
}

/// `GET /account/two-factor/removal`.
pub async fn ask_off(person: Person, request: HttpRequest) -> Answer {
    ask(person, &request, Verb::TurnOff)
}

/// `GET /account/two-factor/recovery-codes`.
pub async fn ask_renewal(person: Person, request: HttpRequest) -> Answer {
    ask(person, &request, Verb::Renew)
}

fn ask(person: Person, request: &HttpRequest, verb: Verb) -> Answer {
    if !person.has_two_factor {
        return Ok(see_other_with(HERE, is_off()));
    }
    let whole = !wants_fragment(request);
    let screen = Confirm { frame: person.frame.in_section(Section::Account), verb, problem: None, whole };
    if whole { page(&screen) } else { fragment(&screen.as_confirm()) }
}

fn is_off() -> Flash {
    Flash::fail("Nothing was changed.", "Two-factor sign-in is off.")
}

/// `POST /account/two-factor/removal`.
pub async fn turn_off(mut person: Person, fields: Form<Fields>) -> Answer {
    if let Err(error) = prove(&mut person, fields.password.as_deref()).await {
        return again(person, Verb::TurnOff, error);
    }
    let (actor, now, session) = (person.actor.clone(), person.frame.now, person.current.id);
    let (keyring, code) = (person.site.keyring.clone(), fields.into_inner().code);
    match person.site.db.run(move |conn| two_factor::turn_off(conn, &actor, now, &keyring, session, &code)).await {
        Ok(()) => Ok(see_other_with(HERE, Flash::ok("Two-factor sign-in is off.", "Your password alone signs you in."))),
        Err(Error::Conflict(why)) => Ok(see_other_with(HERE, Flash::fail("Nothing was changed.", why))),
        Err(error) => again(person, Verb::TurnOff, error),
    }
}

/// `POST /account/two-factor/recovery-codes`. The answer alone shows the new ones.
pub async fn renew(mut person: Person, fields: Form<Fields>) -> Answer {
    if let Err(error) = prove(&mut person, fields.password.as_deref()).await {
        return again(person, Verb::Renew, error);
    }
    let (actor, now) = (person.actor.clone(), person.frame.now);
    match person.site.db.run(move |conn| two_factor::renew_recovery_codes(conn, &actor, now)).await {
        Ok(codes) => shown_once(person, codes, None),
        Err(Error::Conflict(why)) => Ok(see_other_with(HERE, Flash::fail("Nothing was changed.", why))),
        Err(error) => Err(error.into()),
    }
}

/// The question once more, with what was missing or wrong.
fn again(person: Person, verb: Verb, error: Error) -> Answer {
    let problem = match &error {
        Error::ProofNeeded if !person.has_two_factor => return Ok(see_other_with(HERE, is_off())),
        Error::ProofNeeded => None,
        Error::Invalid(problems) => problems.first().map(|problem| problem.message.clone()),
        Error::Limited { .. } => Some(ClientError::from(&error).message.into_owned()),
        _ => return Err(error.into()),
    };
    let frame = person.frame.in_section(Section::Account);
    page_with_status(StatusCode::UNPROCESSABLE_ENTITY, &Confirm { frame, verb, problem, whole: true })
}
