//! Capabilities against a real database, without a runtime.

mod credits;
mod delivery_list;
mod keys;
mod resend;
mod retention;
mod webhooks;
