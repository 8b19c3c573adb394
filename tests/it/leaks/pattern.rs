//! What finds keys: the pattern, and the rule as gitleaks itself understands it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use latchkey::keys;
use latchkey::profile::{BUILT_IN, Profile};
use latchkey::secret::random_base62;
use regex_lite::Regex;
use serde_json::Value;

use crate::support::{App, key_text};

/// Of each profile, and as many that are none.
const COUNT: usize = 10_000;

/// Of each file: gitleaks reads 100 kB at a time, and may cut what stands across the border of two such parts.
const LINES: usize = 500;

/// Where `bin/test` has put gitleaks.
fn gitleaks() -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("outside/gitleaks");
    assert!(place.join("installed").exists(), "gitleaks is not in {}: run bin/test, which installs it", place.display());
    place.join("gitleaks")
}

/// A folder of one's own. Removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("latchkey-leaks-{}", random_base62(12).unwrap()));
        std::fs::create_dir_all(folder.join("repository")).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What gitleaks finds with this configuration in these lines.
fn findings(config_text: &str, lines: &[String]) -> Vec<Value> {
    let folder = Folder::new();
    let (config, source) = (folder.0.join("rule.toml"), folder.0.join("repository"));
    std::fs::write(&config, config_text).unwrap();
    for (n, lines) in lines.chunks(LINES).enumerate() {
        std::fs::write(source.join(format!("{n}.txt")), lines.join("\n")).unwrap();
    }
    let mut command = Command::new(gitleaks());
    command.args(["dir", "--no-banner", "--no-color", "--exit-code", "0", "--max-decode-depth", "0", "--report-format", "json"]);
    command.args(["--report-path", "-", "--config"]).arg(&config).arg(&source);
    let run = command.output().unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success() && !said.contains("ERR") && !said.contains("FTL"), "{said}");
    serde_json::from_slice(&run.stdout).unwrap_or_else(|e| panic!("{e}: {said}"))
}

/// The same with our rule alone: the line, from 0, and the secret.
fn found(rule: &str, lines: &[String]) -> BTreeSet<(usize, String)> {
    let finding = |finding: &Value| {
        assert_eq!(finding["RuleID"], "latchkey-api-key");
        let file: usize = Path::new(finding["File"].as_str().unwrap()).file_stem().unwrap().to_str().unwrap().parse().unwrap();
        (file * LINES + finding["StartLine"].as_u64().unwrap() as usize - 1, finding["Secret"].as_str().unwrap().to_owned())
    };
    findings(rule, lines).iter().map(finding).collect()
}

fn profiles() -> Vec<(&'static str, Profile)> {
    BUILT_IN.iter().map(|(name, text)| (*name, Profile::parse(text).unwrap())).collect()
}

fn environment(profile: &Profile, n: usize) -> &str {
    match profile.keys.environments.as_slice() {
        [] => profile.default_environment(),
        all => &all[n % all.len()].name,
    }
}

/// What is around keys where people leave them.
fn surrounded(key: &str, n: usize) -> String {
    match n % 20 {
        0 => key.to_owned(),
        1 => format!("API_KEY={key}"),
        2 => format!("export API_KEY='{key}'"),
        3 => format!("const key = \"{key}\";"),
        4 => format!("{{\"key\":\"{key}\",\"a\":1}}"),
        5 => format!("  key: {key}"),
        6 => format!("  - {key}  # production"),
        7 => format!("https://api.example.com/v1/credits?api_key={key}&page=2"),
        8 => format!("https://api.example.com/{key}/credits"),
        9 => format!("https://user:{key}@api.example.com/"),
        10 => format!("https://x.example/?next=%2Fa%3Fkey%3D{key}%26b"),
        11 => format!("curl -H \"Authorization: Bearer {key}\" \\"),
        12 => format!("\"A=1\\nKEY={key}\\nB=2\""),
        13 => format!("\"\\n{key}\\n\""),
        14 => format!("`{key}`"),
        15 => format!("<td>{key}</td>"),
        16 => format!("key\t{key}\t"),
        17 => format!("({key})"),
        18 => format!("a,{key},b"),
        _ => format!("{key}."),
    }
}

/// Looks much like a key, and is none by its form.
fn look_alike(profile: &Profile, n: usize) -> String {
    let key = key_text(profile, environment(profile, n));
    let random = &key[key.len() - 36..];
    let beginning = &key[..key.len() - 36];
    let prefix = profile.keys.prefix.as_str();
    match n % 16 {
        0 => format!("{beginning}{}", &random[..35]),
        1 => format!("{beginning}{}", &random[..1 + n % 30]),
        2 => format!("{key}{}", &random[..1]),
        3 => format!("{key}{}", &random[..1 + n % 30]),
        4 => format!("{key}_"),
        5 => format!("x{key}"),
        6 => format!("_{key}_more"),
        7 => format!("{beginning}{}-{}", &random[..18], &random[19..]),
        8 => format!("{beginning}{}+{}", &random[..18], &random[19..]),
        9 => format!("{beginning}{}é{}", &random[..18], &random[19..]),
        10 => key.replacen(prefix, &prefix.to_uppercase(), 1),
        11 => key.replacen(prefix, &format!("{prefix}x"), 1),
        12 => key.replacen('_', "-", 1),
        13 => key.replacen('_', "__", 1),
        14 => format!("{prefix}_prod_{random}"),
        _ => format!("{prefix}{random}"),
    }
}

