//! What the texts of keys were used for, from the rollups and from what is not in them yet: the same cost for any history.

use std::collections::{BTreeMap, HashMap};

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types as sql;
use time::Date;
use uuid::Uuid;

use super::receipts::Call;
use crate::error::Result;
use crate::ids::{KeyId, OrgId, RequestId, uuid_floor, uuid_time};

/// What one text of a key was used for, ever.
#[derive(Debug, Clone, QueryableByName)]
pub(super) struct Uses {
    #[diesel(sql_type = sql::Uuid)]
    pub key_id: KeyId,
    #[diesel(sql_type = sql::Int4)]
    pub generation: i32,
    #[diesel(sql_type = sql::Int8)]
    pub requests: i64,
    /// Since it was no longer, or soon no longer, the key's current text.
    #[diesel(sql_type = sql::Int8)]
    pub stale: i64,
    /// Refused because it had ended.
    #[diesel(sql_type = sql::Int8)]
    pub ended: i64,
    /// The newest that were not refused for that, that were accepted, and the first and the newest of those that were.
    #[diesel(sql_type = sql::Nullable<sql::Uuid>)]
    pub last: Option<RequestId>,
    #[diesel(sql_type = sql::Nullable<sql::Uuid>)]
    pub last_accepted: Option<RequestId>,
    #[diesel(sql_type = sql::Nullable<sql::Uuid>)]
    pub first_ended: Option<RequestId>,
    #[diesel(sql_type = sql::Nullable<sql::Uuid>)]
    pub last_ended: Option<RequestId>,
}

impl Uses {
    fn add(&mut self, row: &Self) {
        self.requests += row.requests;
        self.stale += row.stale;
        self.ended += row.ended;
        self.last = self.last.max(row.last);
        self.last_accepted = self.last_accepted.max(row.last_accepted);
        self.first_ended = [self.first_ended, row.first_ended].into_iter().flatten().min();
        self.last_ended = self.last_ended.max(row.last_ended);
    }
}

/// Of each text of each key, or of one key's.
pub(super) fn uses(conn: &mut PgConnection, organization: OrgId, key: Option<KeyId>) -> Result<HashMap<(KeyId, i32), Uses>> {
    let rows: Vec<Uses> = diesel::sql_query(
        "SELECT key_id, generation, requests, stale_requests AS stale, ended_requests AS ended,
             last_request_id AS last, last_accepted_id AS last_accepted, first_ended_id AS first_ended, last_ended_id AS last_ended
         FROM key_uses WHERE organization_id = $1 AND ($2 IS NULL OR key_id = $2)
         UNION ALL
         SELECT key_id, generation, requests, stale_requests, ended_requests, last_request_id, last_accepted_id, first_ended_id, last_ended_id
         FROM usage_pending WHERE organization_id = $1 AND ($2 IS NULL OR key_id = $2)",
    )
    .bind::<sql::Uuid, _>(organization)
    .bind::<sql::Nullable<sql::Uuid>, _>(key)
    .load(conn)?;
    let mut uses: HashMap<(KeyId, i32), Uses> = HashMap::new();
    for row in rows {
        match uses.get_mut(&(row.key_id, row.generation)) {
            Some(of) => of.add(&row),
            None => _ = uses.insert((row.key_id, row.generation), row),
        }
    }
    Ok(uses)
}

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
