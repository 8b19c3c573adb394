//! Latchkey: a self-hosted developer console for companies that sell an API.
#![forbid(unsafe_code)]

pub mod accounts;
pub mod actor;
pub mod audit;
pub mod clock;
pub mod credits;
pub mod db;
pub mod error;
pub mod ids;
pub mod orgs;
pub mod profile;
pub mod schema;
pub mod secret;
pub mod site;
pub mod web;
