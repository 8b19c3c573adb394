//! E-mail to the admins of keys that were found in public, after the finder was answered.

use actix_web::rt;
use actix_web::web::{self, Data};

use crate::clock::rfc3339;
use crate::keys::{Became, Reported};
use crate::orgs::{self, Organization};
use crate::site::Site;

/// Longest text of where a key was found, in characters: a stranger's words in a letter of ours.
const PLACE_MOST: usize = 200;

/// Tells the admins of each key that nobody had reported before, and of each that this report has ended, in the background. What was over
/// already needs nobody's haste: it is in the audit log.
pub(super) fn tell(site: &Data<Site>, reported: impl IntoIterator<Item = Reported>) {
    let Some(mailer) = site.mail.clone() else { return };
    let is_told = |one: &Reported| one.became != Became::Over && (one.is_news || one.became != Became::Flagged);
    for reported in reported.into_iter().filter(is_told) {
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
    let cut = if reported.leak.place.chars().count() > PLACE_MOST { "…" } else { "" };
    let place: String = reported.leak.place.chars().take(PLACE_MOST).collect();
    let place = if place.is_empty() { "Nobody said where.".to_owned() } else { format!("Found at, in the finder's words: {place}{cut}") };
    format!(
        "A key of {} was found in public.\n\nKey: {} ({}…)\nReported: {}\n{place}\n\n{became}\n{next}: {}/orgs/{}/api-keys\n",
        organization.name,
        reported.name,
        reported.prefix,
        rfc3339(reported.leak.at),
        site.public_url,
        organization.slug,
    )
}
