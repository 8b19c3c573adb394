//! The way in: to the organization that was open last.

use askama::Template;

use super::guard::Visitor;
use super::{Answer, Frame, Member, filters, page, see_other, session};
use crate::accounts;

#[derive(Template)]
#[template(path = "home/no_organization.html")]
struct NoOrganization {
    frame: Frame,
}

/// `GET /`. Staff who belong to no organization have their console.
pub async fn index(visitor: Visitor) -> Answer {
    let Some(id) = session::user(&visitor.session)? else { return Ok(see_other("/sign-in")) };
    let visit = visitor.site.db.run(move |conn| accounts::visit(conn, id, None)).await?;
    let last = visit.organizations.iter().find(|(organization, _)| Some(organization.id) == visit.user.last_organization_id);
    match last.or(visit.organizations.first()) {
        Some((organization, _)) => Ok(see_other(&format!("/orgs/{}/api-keys", organization.slug))),
        None if visit.user.staff().is_some() => Ok(see_other("/support")),
        None => page(&NoOrganization { frame: Frame { flash: visitor.frame.flash, ..Frame::of_visit(&visitor.site, &visit, None) } }),
    }
}

/// `GET /orgs/{slug}`.
pub async fn organization(member: Member) -> Answer {
    Ok(see_other(&member.frame.path("api-keys")))
}
