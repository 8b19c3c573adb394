//! `latchkey secret-key …`
//!
//! Turning the key over goes in three steps, each of them whole or not at all: the new key stands in front of the old one,
//! everything is sealed with it, the old one goes. Between them, and if it is interrupted there, both keys are in the file and
//! each value opens with one of them; run again, it goes on. The second step holds back whoever would write a secret, and the
//! first is done within it, so that nobody seals with a key that is about to go; the third looks once more before it drops one.

use clap::Subcommand;
use diesel::pg::PgConnection;
use serde_json::{Value, json};

use super::failure::{Done, Failure};
use super::opened::Opened;
use super::output::{Output, say};
use crate::accounts::two_factor;
use crate::config::{KeyPlace, Place, Secret};
use crate::error::{Error, Result};
use crate::sealed::{KeyFile, Keyring, SecretKey};
use crate::webhooks;

#[derive(Subcommand)]
pub enum Command {
    /// Replace the secret key and seal everything again; a server that runs goes on
    Rotate {
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        secret: Secret,
        #[command(flatten)]
        place: Place,
    },
}

/// Does it.
pub fn run(command: Command) -> Done {
    let Command::Rotate { output, secret, place } = command;
    match secret.check(&place)? {
        KeyPlace::Setting(keys) if keys.len() == 1 => explain(output),
        KeyPlace::Setting(keys) => {
            let sealed = in_database(&place, |conn| {
                let keyring = Keyring::new(keys[0].clone(), keys[1..].iter().cloned());
                holding_all(conn, |conn| reseal(conn, &keyring))
            })?;
            let value = json!({"sealed_again": sealed, "kept_in": Value::Null});
            output.print(&value, || {
                format!("Sealed {} again. Now set LATCHKEY_SECRET_KEY to the first of its keys alone, and restart.", secrets(sealed))
            });
            Ok(())
        }
        KeyPlace::Named(file) => turn_over(output, &place, &file),
        KeyPlace::Kept(file) => {
            file.ensure().map_err(|why| Error::field("LATCHKEY_DATA_DIR", why))?;
            turn_over(output, &place, &file)
        }
    }
}

fn turn_over(output: Output, place: &Place, file: &KeyFile) -> Done {
    let sealed = in_database(place, |conn| {
        let sealed = holding_all(conn, |conn| {
            let keys = keys_of(file)?;
            // Several: somebody has put the new one in front already, or was interrupted after it.
            if let [old] = &keys[..] {
                write(file, &[SecretKey::generate()?, old.clone()])?;
            }
            reseal(conn, &Keyring::of_file(file.clone())?)
        })?;
        holding_all(conn, |conn| drop_old(conn, file))?;
        Ok(sealed)
    })?;
    output.print(&json!({"sealed_again": sealed, "kept_in": file.path()}), || {
        format!("The secret key in {} is a new one; sealed {} again.", file.path().display(), secrets(sealed))
    });
    Ok(())
}

/// Leaves the newest key alone in the file, if it opens everything.
fn drop_old(conn: &mut PgConnection, file: &KeyFile) -> Result<()> {
    let newest = keys_of(file)?.swap_remove(0);
    match check(conn, &Keyring::from(newest.clone()))? {
        (_, 0) => write(file, &[newest]),
        // Somebody changed the file meanwhile.
        (_, shut) => Err(Error::Conflict(format!("{shut} secrets want an older key, which stays. Run it again."))),
    }
}

/// Does `work` while nobody can write what is sealed.
fn holding_all<T>(conn: &mut PgConnection, work: impl FnOnce(&mut PgConnection) -> Result<T>) -> Result<T> {
    webhooks::holding_secrets(conn, |conn| {
        two_factor::hold_seeds(conn)?;
        work(conn)
    })
}

fn reseal(conn: &mut PgConnection, keyring: &Keyring) -> Result<usize> {
    Ok(webhooks::reseal(conn, keyring)? + two_factor::reseal(conn, keyring)?)
}

/// How much is sealed, and how much of it this keyring does not open.
pub fn check(conn: &mut PgConnection, keyring: &Keyring) -> Result<(usize, usize)> {
    let (secrets, seeds) = (webhooks::check_secrets(conn, keyring)?, two_factor::check_seeds(conn, keyring)?);
    Ok((secrets.0 + seeds.0, secrets.1 + seeds.1))
}

fn keys_of(file: &KeyFile) -> Result<Vec<SecretKey>> {
    file.read().map_err(Error::Conflict)
}

fn write(file: &KeyFile, keys: &[SecretKey]) -> Result<()> {
    file.replace(keys).map_err(Error::Conflict)
}

fn in_database<T>(place: &Place, work: impl FnOnce(&mut PgConnection) -> Result<T>) -> Done<T> {
    let opened = Opened::migrated(place, 1)?;
    let done = opened.db.run_blocking(work);
    opened.close()?;
    Ok(done?)
}

/// A setting can't be changed from here, but what to change it to can be said.
fn explain(output: Output) -> Done {
    let fresh = SecretKey::generate()?.hex();
    if output.json {
        say(format!("{:#}", json!({"fresh_key": fresh})))
    } else {
        say(&fresh)
    }
    Err(Failure::wrong(
        "LATCHKEY_SECRET_KEY: It is a setting, which this command can't change. Put a new key in front of it, as \
         LATCHKEY_SECRET_KEY=NEW,OLD, wherever it is set (a fresh one is printed), and restart; run this again there; then set NEW alone.",
    ))
}

fn secrets(count: usize) -> String {
    if count == 1 { "1 secret".into() } else { format!("{count} secrets") }
}
