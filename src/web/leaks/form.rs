//! The public form: somebody found a key.

use actix_web::http::StatusCode;
use actix_web::web::Payload;
use askama::Template;
use url::form_urlencoded;

use super::{body, slow_down, telling};
use crate::actor::Actor;
use crate::clock;
use crate::error::{ClientError, Error};
use crate::keys::{self, Became, Reported};
use crate::site::LeakedKeys;
use crate::web::{Answer, Flash, Frame, Tone, Visitor, WebError, errors, filters, page, page_with_status};

const LARGEST_BODY: usize = 16 << 10;

#[derive(Template)]
#[template(path = "leaks/index.html")]
struct Report {
    frame: Frame,
    /// What becomes of a key that works.
    then: LeakedKeys,
    /// As it was typed. The key is not shown again.
    place: String,
    /// What is wrong with the key that was typed.
    problem: Option<&'static str>,
}

impl Report {
    fn new(visitor: &Visitor, flash: Option<Flash>) -> Self {
        let frame = Frame { flash: flash.or_else(|| visitor.frame.flash.clone()), ..visitor.frame.clone() };
        Self { frame, then: visitor.site.leaks.then, place: String::new(), problem: None }
    }

    fn revokes(&self) -> bool {
        self.then == LeakedKeys::Revoke
    }
}

/// `GET /leaked-keys`.
pub async fn show(visitor: Visitor) -> Answer {
    page(&Report::new(&visitor, None))
}

/// The form, sent.
pub(super) async fn create(visitor: Visitor, payload: Payload) -> Answer {
    let body = match body(payload, LARGEST_BODY).await {
        Ok(body) => body,
        Err(error) => return Ok(refused(&visitor, &error)),
    };
    let field = |name: &str| form_urlencoded::parse(&body).find(|(found, _)| found == name).map(|(_, value)| value.trim().to_owned());
    let (text, place) = (field("key").unwrap_or_default(), field("where").unwrap_or_default());
    if text.is_empty() {
        let problem = Some("The key is missing. Paste the text that you found.");
        return page_with_status(StatusCode::UNPROCESSABLE_ENTITY, &Report { place, problem, ..Report::new(&visitor, None) });
    }
    let reported = report(&visitor, text, place).await?;
    if reported.is_none() {
        slow_down(&visitor, 1).await;
    }
    let flash = words(reported.as_ref());
    telling::tell(&visitor.site, reported);
    page(&Report::new(&visitor, Some(flash)))
}

fn refused(visitor: &Visitor, error: &ClientError) -> actix_web::HttpResponse {
    errors::render(&visitor.frame, error, "")
}

async fn report(visitor: &Visitor, text: String, place: String) -> Result<Option<Reported>, WebError> {
    let (profile, then, now) = (visitor.site.profile.clone(), visitor.site.leaks.then, clock::now());
    let actor = Actor::leak_report(visitor.client.address.to_string(), visitor.client.user_agent.clone());
    let work = move |conn: &mut _| {
        // People bring lines of code, quotes, spaces.
        let Some(key) = keys::find_in(&profile, &text) else { return Ok::<_, Error>(None) };
        keys::report(conn, &actor, now, &profile, then, key, &place)
    };
    Ok(visitor.site.db.run(work).await?)
}

/// What became of it. Whose it is is nobody's business.
fn words(reported: Option<&Reported>) -> Flash {
    match reported.map(|reported| (reported.became, reported.is_news)) {
        None => Flash {
            tone: Tone::Info,
            result: "This is no key of this API.".into(),
            next: "Nothing was changed. Check that it is whole, and that it was made here.".into(),
        },
        Some((Became::Revoked, _)) => {
            Flash::ok("It was a key of this API, and is revoked.", "Nobody can use it any more, and its owners are told. Thank you.")
        }
        Some((Became::GraceEnded, _)) => {
            Flash::ok("It was an old key of this API, and is ended.", "Nobody can use it any more, and its owners are told. Thank you.")
        }
        Some((Became::Flagged, true)) => Flash::ok("It is a key of this API.", "Its owners are told to replace it. Thank you."),
        Some((Became::Flagged, false)) => Flash::ok("It is a key of this API, and was reported before.", "Its owners know. Thank you."),
        Some((Became::Over, _)) => Flash::ok("It was a key of this API, and works no more.", "It was over before. Thank you all the same."),
    }
}
