//! The queue between dispatcher and senders. It holds only what is ready to be sent: delays live in
//! the store. A message may come out of it more than once; the claim in the store decides.

use std::time::Duration;

use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::domain::message::{Channel, Envelope};

pub mod embedded;
pub mod payload;
pub mod rabbitmq;

/// What can go wrong with a queue. Nothing that was not confirmed is lost: the store still has it.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The broker cannot be reached, or the connection was lost. Try again later.
    #[error("the queue at {url} cannot be used: {reason}")]
    Unavailable { url: String, reason: String },
    /// The queue exists with other properties than this version needs.
    #[error("the queue `{queue}` exists with other settings: {reason}; delete it, or use another prefix")]
    Mismatch { queue: String, reason: String },
}

/// Where rendered messages wait for a sender.
pub trait Queue: Send + Sync {
    /// Hands envelopes over, as many in flight at once as the broker likes. Gives the ids of those
    /// that the queue has taken; the others were refused, returned or not answered for.
    fn publish(&self, envelopes: Vec<Envelope>) -> BoxFuture<'_, Result<Vec<Uuid>, QueueError>>;

    /// Where the queue lives and dies with this process: what it holds.
    fn memory(&self) -> Option<&embedded::Memory> {
        None
    }

    /// Starts taking envelopes of a channel, at most `prefetch` unsettled at a time.
    fn consume(&self, channel: Channel, prefetch: u16) -> BoxFuture<'_, Result<Box<dyn Consumer>, QueueError>>;

    /// How many wait in a channel's queue (those taken and not settled may be left out).
    fn depth(&self, channel: Channel) -> BoxFuture<'_, Result<u64, QueueError>>;

    /// How many were set aside because they could not be decoded or came back too often.
    fn dead(&self) -> BoxFuture<'_, Result<u64, QueueError>>;

    /// Ends its connections.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// Takes envelopes of one channel. An error means that this consumer is finished: open another.
pub trait Consumer: Send {
    /// Up to `limit` envelopes: those at hand at once, else the first to come within `wait`, with
    /// what else is there by then. An empty batch means that none came.
    fn next(&mut self, limit: usize, wait: Duration) -> BoxFuture<'_, Result<Vec<Delivery>, QueueError>>;

    /// Says what became of deliveries.
    fn settle(&mut self, settled: Vec<(Tag, Settle)>) -> BoxFuture<'_, Result<(), QueueError>>;

    /// Stops taking new ones; what was not settled goes to somebody else.
    fn close(&mut self) -> BoxFuture<'_, ()>;
}

/// Envelopes that came out of the queue together.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    pub tag: Tag,
    pub envelopes: Vec<Envelope>,
    /// What becomes of it once each of them is done with.
    pub then: Settle,
}

/// A consumer's own name for a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tag {
    /// The broker's delivery tag.
    Broker(u64),
    /// None is needed: it is gone with the process.
    Memory,
}

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settle {
    /// Done with: it is recorded in the store.
    Acknowledge,
    /// Not handled; somebody else may.
    GiveBack,
    /// Something in it could not be read: it is kept for a person to look at.
    SetAside,
}
