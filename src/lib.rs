//! Rekindle brings a shop's customers back: it finds the moments that matter, renders one personal
//! message for each, and hands it over once.
pub mod clock;
pub mod document;
pub mod domain;
pub mod queue;
pub mod rendering;
pub mod senders;
pub mod settings;
pub mod store;
pub mod triggers;
