//! The description of the Partner API: that it describes what is served and nothing else, judged from outside too.

mod document;
mod exchanges;
mod page;
mod schemathesis;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use latchkey::profile::{BUILT_IN, Profile};
use serde_json::Value;

use super::partner_api::changed;
use crate::support::root;

/// A profile that differs from the default one in most that a profile may say.
pub const CHANGES: &[(&str, &str)] = &[
    ("base_path = \"/\"", "base_path = \"/api/v1\""),
    ("key_headers = []\nkey_parameters = []", "key_headers = [\"X-Api-Key\"]\nkey_parameters = [\"api_key\"]"),
    ("max_active = 1", "max_active = 0"),
    ("grant = \"none\"\nlist = []", "grant = \"chosen\"\nlist = [\"scan:create\", \"jobs:read\", \"webhooks:write\"]"),
    (
        "[[jobs]]\nkind = \"analysis\"",
        "[[jobs]]\nkind = \"deep_scan\"\nnoun = \"deep scan\"\nid_field = \"analysis_id\"\nid_prefix = \"an\"\nevent_prefix = \"scan\"\nprice = 5\n\
         charge = \"on_success\"\nexample_input = \"{\\\"note\\\":\\\"it's\\\"}\"\n\n[[jobs]]\nkind = \"analysis\"",
    ),
    (
        "[[routes]]\nmethod = \"POST\"\npath = \"/analyses\"",
        "[[limits]]\nname = \"create\"\nscope = \"organization\"\nrequests = 180\nwindow = \"1h\"\n\n\
         [[routes]]\nmethod = \"POST\"\npath = \"/deep-scan\"\naction = \"jobs.create\"\njob = \"deep_scan\"\nlimit = \"create\"\npermission = \"scan:create\"\n\n\
         [[routes]]\nmethod = \"POST\"\npath = \"/analyses\"",
    ),
    (
        "path = \"/analyses/{id}\"\naction = \"jobs.read\"\njob = \"analysis\"",
        "path = \"/jobs/{id}\"\naction = \"jobs.read\"\npermission = \"jobs:read\"",
    ),
    (
        "path = \"/analyses/{id}/results\"\naction = \"jobs.results\"\njob = \"analysis\"",
        "path = \"/jobs/{id}/results\"\naction = \"jobs.results\"\npermission = \"jobs:read\"",
    ),
    ("method = \"PUT\"\npath = \"/webhook\"", "method = \"POST\"\npath = \"/webhook\"\npermission = \"webhooks:write\""),
    ("action = \"credits.read\"\nlimit = \"default\"", "action = \"credits.read\""),
    ("'{\"detail\":\"API Key is missing\"}'", "'{\"error\":{\"message\":\"Bring a key (any).\",\"code\":\"INVALID_API_KEY\"}}'"),
    (
        "status = 403\nbody = '{\"detail\":\"Invalid API Key\"}'",
        "status = 401\nbody = '{\"error\":{\"message\":\"No.\",\"code\":\"INVALID_API_KEY\"}}'",
    ),
    (
        "'{\"detail\":\"Insufficient credits to perform analysis\",\"code\":\"insufficient_credits\"}'",
        "'{\"error\":\"{credits_required} wanted, {credits_available} there\",\"required\":{credits_required},\"available\":{credits_available}}'",
    ),
    (
        "'{\"detail\":\"{message}\",\"code\":\"{code}\"}'",
        "'{\"error\":{\"message\":\"{message}\",\"code\":\"{code_upper}\"},\"ok\":false}'",
    ),
];

/// Every built-in profile, and the changed one.
pub fn profiles() -> Vec<(String, Profile)> {
    let built_in = BUILT_IN.iter().map(|(name, text)| ((*name).to_owned(), Profile::parse(text).unwrap()));
    built_in.chain([("changed".to_owned(), Profile::parse(&changed(CHANGES)).unwrap())]).collect()
}

pub const PUBLIC_URL: &str = "https://api.motion.example";

/// Where `bin/test` has put schemathesis.
pub fn installed() -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("outside/schemathesis");
    assert!(place.join("installed").exists(), "schemathesis is not in {}: run bin/test, which installs it", place.display());
    place
}

/// What is wrong with documents, and with exchanges as they describe them, in the words of outsiders.
pub fn judge(cases: &[Value]) -> Vec<Vec<String>> {
    let mut command = Command::new(installed().join("bin/python"));
    command.arg(root().join("tests/outside/openapi.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lines: String = cases.iter().map(|case| format!("{case}\n")).collect();
    let mut stdin = child.stdin.take().unwrap();
    // Beside reading: neither side's pipe holds everything.
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    let verdicts: Vec<Vec<String>> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(verdicts.len(), cases.len());
    verdicts
}

/// The document without room for members that it does not name.
pub fn closed(mut document: Value) -> Value {
    fn close(node: &mut Value) {
        match node {
            Value::Object(members) => {
                members.values_mut().for_each(close);
                if members.contains_key("properties") && members.contains_key("type") {
                    members.entry("additionalProperties").or_insert(false.into());
                }
            }
            Value::Array(items) => items.iter_mut().for_each(close),
            _ => {}
        }
    }
    close(&mut document);
    document
}
