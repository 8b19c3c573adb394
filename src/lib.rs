//! Latchkey: a self-hosted developer console for companies that sell an API.
//!
//! # The code map
//!
//! A noun has one name wherever it appears: `src/keys/`, `src/web/keys/`, `templates/keys/`, `src/partner_api/key.rs`.
//! A request makes three stops: an edge reads it, one capability function does it, a template or a JSON body tells it.
//!
//! | layer | modules | may use |
//! |---|---|---|
//! | kernel | `clock` `ids` `secret` `error` `outcome` `raw_json` `wake` `metrics` `config` `courier` `slowdown` `mail` `email` `signers` `peer` | each other |
//! | shared | `schema` `actor` `profile` `openapi` (the Partner API described) `db` `batch` `site` | kernel |
//! | capabilities | `audit` `credits` `orgs` `accounts` `keys` `jobs` `usage` `admission` `webhooks` `programs` `support` | shared, kernel, and the edges below |
//! | database at home | `postgres` | nothing of ours |
//! | beside the edges | `json_call` (what the edges for the company's own programs share) | `programs`, kernel |
//! | edges | `web` (the dashboard), `partner_api` `worker_api` `verify_api` `sandbox` (the built-in worker), `delivery` (what sends webhooks) | capabilities, shared, kernel; never each other, `schema` or `diesel` |
//! | assembly | `server` `cli` `main` | everything |
//!
//! Capabilities are synchronous, take a connection first and whose data it is next, and know nothing of HTTP. Sideways they
//! use each other in one direction only: all may write to `audit`; `orgs` opens accounts in `credits`, and ends `keys` with the
//! membership that they inherit from; `accounts` reads `orgs`, and so does `support`, which reads `credits`
//! too; `accounts` ends the visits of `support` with the role;
//! `credits` tells `webhooks` when they run low;
//! `keys` tells their `usage`; `jobs` moves `credits`; `admission` settles through `jobs`, `credits` and `usage`. Edges hand what is to be
//! sent over the counter in [`courier`], behind which `delivery` sends it. `tests/it/tidy.rs` holds all this to be true.
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
pub mod courier;
pub mod credits;
pub mod db;
pub mod delivery;
pub mod email;
pub mod error;
pub mod ids;
pub mod jobs;
pub mod json_call;
pub mod keys;
pub mod mail;
pub mod metrics;
pub mod news;
pub mod openapi;
pub mod orgs;
pub mod outcome;
pub mod partner_api;
pub mod peer;
pub mod postgres;
pub mod profile;
pub mod programs;
pub mod raw_json;
pub mod sandbox;
#[allow(missing_docs)]
pub mod schema;
pub mod sealed;
pub mod secret;
pub mod server;
pub mod signers;
pub mod site;
pub mod slowdown;
mod statement;
pub mod support;
pub mod usage;
pub mod verify_api;
pub mod wake;
pub mod web;
pub mod webhooks;
pub mod worker_api;
