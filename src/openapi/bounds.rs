//! What the Partner API bounds: read by the edge that holds to them and by the document that tells of them.

/// Most bytes of a job's input.
pub const INPUT: usize = 64 * 1024;
/// Most bytes of a body: an input of the greatest size, and room for what stands around it.
pub const BODY: usize = INPUT + 16 * 1024;
/// Longest `Idempotency-Key` and `external_reference`, in characters.
pub const REFERENCE: usize = 255;
/// Longest path that the history is narrowed to, in characters.
pub const PATH: usize = 200;
/// Rows of a page unless asked otherwise.
pub const PAGE: usize = 50;
/// Most rows of a page.
pub const PAGE_MOST: usize = 100;
