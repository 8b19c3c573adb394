//! Fifty writers at once keep it whole, nobody changes it, and admission writes none.

use std::sync::Barrier;

use diesel::connection::SimpleConnection;
use latchkey::actor::Actor;
use latchkey::audit::{self, Event};
use latchkey::clock;
use latchkey::ids::OrgId;
use serde_json::json;

use crate::support::{App, Make, TestDb, number};

const WRITERS: usize = 50;
const EACH: usize = 4;

#[test]
fn fifty_writers_at_once_keep_the_chains_whole() {
    let database = TestDb::new();
    let orgs = fill(&database);
    let found = audit::verify(&mut database.conn()).unwrap();
    assert_eq!(found.first_break, None);
    assert_eq!((found.entries, found.chains), ((WRITERS * EACH) as u64, orgs.len() as u64 + 1));
}

#[test]
fn nobody_changes_it() {
    let database = TestDb::new();
    fill(&database);
    let mut conn = database.conn();
    for statement in [
        "UPDATE audit_entries SET actor_label = 'Somebody else'",
        "UPDATE audit_entries SET actor_label = 'x' WHERE false",
        "DELETE FROM audit_entries WHERE sequence = 1",
        "DELETE FROM audit_entries",
        "TRUNCATE audit_entries",
        "TRUNCATE audit_entries CASCADE",
        "INSERT INTO audit_entries SELECT * FROM audit_entries ON CONFLICT (chain, sequence) DO UPDATE SET action = 'x'",
        "UPDATE credit_entries SET note = 'x'",
        "DELETE FROM credit_entries",
        "TRUNCATE credit_entries",
    ] {
        let refused = conn.batch_execute(statement).unwrap_err().to_string();
        assert!(refused.contains("append-only"), "{statement}: {refused}");
    }
    assert_eq!(number(&mut conn, "SELECT count(*) FROM audit_entries"), (WRITERS * EACH) as i64);
    assert_eq!(audit::verify(&mut conn).unwrap().first_break, None);
}

#[test]
fn whoever_switches_the_guard_off_is_found_out() {
    let tampered: &[(&str, i64)] = &[
        ("UPDATE audit_entries SET actor_label = overlay(actor_label PLACING 'k' FROM 1) WHERE sequence = 3", 3),
        ("UPDATE audit_entries SET at = at + interval '1 microsecond' WHERE sequence = 2", 2),
        ("UPDATE audit_entries SET changes = jsonb_set(changes, '{after,n}', '-1') WHERE sequence = 4", 4),
        ("UPDATE audit_entries SET hash = set_byte(hash, 31, get_byte(hash, 31) # 1) WHERE sequence = 2", 2),
        ("DELETE FROM audit_entries WHERE sequence = 2", 2),
        ("DELETE FROM audit_entries WHERE sequence = (SELECT max(sequence) FROM audit_entries WHERE chain = $chain)", 0),
        ("UPDATE audit_heads SET sequence = sequence + 1", 0),
    ];
    for (statement, place) in tampered {
        let database = TestDb::new();
        let chain = fill(&database)[0].0;
        let mut conn = database.conn();
        let last = number(&mut conn, &format!("SELECT max(sequence) FROM audit_entries WHERE chain = '{chain}'"));
        // Only one chain, so that the others stay whole.
        let statement = match statement.contains(" WHERE ") {
            true => format!("{statement} AND chain = $chain"),
            false => format!("{statement} WHERE chain = $chain"),
        };
        let statement = statement.replace("$chain", &format!("'{chain}'"));
        conn.batch_execute("ALTER TABLE audit_entries DISABLE TRIGGER audit_entries_append_only").unwrap();
        conn.batch_execute(&statement).unwrap();
        conn.batch_execute("ALTER TABLE audit_entries ENABLE TRIGGER audit_entries_append_only").unwrap();
        let found = audit::verify(&mut conn).unwrap().first_break.unwrap_or_else(|| panic!("not found out: {statement}"));
        assert_eq!(found.chain, chain, "{statement}");
        let expected = match (*place, statement.starts_with("DELETE")) {
            (0, true) => last,
            (0, false) => last + 1,
            (place, _) => place,
        };
        assert_eq!(found.sequence, expected, "{statement}: {}", found.reason);
    }
}

/// Answered, refused and broken requests by the hundred: none is in the audit log.
#[actix_web::test]
async fn admissions_write_no_entries() {
    let app = App::start();
    let make = app.make().org().requests_per_minute(150).credits(20).key();
    let entries = |statement: &str| number(&mut app.database().conn(), statement);
    let all = "SELECT count(*) FROM audit_entries";
    let before = entries(all);
    let (partner, stranger) = (app.partner(make.a_key()), app.anon());
    let mut statuses = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let body = json!({"input": {}});
        let asked = [partner.post("/analyses").json(&body), partner.get("/key"), partner.get("/credits"), stranger.get("/key")];
        for answer in futures_util::future::join_all(asked.map(|request| request.send())).await {
            statuses.insert(answer.status);
        }
    }
    assert_eq!(statuses.into_iter().collect::<Vec<_>>(), [200, 202, 401, 402, 429], "of each kind");
    assert_eq!(entries("SELECT count(*) FROM requests"), 300);
    assert_eq!(entries(all), before);
}

/// Fifty writers at once over three organizations' chains and the deployment's own; the organizations.
pub fn fill(database: &TestDb) -> Vec<OrgId> {
    let profile = std::sync::Arc::new(latchkey::profile::Profile::load("analysis").unwrap());
    let scene = Make::new(database.conn(), profile).org().org().org();
    let orgs: Vec<OrgId> = scene.orgs().iter().map(|org| org.id).collect();
    let barrier = Barrier::new(WRITERS);
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (orgs, barrier) = (&orgs, &barrier);
            scope.spawn(move || {
                let mut conn = database.conn();
                barrier.wait();
                for n in 0..EACH {
                    let event = Event {
                        organization: orgs.get((writer + n) % 4).copied(),
                        action: "key.edited",
                        target_id: format!("target {writer}"),
                        target_label: "Ümläut \u{1f511} \u{202e}".into(),
                        before: json!({"n": null, "z": [1, 2.5, "\u{e9}"], "a": {"y": 1, "b": 2}}),
                        after: json!({"n": n}),
                    };
                    audit::record(&mut conn, &Actor::command_line(), clock::now(), event).unwrap();
                }
            });
        }
    });
    orgs
}
