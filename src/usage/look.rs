//! The statements with which a walk reads a stretch of the history.
//!
//! Measured with 90 days of history: planning takes a tenth of a millisecond for each day that a statement may read, so that a page of
//! few rows from many days was mostly that. For a long stretch they are planned once a connection; for a short one each time, for its
//! days alone. Looking through 5,000 rows takes 0.9 ms, and counting them along the index 0.5; one statement that numbers the rows as
//! it looks through them took 3.6.

use diesel::connection::SimpleConnection;
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types as sql;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{Address, Filter, Request};
use crate::error::Result;
use crate::ids::{OrgId, RequestId, uuid_time};

/// A stretch of more than this is long.
const LONG: Duration = Duration::days(7);

/// Of [`Request`], each by its name: a statement that is kept must not change its result when a table gets a column more.
const COLUMNS: &str = "id, at, key_id, generation, environment, method, path, route, status, outcome, duration_us, credits, address, \
    user_agent, job_id, detail";

/// Ids of an organization from `least` to before `most`, in an order: `ASC` or `DESC`.
pub(super) struct Stretch {
    pub organization: OrgId,
    pub least: Uuid,
    pub most: Uuid,
    pub order: &'static str,
}

impl Stretch {
    /// So many of what the filter lets through, among the first `look` rows.
    pub(super) fn look(&self, conn: &mut PgConnection, filter: &Filter, look: usize, wanted: usize) -> Result<Vec<Request>> {
        self.ask(conn, filter, What::Wanted(look as i64, wanted as i64))
    }

    /// How many rows there are to look at.
    pub(super) fn count(&self, conn: &mut PgConnection, filter: &Filter) -> Result<usize> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = sql::Int8)]
            rows: i64,
        }
        let rows: Vec<Row> = self.ask(conn, filter, What::Number)?;
        Ok(rows.first().and_then(|row| usize::try_from(row.rows).ok()).unwrap_or(0))
    }

    /// The last row to look at, if there are so many.
    pub(super) fn last(&self, conn: &mut PgConnection, filter: &Filter, look: usize) -> Result<Option<RequestId>> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = sql::Uuid)]
            id: RequestId,
        }
        let rows: Vec<Row> = self.ask(conn, filter, What::Last(look as i64 - 1))?;
        Ok(rows.first().map(|row| row.id))
    }

    fn ask<T>(&self, conn: &mut PgConnection, filter: &Filter, what: What) -> Result<Vec<T>>
    where
        T: QueryableByName<Pg> + 'static,
    {
        let (routes, path) = match &filter.address {
            Some(Address::Routes(routes)) => (Some(routes), None),
            Some(Address::Path(path)) => (None, Some(path)),
            None => (None, None),
        };
        let (least_status, most_status) = filter.statuses().into_inner();
        let ask = Ask { stretch: self, filter, what, least_status, most_status, routes, path };
        if !self.is_long() {
            return Ok(ask.load(conn)?);
        }
        // For whatever bounds there is one right plan: along the index.
        conn.batch_execute(
            "SET plan_cache_mode = force_generic_plan; SET enable_sort = off; SET enable_bitmapscan = off; SET enable_seqscan = off",
        )?;
        let found = ask.load(conn);
        let reset = conn.batch_execute("RESET plan_cache_mode; RESET enable_sort; RESET enable_bitmapscan; RESET enable_seqscan");
        let found = found?;
        reset?;
        Ok(found)
    }

    fn is_long(&self) -> bool {
        let (first, last) = (uuid_time(self.least).unwrap_or(OffsetDateTime::UNIX_EPOCH), uuid_time(self.most));
        last.is_none_or(|last| last - first > LONG)
    }
}

/// Of how many rows.
enum What {
    Wanted(i64, i64),
    Number,
    /// The one after so many.
    Last(i64),
}

struct Ask<'a> {
    stretch: &'a Stretch,
    filter: &'a Filter,
    what: What,
    least_status: i16,
    most_status: i16,
    routes: Option<&'a Vec<String>>,
    path: Option<&'a String>,
}

impl Ask<'_> {
    fn rows<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(" FROM requests WHERE organization_id = ");
        out.push_bind_param::<sql::Uuid, _>(&self.stretch.organization)?;
        out.push_sql(" AND id >= ");
        out.push_bind_param::<sql::Uuid, _>(&self.stretch.least)?;
        out.push_sql(" AND id < ");
        out.push_bind_param::<sql::Uuid, _>(&self.stretch.most)?;
        if self.least_status >= 400 {
            // Said in so many words for the sake of the index of what was not accepted.
            out.push_sql(" AND status >= 400 AND status BETWEEN ");
            out.push_bind_param::<sql::Int2, _>(&self.least_status)?;
            out.push_sql(" AND ");
            out.push_bind_param::<sql::Int2, _>(&self.most_status)?;
        }
        out.push_sql(" ORDER BY id ");
        out.push_sql(self.stretch.order);
        Ok(())
    }

    fn is_wanted<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("coalesce(key_id = ");
        out.push_bind_param::<sql::Nullable<sql::Uuid>, _>(&self.filter.key)?;
        out.push_sql(", true) AND status BETWEEN ");
        out.push_bind_param::<sql::Int2, _>(&self.least_status)?;
        out.push_sql(" AND ");
        out.push_bind_param::<sql::Int2, _>(&self.most_status)?;
        out.push_sql(" AND coalesce(environment = ");
        out.push_bind_param::<sql::Nullable<sql::Text>, _>(&self.filter.environment)?;
        out.push_sql(", true) AND coalesce(route = ANY (");
        out.push_bind_param::<sql::Nullable<sql::Array<sql::Text>>, _>(&self.routes)?;
        out.push_sql("), true) AND coalesce(starts_with(path || '/', ");
        out.push_bind_param::<sql::Nullable<sql::Text>, _>(&self.path)?;
        out.push_sql(" || '/'), true)");
        Ok(())
    }
}

impl QueryFragment<Pg> for Ask<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        if !self.stretch.is_long() {
            out.unsafe_to_cache_prepared();
        }
        match &self.what {
            What::Wanted(look, wanted) => {
                out.push_sql("SELECT ");
                out.push_sql(COLUMNS);
                out.push_sql(" FROM (SELECT ");
                out.push_sql(COLUMNS);
                self.rows(&mut out)?;
                out.push_sql(" LIMIT ");
                out.push_bind_param::<sql::Int8, _>(look)?;
                out.push_sql(") r WHERE ");
                self.is_wanted(&mut out)?;
                out.push_sql(" ORDER BY id ");
                out.push_sql(self.stretch.order);
                out.push_sql(" LIMIT ");
                out.push_bind_param::<sql::Int8, _>(wanted)?;
            }
            // Ids alone, which the index has.
            What::Number => {
                out.push_sql("SELECT count(*) AS rows FROM (SELECT id");
                self.rows(&mut out)?;
                out.push_sql(") r");
            }
            What::Last(before) => {
                out.push_sql("SELECT id");
                self.rows(&mut out)?;
                out.push_sql(" OFFSET ");
                out.push_bind_param::<sql::Int8, _>(before)?;
                out.push_sql(" LIMIT 1");
            }
        }
        Ok(())
    }
}

impl QueryId for Ask<'_> {
    type QueryId = ();
    // Its text tells it from others.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Ask<'_> {
    type SqlType = sql::Untyped;
}

impl RunQueryDsl<PgConnection> for Ask<'_> {}
