//! The seam between a message and the world: what a sender is and what it reports. `smtp` speaks
//! to a mail server, `sms` to an SMS provider's HTTP API as its description says, `capture` writes
//! to a folder.

use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::domain::breaker::BreakerState;
use crate::domain::message::{Envelope, Reason};

pub mod capture;
pub mod dkim;
pub mod mail;
pub mod pool;
pub mod sms;
pub mod smtp;

/// What became of one attempt to hand a message over. Nobody but a sender knows its server's
/// codes: the pipeline acts on these six alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The server took it.
    Sent {
        /// The server's id for the message, where it gives one.
        reference: Option<String>,
    },
    /// Not taken now; it may be later. Spends an attempt.
    Retry { reply: String, blame: Blame },
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
    /// Who would have to take it cannot at the moment, while others can: the message goes back without
    /// spending an attempt, and the sender goes on.
    Later { reply: String, wait: Duration },
    /// Handed over, but the answer was lost: it may have been taken (RFC 1047).
    Uncertain { reply: String },
}

/// On whose account a message is not taken now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// Nobody's: it passes.
    Nobody,
    /// The server's, which fell silent or broke off before it could take the message.
    Server,
    /// The server's, whose answer was lost: it may have the message, and takes the same call only once. So the
    /// message stays with it.
    Lost,
    /// Ours: too much at a time for the recipient's domain.
    Pace,
    /// The recipient's mailbox is full: a soft bounce.
    Mailbox,
}

/// How long a server rests that is away.
pub const AWAY: Duration = Duration::from_secs(30);
/// How long a server rests for which somebody has to change a setting.
pub const MISCONFIGURED: Duration = Duration::from_secs(5 * 60);

/// One connection's worth of sending; owned by one task, reused for many messages. `reply` texts
/// are for operators: they hold no address, number, code or message text.
pub trait Sender: Send {
    /// Hands one message over. Never panics, never waits longer than the deadline it was opened
    /// with.
    fn send<'a>(&'a mut self, envelope: &'a Envelope) -> BoxFuture<'a, Outcome>;

    /// Who handled the last message: the factory's name, or that of one of its servers.
    fn name(&self) -> &str;
    /// Whether the attempt carries our own reference, by which the server can be asked about it.
    fn traceable(&self, _envelope: &Envelope) -> bool {
        false
    }

    /// Ends the connection politely.
    fn close(&mut self) -> BoxFuture<'_, ()>;
}

/// The answer to who asks whether a message may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Go,
    /// Not before this long.
    Wait(Duration),
}

/// A number of messages a day (UTC) that all processes share.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Daily {
    /// What is counted: `smtp`, `domain gmail.com`.
    pub name: String,
    pub most: u32,
}

/// A server that cannot be used, for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resting {
    /// The server's name, or `domain` and a domain.
    pub name: String,
    pub state: BreakerState,
    pub left: Duration,
    /// Why: its last answer, without anything secret.
    pub reply: String,
}

/// Opens senders of one channel. Connecting happens with the first message.
pub trait SenderFactory: Send + Sync {
    /// The configured name, for logs: `capture`, `smtp`, or the provider's.
    fn name(&self) -> &str;
    /// How many senders may work at once.
    fn connections(&self) -> usize;
    /// Whether it only talks to this machine, and so may run with a simulated clock.
    fn is_local(&self) -> bool;
    /// The number a day that holds for a message.
    fn daily(&self, _envelope: &Envelope) -> Option<Daily> {
        None
    }
    /// Whether a message may go now, and takes its place in the pace if so.
    fn admit(&self, _envelope: &Envelope) -> Admission {
        Admission::Go
    }
    /// The servers that rest at the moment.
    fn resting(&self) -> Vec<Resting> {
        Vec::new()
    }
    /// A fresh sender.
    fn open(&self) -> Box<dyn Sender>;
}
