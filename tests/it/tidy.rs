//! Rules about the code itself: who may import whom, what a capability may know, what a template may hold.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::support::root;

/// Who may import whom. A module that is not here may import nothing of ours.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    // The kernel: nothing above it.
    ("actor", &["error", "ids"]),
    ("batch", &["db", "error", "wake"]),
    ("clock", &[]),
    ("config", &["error", "mail", "profile", "sealed", "secret", "signers", "site"]),
    ("courier", &["error", "ids", "secret"]),
    ("db", &["error"]),
    ("email", &["error"]),
    ("error", &[]),
    ("ids", &["clock"]),
    ("mail", &["error"]),
    ("metrics", &[]),
    ("openapi", &["error", "ids", "outcome", "profile"]),
    ("outcome", &[]),
    ("peer", &[]),
    ("postgres", &[]),
    ("profile", &["actor", "error", "ids"]),
    ("raw_json", &[]),
    ("schema", &[]),
    ("sealed", &["error", "secret"]),
    ("secret", &["error"]),
    ("slowdown", &[]),
    ("signers", &[]),
    ("site", &["db", "mail", "news", "profile", "sealed", "signers", "slowdown"]),
    ("statement", &[]),
    ("news", &["ids", "wake"]),
    ("wake", &[]),
    // Capabilities: the kernel, `audit`, and the sideways edges named here.
    ("audit", &[KERNEL_AND, "statement"]),
    ("credits", &[KERNEL_AND, "audit", "statement", "webhooks"]),
    ("orgs", &[KERNEL_AND, "audit", "credits", "keys"]),
    ("accounts", &[KERNEL_AND, "audit", "orgs", "sealed", "support"]),
    ("support", &[KERNEL_AND, "audit", "credits", "keys", "orgs", "statement"]),
    ("keys", &[KERNEL_AND, "audit", "site", "usage"]),
    ("webhooks", &[KERNEL_AND, "audit", "batch", "courier", "sealed", "site", "statement"]),
    ("jobs", &[KERNEL_AND, "audit", "credits", "db", "wake", "webhooks"]),
    ("usage", &[KERNEL_AND, "statement"]),
    ("admission", &[KERNEL_AND, "batch", "credits", "jobs", "usage"]),
    ("programs", &[KERNEL_AND, "audit", "batch"]),
    // Beside the edges: what those for programs share.
    ("json_call", &["error", "programs", "secret"]),
    // Edges: the kernel and capabilities, never each other.
    (
        "web",
        &[EDGE, "accounts", "admission", "audit", "courier", "credits", "jobs", "keys", "openapi", "orgs", "support", "usage", "webhooks"],
    ),
    ("partner_api", &[EDGE, "admission", "batch", "courier", "credits", "jobs", "keys", "openapi", "slowdown", "usage", "webhooks"]),
    ("verify_api", &[EDGE, "admission", "batch", "json_call", "keys", "programs", "slowdown", "usage"]),
    ("worker_api", &[EDGE, "jobs", "json_call", "programs"]),
    ("sandbox", &[EDGE, "jobs"]),
    ("delivery", &[EDGE, "batch", "webhooks"]),
];
const KERNEL_AND: &str = "(the kernel that a capability sees)";
const KERNEL: &[&str] = &["actor", "clock", "email", "error", "ids", "outcome", "profile", "raw_json", "schema", "secret"];
const EDGE: &str = "(the kernel that an edge sees)";
const EDGE_KERNEL: &[&str] = &[
    "actor", "clock", "courier", "db", "error", "ids", "metrics", "news", "outcome", "peer", "profile", "raw_json", "secret", "site",
    "wake",
];
const CAPABILITIES: &[&str] =
    &["accounts", "admission", "audit", "credits", "jobs", "keys", "orgs", "programs", "support", "usage", "webhooks"];
const EDGES: &[&str] = &["delivery", "json_call", "partner_api", "sandbox", "verify_api", "web", "worker_api"];
/// These see everything: they put it together.
const ASSEMBLY: &[&str] = &["cli", "lib", "main", "server"];

const LONGEST: usize = 400;

