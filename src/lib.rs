//! Latchkey: a self-hosted developer console for companies that sell an API.
#![forbid(unsafe_code)]

pub mod accounts;
pub mod actor;
pub mod admission;
pub mod audit;
pub mod batch;
pub mod cli;
pub mod clock;
pub mod config;
pub mod credits;
pub mod db;
pub mod error;
pub mod ids;
pub mod jobs;
pub mod keys;
pub mod metrics;
pub mod orgs;
pub mod outcome;
pub mod partner_api;
pub mod postgres;
pub mod profile;
pub mod raw_json;
pub mod sandbox;
#[allow(missing_docs)]
pub mod schema;
pub mod secret;
pub mod server;
pub mod site;
pub mod usage;
pub mod wake;
pub mod web;
pub mod worker_api;