#[test]
fn every_key_is_found_whole_wherever_it_stands() {
    for (name, profile) in profiles() {
        let pattern = Regex::new(&keys::pattern(&profile)).unwrap();
        let all: Vec<String> = (0..COUNT).map(|n| key_text(&profile, environment(&profile, n))).collect();
        let lines: Vec<String> = all.iter().enumerate().map(|(n, key)| surrounded(key, n)).collect();
        for (key, line) in all.iter().zip(&lines) {
            assert_eq!(pattern.find(line).map(|found| found.as_str()), Some(key.as_str()), "{name}: {line}");
        }
        let found = found(&keys::gitleaks_rule(&profile, "console.example"), &lines);
        let missed: Vec<&String> =
            all.iter().enumerate().filter(|(n, key)| !found.contains(&(*n, (*key).clone()))).map(|(n, _)| &lines[n]).collect();
        assert!(missed.is_empty(), "{name}: {} missed, such as {:?}", missed.len(), missed.first());
        assert_eq!(found.len(), COUNT, "{name}: and nothing else");
    }
}

#[test]
fn what_only_looks_like_a_key_is_not_found() {
    for (name, profile) in profiles() {
        let lines: Vec<String> = (0..COUNT).map(|n| look_alike(&profile, n)).map(|text| format!("key = \"{text}\"")).collect();
        let found = found(&keys::gitleaks_rule(&profile, "console.example"), &lines);
        assert!(found.is_empty(), "{name}: {} found, such as {:?}", found.len(), found.first().map(|(n, _)| &lines[*n]));
    }
}

/// A scanner can't see a checksum. The report can.
#[actix_web::test]
async fn what_has_the_form_and_not_the_checksum_is_no_key() {
    let app = App::start();
    let profile = &app.site.profile;
    let forged: Vec<String> = (0..COUNT).map(|n| format!("lk_live_{}{}", random_base62(30).unwrap(), &format!("{:06}", n))).collect();
    let pattern = Regex::new(&keys::pattern(profile)).unwrap();
    assert!(forged.iter().all(|text| pattern.is_match(text)));
    // Without the database: whatever is asked, it is not there.
    let by_chance = forged.iter().filter(|text| keys::parse(profile, text).is_some()).count();
    assert!(by_chance <= 1, "{by_chance}");
    let tokens: Vec<Value> = forged[..50].iter().map(|text| serde_json::json!({"token": text})).collect();
    let answer = app.anon().post("/leaked-keys").json(&tokens).send().await;
    assert!(answer.json().as_array().unwrap().iter().all(|told| told["label"] == "false_positive"), "{}", answer.text());
}

#[actix_web::test]
async fn the_rule_is_shown_and_has_a_public_address() {
    let app = App::start();
    let scene = app.make().org().member();
    let answer = app.anon().get("/leaked-keys/gitleaks.toml").send().await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/plain; charset=utf-8"));
    assert!(answer.header("cache-control").starts_with("public, max-age="), "{}", answer.header("cache-control"));
    let again = app.anon().get("/leaked-keys/gitleaks.toml").header("if-none-match", answer.header("etag")).send().await;
    assert_eq!(again.status, 304);
    let key = key_text(&app.site.profile, "live");
    let (comment, config) = answer.text().split_once("\n\n").expect("a comment, and what it is about");
    assert!(comment.lines().all(|line| line.starts_with("# ")) && comment.contains("[[rules]]"), "{comment}");
    assert!(config.starts_with("[extend]\nuseDefault = true\n\n[[rules]]\n"), "{config}");
    // A stranger's token, in the form of GitLab's: the rules that gitleaks brings along are on.
    let theirs = format!("glpat-{}", random_base62(20).unwrap());
    let findings = findings(answer.text(), &[format!("key = {key}"), format!("token = {theirs}")]);
    let finds = |rule: &str, secret: &str| findings.iter().any(|found| found["RuleID"] == rule && found["Secret"] == secret);
    assert!(finds("latchkey-api-key", &key) && finds("gitlab-pat", &theirs), "{findings:?}");
    let page = app.browser(scene.a_member()).await.get(&format!("/orgs/{}/api-keys", scene.here().slug)).send().await;
    let page = page.text();
    assert!(page.contains("Find leaked keys") && page.contains("<a href=\"/leaked-keys\">Report a found key</a>"), "{page}");
    assert!(page.contains("below the other rules of .gitleaks.toml") && page.contains("\"/leaked-keys/gitleaks.toml\">fetch a whole file"));
    assert!(page.contains("lk_(live|test)_[0-9A-Za-z]{36}") && page.contains("id = &#34;latchkey-api-key&#34;"), "{page}");
}
