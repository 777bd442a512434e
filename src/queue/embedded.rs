//! The queue inside the process: nothing else to install. What is dispatched waits in memory for the senders of the same
//! process. The ledger is the only record: what a dead process held is planned again and rendered anew. Several such
//! processes may share one PostgreSQL; each sends what it dispatches.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use uuid::Uuid;

use super::{Consumer, Delivery, Queue, QueueError, Settle, Tag};
use crate::domain::message::{Channel, Envelope};

/// How many rendered messages wait at most: enough to keep many connections busy, and little memory.
const ROOM: usize = 1_000;

/// A queue in memory.
#[derive(Debug, Clone, Default)]
pub struct Embedded {
    memory: Arc<Memory>,
}

/// What it holds.
#[derive(Debug, Default)]
pub struct Memory {
    waiting: Mutex<Waiting>,
    arrived: Notify,
    /// Some were taken.
    taken: Notify,
}

/// By channel, each with the batch in which it was dispatched.
type Waiting = [VecDeque<(Uuid, Envelope)>; Channel::ALL.len()];

impl Memory {
    /// The batches of which something waits.
    pub fn batches(&self) -> BTreeSet<Uuid> {
        self.waiting().iter().flatten().map(|(batch, _)| *batch).collect()
    }

    /// Hands over what was dispatched in a batch.
    pub fn push(&self, batch: Uuid, envelopes: Vec<Envelope>) {
        let mut waiting = self.waiting();
        for envelope in envelopes {
            waiting[envelope.channel() as usize].push_back((batch, envelope));
        }
        drop(waiting);
        self.arrived.notify_waiters();
    }

    /// How many more messages may be dispatched.
    pub fn room(&self) -> usize {
        ROOM.saturating_sub(self.waiting().iter().map(VecDeque::len).sum())
    }

    /// Waits until half of it is empty, at most for `limit`.
    pub async fn wait_for_room(&self, limit: Duration) {
        let roomy = async {
            loop {
                let mut taken = std::pin::pin!(self.taken.notified());
                taken.as_mut().enable();
                if self.room() >= ROOM / 2 {
                    return;
                }
                taken.await;
            }
        };
        let _ = tokio::time::timeout(limit, roomy).await;
    }

    /// Everything that nobody has taken: it goes back, since the senders have stopped.
    pub fn abandon(&self) -> Vec<Envelope> {
        self.waiting().iter_mut().flat_map(|queue| queue.drain(..)).map(|(_, envelope)| envelope).collect()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pop(&self, channel: Channel, limit: usize) -> Vec<Envelope> {
        let mut waiting = self.waiting();
        let queue = &mut waiting[channel as usize];
        let count = queue.len().min(limit);
        let envelopes = queue.drain(..count).map(|(_, envelope)| envelope).collect();
        drop(waiting);
        self.taken.notify_waiters();
        envelopes
    }
}

impl Queue for Embedded {
    fn publish(&self, envelopes: Vec<Envelope>) -> BoxFuture<'_, Result<Vec<Uuid>, QueueError>> {
        let ids = envelopes.iter().map(|envelope| envelope.message).collect();
        self.memory.push(Uuid::nil(), envelopes);
        Box::pin(std::future::ready(Ok(ids)))
    }

    fn memory(&self) -> Option<&Memory> {
        Some(&self.memory)
    }

    fn consume(&self, channel: Channel, _prefetch: u16) -> BoxFuture<'_, Result<Box<dyn Consumer>, QueueError>> {
        let taker: Box<dyn Consumer> = Box::new(Taker { memory: Arc::clone(&self.memory), channel });
        Box::pin(std::future::ready(Ok(taker)))
    }

    fn depth(&self, channel: Channel) -> BoxFuture<'_, Result<u64, QueueError>> {
        let depth = self.memory.waiting()[channel as usize].len() as u64;
        Box::pin(std::future::ready(Ok(depth)))
    }

    fn dead(&self) -> BoxFuture<'_, Result<u64, QueueError>> {
        Box::pin(std::future::ready(Ok(0)))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// Takes messages of one channel.
struct Taker {
    memory: Arc<Memory>,
    channel: Channel,
}

impl Consumer for Taker {
    fn next(&mut self, limit: usize, wait: Duration) -> BoxFuture<'_, Result<Vec<Delivery>, QueueError>> {
        Box::pin(async move {
            let mut timer = std::pin::pin!(tokio::time::sleep(wait));
            loop {
                // Listening begins before looking, so that nothing arrives unheard in between.
                let mut heard = std::pin::pin!(self.memory.arrived.notified());
                heard.as_mut().enable();
                let envelopes = self.memory.pop(self.channel, limit);
                if !envelopes.is_empty() {
                    return Ok(vec![Delivery { tag: Tag::Memory, envelopes, then: Settle::Acknowledge }]);
                }
                tokio::select! {
                    () = &mut timer => return Ok(Vec::new()),
                    () = heard => {}
                }
            }
        })
    }

    fn settle(&mut self, _settled: Vec<(Tag, Settle)>) -> BoxFuture<'_, Result<(), QueueError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
