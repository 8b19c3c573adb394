//! Capabilities against a real database, without a runtime.

mod keys;
