//! **Send Test Event**: once, the same way as a delivery, and what came of it at once.

use actix_web::HttpRequest;
use actix_web::web::Data;

use super::laps::{Laps, millis};
use super::views::reason;
use super::{Asked, Index, refused};
use crate::courier::{Attempt, Courier, FailureClass};
use crate::error::Result;
use crate::web::{Answer, Member, fragment, page, wants_fragment};
use crate::webhooks;

/// What came of a test event.
pub(super) struct Tested {
    /// Of the readout: `ok`, `wait`, `fail`.
    pub(super) class: &'static str,
    /// `HTTP 200`, or the class of a failure as a word.
    pub(super) word: String,
    /// `123 ms`, or the sentence of a failure.
    pub(super) detail: String,
    /// How long it took, where `detail` does not say it.
    pub(super) took: Option<String>,
    /// What that means for deliveries, where that is not plain.
    pub(super) meaning: String,
    pub(super) attempt: Attempt,
    pub(super) laps: Laps,
    pub(super) payload: String,
}

impl Tested {
    fn new(attempt: Attempt, payload: String) -> Self {
        let micros = |lap: Option<std::time::Duration>| lap.map(|lap| lap.as_micros() as i64);
        let (laps, total) = (attempt.laps, attempt.laps.total.as_micros() as i64);
        let answered = attempt.answer.is_some();
        let laps = Laps::of([laps.dns, laps.connect, laps.tls, laps.first_byte].map(micros), total, answered);
        let (class, word, detail, meaning) = match (&attempt.failure, attempt.status()) {
            // An answer all the same.
            (Some(failure), Some(status)) => {
                ("fail", format!("HTTP {status}"), millis(total), format!("{}. {}", class_word(failure.class), failure.message))
            }
            (Some(failure), None) => ("fail", class_word(failure.class).to_owned(), failure.message.clone(), String::new()),
            (None, status) => {
                let status = status.unwrap_or_default();
                let meaning = match status {
                    200..=299 => String::new(),
                    410 => "Gone: a delivery that is answered so switches the webhook off.".into(),
                    _ => format!("{}: a delivery that is answered so is tried again later.", reason(status)),
                };
                let class = if attempt.is_success() { "ok" } else { "fail" };
                (class, format!("HTTP {status}"), millis(total), meaning)
            }
        };
        let took = attempt.answer.is_none().then(|| millis(total));
        Self { class, word, detail, took, meaning, laps, payload, attempt }
    }
}

fn class_word(class: FailureClass) -> &'static str {
    match class {
        FailureClass::Blocked => "Blocked address",
        FailureClass::Dns => "DNS",
        FailureClass::Refused => "Refused",
        FailureClass::Tls => "TLS",
        FailureClass::Timeout => "Timeout",
        FailureClass::Redirect => "Redirect",
        FailureClass::Reset => "Reset",
    }
}

/// `POST …/webhooks/test`.
pub async fn send_test(member: Member, request: HttpRequest, courier: Data<Courier>) -> Answer {
    member.require_admin()?;
    let tested = match try_send(&member, &courier).await {
        Ok(tested) => tested,
        Err(error) => return refused(member, "Nothing was sent.", error).await,
    };
    let screen = Index { tested: Some(tested), ..Index::read(&member, Asked::default()).await? };
    if wants_fragment(&request) { fragment(&screen.as_test()) } else { page(&screen) }
}

async fn try_send(member: &Member, courier: &Courier) -> Result<Tested> {
    let (actor, organization, now) = (member.actor.clone(), member.organization.id, member.frame.now);
    let (keyring, profile) = (member.site.keyring.clone(), member.site.profile.clone());
    let make = move |conn: &mut _| webhooks::test_parcel(conn, &actor, now, organization, &keyring, &profile, None);
    let parcel = member.site.db.run(make).await?;
    let payload = parcel.payload.clone();
    Ok(Tested::new(courier.send(organization, parcel).await?, payload))
}
