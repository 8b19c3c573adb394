//! Every action has words for people.

use std::collections::BTreeSet;
use std::path::Path;

use latchkey::audit::words::{ACTIONS, noun, sentence};

use crate::support::root;

/// Texts of the source that look like actions and are none.
const OTHERS: &[&str] = &["credits.low", "webhook.test"];
/// Ends of file names.
const FILES: &[&str] = &["sql", "html", "css", "js", "svg", "toml", "csv", "key", "txt"];

/// Every text `"noun.verb"` in this folder or file, but those of its own tests.
fn actions(place: &Path, found: &mut BTreeSet<String>) {
    if place.is_dir() {
        for entry in std::fs::read_dir(place).unwrap() {
            actions(&entry.unwrap().path(), found);
        }
        return;
    }
    let text = std::fs::read_to_string(place).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    for line in code.lines().map(|line| line.split("//").next().unwrap()) {
        for literal in line.split('"').skip(1).step_by(2) {
            let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            if let Some((noun, verb)) = literal.split_once('.')
                && is_word(noun)
                && is_word(verb)
                && !FILES.contains(&verb)
                && !OTHERS.contains(&literal)
            {
                found.insert(literal.to_owned());
            }
        }
    }
}

#[test]
fn every_action_of_the_source_has_its_words() {
    let mut found = BTreeSet::new();
    // The capabilities: who else writes an entry does it by one of them.
    for folder in std::fs::read_dir(root().join("src")).unwrap().map(|entry| entry.unwrap().path()) {
        let name = folder.file_stem().unwrap().to_str().unwrap().to_owned();
        let elsewhere =
            ["web", "cli", "partner_api", "worker_api", "verify_api", "profile", "openapi", "delivery", "server", "postgres", "audit"];
        if !elsewhere.contains(&name.as_str()) {
            actions(&folder, &mut found);
        }
    }
    assert!(found.len() > 30 && found.contains("key.rotated") && found.contains("worker_token.created"), "{found:?}");
    let without: Vec<&String> = found.iter().filter(|action| sentence(action) == action.as_str()).collect();
    assert!(without.is_empty(), "{without:?} want words in src/audit/words.rs");
    let unused: Vec<&str> = ACTIONS.iter().map(|(action, _)| *action).filter(|action| !found.contains(*action)).collect();
    assert!(unused.is_empty(), "{unused:?} are written nowhere");
}

/// Edges write no entry past the capabilities.
#[test]
fn only_capabilities_write_entries() {
    for edge in ["web", "cli", "partner_api", "worker_api", "verify_api", "delivery", "sandbox", "server"] {
        let mut stack = vec![root().join("src").join(edge)];
        while let Some(place) = stack.pop() {
            if place.is_dir() {
                stack.extend(std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path()));
            } else {
                assert!(!std::fs::read_to_string(&place).unwrap().contains("audit::record("), "{}", place.display());
            }
        }
    }
}

#[test]
fn words_are_in_order_and_no_action_twice() {
    assert!(ACTIONS.windows(2).all(|pair| pair[0].0 < pair[1].0), "sorted, so that a noun stands together");
    assert_eq!((sentence("key.rotated"), sentence("robot.painted"), noun("key.rotated")), ("Rotated the key", "robot.painted", "key"));
}
