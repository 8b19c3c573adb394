//! The five contracts as their callers and their admins meet them, and what a profile's author is told.

mod assessment;
mod broken;
mod checks;
mod golden;
mod jobs;
mod own;
mod stage;
mod words;

pub use stage::Stage;
