//! Latchkey: a self-hosted developer console for companies that sell an API.
//!
//! # The code map
//!
//! | layer | modules | may import |
//! |---|---|---|
//! | kernel | `clock` `ids` `secret` `error` `raw_json` `outcome` `metrics` `wake` `config` `profile` `site` `postgres` | each other, upwards only |
//! | database | `db` `schema` `actor` `batch` | the kernel |
//! | capabilities | `orgs` `accounts` `keys` `admission` `jobs` `credits` `usage` `audit` | those, and each other as below |
//! | edges | `web` (dashboard), `partner_api`, `worker_api`, `sandbox` (the built-in worker) | capabilities and kernel, never each other |
//! | assembly | `server` `cli` | everything |
//!
//! Capabilities are synchronous, take a connection and know nothing of HTTP; SQL lives in them alone. Sideways: all but `usage`
//! write to `audit`; `orgs` → `credits`; `accounts` → `orgs`; `jobs` → `credits`; `admission` → `credits` `jobs` `usage`.
//! `tests/it/tidy.rs` holds the whole table and fails on a breach.
//!
//! # The code map
//!
//! A noun has one name wherever it appears: `src/keys/`, `src/web/keys/`, `templates/keys/`, `src/partner_api/key.rs`.
//! A request makes three stops: an edge reads it, one capability function does it, a template or a JSON body tells it.
//!
//! | layer | modules | may use |
//! |---|---|---|
//! | kernel | `clock` `ids` `secret` `error` `outcome` `raw_json` `wake` `metrics` `config` | each other |
//! | shared | `schema` `actor` `profile` `db` `batch` `site` | kernel |
//! | capabilities | `audit` `credits` `orgs` `accounts` `keys` `jobs` `usage` `admission` | shared, kernel, and the edges below |
//! | database at home | `postgres` | nothing of ours |
//! | edges | `web` `partner_api` `worker_api` `sandbox` | capabilities, shared, kernel; never each other, `schema` or `diesel` |
//! | assembly | `server` `cli` `main` | everything |
//!
//! Capabilities are synchronous, take a connection first and whose data it is next, and know nothing of HTTP. Sideways they
//! use each other in one direction only: all may write to `audit`; `orgs` opens accounts in `credits`; `accounts` reads `orgs`;
//! `jobs` moves `credits`; `admission` settles through `jobs`, `credits` and `usage`. `tests/it/tidy.rs` holds all this to be true.
//!
//! Three modules open with the state machine that they keep and its invariants: [`admission`], [`credits`], [`keys`]; and [`jobs`]
//! with the life of a job. [`batch`] is how admission stays exact and fast at once.
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
