//! `latchkey doctor`: says what is well, and what to do about what is not.

use diesel::{RunQueryDsl as _, sql_query};

use super::Cli;
use crate::support::empty_database;

#[test]
fn all_is_well_in_a_fresh_database() {
    let cli = Cli::new();
    cli.run(&["org", "create", "--name", "Acme", "--credits", "3"]).ok();
    let run = cli.run(&["doctor"]).ok();
    let checks = ["settings", "secret key", "database", "ledger", "audit log", "sealed", "clock"];
    for (line, check) in run.out.lines().zip(checks) {
        assert!(line.starts_with("ok") && line.contains(check), "{line}");
    }
    assert_eq!(run.out.lines().count(), checks.len());
    let json = cli.run(&["doctor", "--json"]).json();
    assert!(json.as_array().unwrap().iter().all(|finding| finding["ok"] == true), "{json}");
}

#[test]
fn a_forged_balance_and_a_forged_entry_are_found() {
    let cli = Cli::new();
    cli.run(&["org", "create", "--name", "Acme", "--credits", "3"]).ok();
    let mut conn = cli.database().conn();
    sql_query("UPDATE credit_balances SET available = 1000").execute(&mut conn).unwrap();
    sql_query("ALTER TABLE audit_entries DISABLE TRIGGER audit_entries_append_only").execute(&mut conn).unwrap();
    sql_query("UPDATE audit_entries SET actor_label = 'nobody' WHERE sequence = 1").execute(&mut conn).unwrap();
    let run = cli.run(&["doctor"]);
    assert_eq!(run.status, 1, "{run:?}");
    let wrong: Vec<&str> = run.out.lines().filter(|line| line.starts_with("wrong")).collect();
    assert!(wrong.len() == 2 && wrong[0].contains("acme") && wrong[1].contains("entry 1"), "{wrong:?}");
    let verify = cli.run(&["audit", "verify", "--json"]);
    assert_eq!(verify.status, 1);
    assert!(verify.out.contains("\"sequence\": 1"), "{verify:?}");
}

#[test]
fn hours_that_are_not_those_of_the_entries_are_found() {
    let cli = Cli::new();
    cli.run(&["org", "create", "--name", "Acme", "--credits", "3"]).ok();
    cli.run(&["org", "create", "--name", "Whole", "--credits", "3"]).ok();
    let mut conn = cli.database().conn();
    let acme = "organization_id = (SELECT id FROM organizations WHERE slug = 'acme')";
    for (forged, repaired) in [
        ("UPDATE credit_hours SET settled = settled + 1", "UPDATE credit_hours SET settled = settled - 1"),
        ("UPDATE credit_hours SET available_after = 4", "UPDATE credit_hours SET available_after = 3"),
        ("UPDATE credit_hours SET hour = hour - interval '1 hour'", "UPDATE credit_hours SET hour = hour + interval '1 hour'"),
        ("DELETE FROM credit_hours", ""),
    ] {
        sql_query(format!("{forged} WHERE {acme}")).execute(&mut conn).unwrap();
        let run = cli.run(&["doctor"]);
        let wrong: Vec<&str> = run.out.lines().filter(|line| line.starts_with("wrong")).collect();
        assert!(wrong.len() == 1 && wrong[0].contains("acme") && !wrong[0].contains("whole"), "{forged}: {wrong:?}");
        if !repaired.is_empty() {
            sql_query(format!("{repaired} WHERE {acme}")).execute(&mut conn).unwrap();
            cli.run(&["doctor"]).ok();
        }
    }
}

#[test]
fn a_database_without_tables_and_wrong_settings_are_told() {
    let mut cli = Cli::new();
    cli.database = Some(empty_database());
    let run = cli.run(&["doctor", "--profile", "nope"]);
    assert_eq!(run.status, 1);
    assert!(run.out.contains("LATCHKEY_PROFILE") && run.out.contains("latchkey migrate"), "{run:?}");
}
