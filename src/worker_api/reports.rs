use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{LARGEST_RESULT, body, require, too_large};
use crate::clock;
use crate::error::Error;
use crate::ids::JobId;
use crate::jobs::{self, Standing};
use crate::json_call::{Fields, Refusal};
use crate::raw_json::RawJson;
use crate::site::Site;

/// `POST /jobs/{id}/progress`.
pub(super) async fn progress(request: HttpRequest, payload: web::Payload, site: web::Data<Site>) -> Result<HttpResponse, Refusal> {
    require(&request, &site).await?;
    let id = job_id(&site, &request)?;
    let mut fields = body(&request, payload).await?;
    let (lease, percentage) = (lease(&mut fields), fields.required::<i64>("percentage", "a whole number from 0 to 100"));
    let (Some(lease), Some(percentage), true) = (lease, percentage, fields.is_fine()) else { return Err(fields.refusal()) };
    let profile = site.profile.clone();
    let standing = site.db.run(move |conn| jobs::progress(conn, clock::now(), &profile, id, lease, percentage)).await?;
    Ok(answer(&site, standing))
}

/// `POST /jobs/{id}/complete`.
pub(super) async fn complete(request: HttpRequest, payload: web::Payload, site: web::Data<Site>) -> Result<HttpResponse, Refusal> {
    require(&request, &site).await?;
    let id = job_id(&site, &request)?;
    let mut fields = body(&request, payload).await?;
    let (lease, result) = (lease(&mut fields), result(&mut fields)?);
    let (Some(lease), Some(result), true) = (lease, result, fields.is_fine()) else { return Err(fields.refusal()) };
    let profile = site.profile.clone();
    let standing = site.db.run(move |conn| jobs::complete(conn, clock::now(), &profile, id, lease, result)).await?;
    Ok(answer(&site, standing))
}

/// `POST /jobs/{id}/fail`.
pub(super) async fn fail(request: HttpRequest, payload: web::Payload, site: web::Data<Site>) -> Result<HttpResponse, Refusal> {
    require(&request, &site).await?;
    let id = job_id(&site, &request)?;
    let mut fields = body(&request, payload).await?;
    let lease = lease(&mut fields);
    let code = fields.required::<String>("code", "a text of 1 to 100 characters");
    let message = fields.required::<String>("message", "a text of at most 1000 characters");
    let (Some(lease), Some(code), Some(message)) = (lease, code, message) else { return Err(fields.refusal()) };
    let profile = site.profile.clone();
    let standing = site.db.run(move |conn| jobs::fail(conn, clock::now(), &profile, id, lease, &code, &message)).await?;
    Ok(answer(&site, standing))
}

/// The lease that a report is made under.
fn lease(fields: &mut Fields) -> Option<Uuid> {
    fields.required("lease", "the lease that came with the job")
}

/// A JSON object, kept as sent.
fn result(fields: &mut Fields) -> Result<Option<RawJson>, Refusal> {
    let Some(raw) = fields.required::<Box<RawValue>>("result", "a JSON object") else { return Ok(None) };
    if raw.get().len() > LARGEST_RESULT {
        return Err(too_large());
    }
    Ok(RawJson::object(raw.get()).map_err(|why| fields.refuse("result", format!("result {why}"))).ok())
}

/// An id that no kind of job could have is the id of nothing.
fn job_id(site: &Site, request: &HttpRequest) -> Result<JobId, Refusal> {
    let public = request.match_info().query("id");
    site.profile.jobs.iter().find_map(|kind| kind.parse_id(public)).ok_or_else(|| Error::NotFound.into())
}

/// Whatever was reported may have been an event.
fn answer(site: &Site, standing: Standing) -> HttpResponse {
    site.news.ring(standing.organization);
    HttpResponse::Ok().json(json!({"status": standing.status.as_str(), "percentage": standing.percentage}))
}
