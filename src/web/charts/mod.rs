//! Drawings of the server: paths in whole units of a `viewBox` that is stretched over its place, and the words around them.
//!
//! A stretched drawing stretches its text too: so labels are HTML, or SVG without a `viewBox` where they stand at a per cent.

mod heat;
mod line;
mod plot;
mod scale;
mod spark;
mod stack;
mod timeline;
mod words;

pub use heat::{LEVELS, levels, shades};
pub use line::line;
pub use plot::Plot;
pub use scale::{Scale, ticks};
pub use spark::{Spark, rounded};
pub use stack::stack;
pub use timeline::{Timeline, bin_words, range_words};
pub use words::{compact, duration, per_cent};
