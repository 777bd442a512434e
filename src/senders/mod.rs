//! The seam between a message and the world: what a sender is and what it reports. `smtp` speaks
//! to a mail server, `sms` to an SMS provider's HTTP API as its description says, `capture` writes
//! to a folder.

use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::domain::message::{Envelope, Reason};

pub mod capture;
pub mod mail;
pub mod sms;
pub mod smtp;

/// What became of one attempt to hand a message over. Nobody but a sender knows its server's
/// codes: the pipeline acts on these five alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The server took it.
    Sent {
        /// The server's id for the message, where it gives one.
        reference: Option<String>,
    },
    /// Not taken now; it may be later. Spends an attempt.
    Retry { reply: String },
    /// Never going to be taken.
    Rejected {
        reason: Reason,
        reply: String,
        /// The address must not be written to again (for the message's purpose only where the
        /// provider's blacklist is for marketing).
        suppress: bool,
    },
    /// The server cannot be used at the moment by anybody (credentials, credit, unreachable).
    /// The message goes back without spending an attempt; this sender pauses.
    Pause { reply: String, pause: Duration },
    /// Handed over, but the answer was lost: it may have been taken (RFC 1047).
    Uncertain { reply: String },
}

/// One connection's worth of sending; owned by one task, reused for many messages. `reply` texts
/// are for operators: they hold no address, number, code or message text.
pub trait Sender: Send {
    /// Hands one message over. Never panics, never waits longer than the deadline it was opened
    /// with.
    fn send<'a>(&'a mut self, envelope: &'a Envelope) -> BoxFuture<'a, Outcome>;

    /// Whether the attempt carries our own reference, by which the server can be asked about it.
    fn traceable(&self, _envelope: &Envelope) -> bool {
        false
    }

    /// Ends the connection politely.
    fn close(&mut self) -> BoxFuture<'_, ()>;
}

/// Opens senders of one channel. Connecting happens with the first message.
pub trait SenderFactory: Send + Sync {
    /// The configured name, for logs: `capture`, `smtp`, or the provider's.
    fn name(&self) -> &str;
    /// How many senders may work at once.
    fn connections(&self) -> usize;
    /// Whether it only talks to this machine, and so may run with a simulated clock.
    fn is_local(&self) -> bool;
    /// A fresh sender.
    fn open(&self) -> Box<dyn Sender>;
}
