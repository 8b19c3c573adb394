//! Rules about the database: every constraint has a name, every table of a tenant is led by its organization, and
//! `src/schema.rs` says what the database says.

use std::collections::BTreeMap;

use diesel::sql_types::Text;
use diesel::{QueryableByName, RunQueryDsl, sql_query};

use crate::support::{TestDb, root};

/// Tables with an `organization_id` whose primary key begins with something else, and why that is right.
const NOT_LED_BY_ORGANIZATION: &[(&str, &str)] = &[
    ("api_keys", "found by its id; (organization_id, id) is a key of its own"),
    ("api_key_secrets", "found by its digest at admission; bound to (organization_id, id) of its key"),
    ("delivery_lanes", "found by its id, whose lane it is compared beside it; see the migration"),
    ("usage_pending", "no order at all: whoever folds takes it as it comes, and it is empty a second later"),
    ("request_holds", "a service reports on a request by its id alone; see the migration"),
    ("jobs", "workers report on a job by its id, of whichever organization"),
];

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    value: String,
}

fn rows(query: &str) -> Vec<Row> {
    sql_query(query).load(&mut TestDb::new().conn()).unwrap()
}

#[test]
fn every_constraint_and_index_is_named_after_its_table() {
    let named = rows(
        "SELECT conname::text AS name, conrelid::regclass::text AS value FROM pg_constraint
         WHERE connamespace = 'public'::regnamespace AND conrelid <> 0 AND contype <> 'n'
         UNION ALL
         SELECT indexname::text, tablename::text FROM pg_indexes WHERE schemaname = 'public'",
    );
    let kinds = ["_pkey", "_fkey", "_key", "_check", "_idx"];
    let odd: Vec<&str> = named
        .iter()
        .filter(|row| !row.value.starts_with("__diesel"))
        .filter(|row| !row.name.starts_with(&format!("{}_", row.value)) || !kinds.iter().any(|kind| row.name.ends_with(kind)))
        .map(|row| row.name.as_str())
        .collect();
    assert!(odd.is_empty(), "{odd:?}");
}

/// A name that PostgreSQL made up is not in the migrations; errors are mapped by names, so each has to be there.
#[test]
fn no_constraint_is_named_by_postgresql() {
    let migrations: String = std::fs::read_dir(root().join("migrations"))
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path().join("up.sql")).unwrap())
        .collect();
    let named = rows(
        "SELECT conname::text AS name, conrelid::regclass::text AS value FROM pg_constraint
         WHERE connamespace = 'public'::regnamespace AND conrelid <> 0 AND contype <> 'n' AND conparentid = 0",
    );
    let made_up: Vec<&str> = named
        .iter()
        .filter(|row| !row.value.starts_with("__diesel"))
        .map(|row| row.name.as_str())
        .filter(|name| !migrations.contains(&format!("CONSTRAINT {name} ")))
        .collect();
    assert!(made_up.is_empty(), "{made_up:?}");
}

#[test]
fn tables_of_tenants_are_led_by_the_organization() {
    let leaders = rows(
        "SELECT c.table_name::text AS name, coalesce((
             SELECT a.attname::text FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
             WHERE i.indisprimary AND i.indrelid = c.table_name::regclass), '') AS value
         FROM information_schema.columns c
         WHERE c.table_schema = 'public' AND c.column_name = 'organization_id'",
    );
    for row in &leaders {
        let excepted = NOT_LED_BY_ORGANIZATION.iter().any(|(table, _)| *table == row.name);
        assert_ne!(row.value == "organization_id", excepted, "{} is led by {:?}", row.name, row.value);
    }
    assert!(leaders.len() > NOT_LED_BY_ORGANIZATION.len());
}

#[test]
fn the_schema_in_rust_is_the_schema_in_the_database() {
    let mut said: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows(
        "SELECT table_name::text AS name,
             column_name || ' -> ' || CASE is_nullable WHEN 'YES' THEN 'Nullable<' ELSE '' END
                 || CASE udt_name WHEN 'uuid' THEN 'Uuid' WHEN 'text' THEN 'Text' WHEN 'timestamptz' THEN 'Timestamptz'
                     WHEN 'int2' THEN 'Int2' WHEN 'int4' THEN 'Int4' WHEN 'int8' THEN 'Int8' WHEN 'bool' THEN 'Bool'
                     WHEN 'bytea' THEN 'Bytea' WHEN 'json' THEN 'Json' WHEN 'jsonb' THEN 'Jsonb'
                     WHEN '_text' THEN 'Array<Text>' ELSE udt_name END
                 || CASE is_nullable WHEN 'YES' THEN '>' ELSE '' END AS value
         FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE '\\_\\_diesel%'
         ORDER BY table_name, ordinal_position",
    ) {
        said.entry(row.name).or_default().push(row.value);
    }
    let written = written_schema();
    let tables = |schema: &BTreeMap<String, Vec<String>>| schema.keys().cloned().collect::<Vec<_>>();
    assert_eq!(tables(&written), tables(&said));
    for (table, columns) in said {
        assert_eq!(written[&table], columns, "columns of {table} in src/schema.rs, and in the database");
    }
}

/// The tables of src/schema.rs, in its own words.
fn written_schema() -> BTreeMap<String, Vec<String>> {
    let text = std::fs::read_to_string(root().join("src/schema.rs")).unwrap();
    let same = |kind: &str| {
        [("Int2", "SmallInt"), ("Int4", "Integer"), ("Int8", "BigInt"), ("Bytea", "Binary")]
            .iter()
            .fold(kind.to_owned(), |kind, (short, long)| kind.replace(long, short))
    };
    let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut table = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.contains("joinable!")) {
        if let Some((column, kind)) = line.trim_end_matches(',').split_once(" -> ") {
            tables.entry(table.clone()).or_default().push(format!("{column} -> {}", same(kind)));
        } else if let Some((name, _)) = line.split_once(" (").filter(|_| line.ends_with('{')) {
            table = name.to_owned();
        }
    }
    tables
}
