//! Rekindle brings a shop's customers back: it finds the moments that matter, renders one personal
//! message for each, and hands it over once.

pub mod actions;
pub mod app;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod credit;
pub mod deciding;
pub mod delivery;
pub mod dispatcher;
pub mod document;
pub mod domain;
pub mod fallback;
pub mod files;
pub mod import;
pub mod inbound;
pub mod model;
pub mod nightly;
pub mod queue;
pub mod rendering;
pub mod reports;
pub mod scheduler;
pub mod settings;
pub mod store;
pub mod telemetry;
pub mod tls;
pub mod transports;
pub mod triggers;
pub mod views;
pub mod web;
