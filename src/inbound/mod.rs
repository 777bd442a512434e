//! What is heard back. `webhook` takes the calls of SMS providers, `signature` checks where they come
//! from, `poll` asks providers, and `sms` writes down what either of them brought.

pub mod poll;
pub mod signature;
pub mod sms;
pub mod webhook;
