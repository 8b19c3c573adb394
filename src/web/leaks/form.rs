//! The public form: somebody found a key.

use actix_web::http::StatusCode;
use actix_web::web::Payload;
use askama::Template;
use url::form_urlencoded;

use super::{body, report, slow_down};
use crate::error::ClientError;
use crate::keys::{self, Became, Reported};
use crate::site::LeakedKeys;
use crate::web::{Answer, Flash, Frame, Tone, Visitor, errors, filters, page, page_with_status};

const LARGEST_BODY: usize = 16 << 10;
/// Most keys that are taken from one text.
const MOST: usize = 20;

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
    // People bring lines of code, quotes, whole files.
    let keys = keys::find_all(&visitor.site.profile, &text).into_iter().take(MOST);
    let found: Vec<(String, String)> = keys.map(|key| (key.to_owned(), place.clone())).collect();
    let tried = found.len().max(1);
    let reported = report(&visitor, found).await?;
    let news = reported.values().filter(|one| one.is_news).count();
    slow_down(&visitor, tried.saturating_sub(news)).await;
    let flash = words(reported.values().max_by_key(|one| (weight(one.became), one.is_news)));
    page(&Report::new(&visitor, Some(flash)))
}

fn refused(visitor: &Visitor, error: &ClientError) -> actix_web::HttpResponse {
    errors::render(&visitor.frame, error, "")
}

/// How much the finder, and an owner, want to hear of it.
fn weight(became: Became) -> u8 {
    match became {
        Became::Revoked => 3,
        Became::GraceEnded => 2,
        Became::Flagged => 1,
        Became::Over => 0,
    }
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
