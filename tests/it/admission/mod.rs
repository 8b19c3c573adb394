//! What admission rests on, looked at by those who would break it: the order of refusals, the ledger, the audit log.

mod audit;
mod ledger;
pub mod order;
