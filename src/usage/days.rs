//! The history's partitions: one a day (UTC), made before the day begins and dropped when its time is over.
//!
//! Neither stops anybody who reads or writes meanwhile: a day is attached, not created in place, and detached
//! concurrently, each under a lock that only another change of partitions waits for. Killed in the midst, either is finished
//! by whoever comes next.

use std::collections::BTreeMap;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types as sql;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Date, OffsetDateTime, UtcDateTime, UtcOffset};

use crate::error::{Error, Result};

/// Days that are made ahead, so that a server which sleeps over midnight has somewhere to write.
const AHEAD: i64 = 7;
const NAME: &[BorrowedFormatItem<'static>] = format_description!("requests_[year][month][day]");
/// One at a time over all instances.
const LOCK: i64 = 0x6c61_7463_6864_6179;

#[derive(QueryableByName)]
struct Table {
    #[diesel(sql_type = sql::Text)]
    name: String,
    #[diesel(sql_type = sql::Bool)]
    is_attached: bool,
    #[diesel(sql_type = sql::Bool)]
    is_pending: bool,
}

/// The day (UTC) of a moment.
pub fn day(at: OffsetDateTime) -> Date {
    at.to_offset(UtcOffset::UTC).date()
}

fn tables(conn: &mut PgConnection) -> Result<BTreeMap<Date, Table>> {
    let found: Vec<Table> = diesel::sql_query(
        "SELECT c.relname::text AS name, i.inhrelid IS NOT NULL AS is_attached, coalesce(i.inhdetachpending, false) AS is_pending
         FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
         WHERE c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'requests'::regclass)
             AND c.relkind = 'r' AND c.relname ~ '^requests_[0-9]{8}$'",
    )
    .load(conn)?;
    Ok(found.into_iter().filter_map(|table| Some((Date::parse(&table.name, NAME).ok()?, table))).collect())
}

/// The oldest day of the history, if there is any.
///
/// # Errors
/// Those of the database.
pub fn oldest_day(conn: &mut PgConnection) -> Result<Option<Date>> {
    Ok(tables(conn)?.into_iter().find(|(_, table)| table.is_attached && !table.is_pending).map(|(day, _)| day))
}

/// Makes the days of `now` and of the week after it, and of the day before, for what arrived then and is answered now.
///
/// # Errors
/// Those of the database.
pub fn make_days(conn: &mut PgConnection, now: OffsetDateTime) -> Result<()> {
    let today = day(now);
    ensure(conn, (-1..=AHEAD).filter_map(|ahead| today.checked_add(time::Duration::days(ahead))))
}

/// Makes these days, but for those that are there.
///
/// # Errors
/// Those of the database.
pub fn ensure(conn: &mut PgConnection, days: impl Iterator<Item = Date> + Clone) -> Result<()> {
    let there = tables(conn)?;
    if days.clone().all(|day| there.contains_key(&day)) {
        return Ok(());
    }
    conn.transaction(|conn| {
        diesel::sql_query(format!("SELECT pg_advisory_xact_lock({LOCK})")).execute(conn)?;
        let there = tables(conn)?;
        for day in days.filter(|day| !there.contains_key(day)) {
            let next = day.next_day().ok_or_else(|| Error::internal("making a day", "the last one"))?;
            let (name, from, to) = (name(day)?, bound(day), bound(next));
            diesel::sql_query(format!("CREATE TABLE {name} (LIKE requests INCLUDING ALL)")).execute(conn)?;
            diesel::sql_query(format!("ALTER TABLE requests ATTACH PARTITION {name} FOR VALUES FROM ('{from}') TO ('{to}')"))
                .execute(conn)?;
        }
        Ok(())
    })
}

/// Drops the days before `keep`; how many. Must not be called in a transaction. Waits for whoever reads the history just now.
///
/// # Errors
/// Those of the database.
pub fn drop_days(conn: &mut PgConnection, keep: Date) -> Result<usize> {
    let expired = |conn: &mut PgConnection| -> Result<Vec<Table>> {
        Ok(tables(conn)?.into_iter().filter(|(day, _)| *day < keep).map(|(_, table)| table).collect())
    };
    if expired(conn)?.is_empty() {
        return Ok(0);
    }
    let lock = |conn: &mut PgConnection, function: &str| -> Result<bool> {
        Ok(diesel::select(diesel::dsl::sql::<sql::Bool>(&format!("{function}({LOCK})"))).get_result(conn)?)
    };
    // The session's own, since what follows can't be in a transaction; the one who comes second has nothing to do.
    if !lock(conn, "pg_try_advisory_lock")? {
        return Ok(0);
    }
    // Looked at again: who had the lock before has dropped some.
    let dropped = expired(conn).and_then(|expired| {
        expired.iter().try_for_each(|table| drop_day(conn, table))?;
        Ok(expired.len())
    });
    lock(conn, "pg_advisory_unlock")?;
    dropped
}

fn drop_day(conn: &mut PgConnection, table: &Table) -> Result<()> {
    let how = if table.is_pending { "FINALIZE" } else { "CONCURRENTLY" };
    if table.is_attached {
        diesel::sql_query(format!("ALTER TABLE requests DETACH PARTITION {} {how}", table.name)).execute(conn)?;
    }
    diesel::sql_query(format!("DROP TABLE {}", table.name)).execute(conn)?;
    Ok(())
}

fn name(day: Date) -> Result<String> {
    day.format(NAME).map_err(|e| Error::internal("naming a day", e))
}

/// The least id of a day.
fn bound(day: Date) -> uuid::Uuid {
    let millis = UtcDateTime::new(day, time::Time::MIDNIGHT).unix_timestamp() * 1_000;
    uuid::Uuid::from_u128((millis.max(0) as u128) << 80)
}
