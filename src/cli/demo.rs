//! `latchkey demo`: serve, with people, credits and a worker to play with. What it makes stays; a second start adds nothing but
//! a fresh key for the `curl` line, since keys are kept nowhere as text.

use diesel::pg::PgConnection;
use time::OffsetDateTime;

use super::failure::{Done, Failure};
use super::output::say;
use super::serve;
use crate::accounts::{self, Password, User};
use crate::actor::{Actor, Role, StaffRole};
use crate::clock;
use crate::config::Settings;
use crate::error::{Error, Result};
use crate::ids::OrgId;
use crate::keys::{self, NewKey, PlainKey};
use crate::orgs;
use crate::profile::{Example, Profile};
use crate::site::Site;

const CREDITS: i64 = 1_000;
/// With fewer than this the `curl` line's organization gets new ones.
const FEW: i64 = 100;
const KEY_NAME: &str = "Demo key, made at each start";

/// Address, password, what it is for.
const ADMIN: (&str, &str, &str) = ("admin@acme.example", "acme-admin-demo", "admin of Acme Motion, admin of Globex: has the switcher");
const MEMBER: (&str, &str, &str) = ("member@acme.example", "acme-member-demo", "member of Acme Motion: looks, changes nothing");
const SUPPORT: (&str, &str, &str) = ("support@latchkey.example", "support-demo", "support staff");
const OPERATOR: (&str, &str, &str) = ("operator@latchkey.example", "operator-demo", "operator staff");

/// Serves the demo until it is told to stop.
pub fn run(settings: Settings) -> Done {
    let config = settings.check()?;
    if let Some(open) = config.listen.iter().find(|address| !address.ip().is_loopback()) {
        return Err(Failure::wrong(format!(
            "LATCHKEY_LISTEN: The demo's passwords are known to everybody, so it listens on loopback alone, and {open} is not; \
             use 127.0.0.1:8080, or `latchkey serve` for a real deployment."
        )));
    }
    serve::start(config, true, |site, _| {
        let key = site.db.run_blocking(|conn| fill(conn, &site.profile))?;
        introduce(site, &key);
        Ok(())
    })
}

fn introduce(site: &Site, key: &PlainKey) {
    say(format!("\nLatchkey's demo is ready: {}\n\nSign in as", site.public_url));
    for (email, password, what) in [ADMIN, MEMBER, SUPPORT, OPERATOR] {
        say(format!("  {email:<26} password {password:<18} {what}"));
    }
    let example = Example::of(&site.profile, &site.public_url, &site.profile.permissions.list);
    let curl = example.lines(key.reveal());
    say(format!("\nCall the API as Globex, with a key made just now (the one of the last start is revoked):\n\n  {curl}\n"));
    say(if example.body.is_some() {
        "The demo worker finishes the job in a few seconds. Ctrl-C stops everything."
    } else {
        "Your own services ask /verify/v1/keys whether such a key may pass, with a token that `latchkey service-token create` makes. \
         Ctrl-C stops everything."
    });
}

/// Makes what is missing.
fn fill(conn: &mut PgConnection, profile: &Profile) -> Result<PlainKey> {
    let (actor, now) = (Actor::command_line(), clock::now());
    let acme = organization(conn, &actor, now, "Acme Motion", "acme-motion")?;
    let globex = organization(conn, &actor, now, "Globex", "globex")?;
    let admin = person(conn, &actor, now, ADMIN, "Ada Admin")?;
    let member = person(conn, &actor, now, MEMBER, "Max Member")?;
    join(conn, &actor, now, acme, &admin, Role::Admin)?;
    join(conn, &actor, now, globex, &admin, Role::Admin)?;
    join(conn, &actor, now, acme, &member, Role::Member)?;
    for (who, name, role) in [(SUPPORT, "Sue Support", StaffRole::Support), (OPERATOR, "Olga Operator", StaffRole::Operator)] {
        let user = person(conn, &actor, now, who, name)?;
        if user.staff_role.is_none() {
            accounts::set_staff_role(conn, &actor, now, user.id, Some(role))?;
        }
    }
    if crate::credits::balance(conn, globex)?.available < FEW {
        crate::credits::grant(conn, &actor, now, globex, CREDITS, "Demo credits")?;
    }
    fresh_key(conn, &actor, now, profile, globex)
}

fn organization(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, name: &str, slug: &str) -> Result<OrgId> {
    match orgs::by_slug(conn, slug) {
        Err(Error::NotFound) => Ok(orgs::create(conn, actor, now, name, Some(slug), Some(CREDITS))?.id),
        found => Ok(found?.id),
    }
}

fn person(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, (email, password, _): (&str, &str, &str), name: &str,
) -> Result<User> {
    let (user, new) = accounts::ensure(conn, actor, now, email, Some(name))?;
    if new {
        let password = Password::new(password.to_owned())?.hash()?;
        accounts::set_password(conn, actor, now, user.id, &password)?;
    }
    Ok(user)
}

fn join(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, user: &User, role: Role) -> Result<()> {
    let known = orgs::organizations_of(conn, user.id)?.iter().any(|(org, _)| org.id == organization);
    if known { Ok(()) } else { orgs::add_member(conn, actor, now, organization, user.id, role) }
}

/// Ends the key of the last start and makes a new one. Where an organization may have one key only, whichever it has gives way.
fn fresh_key(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, profile: &Profile, organization: OrgId) -> Result<PlainKey> {
    let environment = profile.default_environment().to_owned();
    for view in keys::list(conn, organization, now)? {
        let in_the_way = view.key.name == KEY_NAME || profile.keys.max_active == 1;
        if in_the_way && view.key.environment == environment && !view.is_ended() {
            keys::revoke(conn, actor, now, organization, view.key.id)?;
        }
    }
    let new = NewKey {
        organization,
        name: KEY_NAME.into(),
        environment,
        permissions: profile.permissions.list.clone(),
        expires_at: None,
        form_token: None,
    };
    Ok(keys::create(conn, actor, now, profile, new)?.1)
}
