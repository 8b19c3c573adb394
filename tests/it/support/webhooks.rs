//! Webhooks and deliveries, put straight into the database.

use std::sync::mpsc::Receiver;
use std::time::Instant;

use diesel::sql_types::{Integer, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{PgConnection, RunQueryDsl, sql_query};
use latchkey::actor::Actor;
use latchkey::ids::{EventId, JobId, OrgId};
use latchkey::sealed::{Keyring, SecretKey};
use latchkey::{clock, webhooks};
use time::{Duration, OffsetDateTime};

use super::database::number;
use super::make::Make;

/// One attempt, over and done.
#[derive(Debug, Clone, Copy)]
pub enum Try {
    /// Answered with this status, in so many milliseconds.
    Answered(i16, i32),
    /// Failed: the class, the sentence, milliseconds.
    Failed(&'static str, &'static str, i32),
}

/// An event and its delivery.
#[derive(Debug, Clone)]
pub struct NewDelivery {
    /// Its lane.
    pub job: JobId,
    pub sequence: i32,
    pub event_type: String,
    /// `pending`, `delivered`, `gave_up`, `overtaken`.
    pub state: &'static str,
    /// When the event happened.
    pub at: OffsetDateTime,
    pub tries: Vec<Try>,
    /// Of a pending one: when its lane is due, from now.
    pub due_in: Duration,
    pub payload: String,
    /// Head and body of the last answer.
    pub answer: (String, String),
}

impl Default for NewDelivery {
    fn default() -> Self {
        let now = clock::now();
        Self {
            job: JobId::new(now),
            sequence: 1,
            event_type: "analysis.started".into(),
            state: "delivered",
            at: now,
            tries: vec![Try::Answered(200, 118)],
            due_in: Duration::hours(1),
            payload: r#"{"event_type":"analysis.started","sequence":1}"#.into(),
            answer: ("HTTP/1.1 200 OK\ncontent-type: application/json".into(), r#"{"received":true}"#.into()),
        }
    }
}

/// So many pending deliveries of an organization, each in a lane of its own, due now. Nobody is told.
pub fn backlog(conn: &mut PgConnection, organization: OrgId, count: i32) {
    sql_query(
        r#"WITH new AS (SELECT gen_random_uuid() AS id FROM generate_series(1, $2)),
        written AS (
            INSERT INTO events (organization_id, sequence, id, event_type, payload, created_at)
            SELECT $1, 1, id, 'analysis.started', '{"event_type":"analysis.started","sequence":1}', now() FROM new
        ),
        queued AS (
            INSERT INTO deliveries (organization_id, event_id, lane, sequence, event_type, state, attempts, failures)
            SELECT $1, id, id, 1, 'analysis.started', 'pending', 0, 0 FROM new
        )
        INSERT INTO delivery_lanes (organization_id, id, due_at) SELECT $1, id, now() FROM new"#,
    )
    .bind::<SqlUuid, _>(organization)
    .bind::<Integer, _>(count)
    .execute(conn)
    .unwrap();
}

impl Make {
    /// A webhook of the organization made last, switched on.
    pub fn webhook(mut self, url: &str) -> Self {
        let (org, keyring) = (self.here().id, Keyring::from(SecretKey([7; 32])));
        let url = url.parse().unwrap();
        webhooks::save(&mut self.conn, &Actor::command_line(), clock::now(), org, &keyring, &url, None).unwrap();
        self
    }

    /// Off, as Latchkey itself has it: `gone` or `failing`.
    pub fn stopped_webhook(mut self, reason: &str) -> Self {
        let org = self.here().id;
        sql_query("UPDATE webhooks SET disabled_at = $2, disabled_reason = $3 WHERE organization_id = $1")
            .bind::<SqlUuid, _>(org)
            .bind::<Timestamptz, _>(clock::now())
            .bind::<Text, _>(reason)
            .execute(&mut self.conn)
            .unwrap();
        self
    }

    /// Lets nobody save a webhook until so many wait to, and the word is given.
    pub fn hold_saving(mut self, waiting: i64, word: Receiver<()>) {
        sql_query("BEGIN").execute(&mut self.conn).unwrap();
        sql_query("LOCK TABLE webhooks IN SHARE ROW EXCLUSIVE MODE").execute(&mut self.conn).unwrap();
        std::thread::spawn(move || {
            let until = Instant::now() + std::time::Duration::from_secs(20);
            let waits = "SELECT count(*) FROM pg_locks WHERE relation = 'webhooks'::regclass AND NOT granted";
            while number(&mut self.conn, waits) < waiting && Instant::now() < until {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            let _ = word.recv();
            sql_query("COMMIT").execute(&mut self.conn).unwrap();
        });
    }

    /// Its secrets don't open any more, as when the secret key is lost.
    pub fn break_secrets(&mut self) {
        let org = self.here().id;
        let breaks = "UPDATE webhook_secrets SET sealed = sealed || '\\x00' WHERE organization_id = $1";
        sql_query(breaks).bind::<SqlUuid, _>(org).execute(&mut self.conn).unwrap();
    }

    /// A delivery of the organization made last, with its event, its attempts, its lane and its figures.
    pub fn delivery(&mut self, new: NewDelivery) -> EventId {
        let (org, event) = (self.here().id, EventId::new(new.at));
        sql_query(
            "INSERT INTO events (organization_id, sequence, id, event_type, payload, created_at) VALUES ($1, $2, $3, $4, $5::json, $6)",
        )
        .bind::<SqlUuid, _>(org)
        .bind::<Integer, _>(new.sequence)
        .bind::<SqlUuid, _>(event)
        .bind::<Text, _>(&new.event_type)
        .bind::<Text, _>(&new.payload)
        .bind::<Timestamptz, _>(new.at)
        .execute(&mut self.conn)
        .unwrap();
        let (mut at, mut last) = (new.at, (None, None, None));
        for (tried, number) in new.tries.iter().zip(1..) {
            let (status, failure, message, ms) = match *tried {
                Try::Answered(status, ms) => (Some(status), None, None, ms),
                Try::Failed(class, message, ms) => (None, Some(class), Some(message), ms),
            };
            last = (status, failure, Some(ms * 1_000));
            sql_query(
                "INSERT INTO delivery_attempts (organization_id, event_id, number, at, request, address, status, answer_head, answer_body,
                    answer_is_cut, failure, failure_message, dns_us, connect_us, tls_us, first_byte_us, total_us)
                 VALUES ($1, $2, $3, $4, $5, '127.93.184.34', $6, CASE WHEN $6 IS NULL THEN NULL ELSE $7 END,
                    CASE WHEN $6 IS NULL THEN NULL ELSE $8 END, false, $9, $10, 4000, 19000, 31000,
                    CASE WHEN $6 IS NULL THEN NULL ELSE greatest(0, $11 - 58000) END, $11)",
            )
            .bind::<SqlUuid, _>(org)
            .bind::<SqlUuid, _>(event)
            .bind::<Integer, _>(number)
            .bind::<Timestamptz, _>(at)
            .bind::<Text, _>(format!("POST /latchkey HTTP/1.1\nwebhook-id: {event}\nwebhook-timestamp: {}", at.unix_timestamp()))
            .bind::<Nullable<SmallInt>, _>(status)
            .bind::<Text, _>(&new.answer.0)
            .bind::<Text, _>(&new.answer.1)
            .bind::<Nullable<Text>, _>(failure)
            .bind::<Nullable<Text>, _>(message)
            .bind::<Integer, _>(ms * 1_000)
            .execute(&mut self.conn)
            .unwrap();
            at += Duration::seconds(5);
        }
        let is_pending = new.state == "pending";
        let failed = |tried: &&Try| !matches!(tried, Try::Answered(200..=299, _));
        sql_query(
            "INSERT INTO deliveries (organization_id, event_id, lane, sequence, event_type, state, attempts, failures, last_status,
                last_failure, last_duration_us, finished_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind::<SqlUuid, _>(org)
        .bind::<SqlUuid, _>(event)
        .bind::<SqlUuid, _>(new.job.0)
        .bind::<Integer, _>(new.sequence)
        .bind::<Text, _>(&new.event_type)
        .bind::<Text, _>(new.state)
        .bind::<Integer, _>(new.tries.len() as i32)
        .bind::<SmallInt, _>(new.tries.iter().filter(failed).count() as i16)
        .bind::<Nullable<SmallInt>, _>(last.0)
        .bind::<Nullable<Text>, _>(last.1)
        .bind::<Nullable<Integer>, _>(last.2)
        .bind::<Nullable<Timestamptz>, _>((!is_pending).then_some(at))
        .execute(&mut self.conn)
        .unwrap();
        let more = if is_pending {
            "INSERT INTO delivery_lanes (organization_id, id, due_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
        } else {
            "INSERT INTO delivery_minutes AS m (organization_id, minute, delivered, gave_up)
             SELECT organization_id, date_trunc('minute', $3), (state = 'delivered')::int, (state = 'gave_up')::int FROM deliveries
             WHERE organization_id = $1 AND lane = $2 AND finished_at = $3 AND state <> 'overtaken'
             ON CONFLICT (organization_id, minute) DO UPDATE SET delivered = m.delivered + excluded.delivered, gave_up = m.gave_up + excluded.gave_up"
        };
        sql_query(more)
            .bind::<SqlUuid, _>(org)
            .bind::<SqlUuid, _>(new.job.0)
            .bind::<Timestamptz, _>(if is_pending { clock::now() + new.due_in } else { at })
            .execute(&mut self.conn)
            .unwrap();
        event
    }
}
