//! Numbers that people decide by: read from the ledger, each with what it counts.

pub mod cltv;
pub mod cohorts;
pub mod definitions;
pub mod effect;
pub mod html;
pub mod loyalty;
pub mod power;
pub mod programme;
pub mod rfm;
pub mod sheet;
mod spans;
pub mod words;
