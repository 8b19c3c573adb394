//! Whoever switches the guard off and changes a byte, anywhere, is found out.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text, Uuid as SqlUuid};
use latchkey::actor::Actor;
use latchkey::audit::verify::{Noted, Wanted, prove};
use latchkey::audit::{self, Event};
use latchkey::clock;
use latchkey::ids::OrgId;
use serde_json::{Value, json};
use uuid::Uuid;

use super::a_day;
use crate::support::{App, number};

#[derive(QueryableByName, Debug)]
struct Place {
    #[diesel(sql_type = SqlUuid)]
    chain: Uuid,
    #[diesel(sql_type = BigInt)]
    sequence: i64,
    #[diesel(sql_type = Text)]
    action: String,
    #[diesel(sql_type = Text)]
    changes: String,
}

/// A text with the character at this per cent of its length changed; an empty one is no longer.
fn flipped_text(column: &str, per_cent: usize) -> String {
    let at = format!("(1 + (length({column}) - 1) * {per_cent} / 100)");
    format!("coalesce(overlay(nullif({column}, '') PLACING chr(ascii(substr({column}, {at}, 1)) # 1) FROM {at} FOR 1), 'x')")
}

fn flipped_uuid(column: &str, byte: usize) -> String {
    let bytes = format!("decode(replace(coalesce({column}, gen_random_uuid())::text, '-', ''), 'hex')");
    format!("encode(set_byte({bytes}, {byte}, get_byte({bytes}, {byte}) # 1), 'hex')::uuid")
}

/// Every way to change a byte of a row but those of the JSON: column, and what is written into it.
fn changes() -> Vec<(&'static str, String)> {
    let mut all = vec![("sequence", "sequence # 1024".to_owned())];
    all.extend([0, 15].map(|byte| ("chain", flipped_uuid("chain", byte))));
    all.extend([0, 15].map(|byte| ("actor_id", flipped_uuid("actor_id", byte))));
    all.extend(["1 microsecond", "-1 second", "290000 years", "-6000 years"].map(|by| ("at", format!("at + interval '{by}'"))));
    all.extend(["'infinity'", "'-infinity'"].map(|at| ("at", at.to_owned())));
    for column in ["actor_kind", "actor_label", "action", "target_id", "target_label", "address", "user_agent"] {
        all.extend([0, 100].map(|per_cent| (column, flipped_text(column, per_cent))));
    }
    for column in ["previous_hash", "hash"] {
        all.extend([0, 31].map(|byte| (column, format!("set_byte({column}, {byte}, get_byte({column}, {byte}) # 1)"))));
    }
    all
}

/// The JSON with one character changed, wherever it still is JSON and another.
fn changed_json(text: &str) -> Vec<String> {
    let same: Value = serde_json::from_str(text).unwrap();
    let step = (text.len() / 9).max(1);
    let tried = (0..text.len()).step_by(step).filter_map(|at| {
        let mut bytes = text.as_bytes().to_vec();
        bytes[at] ^= 1;
        String::from_utf8(bytes).ok().filter(|text| !text.contains("\\u0000"))
    });
    tried.filter(|text| serde_json::from_str::<Value>(text).is_ok_and(|changed| changed != same)).collect()
}

/// The guard off, and the checks that some bytes would not pass.
fn unguard(conn: &mut PgConnection) {
    conn.batch_execute(
        "ALTER TABLE audit_entries DISABLE TRIGGER ALL; ALTER TABLE audit_entries DROP CONSTRAINT audit_entries_actor_kind_check,
             DROP CONSTRAINT audit_entries_sequence_check;
         CREATE TABLE kept AS TABLE audit_entries; CREATE TABLE kept_heads AS TABLE audit_heads;",
    )
    .unwrap();
}

fn restore(conn: &mut PgConnection) {
    conn.batch_execute(
        "DELETE FROM audit_entries; INSERT INTO audit_entries SELECT * FROM kept;
         DELETE FROM audit_heads; INSERT INTO audit_heads SELECT * FROM kept_heads",
    )
    .unwrap();
}

