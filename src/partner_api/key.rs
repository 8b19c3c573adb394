//! `key.read`: what am I? Admission has looked it all up already, so that asking costs no query of its own.

use serde::Serialize;

use super::Call;
use super::answer::Reply;
use crate::error::{Error, Result};
use crate::ids::{KeyId, OrgId};

#[derive(Serialize)]
struct KeyBody<'a> {
    key_id: KeyId,
    name: &'a str,
    prefix: &'a str,
    environment: &'a str,
    status: &'static str,
    permissions: &'a [String],
    organization: OrganizationBody<'a>,
    rate_limit: Option<RateLimitBody>,
    credits: CreditsBody,
}

#[derive(Serialize)]
struct OrganizationBody<'a> {
    id: OrgId,
    slug: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
struct RateLimitBody {
    limit: i64,
    remaining: i64,
    reset_s: i64,
}

#[derive(Serialize)]
struct CreditsBody {
    available: i64,
}

pub(super) fn read(call: &Call<'_>) -> Result<Reply> {
    let about = call.decision.about.as_ref().ok_or_else(|| Error::Internal("admission did not describe the key".into()))?;
    Reply::ok(&KeyBody {
        key_id: call.key.key,
        name: &about.name,
        prefix: &call.visit.seen.prefix,
        environment: &call.visit.seen.environment,
        // Only an active key comes this far.
        status: "active",
        permissions: call.profile().held(&about.permissions, about.role.as_deref()),
        organization: OrganizationBody { id: call.key.organization, slug: &about.organization_slug, name: &about.organization_name },
        rate_limit: call.decision.window.map(|window| RateLimitBody {
            limit: window.limit,
            remaining: window.remaining(),
            reset_s: window.reset_s,
        }),
        credits: CreditsBody { available: about.available },
    })
}
