use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use tokio::time::Instant;

use super::{body, require};
use crate::clock::{self, rfc3339};
use crate::error::Error;
use crate::jobs::{self, Claimed};
use crate::json_call::Refusal;
use crate::profile::Profile;
use crate::raw_json::RawJson;
use crate::site::Site;
use crate::wake::{Ear, Wake};

/// Longest poll, in seconds.
const LONGEST_WAIT_S: u64 = 30;
/// A waiting worker looks this often even when nobody rang: a ring from another instance may get lost with its connection.
const SAFETY_NET: Duration = Duration::from_secs(1);

#[derive(Serialize)]
struct Answer {
    job: JobToDo,
}

#[derive(Serialize)]
struct JobToDo {
    id: String,
    kind: String,
    environment: String,
    input: RawJson,
    lease: String,
    lease_expires_at: String,
}

/// `POST /claim`: the oldest job of these kinds, waiting for one up to `wait_s`; else 204.
pub(super) async fn claim(
    request: HttpRequest, payload: web::Payload, site: web::Data<Site>, wake: web::Data<Wake>,
) -> Result<HttpResponse, Refusal> {
    require(&request, &site).await?;
    let mut fields = body(&request, payload).await?;
    let kinds = fields.required::<Vec<String>>("kinds", "an array of kinds of jobs");
    let wait_s = fields.optional::<u64>("wait_s", "a whole number of seconds from 0 to 30").unwrap_or(0);
    if wait_s > LONGEST_WAIT_S {
        fields.refuse("wait_s", format!("{wait_s} is not between 0 and {LONGEST_WAIT_S}."));
    }
    let (Some(kinds), true) = (kinds, fields.is_fine()) else { return Err(fields.refusal()) };
    let claimed = poll(&site, wake.listen(), &wake, &kinds, Instant::now() + Duration::from_secs(wait_s)).await?;
    Ok(match claimed {
        Some(claimed) => HttpResponse::Ok().json(Answer { job: to_do(&site.profile, claimed) }),
        None => HttpResponse::NoContent().finish(),
    })
}

/// A worker that goes away while it waits may have a job claimed for it all the same: the lease runs out.
async fn poll(site: &Site, mut ear: Ear, wake: &Wake, kinds: &[String], until: Instant) -> Result<Option<Claimed>, Error> {
    loop {
        let (profile, kinds) = (site.profile.clone(), kinds.to_vec());
        let claimed = site.db.run(move |conn| jobs::claim(conn, clock::now(), &profile, &kinds, false)).await?;
        let left = until.saturating_duration_since(Instant::now());
        if let Some(claimed) = claimed.as_ref().filter(|claimed| claimed.first) {
            site.news.ring(claimed.job.organization_id);
        }
        if claimed.is_some() || left.is_zero() || wake.is_stopped() {
            return Ok(claimed);
        }
        ear.rung(left.min(SAFETY_NET)).await;
    }
}

fn to_do(profile: &Profile, claimed: Claimed) -> JobToDo {
    let Claimed { job, lease, lease_expires_at, .. } = claimed;
    JobToDo {
        id: profile.job_kind(&job.kind).map_or_else(|| job.id.to_string(), |kind| kind.public_id(job.id)),
        kind: job.kind,
        environment: job.environment,
        input: job.input,
        lease: lease.to_string(),
        lease_expires_at: rfc3339(lease_expires_at),
    }
}
