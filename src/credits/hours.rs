//! The ledger by the hour: what was settled, how fast credits burn, when they run out, and how the balance went.
//!
//! Every period here begins at a full hour (UTC): the last 7 days are the hour that runs and the 168 before it.

use diesel::dsl::sql;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use time::{Duration, OffsetDateTime};

use super::EntryKind;
use crate::clock::hour;
use crate::error::Result;
use crate::ids::OrgId;
use crate::schema::{credit_entries, credit_hours};

/// How far back the hours are read: what figures and chart look at.
pub const SPAN: Duration = Duration::days(60);
/// Grants and adjustments of the chart that are steps of their own; with more of them than that, hours tell enough.
const MOST_STEPS: i64 = 200;
/// Further ahead nobody knows.
const HORIZON: f64 = 365.0;

/// The beginning of the last `days` days.
pub fn begin_of(now: OffsetDateTime, days: i64) -> OffsetDateTime {
    hour(now) - Duration::days(days)
}

/// One hour in which something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = credit_hours, check_for_backend(diesel::pg::Pg))]
pub struct Hour {
    /// Its beginning.
    pub hour: OffsetDateTime,
    /// What was available at its end.
    pub available_after: i64,
    /// Credits settled in it.
    pub settled: i64,
    /// The sum of its grants and adjustments.
    pub given: i64,
}

/// A grant or an adjustment, as the balance went by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Queryable)]
pub struct Step {
    /// When.
    pub at: OffsetDateTime,
    /// How many credits it gave or took.
    pub amount: i64,
    /// What was available after it.
    pub available_after: i64,
}

/// How an organization's ledger went in the last [`SPAN`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Course {
    /// When its ledger began, to the hour; none: nothing happened yet.
    pub began: Option<OffsetDateTime>,
    /// What was available when the span began.
    pub available_before: i64,
    /// The hours in which something happened, oldest first.
    pub hours: Vec<Hour>,
    /// Grants and adjustments, oldest first; none where they are very many.
    pub steps: Vec<Step>,
}

/// Reads the course of the last [`SPAN`].
///
/// # Errors
/// Those of the database.
pub fn course(conn: &mut PgConnection, now: OffsetDateTime, organization: OrgId) -> Result<Course> {
    let begin = hour(now) - SPAN;
    let theirs = credit_hours::table.filter(credit_hours::organization_id.eq(organization));
    let began = theirs.order(credit_hours::hour).select(credit_hours::hour).first(conn).optional()?;
    let earlier = theirs.filter(credit_hours::hour.lt(begin)).order(credit_hours::hour.desc()).select(credit_hours::available_after);
    let available_before: Option<i64> = earlier.first(conn).optional()?;
    let hours = theirs.filter(credit_hours::hour.ge(begin)).order(credit_hours::hour).select(Hour::as_select()).load(conn)?;
    let mut steps: Vec<Step> = Vec::new();
    // The newest of either kind, by the index of what is few: it stands by kind.
    for kind in [EntryKind::Grant, EntryKind::Adjust] {
        steps.extend(
            credit_entries::table
                .filter(credit_entries::organization_id.eq(organization).and(credit_entries::kind.eq(kind.as_str())))
                .filter(sql::<Bool>("credit_entries.kind NOT IN ('hold', 'settle')"))
                .order(credit_entries::sequence.desc())
                .limit(MOST_STEPS + 1)
                .select((credit_entries::at, credit_entries::amount, credit_entries::available_after))
                .load::<Step>(conn)?,
        );
    }
    steps.retain(|step| step.at >= begin);
    steps.sort_by_key(|step| step.at);
    if steps.len() as i64 > MOST_STEPS {
        steps.clear();
    }
    Ok(Course { began, available_before: available_before.unwrap_or(0), hours, steps })
}

/// How fast credits are settled, and what that leads to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// Settled in the last 30 days.
    pub settled: i64,
    /// Settled in the 30 days before these.
    pub settled_before: i64,
    /// Credits settled a day, over the last 7 days or as long as there is a ledger, but a day at least.
    pub per_day: f64,
    /// The same over the 7 days before; none where the ledger is younger than that.
    pub per_day_before: Option<f64>,
    /// How many days `per_day` was taken over.
    pub days: f64,
    /// When what is available is used up at that rate.
    pub end: End,
}

