//! What is heard back. `bounces` takes mails that came back, `webhook` the calls of SMS providers,
//! `signature` checks where those come from, `poll` asks providers, and `sms` writes down what either of
//! them brought.

pub mod bounces;
mod call;
pub mod poll;
pub mod signature;
pub mod sms;
pub mod webhook;
