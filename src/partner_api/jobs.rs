//! `jobs.create`, `jobs.read`, `jobs.results`.

use actix_web::{HttpRequest, web};
use sha2::{Digest as _, Sha256};

use super::answer::Reply;
use super::body::{self, field, invalid};
use super::{Call, Creation};
use crate::error::{ClientError, Error, Result};
use crate::ids::JobId;
use crate::jobs::{self, Job, NewJob};
use crate::openapi::bounds::{INPUT, REFERENCE};
use crate::profile::JobKind;
use crate::raw_json::RawJson;

const MEMBERS: &[&str] = &["input", "external_reference", "notify_via_webhook"];

/// What a partner asks for.
struct Order {
    input: RawJson,
    external_reference: Option<String>,
    notify_via_webhook: bool,
}

pub(super) async fn create(call: &Call<'_>, payload: web::Payload) -> Result<Reply> {
    match order(call, payload).await {
        Ok((order, idempotency)) => creating(call, order, idempotency),
        Err(error) => Ok(Reply::error(call.profile(), &error)),
    }
}

type Idempotency = Option<(String, [u8; 32])>;

async fn order(call: &Call<'_>, payload: web::Payload) -> Result<(Order, Idempotency), ClientError> {
    let name = idempotency_key(call.request)?;
    let text = body::read(call.request, payload).await?;
    let order = parse(&text)?;
    let idempotency = name.map(|name| {
        let asked = Sha256::new().chain_update(&call.visit.seen.path).chain_update([0]).chain_update(&text);
        (name, asked.finalize().into())
    });
    Ok((order, idempotency))
}

fn parse(text: &str) -> Result<Order, ClientError> {
    let members = body::object(text)?;
    let mut wrong = Vec::new();
    body::unknown(&members, MEMBERS, &mut wrong);
    let external_reference = body::text(&members, "external_reference", REFERENCE, &mut wrong);
    let notify_via_webhook = body::flag(&members, "notify_via_webhook", &mut wrong);
    let input = members.get("input").map(|raw| raw.get());
    if input.is_some_and(|input| input.len() > INPUT) {
        return Err(ClientError::new(413, "too_large", format!("The input is larger than {} KiB.", INPUT / 1024)));
    }
    match input.ok_or("is missing: send a JSON object, what the work is to be done on.").and_then(RawJson::object) {
        Ok(input) if wrong.is_empty() => Ok(Order { input, external_reference, notify_via_webhook: notify_via_webhook.unwrap_or(true) }),
        Ok(_) => Err(invalid(wrong)),
        Err(reason) => {
            wrong.push(field("input", format!("It {reason}")));
            Err(invalid(wrong))
        }
    }
}

fn idempotency_key(request: &HttpRequest) -> Result<Option<String>, ClientError> {
    let mut values = request.headers().get_all("idempotency-key");
    let Some(value) = values.next() else { return Ok(None) };
    match value.to_str() {
        // No tabs: they are text to HTTP, and visible to nobody.
        Ok(text) if (1..=REFERENCE).contains(&text.len()) && !text.contains('\t') && values.next().is_none() => Ok(Some(text.to_owned())),
        _ => Err(invalid(vec![field("Idempotency-Key", format!("Send one key of 1 to {REFERENCE} visible ASCII characters."))])),
    }
}

fn creating(call: &Call<'_>, order: Order, idempotency: Idempotency) -> Result<Reply> {
    let kind = kind(call)?;
    let key = call.key;
    let sandbox = call.profile().is_sandbox(&call.visit.seen.environment);
    let job = NewJob {
        id: JobId::new(call.visit.seen.at),
        organization: key.organization,
        key: key.key,
        request_id: call.visit.seen.id,
        kind: kind.kind.clone(),
        environment: call.visit.seen.environment.clone(),
        sandbox,
        input: order.input,
        external_reference: order.external_reference,
        notify_via_webhook: order.notify_via_webhook,
        price: if sandbox { 0 } else { i64::from(kind.price) },
        charge: kind.charge,
        created_at: call.visit.seen.at,
    };
    let answer = serde_json::to_string(&jobs::shape(kind, &job.to_job())).map_err(|e| Error::internal("writing JSON", e))?;
    Ok(Reply::creating(Creation {
        job,
        actor: format!("Key {}…", call.visit.seen.prefix),
        idempotency,
        answer,
        status_without_credits: call.profile().refusals.credits.status,
    }))
}

/// The kind that this route makes or reads.
fn kind<'a>(call: &'a Call<'_>) -> Result<&'a JobKind> {
    call.way.job.as_ref().or_else(|| call.profile().jobs.first()).ok_or(Error::NotFound)
}

pub(super) async fn read(call: &Call<'_>) -> Result<Reply> {
    let job = find(call).await?;
    Reply::ok(&jobs::shape(kind(call)?, &job))
}

pub(super) async fn results(call: &Call<'_>) -> Result<Reply> {
    let job = find(call).await?;
    Reply::ok(&jobs::results(kind(call)?, &job)?)
}

async fn find(call: &Call<'_>) -> Result<Job> {
    let id = kind(call)?.parse_id(call.request.match_info().query("id")).ok_or(Error::NotFound)?;
    let organization = call.key.organization;
    let job = call.partner.site.db.run(move |conn| jobs::read(conn, organization, id)).await?;
    // A route that names a kind serves that one alone; a live key has no business with what a test key made, nor the reverse.
    let of_this_kind = call.way.job.as_ref().is_none_or(|kind| kind.kind == job.kind);
    if of_this_kind && job.environment == call.visit.seen.environment { Ok(job) } else { Err(Error::NotFound) }
}