/// When credits run out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum End {
    /// Nothing burns.
    Never,
    /// There are none.
    Now,
    /// At this moment, if it goes on like that.
    At(OffsetDateTime),
    /// In more than a year.
    Far,
}

impl Course {
    /// Credits settled from a moment on and before another, both at a full hour.
    fn settled(&self, from: OffsetDateTime, to: OffsetDateTime) -> i64 {
        self.hours.iter().filter(|hour| hour.hour >= from && hour.hour < to).map(|hour| hour.settled).sum()
    }

    /// What it comes to with this much available.
    pub fn figures(&self, now: OffsetDateTime, available: i64) -> Figures {
        let [begin_7, begin_14, begin_30, begin_60] = [7, 14, 30, 60].map(|days| begin_of(now, days));
        let next = begin_of(now, 0) + Duration::HOUR;
        let began = self.began.unwrap_or(now);
        // A ledger of an hour says little about a day, so that it is taken as if it were one.
        let days = in_days(now - began.max(begin_7)).max(1.0);
        let per_day = self.settled(begin_7, next) as f64 / days;
        let per_day_before = (began <= begin_14).then(|| self.settled(begin_14, begin_7) as f64 / 7.0);
        let end = match available as f64 / per_day {
            _ if available == 0 => End::Now,
            _ if per_day <= 0.0 => End::Never,
            left if left > HORIZON => End::Far,
            left => End::At(now + Duration::seconds_f64(left * 86_400.0)),
        };
        let (settled, settled_before) = (self.settled(begin_30, next), self.settled(begin_60, begin_30));
        Figures { settled, settled_before, per_day, per_day_before, days, end }
    }
}

fn in_days(duration: Duration) -> f64 {
    duration.as_seconds_f64() / 86_400.0
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-20 14:03:00 UTC);

    fn course(hours: &[(i64, i64)]) -> Course {
        let hour = |&(ago, settled)| Hour { hour: crate::clock::hour(NOW) - Duration::hours(ago), available_after: 0, settled, given: 0 };
        let hours: Vec<Hour> = hours.iter().map(hour).collect();
        Course { began: hours.first().map(|hour| hour.hour), hours, ..Course::default() }
    }

    #[test]
    fn hours_of_the_border_belong_to_the_later_period() {
        let week = 7 * 24;
        let figures = course(&[(60 * 24 + 1, 1_000), (60 * 24, 1), (30 * 24 + 1, 2), (30 * 24, 4), (2 * week, 70), (week, 14), (0, 8)]);
        let figures = figures.figures(NOW, 100);
        assert_eq!((figures.settled, figures.settled_before), (4 + 70 + 14 + 8, 3));
        assert_eq!(figures.per_day_before, Some(10.0));
        // Seven days and three minutes.
        assert!((figures.per_day - 22.0 / (7.0 + 3.0 / 1_440.0)).abs() < 1e-9);
    }

    #[test]
    fn a_young_ledger_is_measured_by_its_own_age_and_a_day_at_least() {
        let figures = course(&[(48, 20), (1, 11)]).figures(NOW, 100);
        assert!((figures.days - (2.0 + 3.0 / 1_440.0)).abs() < 1e-9 && figures.per_day_before.is_none());
        let figures = course(&[(1, 12)]).figures(NOW, 100);
        assert_eq!((figures.days, figures.per_day, figures.per_day_before), (1.0, 12.0, None));
        let nothing = Course::default().figures(NOW, 0);
        assert_eq!((nothing.settled, nothing.per_day, nothing.per_day_before), (0, 0.0, None));
    }

    #[test]
    fn credits_end_at_the_rate_they_burn() {
        let burning = course(&[(23, 24)]);
        assert_eq!(burning.figures(NOW, 0).end, End::Now);
        assert_eq!(burning.figures(NOW, 48).end, End::At(NOW + Duration::days(2)));
        assert_eq!(burning.figures(NOW, 24 * 365).end, End::At(NOW + Duration::days(365)));
        assert_eq!(burning.figures(NOW, 24 * 365 + 1).end, End::Far);
        assert_eq!(course(&[(23, 0)]).figures(NOW, 5).end, End::Never);
    }
}
