//! What admission rests on, looked at by those who would break it: the order of refusals and the ledger.

mod ledger;
pub mod order;
