//! Tests of the embedded size: SQLite in a folder of its own, nothing installed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "../contract/queue.rs"]
mod queue_contract;
#[path = "../support/mod.rs"]
mod support;

mod queue;
