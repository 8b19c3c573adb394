//! What the dashboard of each profile calls things.
