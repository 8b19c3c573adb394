//! The command line. Exit status 0: done; 1: it failed; 2: what was asked is wrong. Sentences go to stderr, data to stdout,
//! and a secret goes there once.

mod audit;
mod credits;
mod database;
mod demo;
mod doctor;
mod failure;
mod keys;
mod opened;
mod orgs;
mod output;
mod people;
mod profiles;
mod secret_key;
mod serve;
mod tokens;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Done;

use crate::programs::Kind;

/// A self-hosted developer console for companies that sell an API: keys, webhooks, usage and credits.
#[derive(Parser)]
#[command(name = "latchkey", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve everything: dashboard, Partner API, worker API, verify API
    Serve(crate::config::Settings),
    /// Serve with demo data and a demo worker, on this machine alone
    Demo(crate::config::Settings),
    /// Organizations: create, list, suspend, reinstate
    #[command(subcommand)]
    Org(orgs::Command),
    /// People who sign in
    #[command(subcommand)]
    User(people::UserCommand),
    /// People who look after every organization
    #[command(subcommand)]
    Staff(people::StaffCommand),
    /// Credits of an organization
    #[command(subcommand)]
    Credits(credits::CreditsCommand),
    /// Limits of an organization
    #[command(subcommand)]
    Limit(credits::LimitCommand),
    /// API keys
    #[command(subcommand)]
    Key(keys::Command),
    /// Credentials of the programs that do the jobs
    #[command(subcommand)]
    WorkerToken(tokens::Command),
    /// Credentials of your own services, which ask whether a key may pass
    #[command(subcommand)]
    ServiceToken(tokens::Command),
    /// The secret key, the root of what is signed and encrypted
    #[command(subcommand)]
    SecretKey(secret_key::Command),
    /// Profiles: the contract that a deployment speaks
    #[command(subcommand)]
    Profile(profiles::Command),
    /// The audit log
    #[command(subcommand)]
    Audit(audit::Command),
    /// Bring the database up to this version; every command does so by itself
    Migrate(database::Migrate),
    /// Look for what is wrong: database, ledger, audit log, secret key, profile, clock
    Doctor(doctor::Doctor),
    /// The database itself
    #[command(subcommand)]
    Database(database::Command),
}

/// Reads the arguments and does what they say.
pub fn main() -> ExitCode {
    let done: Done = match Cli::parse().command {
        Command::Serve(settings) => serve::run(settings),
        Command::Demo(settings) => demo::run(settings),
        Command::Org(command) => orgs::run(command),
        Command::User(command) => people::user(command),
        Command::Staff(command) => people::staff(command),
        Command::Credits(command) => credits::credits(command),
        Command::Limit(command) => credits::limit(command),
        Command::Key(command) => keys::run(command),
        Command::WorkerToken(command) => tokens::run(Kind::Worker, command),
        Command::ServiceToken(command) => tokens::run(Kind::Service, command),
        Command::SecretKey(command) => secret_key::run(command),
        Command::Profile(command) => profiles::run(command),
        Command::Audit(command) => audit::run(command),
        Command::Migrate(command) => database::migrate(command),
        Command::Doctor(command) => doctor::run(command),
        Command::Database(command) => database::run(command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}
