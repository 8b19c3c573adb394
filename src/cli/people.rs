//! `latchkey user …` and `latchkey staff …`

use std::io::Read as _;

use clap::{Args, Subcommand};
use diesel::pg::PgConnection;
use serde_json::{Value, json};

use super::failure::{Done, Failure};
use super::opened::{organization, work};
use super::output::{Output, table};
use crate::accounts::{self, HashedPassword, Password, User, two_factor};
use crate::actor::{Actor, Role, StaffRole};
use crate::clock;
use crate::config::{Place, Reach};
use crate::error::{Error, Result};
use crate::orgs;
use crate::secret::PlainToken;

#[derive(Subcommand)]
pub enum UserCommand {
    /// Make a person a member of an organization, with an account when there is none
    Create {
        #[command(flatten)]
        account: Account,
        /// The organization's name in URLs
        #[arg(long, value_name = "SLUG")]
        org: String,
        /// What the person may do there
        #[arg(long)]
        role: Role,
    },
    /// Give a member of an organization another role
    Role {
        #[command(flatten)]
        membership: Membership,
        /// What the person may do there
        #[arg(long)]
        role: Role,
    },
    /// End a person's membership of an organization, and the keys that inherit from it
    Remove {
        #[command(flatten)]
        membership: Membership,
    },
    /// Print a fresh one-time link with which a person chooses a password; also for a lost one
    Invite {
        /// E-mail address of the account
        #[arg(long)]
        email: String,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        reach: Reach,
        #[command(flatten)]
        place: Place,
    },
    /// Turn two-factor sign-in off for a person who has lost device and recovery codes, and end its sessions
    ResetTwoFactor {
        /// E-mail address of the account
        #[arg(long)]
        email: String,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Args)]
pub struct Membership {
    /// E-mail address of the account
    #[arg(long)]
    email: String,
    /// The organization's name in URLs
    #[arg(long, value_name = "SLUG")]
    org: String,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    place: Place,
}

#[derive(Subcommand)]
pub enum StaffCommand {
    /// Make a person staff, with an account when there is none
    Create {
        #[command(flatten)]
        account: Account,
        /// support looks at every organization, operator also suspends, grants and sets limits
        #[arg(long)]
        role: StaffRole,
    },
    /// Take the role away; what the person has open as staff is closed at once
    Remove {
        /// E-mail address of the account
        #[arg(long)]
        email: String,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        place: Place,
    },
    /// Show everybody of the staff
    List {
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Args)]
pub struct Account {
    /// E-mail address to sign in with
    #[arg(long)]
    email: String,
    /// Name for people [default: the address]
    #[arg(long)]
    name: Option<String>,
    /// Read the password from standard input, in place of printing a one-time invitation link
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    reach: Reach,
    #[command(flatten)]
    place: Place,
}

/// Does it.
pub fn user(command: UserCommand) -> Done {
    let (account, org, role) = match command {
        UserCommand::Create { account, org, role } => (account, org, role),
        UserCommand::Role { membership, role } => return membership.change(Some(role)),
        UserCommand::Remove { membership } => return membership.change(None),
        UserCommand::Invite { email, output, reach, place } => return invite(&email, output, &reach, &place),
        UserCommand::ResetTwoFactor { email, output, place } => return reset_two_factor(&email, output, &place),
    };
    let place = account.place.clone();
    account.make(|account, password| {
        work(&place, |conn, actor| {
            let org = organization(conn, &org)?;
            let made = account.ensure(conn, actor, password.as_ref())?;
            orgs::add_member(conn, actor, clock::now(), org.id, made.user.id, role)?;
            Ok((made, format!("{} of {}", role.as_str(), org.slug), json!({"organization": org.slug, "role": role.as_str()})))
        })
    })
}

impl Membership {
    /// Another role, or none any more.
    fn change(self, role: Option<Role>) -> Done {
        let Self { email, org, output, place } = self;
        work(&place, |conn, actor| {
            let organization = organization(conn, &org)?.id;
            let (user, _) = known(conn, actor, &email)?;
            let changed = match role {
                Some(role) => orgs::set_role(conn, actor, clock::now(), organization, user.id, role),
                None => orgs::remove_member(conn, actor, clock::now(), organization, user.id),
            };
            changed.map_err(|e| match e {
                Error::NotFound => Error::Conflict(format!("{email} is no member of {org}.")),
                other => other,
            })
        })?;
        output.print(&json!({"email": email, "organization": org, "role": role.map(Role::as_str)}), || match role {
            Some(role) => format!("{email} is now {} of {org}.", role.as_str()),
            None => format!("{email} belongs to {org} no more. Keys that inherited from this are revoked."),
        });
        Ok(())
    }
}

/// The account with this address, which must be there.
fn known(conn: &mut PgConnection, actor: &Actor, email: &str) -> Result<(User, bool)> {
    accounts::by_email(conn, actor, email).map_err(|e| match e {
        Error::NotFound => Error::Conflict(format!("{email} has no account; `latchkey user create` makes one.")),
        other => other,
    })
}

