//! The world of the tests: a database of one's own, the assembled server, typed clients, people and keys.
//!
//! ```ignore
//! let app = App::start();                                  // a database of its own, dropped at the end
//! let scene = app.make().org().credits(3).admin().key();   // straight into the database
//! let answer = app.partner(scene.a_key()).post("/analyses").json(&json!({"input": {}})).send().await;
//! assert_eq!(answer.status, 202);
//! ```
//! `App::on(&db)` starts a second instance on the same database, `Server` a real process that can be killed, `Receiver` a
//! webhook's other end.
#![allow(dead_code, unused_imports)]

mod app;
mod client;
mod database;
mod desk;
mod mailbox;
mod make;
pub mod receiver;
mod record;
mod server;
pub mod totp;
mod webhooks;

pub use app::{App, NOBODY};
pub use client::{Answer, Client, Request};
pub use database::{TestDb, empty_database, number, root};
pub use desk::Desk;
pub use mailbox::{Letter, Mailbox};
pub use make::{Key, Make, Org, User, key_text};
pub use receiver::{Receiver, Reply};
pub use record::record;
pub use server::{Server, free_port};
pub use webhooks::{NewDelivery, Try, backlog};
