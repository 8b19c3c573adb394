//! The tab Credits: the balance and where it goes, and the ledger that it sums to.

mod asked;
mod chart;
mod export;
mod figures;
mod threshold;

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::Query;
use askama::Template;

use super::{Answer, Flash, Frame, Member, Tab, filters, fragment, page, page_with_status, wants_fragment};
use crate::credits::hours;
use crate::credits::ledger::{self, MOST_LOOKED, Page};
use crate::credits::{self, Balance, Entry, EntryKind};
use crate::db;
use crate::error::{Error, FieldError, Result};
use crate::profile::Profile;
use asked::{Asked, CUSTOM, PERIODS};
use chart::Chart;
pub use export::export;
use figures::Words;
pub use threshold::set as set_threshold;

/// Entries on a page.
const PAGE: usize = 50;

/// What stands above the ledger.
struct Top {
    balance: Balance,
    threshold: Option<i64>,
    settled: Words,
    rate: Words,
    end: Words,
    chart: Option<Chart>,
}

impl Top {
    fn facts(&self) -> [(&'static str, &Words); 3] {
        [("Settled in 30 d", &self.settled), ("Burn rate, 7 d", &self.rate), ("Runs out", &self.end)]
    }

    /// Class and word of the status beside "Low balance".
    fn status(&self) -> (&'static str, &'static str) {
        match self.threshold {
            None => ("ring", "No threshold"),
            Some(threshold) if self.balance.available < threshold => ("wait", "Below threshold"),
            Some(_) => ("ok", "Above threshold"),
        }
    }
}

/// The page.
#[derive(Template)]
#[template(path = "credits/index.html", blocks = ["ledger"])]
struct Index {
    frame: Frame,
    profile: Arc<Profile>,
    asked: Asked,
    /// Left out of the part that htmx asks for.
    top: Option<Top>,
    page: Page,
    /// What was typed as the threshold, where it was not accepted.
    typed: Option<String>,
    /// What was not accepted, of the filters or of the threshold.
    errors: Vec<FieldError>,
}

impl Index {
    /// The page, or without its top the part that htmx asks for.
    async fn read(member: &Member, asked: Asked, with_top: bool) -> Result<Self> {
        let (organization, now) = (member.organization.id, member.frame.now);
        // Filters that make no sense find nothing; what is wrong with them stands in the page.
        let (filter, errors) = match asked.filter(now) {
            Ok(filter) => (Some((filter, asked.cursor()?)), Vec::new()),
            Err(Error::Invalid(errors)) => (None, errors),
            Err(other) => return Err(other),
        };
        let with_top = with_top || !errors.is_empty();
        // Under one snapshot: the figures and the newest entry are of the same moment.
        let read = move |conn: &mut _| {
            db::snapshot(conn, |conn| {
                let page = match filter {
                    Some((filter, cursor)) => ledger::page(conn, organization, &filter, cursor, PAGE)?,
                    None => Page { entries: Vec::new(), newer: None, older: None, is_cut: false },
                };
                let top = match with_top {
                    true => Some((credits::balance_and_threshold(conn, organization)?, hours::course(conn, now, organization)?)),
                    false => None,
                };
                Ok((page, top))
            })
        };
        let (page, top) = member.site.db.run(read).await?;
        let top = top.map(|((balance, threshold), course)| {
            let figures = course.figures(now, balance.available);
            let chart = Chart::of(&course, &figures, balance.available, threshold, now);
            let (settled, rate, end) = (figures::settled(&figures), figures::rate(&figures), figures::end(&figures, now));
            Top { balance, threshold, settled, rate, end, chart }
        });
        let (frame, profile) = (member.frame.clone(), member.site.profile.clone());
        Ok(Self { frame, profile, asked, top, page, typed: None, errors })
    }

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

    /// Address of the page with these filters, up to where a place is named.
    fn link(&self) -> String {
        self.frame.path("credits") + &self.asked.query()
    }

    fn error(&self, field: &str) -> Option<&str> {
        self.errors.iter().find(|error| error.field == field).map(|error| error.message.as_str())
    }

    fn kinds(&self) -> [&'static str; 5] {
        EntryKind::ALL.map(EntryKind::as_str)
    }

    fn periods(&self) -> Vec<(&'static str, &'static str)> {
        PERIODS.iter().map(|(value, words, _)| (*value, *words)).chain([(CUSTOM, "Days…")]).collect()
    }

    /// Buttons of the pages: word, relation, name in the query, place.
    fn pages(&self) -> [(&'static str, &'static str, &'static str, Option<i64>); 2] {
        [("Newer", "prev", "after", self.page.newer), ("Older", "next", "before", self.page.older)]
    }

    /// What stands in its field: what is saved, or what was typed.
    fn threshold(&self) -> String {
        let saved = || self.top.as_ref().and_then(|top| top.threshold).map_or_else(String::new, |threshold| threshold.to_string());
        self.typed.clone().unwrap_or_else(saved)
    }
}

/// `GET …/credits`.
pub async fn index(member: Member, request: HttpRequest, asked: Query<Asked>) -> Answer {
    let is_part = wants_fragment(&request);
    let mut screen = Index::read(&member, asked.into_inner(), !is_part).await?;
    if !screen.errors.is_empty() {
        let why = screen.errors.iter().map(|error| error.message.as_str()).collect::<Vec<_>>().join(" ");
        screen.frame.flash = Some(Flash::fail("Not filtered.", why));
        return page_with_status(StatusCode::UNPROCESSABLE_ENTITY, &screen);
    }
    if is_part { fragment(&screen.as_ledger()) } else { page(&screen) }
}
