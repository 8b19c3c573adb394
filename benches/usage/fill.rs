//! Fills a history: days side by side, each into a table that becomes a partition when it is full; the rollups by the product's own fold.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use latchkey::db::Db;
use latchkey::usage::rollups;
use time::{Duration, OffsetDateTime, UtcOffset};

use super::Failure;
use super::world::{FEW, KINDS, RARE, REGIMES, World};

/// Days of history, today among them.
const DAYS: i64 = 90;
const HOUR_MS: i64 = 3_600_000;
/// Of all requests, those of keys that are hardly used.
const RARE_SHARE: f64 = 2e-4;
/// Of what was paid for, that which is in the ledger.
const PAID_SHARE: f64 = 0.1;
/// Requests of the key of few hours in each of them, whatever the size.
const FEW_REQUESTS: i64 = 40;

/// An hour to fill.
struct Hour {
    from_ms: i64,
    span_ms: i64,
    /// Part of the whole.
    weight: f64,
    /// See [`KINDS`].
    regime: i32,
}

/// Fills an empty database with so many rows up to the world's now.
pub fn fill(db: &Db, world: &World, rows: u64) -> Result<(), Failure> {
    let (start, hours) = (Instant::now(), hours(world.now));
    let total: f64 = hours.iter().map(|hour| hour.weight).sum();
    let days: Vec<&[Hour]> = hours.chunk_by(|a, b| a.from_ms / (24 * HOUR_MS) == b.from_ms / (24 * HOUR_MS)).collect();
    let next = AtomicUsize::new(0);
    let (filled, wait) = mpsc::channel();
    std::thread::scope(|scope| {
        let fillers: Vec<_> = (0..2)
            .map(|_| {
                let (filled, days, next) = (filled.clone(), &days, &next);
                scope.spawn(move || -> Result<(), Failure> {
                    let mut conn = db.connect()?;
                    // Order by arrival, as in life: the kinds are what is hashed, and nothing is sorted.
                    conn.batch_execute("SET enable_mergejoin = off; SET enable_nestloop = off; SET work_mem = '128MB'")?;
                    while let Some(hours) = days.get(next.fetch_add(1, Ordering::Relaxed)) {
                        day(&mut conn, world, hours, rows as f64 / total)?;
                        filled.send(())?;
                    }
                    Ok(())
                })
            })
            .collect();
        drop(filled);
        let mut conn = db.connect()?;
        for (done, ()) in wait.iter().enumerate() {
            while rollups::fold(&mut conn)? > 0 {}
            rollups::tidy_pending(&mut conn, false)?;
            eprint!("\r{rows} rows: {} of {} days, {:.0} s ", done + 1, days.len(), start.elapsed().as_secs_f64());
        }
        eprintln!();
        fillers.into_iter().try_for_each(|filler| filler.join().map_err(|_| "a filler panicked")?)
    })?;
    let words = [("{slug}", world.slug.clone()), ("{first_ms}", hours[0].from_ms.to_string()), ("{now_ms}", world.now.to_string())];
    let mut conn = db.connect()?;
    conn.batch_execute(&filled_in(include_str!("ledger.sql"), &words))?;
    conn.batch_execute("VACUUM ANALYZE")?;
    Ok(())
}

/// A text with its words in braces filled in.
fn filled_in(text: &str, words: &[(&str, String)]) -> String {
    words.iter().fold(text.to_owned(), |text, (word, value)| text.replace(word, value))
}

/// The hours of the history with their share: busy by day and on weekdays, with some in which a caller goes wild or something breaks.
fn hours(now: i64) -> Vec<Hour> {
    let midnight = |ms: i64| ms - ms % (24 * HOUR_MS);
    let first = midnight(now) - (DAYS - 1) * 24 * HOUR_MS;
    (0..)
        .map(|hour| first + hour * HOUR_MS)
        .take_while(|from_ms| *from_ms < now)
        .map(|from_ms| {
            let at = OffsetDateTime::UNIX_EPOCH + Duration::milliseconds(from_ms);
            let weekend = at.weekday().number_days_from_monday() >= 5;
            let daily = 0.3 + (1.0 + ((f64::from(at.hour()) - 14.0) * std::f64::consts::PI / 12.0).cos()) * 0.6;
            let span_ms = HOUR_MS.min(now - from_ms);
            let weight = daily * if weekend { 0.4 } else { 1.0 } * span_ms as f64 / HOUR_MS as f64;
            let regime = match (from_ms / HOUR_MS * 7_919) % 97 {
                0 | 1 => 1,
                2 => 2,
                _ => 0,
            };
            Hour { from_ms, span_ms, weight, regime }
        })
        .collect()
}

fn day(conn: &mut PgConnection, world: &World, hours: &[Hour], scale: f64) -> Result<(), Failure> {
    let (from, to) = (hours[0].from_ms, hours[0].from_ms + 24 * HOUR_MS);
    let at = (OffsetDateTime::UNIX_EPOCH + Duration::milliseconds(from)).to_offset(UtcOffset::UTC).date();
    let table = format!("requests_{:04}{:02}{:02}", at.year(), u8::from(at.month()), at.day());
    conn.transaction::<_, Failure, _>(|conn| {
        conn.batch_execute(&format!("CREATE TABLE {table} (LIKE requests)"))?;
        for hour in hours {
            let count = (hour.weight * scale).round().max(1.0) as i64;
            conn.batch_execute(&statement(&table, world, hour, count, (hour.regime * KINDS, KINDS), RARE_SHARE))?;
            if world.hours.contains(&hour.from_ms) {
                conn.batch_execute(&statement(&table, world, hour, FEW_REQUESTS, (FEW, 1), 0.0))?;
            }
        }
        // The one index that takes time, and on more than one day at once; attaching makes the rest.
        conn.batch_execute(&format!("ALTER TABLE {table} ADD PRIMARY KEY (organization_id, id)"))?;
        Ok(())
    })?;
    let bound = |ms: i64| uuid::Uuid::from_u128((ms as u128) << 80);
    conn.batch_execute(&format!("ALTER TABLE requests ATTACH PARTITION {table} FOR VALUES FROM ('{}') TO ('{}')", bound(from), bound(to)))?;
    conn.batch_execute(&include_str!("day.sql").replace("{table}", &table))?;
    conn.batch_execute(&format!(
        "INSERT INTO bench_paid_requests SELECT r.organization_id, r.id, r.at FROM {table} r JOIN organizations o ON o.id = r.organization_id
         WHERE r.credits > 0 AND o.slug = '{}' AND random() < {PAID_SHARE}",
        world.slug
    ))?;
    conn.batch_execute(&format!("VACUUM ANALYZE {table}"))?;
    Ok(())
}

fn statement(table: &str, world: &World, hour: &Hour, count: i64, (from, kinds): (i32, i32), rare_share: f64) -> String {
    let words = [
        ("{table}", table.to_owned()),
        ("{rotated_ms}", world.rotated.to_string()),
        ("{revoked_ms}", world.revoked.to_string()),
        ("{from_ms}", hour.from_ms.to_string()),
        ("{span_ms}", hour.span_ms.to_string()),
        ("{count}", count.to_string()),
        ("{rare_share}", rare_share.to_string()),
        ("{rare_from}", (KINDS * REGIMES).to_string()),
        ("{rare_count}", RARE.to_string()),
        ("{kinds_from}", from.to_string()),
        ("{kinds_count}", kinds.to_string()),
    ];
    filled_in(include_str!("hour.sql"), &words)
}
