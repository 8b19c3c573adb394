//! Requests that a key's pages tell of.

use std::collections::{BTreeMap, HashMap};

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types as sql;
use time::Date;
use uuid::Uuid;

use super::receipts::Call;
use crate::error::Result;
use crate::ids::{OrgId, RequestId, uuid_floor, uuid_time};

/// These requests, but for those whose day of the history was dropped.
pub(super) fn calls(conn: &mut PgConnection, organization: OrgId, ids: Vec<RequestId>) -> Result<HashMap<RequestId, Call>> {
    // Day by day, with the day said: else all would be looked for on every one.
    let mut days: BTreeMap<Date, Vec<String>> = BTreeMap::new();
    for id in ids {
        if let Some(at) = uuid_time(id.0) {
            days.entry(at.date()).or_default().push(format!("'{}'", id.0));
        }
    }
    let of_day = |(day, ids): (&Date, &Vec<String>)| {
        let begin = |day: Date| uuid_floor(day.midnight().assume_utc());
        let end = day.next_day().map_or(Uuid::max(), begin);
        format!(
            "SELECT id, at, method, path, status, address, user_agent FROM requests
             WHERE organization_id = $1 AND id >= '{}' AND id < '{end}' AND id IN ({})",
            begin(*day),
            ids.join(", ")
        )
    };
    let query = days.iter().map(of_day).collect::<Vec<_>>().join(" UNION ALL ");
    if query.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<Call> = diesel::sql_query(query).bind::<sql::Uuid, _>(organization).load(conn)?;
    Ok(rows.into_iter().map(|call| (call.id, call)).collect())
}
