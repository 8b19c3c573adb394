//! `key.read`: what am I?

use serde::Serialize;

use super::Call;
use super::answer::Reply;
use crate::credits;
use crate::error::Result;
use crate::ids::{KeyId, OrgId};
use crate::keys;

#[derive(Serialize)]
struct KeyBody {
    key_id: KeyId,
    name: String,
    prefix: String,
    environment: String,
    status: &'static str,
    permissions: Vec<String>,
    organization: OrganizationBody,
    rate_limit: Option<RateLimitBody>,
    credits: CreditsBody,
}

#[derive(Serialize)]
struct OrganizationBody {
    id: OrgId,
    slug: String,
    name: String,
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

pub(super) async fn read(call: &Call<'_>) -> Result<Reply> {
    let (organization, key, generation) = (call.key.organization, call.key.key, call.key.generation);
    let read = move |conn: &mut _| Ok((keys::identity(conn, organization, key, generation)?, credits::balance(conn, organization)?));
    let (identity, balance) = call.partner.site.db.run(read).await?;
    let window = call.decision.window;
    Reply::ok(&KeyBody {
        key_id: key,
        name: identity.name,
        prefix: identity.prefix,
        environment: call.key.environment.clone(),
        // Only an active key comes this far.
        status: "active",
        permissions: identity.permissions,
        organization: OrganizationBody { id: organization, slug: identity.organization_slug, name: identity.organization_name },
        rate_limit: window.map(|window| RateLimitBody { limit: window.limit, remaining: window.remaining(), reset_s: window.reset_s }),
        credits: CreditsBody { available: balance.available },
    })
}
