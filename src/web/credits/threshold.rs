//! The threshold of a low balance.

use actix_web::http::StatusCode;
use actix_web::web::Form;
use serde::Deserialize;

use super::{Asked, Index};
use crate::credits;
use crate::error::{Error, Result};
use crate::web::filters::grouped;
use crate::web::{Answer, Flash, Member, page_with_status, see_other_with};

/// The form.
#[derive(Default, Deserialize)]
pub struct Fields {
    #[serde(default)]
    threshold: String,
}

impl Fields {
    /// A whole number, perhaps written `1,284`; none of an empty field.
    fn read(&self) -> Result<Option<i64>> {
        let typed = self.threshold.trim();
        if typed.is_empty() {
            return Ok(None);
        }
        let digits: String = typed.chars().filter(|c| *c != ',' && !c.is_whitespace()).collect();
        let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        let number = is_number.then(|| digits.parse().ok()).flatten();
        let shown: String = typed.chars().take(40).collect();
        number
            .map(Some)
            .ok_or_else(|| Error::field("threshold", format!("“{shown}” is not a whole number. Leave it empty for no warning.")))
    }
}

/// `POST …/credits/threshold`.
pub async fn set(member: Member, fields: Option<Form<Fields>>) -> Answer {
    member.require_admin()?;
    let broken = || Error::field("threshold", "The form did not arrive as it was sent. Send it again.");
    let typed = fields.as_ref().map(|fields| fields.threshold.clone()).unwrap_or_default();
    let set = async {
        let threshold = fields.ok_or_else(broken)?.read()?;
        let (actor, organization, now) = (member.actor.clone(), member.organization.id, member.frame.now);
        let run = move |conn: &mut _| credits::set_threshold(conn, &actor, now, organization, threshold);
        member.site.db.run(run).await.map(|()| threshold)
    };
    match set.await {
        Ok(Some(threshold)) => {
            let next = format!("Every tab shows a banner while fewer than {} credits are available.", grouped(threshold));
            Ok(see_other_with(&member.frame.path("credits"), Flash::ok("Threshold saved.", next)))
        }
        Ok(None) => {
            let flash = Flash::ok("Threshold removed.", "Nobody is warned when credits run low.");
            Ok(see_other_with(&member.frame.path("credits"), flash))
        }
        Err(Error::Invalid(errors)) => {
            let mut screen = Index::read(&member, Asked::default(), true).await?;
            screen.frame.flash = Some(Flash::fail("Threshold not saved.", "One field needs a change below."));
            page_with_status(StatusCode::UNPROCESSABLE_ENTITY, &Index { typed: Some(typed), errors, ..screen })
        }
        Err(error) => Err(error.into()),
    }
}
