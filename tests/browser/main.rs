//! End to end in real Chromium, against the real binary, as people would: by visible labels and roles.
//!
//! `driver` speaks to the browser, `person` does what a person does, `world` is what is around. `LATCHKEY_SCREENS=1` keeps
//! pictures of every screen in `target/screens`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod account;
mod audit;
mod credits;
mod deliveries;
mod driver;
mod elsewhere;
mod inspect;
mod leaks;
mod main_job;
mod many_keys;
mod members;
mod one_key;
mod people;
mod person;
mod profiles;
mod reference;
mod screens;
#[path = "../it/support/mod.rs"]
mod support;
mod support_console;
mod uncopied;
mod usage;
mod webhooks;
mod world;
