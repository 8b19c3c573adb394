//! `POST /verify/v1/requests/{id}/outcome`: what became of a request.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::{Verify, body};
use crate::admission::{Report, Reported};
use crate::clock;
use crate::error::Error;
use crate::ids::RequestId;
use crate::json_call::Refusal;

/// The longest that the history can write, in milliseconds: 35 minutes.
const LONGEST_MS: f64 = 2_147_483.0;

/// Completes the history, and settles or releases what is held.
pub(super) async fn report(request: HttpRequest, payload: web::Payload, verify: web::Data<Verify>) -> Result<HttpResponse, Refusal> {
    verify.require(&request).await?;
    let id = RequestId::parse(request.match_info().query("id")).ok_or(Error::NotFound)?;
    let mut fields = body(&request, payload).await?;
    fields.know(&["status", "duration_ms", "success"]);
    let status = fields.required::<u16>("status", "a whole number from 100 to 599");
    if status.is_some_and(|status| !(100..=599).contains(&status)) {
        fields.refuse("status", "status must be a whole number from 100 to 599.".into());
    }
    let duration_ms = fields.optional::<f64>("duration_ms", "a number from 0 to 2147483");
    if duration_ms.is_some_and(|duration| !(0.0..=LONGEST_MS).contains(&duration)) {
        fields.refuse("duration_ms", "duration_ms must be a number from 0 to 2147483.".into());
    }
    let success = fields.optional::<bool>("success", "true or false");
    let (Some(status), true) = (status, fields.is_fine()) else { return Err(fields.refusal()) };
    let success = success.unwrap_or(status < 400);
    let duration_us = duration_ms.map(|duration| (duration * 1_000.0).round() as i32);
    let reported = verify.stages.report.ask(Report { id, now: clock::now(), status, duration_us, success }).await?;
    verify.metrics.reported(match reported {
        Reported::Done { .. } => "done",
        Reported::Over => "over",
        Reported::Unknown => "unknown",
    });
    match reported {
        Reported::Unknown => Err(Error::NotFound.into()),
        Reported::Over => Err(Error::Conflict("This request was reported before, or the time to report it is over.".into()).into()),
        Reported::Done { settled, released } => {
            let credits = json!({"settled": settled, "released": released});
            Ok(HttpResponse::Ok().json(json!({"request_id": id, "status": status, "success": success, "credits": credits})))
        }
    }
}
