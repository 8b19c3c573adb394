//! The tab Credits: the balance, and the ledger that it sums to.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::web::Query;
use askama::Template;
use serde::Deserialize;

use super::{Answer, Frame, Member, Tab, filters, fragment, page, wants_fragment};
use crate::credits::{self, Balance, Entry};
use crate::error::Error;
use crate::profile::Profile;

/// Entries on a page.
const PAGE: i64 = 50;

/// The query of the page.
#[derive(Deserialize)]
pub struct Asked {
    /// Id of the entry before which the page starts.
    before: Option<String>,
}

/// The page.
#[derive(Template)]
#[template(path = "credits/index.html", blocks = ["ledger"])]
struct Index {
    frame: Frame,
    profile: Arc<Profile>,
    balance: Balance,
    entries: Vec<Entry>,
    /// Sequence before which the newer page starts.
    newer: Option<i64>,
    /// The same of the older one.
    older: Option<i64>,
}

impl Index {
    fn tab(&self) -> Tab {
        Tab::Credits
    }

    /// ` · each analysis costs one, each scan costs 2`, of what costs anything.
    fn price(&self) -> String {
        let cost = |price: u32| if price == 1 { "one".to_owned() } else { price.to_string() };
        let paid = self.profile.jobs.iter().filter(|job| job.price > 0);
        let prices = paid.map(|job| format!("each {} costs {}", job.noun, cost(job.price))).collect::<Vec<_>>();
        if prices.is_empty() { String::new() } else { format!(" · {}", prices.join(", ")) }
    }

    fn job(&self, entry: &Entry) -> Option<String> {
        entry.job_id.map(|id| self.profile.public_job_id(id))
    }

    fn is_given(&self, entry: &Entry) -> bool {
        matches!(entry.kind.as_str(), "grant" | "adjust")
    }

    fn link(&self, before: &i64) -> String {
        format!("{}?before={before}", self.frame.path("credits"))
    }
}

/// `GET …/credits`.
pub async fn index(member: Member, request: HttpRequest, asked: Query<Asked>) -> Answer {
    let before = asked.into_inner().before.map(|text| text.parse::<i64>().ok().filter(|at| *at > 0).ok_or(Error::NotFound)).transpose()?;
    let organization = member.organization.id;
    // One entry more at either end tells whether there is another page there; a ledger has no gaps.
    let from = before.map(|before| before.saturating_add(1));
    let read = move |conn: &mut _| Ok((credits::balance(conn, organization)?, credits::entries(conn, organization, from, PAGE + 2)?));
    let (balance, mut entries) = member.site.db.run(read).await?;
    let newer =
        before.filter(|before| entries.first().is_some_and(|entry| entry.sequence == *before)).map(|before| before.saturating_add(PAGE));
    if newer.is_some() {
        entries.remove(0);
    }
    let more = entries.len() as i64 > PAGE;
    entries.truncate(PAGE as usize);
    let older = entries.last().filter(|_| more).map(|entry| entry.sequence);
    let screen = Index { frame: member.frame, profile: member.site.profile.clone(), balance, entries, newer, older };
    if wants_fragment(&request) { fragment(&screen.as_ledger()) } else { page(&screen) }
}
