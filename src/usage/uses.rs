//! What the texts of keys were used for, from the rollups and from what is not in them yet: the same cost for any history.

use std::collections::HashMap;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types as sql;

use crate::error::Result;
use crate::ids::{KeyId, OrgId, RequestId};

/// What one text of a key was used for, ever.
#[derive(Debug, Clone, QueryableByName)]
pub struct Uses {
    /// The key.
    #[diesel(sql_type = sql::Uuid)]
    pub key_id: KeyId,
    /// Which of its texts.
    #[diesel(sql_type = sql::Int4)]
    pub generation: i32,
    /// All of them.
    #[diesel(sql_type = sql::Int8)]
    pub requests: i64,
    /// Since it was no longer, or soon no longer, the key's current text.
    #[diesel(sql_type = sql::Int8)]
    pub stale: i64,
    /// Refused because it had ended.
    #[diesel(sql_type = sql::Int8)]
    pub ended: i64,
    /// The newest that was not refused for that.
    #[diesel(sql_type = sql::Nullable<sql::Uuid>)]
    pub last: Option<RequestId>,
    /// The newest that was accepted.
    #[diesel(sql_type = sql::Nullable<sql::Uuid>)]
    pub last_accepted: Option<RequestId>,
    /// The first that was refused for that.
    #[diesel(sql_type = sql::Nullable<sql::Uuid>)]
    pub first_ended: Option<RequestId>,
    /// The newest of those.
    #[diesel(sql_type = sql::Nullable<sql::Uuid>)]
    pub last_ended: Option<RequestId>,
}

impl Uses {
    pub(super) fn add(&mut self, row: &Self) {
        self.requests += row.requests;
        self.stale += row.stale;
        self.ended += row.ended;
        self.last = self.last.max(row.last);
        self.last_accepted = self.last_accepted.max(row.last_accepted);
        self.first_ended = [self.first_ended, row.first_ended].into_iter().flatten().min();
        self.last_ended = self.last_ended.max(row.last_ended);
    }
}

/// Of each text of each key of an organization, or of one key's.
///
/// # Errors
/// Those of the database.
pub fn uses(conn: &mut PgConnection, organization: OrgId, key: Option<KeyId>) -> Result<HashMap<(KeyId, i32), Uses>> {
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
        uses.entry((row.key_id, row.generation)).and_modify(|of| of.add(&row)).or_insert(row);
    }
    Ok(uses)
}
