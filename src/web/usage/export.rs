//! The request history as a file.

use actix_web::HttpRequest;

use super::asked::Asked;
use super::rows::Prefixes;
use crate::clock::rfc3339;
use crate::db;
use crate::usage::{self, Cursor};
use crate::web::csv::{self, Cell, Rows};
use crate::web::support::note_export;
use crate::web::{Answer, Member};

/// Rows that are read at once.
const PAGE: usize = 2_000;
const NAMES: [&str; 17] = [
    "time",
    "request_id",
    "method",
    "path",
    "route",
    "status",
    "outcome",
    "duration_ms",
    "key_id",
    "key",
    "environment",
    "credits",
    "job_id",
    "address",
    "user_agent",
    "generation",
    "why",
];

/// `GET …/usage/requests.csv`: what the page lists, all of it, newest first. Its end is where it was asked for: what comes meanwhile is left out.
pub async fn export(member: Member, request: HttpRequest) -> Answer {
    let asked = Asked::of(&request);
    let (site, organization, now) = (member.site.clone(), member.organization.id, member.frame.now);
    let (mut filter, _) = asked.filter(&site.profile, now)?;
    filter.to = Some(filter.to.map_or(now, |to| to.min(now)));
    note_export(&member, &request, "requests.csv").await?;
    // Read before the answer begins, so that a database that is away is told as such.
    let prefixes = site.db.run(move |conn| usage::key_prefixes(conn, organization)).await?;
    let name = format!("{}-requests-{}.csv", member.organization.slug, usage::day(now));
    Ok(csv::download(&request, &name, &NAMES, None, move |cursor: Option<Cursor>| {
        let (site, filter, prefixes) = (site.clone(), filter.clone(), prefixes.clone());
        async move {
            let profile = site.profile.clone();
            let read = move |conn: &mut _| db::snapshot(conn, |conn| usage::history(conn, organization, &profile, &filter, cursor, PAGE));
            let page = site.db.run(read).await?;
            let mut rows = Rows::default();
            page.requests.iter().for_each(|request| add(&mut rows, request, &prefixes, &site.profile));
            Ok((rows, page.older.map(|id| Some(Cursor::Before(id)))))
        }
    }))
}

fn add(rows: &mut Rows, request: &usage::Request, prefixes: &Prefixes, profile: &crate::profile::Profile) {
    let milliseconds = format!("{:.3}", f64::from(request.duration_us) / 1_000.0);
    let job = request.job_id.map(|id| profile.public_job_id(id)).unwrap_or_default();
    let prefix = prefixes.get(&(request.key_id, request.generation)).map_or("", String::as_str);
    let why = request.detail.as_ref().map(ToString::to_string).unwrap_or_default();
    rows.add(&[
        Cell::Text(&rfc3339(request.at)),
        Cell::Text(&request.id.to_string()),
        Cell::Text(&request.method),
        Cell::Text(&request.path),
        Cell::Text(&request.route),
        Cell::Number(request.status.into()),
        Cell::Text(&request.outcome),
        Cell::Text(&milliseconds),
        Cell::Text(&request.key_id.to_string()),
        Cell::Text(prefix),
        Cell::Text(&request.environment),
        Cell::Number(request.credits),
        Cell::Text(&job),
        Cell::Text(&request.address),
        Cell::Text(&request.user_agent),
        Cell::Number(request.generation.into()),
        Cell::Text(&why),
    ]);
}
