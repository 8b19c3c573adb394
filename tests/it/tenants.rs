//! Whose data a capability reads or writes stands in its signature: an organization, a person, or who is acting. What stands without
//! one is here, with the reason.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use regex_lite::Regex;

use crate::support::root;

const CAPABILITIES: &[&str] =
    &["accounts", "admission", "audit", "credits", "jobs", "keys", "orgs", "programs", "support", "usage", "webhooks"];

/// What says whose it is.
const WHOSE: &[&str] = &["OrgId", "UserId", "&Actor", "&Session", "&User", "Verified"];

const OF_NOBODY: &[(&str, &[&str])] = &[
    (
        "found by a secret that only its owner has, or before it is known who comes",
        &[
            "accounts::load",
            "accounts::peek",
            "accounts::delete",
            "accounts::begin_sign_in",
            "accounts::answer_challenge",
            "accounts::invitation",
            "accounts::accept_invitation",
            "accounts::way_in",
            "accounts::join",
            "accounts::count_reset",
            "accounts::reset_link",
            "orgs::open_invitation",
            "orgs::take",
            "programs::is_known",
            "keys::known",
        ],
    ),
    (
        "workers do jobs of every organization, and report by a lease that only they were given",
        &["jobs::claim", "jobs::progress", "jobs::complete", "jobs::fail", "jobs::hand_back"],
    ),
    ("rows that name their organization themselves, written in batches", &["jobs::insert_many", "usage::insert", "usage::complete"]),
    ("a service reports on requests by their ids; see the migration", &["usage::lock_awaited"]),
    (
        "housekeeping, for the whole deployment",
        &[
            "accounts::forget_old",
            "orgs::forget_old_invitations",
            "admission::forget_old_answers",
            "admission::settle_overdue",
            "jobs::expire_leases",
            "usage::oldest_day",
            "usage::make_days",
            "usage::ensure",
            "usage::drop_days",
            "usage::settle_session",
            "usage::fold",
            "usage::forget_rollups",
            "usage::tidy_pending",
            "webhooks::forget_old",
        ],
    ),
    ("numbers alone, for the metrics", &["jobs::queued_count", "webhooks::backlog"]),
    (
        "for the command line, which looks after all of it",
        &[
            "accounts::hold_seeds",
            "accounts::reseal",
            "accounts::check_seeds",
            "audit::verify",
            "audit::prove",
            "credits::imbalances",
            "orgs::list",
            "webhooks::holding_secrets",
            "webhooks::reseal",
            "webhooks::check_secrets",
        ],
    ),
    ("for the command line and staff, who name an organization by its slug", &["orgs::by_slug"]),
];

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            found.extend(files(&entry));
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            found.push(entry);
        }
    }
    found
}

#[test]
fn whose_data_it_is_stands_in_every_signature() {
    let signature = Regex::new(r"(?m)^pub fn (\w+)(?:<[^(]*>)?\(([^{]*?)\)[^{;]*\{").unwrap();
    let (mut bare, mut seen) = (BTreeSet::new(), 0);
    for capability in CAPABILITIES {
        for file in files(&root().join("src").join(capability)) {
            let text = std::fs::read_to_string(&file).unwrap();
            for found in signature.captures_iter(&text) {
                let (name, arguments) = (&found[1], &found[2]);
                if arguments.contains("&mut PgConnection") {
                    seen += 1;
                    if !WHOSE.iter().any(|word| arguments.contains(word)) {
                        bare.insert(format!("{capability}::{name}"));
                    }
                }
            }
        }
    }
    assert!(seen > 80, "the test finds the functions: {seen}");
    let excused: BTreeSet<String> = OF_NOBODY.iter().flat_map(|(_, names)| names.iter().map(|name| (*name).to_owned())).collect();
    assert_eq!(bare, excused, "left: what says nothing of whose data it is; right: what is excused");
}
