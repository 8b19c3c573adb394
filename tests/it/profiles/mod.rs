//! The five contracts as their callers and their admins meet them, and what a profile's author is told.

mod assessment;
mod broken;
mod checks;
mod documents;
mod golden;
mod jobs;
mod messaging;
mod own;
mod stage;

pub use stage::Stage;
