//! `latchkey audit verify`.

use diesel::connection::SimpleConnection;
use serde_json::{Value, json};

use super::chain::fill;
use super::{edited, verify};
use crate::support::{App, TestDb};

#[test]
fn it_names_the_first_broken_entry() {
    let database = TestDb::new();
    let chain = fill(&database)[0].0;
    let (status, said) = verify(&database, &[]);
    assert_eq!(status, Some(0));
    assert!(said.contains("whole") && said.contains("200 entries"), "{said}");
    let change = format!(
        "ALTER TABLE audit_entries DISABLE TRIGGER ALL;
         UPDATE audit_entries SET target_label = 'y' WHERE chain = '{chain}' AND sequence = 3;
         ALTER TABLE audit_entries ENABLE TRIGGER ALL"
    );
    database.conn().batch_execute(&change).unwrap();
    let (status, said) = verify(&database, &[]);
    assert_eq!(status, Some(1));
    assert!(said.contains("broken") && said.contains("entry 3") && said.contains(&chain.to_string()), "{said}");
    let (status, said) = verify(&database, &["--json"]);
    let told: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((status, &told["first_break"]["sequence"], &told["first_break"]["chain"]), (Some(1), &json!(3), &json!(chain)));
}

#[test]
fn one_organizations_chain_is_proved_by_itself() {
    let app = App::start();
    let make = app.make().org().credits(5).org().credits(7);
    let database = app.database();
    let [ours, theirs] = [&make.orgs()[0], &make.orgs()[1]];
    edited(database, Some(ours.id), "Nightly", json!({"name": "after"}));
    let (status, said) = verify(database, &["--org", &ours.slug]);
    assert_eq!((status, said.lines().next()), (Some(0), Some("The audit log is whole: 2 entries in 1 chain.")));
    let noted = said.lines().nth(1).unwrap().to_owned();
    assert!(noted.starts_with(&format!("{}=", ours.slug)) && noted.len() == ours.slug.len() + 65, "{noted}");
    let forge = "ALTER TABLE audit_entries DISABLE TRIGGER ALL; UPDATE audit_entries SET action = 'key.edited' WHERE chain =";
    database.conn().batch_execute(&format!("{forge} '{}'", theirs.id.0)).unwrap();
    assert_eq!(verify(database, &["--org", &ours.slug]).0, Some(0));
    let (status, said) = verify(database, &["--org", &theirs.slug]);
    assert!(status == Some(1) && said.contains(&format!("({}), entry 1: the entry does not match its hash", theirs.slug)), "{said}");
    let (status, said) = verify(database, &["--org", "nobody"]);
    assert!(status == Some(1) && said.contains("no organization with the slug \"nobody\""), "{said}");
}

#[test]
fn a_head_that_was_noted_is_looked_for() {
    let app = App::start();
    let make = app.make().org().credits(5);
    let (database, org) = (app.database(), make.here());
    edited(database, None, "Worker", json!({}));
    let (status, said) = verify(database, &["--heads"]);
    let heads: Vec<&str> = said.lines().skip(1).collect();
    assert!(status == Some(0) && heads.len() == 2 && heads[0].starts_with("-=") && heads[1].starts_with(&org.slug), "{said}");
    let both: Vec<&str> = heads.iter().flat_map(|head| ["--head", head]).collect();
    edited(database, Some(org.id), "Nightly", json!({"name": "after"}));
    assert_eq!(verify(database, &both).0, Some(0), "a chain that grew has it still");
    let forge = format!(
        "ALTER TABLE audit_entries DISABLE TRIGGER ALL; DELETE FROM audit_entries WHERE chain = '{0}';
         DELETE FROM audit_heads WHERE chain = '{0}'",
        org.id.0
    );
    database.conn().batch_execute(&forge).unwrap();
    edited(database, Some(org.id), "Forged", json!({"name": "after"}));
    assert_eq!(verify(database, &[]).0, Some(0), "from within that can't be told");
    let (status, said) = verify(database, &both);
    assert!(status == Some(1) && said.contains(heads[1]) && !said.contains(heads[0]), "{said}");
    let (status, said) = verify(database, &[&both[..], &["--json", "--org", &org.slug]].concat());
    let told: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((status, told["lost_heads"].as_array().map(Vec::len), &told["first_break"]), (Some(1), Some(1), &Value::Null));
    for nonsense in ["acme", "acme=12", &format!("={}", "0".repeat(64)), &format!("acme={}", "x".repeat(64))] {
        let (status, said) = verify(database, &["--head", nonsense]);
        assert!(status == Some(2) && said.contains("is not ORG=HASH"), "{nonsense}: {said}");
    }
}
