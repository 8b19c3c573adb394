//! Rows of the request history.

use std::collections::HashMap;

use askama::Template;
use time::OffsetDateTime;

use super::asked::Asked;
use super::why::Why;
use crate::error::Result;
use crate::ids::{KeyId, RequestId};
use crate::usage;
use crate::web::charts::duration;
use crate::web::{Frame, Member, filters};

/// The visible start of each text of each key.
pub type Prefixes = HashMap<(KeyId, i32), String>;

/// One request.
pub struct RowItem {
    pub request: usage::Request,
    /// Of the key's text that was used.
    pub prefix: String,
    /// When the row is open.
    pub why: Option<Why>,
}

/// One row, for htmx and for those that come live.
#[derive(Template)]
#[template(path = "usage/_row.html")]
pub struct Row {
    pub frame: Frame,
    pub asked: Asked,
    pub row: RowItem,
}

impl Row {
    fn here(&self) -> String {
        self.asked.here(&self.frame)
    }
}

impl RowItem {
    pub fn new(request: usage::Request, prefixes: &Prefixes) -> Self {
        let prefix = prefixes.get(&(request.key_id, request.generation)).cloned().unwrap_or_default();
        Self { request, prefix, why: None }
    }

    /// One row, opened or closed again.
    pub async fn read(member: &Member, id: RequestId, open: bool) -> Result<Self> {
        let organization = member.organization.id;
        let read = move |conn: &mut _| Ok((usage::request(conn, organization, id)?, usage::key_prefixes(conn, organization)?));
        let (request, prefixes) = member.site.db.run(read).await?;
        let mut row = Self::new(request, &prefixes);
        if open {
            row.why = Some(Why::load(member, &row.request).await?);
        }
        Ok(row)
    }

    pub fn chip(&self) -> &'static str {
        match self.request.status {
            200..=299 => " ok",
            429 => " wait",
            500.. => " fail",
            _ => "",
        }
    }

    pub fn duration(&self) -> String {
        duration(self.request.duration_us.into())
    }

    /// What the row's link is called; it has to have the time in it, which is what it shows.
    pub fn name(&self, now: &OffsetDateTime) -> String {
        let at = filters::instant_text(self.request.at, *now);
        format!("Why: {} {} at {at}, {}", self.request.method, self.request.path, self.request.status)
    }
}
