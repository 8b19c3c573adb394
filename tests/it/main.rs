//! The one integration test binary: `support` builds the world, a module a noun looks at it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod admission;
mod audit;
mod batch;
mod capabilities;
mod cli;
mod delivery;
mod jobs;
mod leaks;
mod openapi;
mod partner_api;
mod peer;
mod people;
mod postgres;
mod profiles;
mod route_coverage;
mod schema_rules;
mod server;
mod support;
mod support_console;
mod tenants;
mod tidy;
mod usage;
mod verify;
mod web;
mod webhooks;
