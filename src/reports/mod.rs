//! Numbers that people decide by: read from the ledger, each with what it counts.

pub mod effect;
pub mod html;
pub mod loyalty;
pub mod power;
pub mod programme;
pub mod sheet;
pub mod words;
