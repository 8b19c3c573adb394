//! What the built-in worker makes of an input: a function of its text alone.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::raw_json::RawJson;

/// How a job will end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Completed(RawJson),
    Failed { code: &'static str, message: &'static str },
}

/// `{"sandbox":true,"input_sha256":…,"echo":…}` with the SHA-256 (hex) of the input's text and the input itself.
#[derive(Serialize)]
struct Sandbox<'a> {
    sandbox: bool,
    input_sha256: &'a str,
    echo: &'a RawJson,
}

/// Something to look at: numbers taken from the digest, so that the same input always gives the same.
#[derive(Serialize)]
struct Demo<'a> {
    summary: String,
    score: u8,
    confidence: f64,
    findings: Vec<Finding>,
    input_sha256: &'a str,
}

#[derive(Serialize)]
struct Finding {
    name: &'static str,
    score: u8,
    note: &'static str,
}

const NAMES: [&str; 3] = ["quality", "consistency", "completeness"];
const NOTES: [&str; 3] = ["Needs attention.", "Good, with room to improve.", "Excellent."];

/// The end of a job with this input.
pub(super) fn of(input: &RawJson, sandbox: bool) -> Outcome {
    let fields: Option<Value> = serde_json::from_str(input.as_str()).ok();
    if fields.is_some_and(|fields| fields["sandbox"] == "fail") {
        return Outcome::Failed { code: "sandbox_failure", message: "The input asked for a failure." };
    }
    let digest = Sha256::digest(input.as_str());
    let mut input_sha256 = String::with_capacity(64);
    for byte in digest.iter() {
        let _ = write!(input_sha256, "{byte:02x}");
    }
    let result = if sandbox {
        RawJson::of(&Sandbox { sandbox, input_sha256: &input_sha256, echo: input })
    } else {
        RawJson::of(&demo(&digest, &input_sha256))
    };
    match result {
        Ok(result) => Outcome::Completed(result),
        Err(_) => Outcome::Failed { code: "sandbox_error", message: "No result could be made of this input." },
    }
}

fn demo<'a>(digest: &[u8], input_sha256: &'a str) -> Demo<'a> {
    let score = |byte: &u8| 55 + byte % 45;
    let findings: Vec<Finding> = NAMES
        .iter()
        .zip(digest)
        .map(|(name, byte)| Finding { name, score: score(byte), note: NOTES[usize::from((score(byte) - 55) / 15)] })
        .collect();
    let total = findings.iter().map(|finding| u32::from(finding.score)).sum::<u32>() / NAMES.len() as u32;
    let mean = u8::try_from(total).unwrap_or(100);
    Demo {
        summary: format!("{} aspects looked at, {mean} of 100 points.", findings.len()),
        score: mean,
        confidence: f64::from(80 + digest.last().map_or(0, |byte| byte % 20)) / 100.0,
        findings,
        input_sha256,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_input_gives_the_same_result() {
        let input = RawJson::object(r#"{"b": 1.0, "a": 2}"#).expect("an object");
        let Outcome::Completed(result) = of(&input, true) else { panic!("fails") };
        assert_eq!(
            result.as_str(),
            r#"{"sandbox":true,"input_sha256":"SHA","echo":{"b": 1.0, "a": 2}}"#
                .replace("SHA", "464c2bbc3adc6c6775af18987687c81240217d55d5726766f2132be5bd19a938")
        );
        assert_eq!(of(&input, false), of(&input, false));
    }

    #[test]
    fn an_input_may_ask_for_a_failure() {
        let fails = |text| matches!(of(&RawJson::object(text).expect("an object"), true), Outcome::Failed { code: "sandbox_failure", .. });
        assert!(fails(r#"{"sandbox":"fail"}"#));
        assert!(!fails(r#"{"sandbox":true}"#));
        assert!(!fails(r#"{"a":{"sandbox":"fail"}}"#));
    }
}
