//! `latchkey doctor`

use clap::Args;
use diesel::pg::PgConnection;
use serde_json::json;

use super::failure::{Done, Failure};
use super::opened::Opened;
use super::output::{Output, say};
use super::secret_key;
use crate::config::{self, KeyPlace, Settings};
use crate::error::{Error, Result};
use crate::sealed::{Keyring, SecretKey};
use crate::{audit, clock, credits, db};

/// More than this between our clock and the database's is wrong: limits and leases go by both.
const SKEW: time::Duration = time::Duration::seconds(2);

#[derive(Args)]
pub struct Doctor {
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    settings: Settings,
}

struct Finding {
    what: &'static str,
    /// What is well, or what is wrong and what to do.
    said: Result<String, String>,
}

/// Looks at everything, and says what is wrong.
pub fn run(Doctor { output, settings }: Doctor) -> Done {
    let mut findings = Vec::new();
    let place = settings.place().clone();
    let checked = settings.check();
    findings.push(settings_finding(&checked));
    findings.push(Finding { what: "secret key", said: secret_key(&checked) });
    match Opened::find(&place, 1) {
        Ok(opened) => {
            findings.extend(look_at_database(&opened, keyring(&checked)));
            opened.close()?;
        }
        Err(failure) => findings.push(Finding { what: "database", said: Err(failure.sentence()) }),
    }
    if output.json {
        let shown = |finding: &Finding| {
            let (Ok(said) | Err(said)) = &finding.said;
            json!({"check": finding.what, "ok": finding.said.is_ok(), "message": said})
        };
        say(format!("{:#}", findings.iter().map(shown).collect::<serde_json::Value>()));
    } else {
        for finding in &findings {
            let (word, said) = finding.said.as_ref().map_or_else(|wrong| ("wrong", wrong), |well| ("ok", well));
            say(format!("{word:<5}  {:<10}  {said}", finding.what));
        }
    }
    if findings.iter().all(|finding| finding.said.is_ok()) { Ok(()) } else { Err(Failure::silent(1)) }
}

fn settings_finding(checked: &Result<config::Config>) -> Finding {
    let said = match checked {
        Ok(config) => Ok(match &config.public_url {
            Some(url) => format!("profile {}, public URL {url}", config.profile.name),
            None => format!("profile {}, no public URL but the address it listens on", config.profile.name),
        }),
        Err(Error::Invalid(fields)) => Err(fields.iter().map(|e| format!("{}: {}", e.field, e.message)).collect::<Vec<_>>().join(" ")),
        Err(other) => Err(other.to_string()),
    };
    Finding { what: "settings", said }
}

fn secret_key(checked: &Result<config::Config>) -> Result<String, String> {
    match checked.as_ref().map(|config| &config.secret_key) {
        Ok(KeyPlace::Setting(keys)) => Ok(format!("given by a setting{}", count(keys.len()))),
        Ok(KeyPlace::Kept(file)) if !file.exists() => Ok("none yet; the first start makes it".into()),
        Ok(KeyPlace::Named(file) | KeyPlace::Kept(file)) => match file.read() {
            Ok(keys) => Ok(format!("kept in {}{}", file.path().display(), count(keys.len()))),
            Err(why) => Err(format!("{why} Restore it from a backup.")),
        },
        Err(_) => Err("not looked at: the settings are wrong".into()),
    }
}

fn count(keys: usize) -> String {
    if keys == 1 { String::new() } else { format!(", {keys} of them: being turned over, see `latchkey secret-key rotate`") }
}

/// The keys, if there are any to look at what they open.
fn keyring(checked: &Result<config::Config>) -> Option<Keyring> {
    match &checked.as_ref().ok()?.secret_key {
        KeyPlace::Kept(file) if !file.exists() => None,
        place => place.keyring().ok(),
    }
}

fn look_at_database(opened: &Opened, keyring: Option<Keyring>) -> Vec<Finding> {
    let migrated = opened.db.needs_migration();
    let mut findings = vec![Finding {
        what: "database",
        said: match &migrated {
            Ok(false) => Ok("reachable and up to date".into()),
            Ok(true) => Err("migrations wait to be run; run `latchkey migrate`".into()),
            Err(e) => Err(format!("does not answer: {e}")),
        },
    }];
    let mut look = |what, at: &dyn Fn(&mut PgConnection) -> Result<Result<String, String>>| {
        let said = opened.db.run_blocking(|conn| at(conn)).unwrap_or_else(|e| Err(e.to_string()));
        findings.push(Finding { what, said });
    };
    if matches!(migrated, Ok(false)) {
        look("ledger", &ledger);
        look("audit log", &audit_log);
        look("sealed", &|conn| sealed(conn, keyring.as_ref()));
    }
    if migrated.is_ok() {
        look("clock", &clock_skew);
    }
    findings
}

fn ledger(conn: &mut PgConnection) -> Result<Result<String, String>> {
    let broken: Vec<String> = credits::imbalances(conn)?.into_iter().map(|at| at.slug).collect();
    Ok(if broken.is_empty() {
        Ok("every balance and every hour is the sum of its entries".into())
    } else {
        Err(format!("ledgers whose balance or hours are not the sum of their entries: {}; stop and restore a backup", broken.join(", ")))
    })
}

fn audit_log(conn: &mut PgConnection) -> Result<Result<String, String>> {
    let found = audit::verify(conn)?;
    Ok(match found.first_break {
        None => Ok(format!("whole: {} entries in {} chains", found.entries, found.chains)),
        Some(at) => Err(format!("broken at entry {} of chain {}: {}; compare with a backup", at.sequence, at.chain, at.reason)),
    })
}

fn sealed(conn: &mut PgConnection, keyring: Option<&Keyring>) -> Result<Result<String, String>> {
    // Without a key none opens, whichever is tried.
    let keyring = keyring.cloned().map_or_else(|| SecretKey::generate().map(Keyring::from), Ok)?;
    let (all, shut) = secret_key::check(conn, &keyring)?;
    Ok(match (all, shut) {
        (0, _) => Ok("nothing yet".into()),
        (_, 0) => Ok(format!("all {all} secrets of webhooks and of two-factor sign-in open with the secret key")),
        _ => Err(format!(
            "{shut} of {all} secrets of webhooks and of two-factor sign-in do not open; put the secret key that they were sealed with behind the \
             current one, on a line of its own, and run `latchkey secret-key rotate`"
        )),
    })
}

fn clock_skew(conn: &mut PgConnection) -> Result<Result<String, String>> {
    let before = clock::now();
    let theirs = db::clock(conn)?;
    let skew = (theirs - before).abs();
    Ok(if skew <= SKEW {
        Ok("agrees with the database's".into())
    } else {
        Err(format!("{} s away from the database's; synchronize both machines (NTP)", skew.whole_seconds()))
    })
}