#[test]
fn modules_import_only_what_they_may() {
    let mut breaches = Vec::new();
    for (module, file, line) in code_lines() {
        let allowed = allowed(&module);
        for name in imports(&line) {
            if name != module && !ASSEMBLY.contains(&module.as_str()) && !allowed.contains(name.as_str()) {
                breaches.push(format!("{} imports crate::{name}", file.display()));
            }
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}\nMAY_IMPORT in tests/it/tidy.rs says who may.");
}

#[test]
fn capabilities_import_each_other_without_a_circle() {
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (module, _, line) in code_lines().into_iter().filter(|(module, ..)| CAPABILITIES.contains(&module.as_str())) {
        let sideways = imports(&line).into_iter().filter(|name| *name != module && CAPABILITIES.contains(&name.as_str()));
        edges.entry(module.clone()).or_default().extend(sideways);
    }
    while let Some(leaf) = edges.iter().find(|(_, to)| to.iter().all(|name| !edges.contains_key(name))).map(|(name, _)| name.clone()) {
        edges.remove(&leaf);
    }
    assert!(edges.is_empty(), "a circle: {edges:?}");
}

#[test]
fn capabilities_know_no_web_and_edges_no_database() {
    let mut breaches = Vec::new();
    for (module, file, line) in code_lines() {
        let forbidden: &[&str] = if CAPABILITIES.contains(&module.as_str()) {
            &["actix_web", "actix_session", "askama", "awc::", "async fn", ".await", "clock::now()"]
        } else if EDGES.contains(&module.as_str()) {
            // The connection that a closure is handed is all that an edge sees of Diesel.
            &["diesel::prelude", "diesel::sql_", "diesel::dsl", "RunQueryDsl", "crate::schema"]
        } else {
            &[]
        };
        for word in forbidden.iter().filter(|word| line.contains(**word)) {
            breaches.push(format!("{}: {word}", file.display()));
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}

#[test]
fn files_hold_one_noun() {
    let long: Vec<String> = ["src", "tests", "benches"]
        .into_iter()
        .flat_map(|folder| files(&root().join(folder), "rs"))
        .filter(|file| !file.ends_with("src/schema.rs"))
        .map(|file| (std::fs::read_to_string(&file).unwrap().lines().count(), file))
        .filter(|(lines, _)| *lines > LONGEST)
        .map(|(lines, file)| format!("{} has {lines} lines", file.display()))
        .collect();
    assert!(long.is_empty(), "{long:#?}: a file that holds two nouns wants to be two");
}

#[test]
fn templates_hold_no_style_and_no_script() {
    let mut breaches = Vec::new();
    for file in files(&root().join("templates"), "html") {
        let text = std::fs::read_to_string(&file).unwrap().to_lowercase();
        let tags = text.split('<').skip(1).filter_map(|rest| rest.split_once('>').map(|(tag, _)| tag));
        for tag in tags {
            let attributes: Vec<&str> = tag.split_whitespace().skip(1).collect();
            let scripted = attributes.iter().any(|attribute| {
                attribute.starts_with("style=")
                    || (attribute.starts_with("on") && attribute.contains('='))
                    || attribute.contains("javascript:")
            });
            if scripted || tag.starts_with("style") || (tag.starts_with("script") && !tag.contains("src=")) {
                breaches.push(format!("{}: <{tag}>", file.display()));
            }
        }
    }
    assert!(breaches.is_empty(), "the content security policy refuses {breaches:#?}");
}

fn allowed(module: &str) -> BTreeSet<&'static str> {
    let named = MAY_IMPORT.iter().find(|(name, _)| *name == module).map_or(&[][..], |(_, allowed)| allowed);
    named
        .iter()
        .flat_map(|name| match *name {
            KERNEL_AND => KERNEL.to_vec(),
            EDGE => EDGE_KERNEL.to_vec(),
            name => vec![name],
        })
        .collect()
}

/// The top-level module, the file and the line, of every line of code that is neither a comment nor inside a file's tests.
fn code_lines() -> Vec<(String, PathBuf, String)> {
    let source = root().join("src");
    let mut lines = Vec::new();
    for file in files(&source, "rs") {
        let relative = file.strip_prefix(&source).unwrap().to_path_buf();
        let first = relative.components().next().unwrap().as_os_str().to_str().unwrap();
        let module = first.trim_end_matches(".rs").to_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let code = code.lines().map(|line| line.split("//").next().unwrap_or_default().trim());
        lines.extend(code.map(|line| (module.clone(), relative.clone(), line.to_owned())));
    }
    assert!(lines.len() > 1_000, "the source was not found");
    lines
}

/// The top-level modules that a line names.
fn imports(line: &str) -> Vec<String> {
    let name = |text: &str| text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>();
    let mut found = Vec::new();
    for rest in line.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(group) => found.extend(group.split(['}', ',']).map(|item| name(item.trim()))),
            None => found.push(name(rest)),
        }
    }
    // Types and functions of the root itself, and the ends of groups.
    found.retain(|name| name.starts_with(|c: char| c.is_ascii_lowercase()));
    found
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}