#[actix_web::test]
async fn a_changed_byte_of_any_column_of_any_entry_is_named() {
    let app = App::start();
    a_day(&app).await;
    let mut conn = app.database().conn();
    let conn = &mut conn;
    unguard(conn);
    let places: Vec<Place> =
        diesel::sql_query("SELECT chain, sequence, action, changes::text AS changes FROM audit_entries ORDER BY 1, 2").load(conn).unwrap();
    let nouns: std::collections::BTreeSet<&str> = places.iter().map(|place| audit::words::noun(&place.action)).collect();
    for noun in ["account", "credits", "key", "member", "organization", "session", "support", "webhook", "worker_token"] {
        assert!(nouns.contains(noun), "no entry of {noun}: {nouns:?}");
    }
    let (mut tried, fields) = (0, changes());
    for Place { chain, sequence, action, changes } in &places {
        let here = format!("chain = '{chain}' AND sequence = {sequence}");
        let json = changed_json(changes).into_iter().map(|text| ("changes", format!("'{}'::jsonb", text.replace('\'', "''"))));
        for (column, value) in fields.iter().cloned().chain(json) {
            let changed = diesel::sql_query(format!("UPDATE audit_entries SET {column} = {value} WHERE {here}")).execute(conn);
            assert_eq!(changed, Ok(1), "{column} = {value} of {action}");
            let found = audit::verify(conn).unwrap_or_else(|e| panic!("{column} = {value} of {action}: {e}"));
            let named = found.first_break.unwrap_or_else(|| panic!("{column} = {value} of {action} was not found out"));
            assert_eq!((named.chain, named.sequence), (*chain, *sequence), "{column} = {value} of {action}: {}", named.reason);
            restore(conn);
            tried += 1;
        }
    }
    assert_eq!(audit::verify(conn).unwrap().first_break, None);
    println!("{tried} changes of {} entries", places.len());
    assert!(tried > 30 * places.len() && places.len() >= 20, "{tried} changes of {} entries", places.len());
}

#[actix_web::test]
async fn what_is_moved_put_in_cut_off_or_emptied_is_named() {
    let app = App::start();
    let (make, _) = a_day(&app).await;
    let mut conn = app.database().conn();
    let conn = &mut conn;
    unguard(conn);
    let (own, nil) = (make.here().id.0, Uuid::nil());
    let last = number(conn, &format!("SELECT max(sequence) FROM audit_entries WHERE chain = '{own}'"));
    let entry = "sequence, at, actor_kind, actor_id, actor_label, action, target_id, target_label, address, user_agent, changes, previous_hash, hash";
    let copy = |sequence: &str, from: i64| {
        let columns = entry.replacen("sequence", "", 1);
        format!(
            "INSERT INTO audit_entries (chain, {entry}) SELECT chain, {sequence}{columns} FROM audit_entries WHERE chain = '{own}' AND sequence = {from}"
        )
    };
    let renumber = |from: i64, to: i64| format!("UPDATE audit_entries SET sequence = {to} WHERE chain = '{own}' AND sequence = {from};");
    let other = Uuid::from_u128(u128::MAX);
    let tampered: Vec<(String, Uuid, i64)> = vec![
        // Two swapped: the first of them is named.
        (renumber(2, 99) + &renumber(5, 2) + &renumber(99, 5), own, 2),
        // One put in at the end, in front, far behind, in the midst.
        (copy("sequence + 1", last), own, last + 1),
        (copy("0", 1), own, 0),
        (copy("sequence + 50", last), own, last + 50),
        (
            format!(
                "UPDATE audit_entries SET sequence = sequence + 100 WHERE chain = '{own}' AND sequence > 3;
                UPDATE audit_entries SET sequence = sequence - 99 WHERE chain = '{own}' AND sequence > 100;"
            ) + &copy("4", 3),
            own,
            4,
        ),
        // One of another chain.
        (format!("UPDATE audit_entries SET chain = '{own}', sequence = {} WHERE chain = '{nil}' AND sequence = 1", last + 1), nil, 1),
        // The tail cut off; all of it; the first.
        (format!("DELETE FROM audit_entries WHERE chain = '{own}' AND sequence > {}", last - 3), own, last - 2),
        (format!("DELETE FROM audit_entries WHERE chain = '{own}'"), own, 1),
        (format!("DELETE FROM audit_entries WHERE chain = '{own}' AND sequence = 1"), own, 1),
        // The head.
        (format!("UPDATE audit_heads SET sequence = sequence - 1 WHERE chain = '{own}'"), own, last),
        (format!("UPDATE audit_heads SET sequence = sequence + 1 WHERE chain = '{own}'"), own, last + 1),
        (format!("UPDATE audit_heads SET hash = set_byte(hash, 9, get_byte(hash, 9) # 1) WHERE chain = '{own}'"), own, last),
        (format!("DELETE FROM audit_heads WHERE chain = '{own}'"), own, 1),
        (format!("UPDATE audit_heads SET chain = '{other}' WHERE chain = '{own}'"), other, 1),
        ("TRUNCATE audit_entries".into(), nil, 1),
    ];
    for (statement, chain, sequence) in tampered {
        conn.batch_execute(&statement).unwrap();
        let found = audit::verify(conn).unwrap().first_break.unwrap_or_else(|| panic!("not found out: {statement}"));
        assert_eq!((found.chain, found.sequence), (chain, sequence), "{statement}: {}", found.reason);
        assert_eq!(found.organization, (chain == own).then(|| make.here().slug.clone()), "{statement}");
        restore(conn);
    }
    assert_eq!(audit::verify(conn).unwrap().first_break, None);
}

