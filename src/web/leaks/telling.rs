//! E-mail to the admins of keys that were found in public, after the finder was answered.

use actix_web::rt;
use actix_web::web::{self, Data};

use crate::clock::rfc3339;
use crate::keys::{Became, Reported};
use crate::orgs::{self, Organization};
use crate::site::Site;

/// Tells the admins of each key that nobody had reported before, in the background. What was over already needs nobody's haste: it is in
/// the audit log.
pub(super) fn tell(site: &Data<Site>, reported: impl IntoIterator<Item = Reported>) {
    let Some(mailer) = site.mail.clone() else { return };
    let is_news = |reported: &Reported| reported.is_news && reported.became != Became::Over;
    for reported in reported.into_iter().filter(is_news) {
        let (site, mailer) = (site.clone(), mailer.clone());
        rt::spawn(async move {
            let organization = reported.organization;
            let (organization, admins) = match site.db.run(move |conn| orgs::admins(conn, organization)).await {
                Ok(found) => found,
                Err(error) => return tracing::error!(%error, "telling admins of a leaked key"),
            };
            let subject = format!("A key of {} was found in public", organization.name);
            let text = text(&site, &organization, &reported);
            // What fails is in the log already; the page tells in any case.
            let send = move || admins.iter().for_each(|admin| drop(mailer.send(admin, &subject, text.clone())));
            drop(web::block(send).await);
        });
    }
}

fn text(site: &Site, organization: &Organization, reported: &Reported) -> String {
    let (became, next) = match reported.became {
        Became::Revoked => ("It is revoked: every request with it is refused from now on.", "Make a new key for the programs that used it"),
        Became::GraceEnded => ("It was on its way out after a rotation, and is ended now. The new key works on.", "See who still used it"),
        Became::Flagged | Became::Over => ("It still works: whoever found it can use it.", "Rotate it now"),
    };
    let place = if reported.leak.place.is_empty() { "Nobody said where." } else { &reported.leak.place };
    format!(
        "A key of {} was found in public.\n\nKey: {} ({}…)\nReported: {}\nFound at: {place}\n\n{became}\n{next}: {}/orgs/{}/api-keys\n",
        organization.name,
        reported.name,
        reported.prefix,
        rfc3339(reported.leak.at),
        site.public_url,
        organization.slug,
    )
}
