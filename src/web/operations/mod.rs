//! What machines watch: whether the process is well, and what it counts.

pub mod health;
pub mod scrape;
