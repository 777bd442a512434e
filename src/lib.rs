//! Rekindle brings a shop's customers back: it finds the moments that matter, renders one personal
//! message for each, and hands it over once.
pub mod document;
pub mod domain;
