//! The dashboard: pages for people, made on the server.
//!
//! `routes` is the one table of what can be asked, by whom. A request passes `edge` (origin check, headers, error pages),
//! the session, and the guard that its handler asks for: [`guard::Person`] or [`guard::Member`]. A screen is a folder or file
//! named after its noun, here and under `templates/`.

mod account;
mod assets;
mod audit;
mod charts;
mod credits;
mod csv;
mod device;
mod docs;
mod edge;
mod errors;
// What the filters' macro makes has no documentation.
#[allow(missing_docs)]
pub mod filters;
mod flash;
mod frame;
mod guard;
mod home;
mod invitations;
mod keys;
mod leaks;
mod mail;
mod members;
mod page;
mod password_reset;
mod proof;
pub mod routes;
mod session;
mod sign_in;
mod support;
mod usage;
mod webhooks;

pub use errors::WebError;
pub use flash::{Flash, Tone};
pub use frame::{Frame, Section, Tab};
pub use guard::{Client, Member, Operator, Person, Staff, Visitor};
pub use page::{fragment, fragments, is_htmx, page, page_with_status, see_other, see_other_with, wants_fragment};
pub use proof::prove;
pub use routes::{configure, configure_rest};

/// What handlers answer.
pub type Answer = Result<actix_web::HttpResponse, WebError>;
