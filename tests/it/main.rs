//! The one integration test binary: `support` builds the world, a module a noun looks at it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod admission;
mod audit;
mod batch;
mod capabilities;
mod cli;
mod delivery;
mod jobs;
mod openapi;
mod partner_api;
mod people;
mod postgres;
mod profiles;
mod route_coverage;
mod schema_rules;
mod server;
mod support;
mod tidy;
mod usage;
mod verify;
mod web;
mod webhooks;