fn invite(email: &str, output: Output, reach: &Reach, place: &Place) -> Done {
    let public_url = reach.public_url()?;
    let (user, token) = work(place, |conn, actor| {
        let (user, _) = known(conn, actor, email)?;
        let token = accounts::invite(conn, actor, clock::now(), user.id)?;
        Ok((user, token))
    })?;
    let link = link(&public_url, &token);
    output.print(&json!({"id": user.id, "email": user.email, "invitation": link}), || {
        format!("With this link {} chooses a password. It works once, for 7 days, and older links no longer do:\n{link}", user.email)
    });
    Ok(())
}

fn reset_two_factor(email: &str, output: Output, place: &Place) -> Done {
    let user = work(place, |conn, actor| {
        let (user, _) = known(conn, actor, email)?;
        two_factor::reset(conn, actor, clock::now(), &user)?;
        Ok(user)
    })?;
    output.print(&json!({"id": user.id, "email": user.email, "two_factor": false}), || {
        format!("{} signs in with the password alone, until it is set up again. Its sessions have ended.", user.email)
    });
    Ok(())
}

fn link(public_url: &str, token: &PlainToken) -> String {
    format!("{public_url}/invitations/{}", token.reveal())
}

/// Does it.
pub fn staff(command: StaffCommand) -> Done {
    let (account, role) = match command {
        StaffCommand::Create { account, role } => (account, role),
        StaffCommand::Remove { email, output, place } => return remove_staff(&email, output, &place),
        StaffCommand::List { output, place } => return list_staff(output, &place),
    };
    let place = account.place.clone();
    account.make(|account, password| {
        work(&place, |conn, actor| {
            let mut made = account.ensure(conn, actor, password.as_ref())?;
            // Any admin could have invited this address, and chosen its password with the link. Staff see everything: they choose anew.
            if made.had_password && made.user.staff().is_none() {
                accounts::distrust(conn, actor, clock::now(), made.user.id)?;
                made.invitation = Some(accounts::invite(conn, actor, clock::now(), made.user.id)?);
            }
            accounts::set_staff_role(conn, actor, clock::now(), made.user.id, Some(role))?;
            Ok((made, format!("staff ({})", role.as_str()), json!({"staff_role": role.as_str()})))
        })
    })
}

fn remove_staff(email: &str, output: Output, place: &Place) -> Done {
    work(place, |conn, actor| {
        let (user, _) = known(conn, actor, email)?;
        if user.staff_role.is_none() {
            return Err(Error::Conflict(format!("{} is not staff.", user.email)));
        }
        accounts::set_staff_role(conn, actor, clock::now(), user.id, None)
    })?;
    output.print(&json!({"email": email, "staff_role": null}), || format!("{email} is staff no more. The account stays."));
    Ok(())
}

fn list_staff(output: Output, place: &Place) -> Done {
    let all = work(place, accounts::staff)?;
    let role = |user: &User| user.staff_role.clone().unwrap_or_default();
    let value = all.iter().map(|user| json!({"id": user.id, "email": user.email, "name": user.name, "staff_role": role(user)})).collect();
    let rows: Vec<Vec<String>> = all.iter().map(|user| vec![user.email.clone(), role(user), user.name.clone()]).collect();
    output.print(&value, || table(&["EMAIL", "ROLE", "NAME"], &rows));
    Ok(())
}

struct Made {
    user: User,
    /// Somebody had the account before.
    known: bool,
    /// And chose a password.
    had_password: bool,
    invitation: Option<PlainToken>,
}

impl Account {
    fn make(self, make: impl FnOnce(&Self, Option<HashedPassword>) -> Done<(Made, String, Value)>) -> Done {
        let public_url = self.reach.public_url()?;
        let password = if self.password_stdin { Some(password_from_stdin()?) } else { None };
        let (made, role, facts) = make(&self, password)?;
        let link = made.invitation.map(|token| link(&public_url, &token));
        let mut value = json!({"id": made.user.id, "email": made.user.email, "created": !made.known, "invitation": link});
        if let (Value::Object(value), Value::Object(facts)) = (&mut value, facts) {
            value.extend(facts);
        }
        self.output.print(&value, || match &link {
            Some(link) => format!("{} is now {role}. This link works once, for 7 days:\n{link}", made.user.email),
            None if made.had_password => format!("{} is now {role}. The account has a password already.", made.user.email),
            None => format!("{} is now {role}.", made.user.email),
        });
        Ok(())
    }

    /// The account, with a password or an invitation when it has no password yet.
    fn ensure(&self, conn: &mut PgConnection, actor: &Actor, password: Option<&HashedPassword>) -> Result<Made> {
        let now = clock::now();
        let (user, new) = accounts::ensure(conn, actor, now, &self.email, self.name.as_deref())?;
        let (_, had_password) = accounts::by_email(conn, actor, &user.email)?;
        let invitation = match password {
            Some(_) if had_password => {
                let taken = format!(
                    "{} has an account and a password already; leave --password-stdin out to add only the role, or print a link for \
                     a new password with `latchkey user invite`.",
                    user.email
                );
                return Err(Error::Conflict(taken));
            }
            Some(password) => {
                accounts::set_password(conn, actor, now, user.id, password)?;
                None
            }
            None if had_password => None,
            None => Some(accounts::invite(conn, actor, now, user.id)?),
        };
        Ok(Made { user, known: !new, had_password, invitation })
    }
}

fn password_from_stdin() -> Done<HashedPassword> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|e| Failure::wrong(format!("--password-stdin: Standard input can't be read: {e}.")))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    Ok(Password::new(line.to_owned())?.hash()?)
}
