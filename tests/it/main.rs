//! The one integration test binary: `support` builds the world, a module a noun looks at it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod capabilities;
mod cli;
mod health;
mod jobs;
mod people;
mod postgres;
mod route_coverage;
mod schema_rules;
mod support;
mod tidy;