/// What no chain can tell of itself: somebody who writes all of it anew. A head that was noted tells.
#[actix_web::test]
async fn a_noted_head_tells_of_a_chain_that_was_written_anew() {
    let app = App::start();
    let (make, _) = a_day(&app).await;
    let mut conn = app.database().conn();
    let conn = &mut conn;
    unguard(conn);
    let own = make.here().id;
    let head = |conn: &mut PgConnection| {
        let heads = audit::verify(conn).unwrap().heads;
        heads.into_iter().find(|head| head.chain == own.0).expect("a head")
    };
    let noted = Noted { organization: Some(own), hash: head(conn).hash };
    let look = |conn: &mut PgConnection| prove(conn, &Wanted { only: None, noted: vec![noted.clone()] }).unwrap();
    // It is there while the chain grows.
    grow(conn, own, 3);
    assert!(look(conn).is_whole());
    let tampered = [
        // The tail cut off with the noted head in it, and the head set to fit.
        format!(
            "DELETE FROM audit_entries WHERE chain = '{0}' AND sequence > 4;
             UPDATE audit_heads SET (sequence, hash) = (SELECT sequence, hash FROM audit_entries WHERE chain = '{0}' AND sequence = 4)
             WHERE chain = '{0}'",
            own.0
        ),
        format!("DELETE FROM audit_entries WHERE chain = '{0}'; DELETE FROM audit_heads WHERE chain = '{0}'", own.0),
    ];
    for statement in tampered {
        conn.batch_execute(&statement).unwrap();
        for written in [0, 30] {
            grow(conn, own, written);
            assert_eq!(audit::verify(conn).unwrap().first_break, None, "from within it is whole");
            let found = look(conn);
            assert_eq!((found.first_break.clone(), found.lost_heads.clone()), (None, vec![noted.clone()]), "{statement}");
            assert!(!found.is_whole());
        }
        restore(conn);
    }
    assert!(look(conn).is_whole());
}

/// So many entries more, as anybody who has our code can write them.
fn grow(conn: &mut PgConnection, organization: OrgId, entries: i64) {
    for n in 0..entries {
        let (before, after) = (Value::Null, json!({"n": n}));
        let event = Event {
            organization: Some(organization),
            action: "key.edited",
            target_id: "x".into(),
            target_label: "x".into(),
            before,
            after,
        };
        audit::record(conn, &Actor::command_line(), clock::now(), event).unwrap();
    }
}
