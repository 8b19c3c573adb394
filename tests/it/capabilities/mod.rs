//! Capabilities against a real database, without a runtime.

mod keys;
mod resend;
mod retention;
mod webhooks;
