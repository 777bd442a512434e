//! The queue inside the store: nothing else to install. One row is one envelope; taking it hides it
//! from others for a while. On PostgreSQL several processes may share it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{Consumer, Delivery, Queue, QueueError, Settle, Tag, payload};
use crate::domain::message::{Channel, Envelope};
use crate::store::{Store, StoreError, queue_items};

/// How long an item that was taken stays hidden. It must outlast the sending of a whole batch: an
/// item that comes out a second time only costs a look at the store, but it costs one.
const TAKEN_FOR: Duration = Duration::from_secs(5 * 60);

/// An item that came out this often without being settled ends whoever takes it; it is set aside.
const MOST_DELIVERIES: i64 = 20;

/// How often to look for items that another process published, or whose taker went away.
const POLL: Duration = Duration::from_millis(500);

/// A queue in the store's database.
#[derive(Debug, Clone)]
pub struct Embedded {
    store: Store,
    /// Wakes the consumers of this process when there is something to take.
    arrived: Arc<Notify>,
}

impl Embedded {
    pub fn new(store: Store) -> Self {
        Self { store, arrived: Arc::default() }
    }

    async fn insert(&self, envelopes: &[Envelope]) -> Result<Vec<Uuid>, StoreError> {
        let mut tx = self.store.begin_relaxed().await?;
        for envelope in envelopes {
            let bytes = payload::encode(envelope);
            let channel = envelope.channel().as_str();
            queue_items::push(&mut tx, envelope.message, envelope.dispatch_no, channel, &bytes).await?;
        }
        tx.commit().await?;
        self.arrived.notify_waiters();
        Ok(envelopes.iter().map(|envelope| envelope.message).collect())
    }

    async fn count(&self, channel: Option<Channel>) -> Result<u64, StoreError> {
        let mut tx = self.store.read().await?;
        let count = match channel {
            Some(channel) => queue_items::depth(&mut tx, channel.as_str()).await?,
            None => queue_items::dead(&mut tx).await?,
        };
        Ok(u64::try_from(count).unwrap_or_default())
    }
}

impl Queue for Embedded {
    fn publish<'a>(&'a self, envelopes: &'a [Envelope]) -> BoxFuture<'a, Result<Vec<Uuid>, QueueError>> {
        Box::pin(async move {
            if envelopes.is_empty() {
                return Ok(Vec::new());
            }
            Ok(self.insert(envelopes).await?)
        })
    }

    fn consume(&self, channel: Channel, prefetch: u16) -> BoxFuture<'_, Result<Box<dyn Consumer>, QueueError>> {
        let taker: Box<dyn Consumer> = Box::new(Taker {
            store: self.store.clone(),
            arrived: self.arrived.clone(),
            channel,
            prefetch: usize::from(prefetch),
            unsettled: HashSet::new(),
            looking: None,
            found: Vec::new(),
        });
        Box::pin(std::future::ready(Ok(taker)))
    }

    fn depth(&self, channel: Channel) -> BoxFuture<'_, Result<u64, QueueError>> {
        Box::pin(async move { Ok(self.count(Some(channel)).await?) })
    }

    fn dead(&self) -> BoxFuture<'_, Result<u64, QueueError>> {
        Box::pin(async move { Ok(self.count(None).await?) })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        // The store's connections belong to whoever opened the store.
        Box::pin(std::future::ready(()))
    }
}

/// Takes items of one channel. One that is dropped without `close` leaves its items hidden until
/// their time is up.
struct Taker {
    store: Store,
    arrived: Arc<Notify>,
    channel: Channel,
    prefetch: usize,
    unsettled: HashSet<(Uuid, i64)>,
    /// A look into the table. It goes on when the call that began it is dropped, so that no item is
    /// taken without anybody knowing.
    looking: Option<JoinHandle<Result<Vec<Delivery>, StoreError>>>,
    /// What such a look found.
    found: Vec<Delivery>,
}

impl Taker {
    /// Gives up to `limit` items that are there now.
    async fn take(&mut self, limit: usize) -> Result<Vec<Delivery>, StoreError> {
        if self.found.is_empty() {
            self.look(limit).await?;
        }
        let given = self.found.len().min(limit);
        Ok(self.found.drain(..given).collect())
    }

    async fn look(&mut self, limit: usize) -> Result<(), StoreError> {
        let free = self.prefetch.saturating_sub(self.unsettled.len()).min(limit);
        if free == 0 && self.looking.is_none() {
            return Ok(());
        }
        let looking =
            self.looking.get_or_insert_with(|| tokio::spawn(take_items(self.store.clone(), self.channel, free)));
        let found = match looking.await {
            Ok(found) => found,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime is going down.
            Err(_) => Ok(Vec::new()),
        };
        self.looking = None;
        self.found = found?;
        self.unsettled.extend(self.found.iter().filter_map(|delivery| row(delivery.tag)));
        Ok(())
    }

    async fn record(&self, settled: &[(Tag, Settle)]) -> Result<(), StoreError> {
        let mut tx = self.store.begin_relaxed().await?;
        for (tag, settle) in settled {
            let Some((message, dispatch_no)) = row(*tag) else { continue };
            match settle {
                Settle::Acknowledge => queue_items::acknowledge(&mut tx, message, dispatch_no).await?,
                Settle::GiveBack => queue_items::give_back(&mut tx, message, dispatch_no).await?,
            }
        }
        tx.commit().await?;
        if settled.iter().any(|(_, settle)| *settle == Settle::GiveBack) {
            self.arrived.notify_waiters();
        }
        Ok(())
    }
}

impl Consumer for Taker {
    fn next(&mut self, limit: usize, wait: Duration) -> BoxFuture<'_, Result<Vec<Delivery>, QueueError>> {
        Box::pin(async move {
            let arrived = self.arrived.clone();
            let mut timer = std::pin::pin!(tokio::time::sleep(wait));
            loop {
                // Listening begins before looking, so that nothing arrives unheard in between.
                let mut heard = std::pin::pin!(arrived.notified());
                heard.as_mut().enable();
                let taken = self.take(limit).await?;
                if !taken.is_empty() {
                    return Ok(taken);
                }
                tokio::select! {
                    () = &mut timer => return Ok(Vec::new()),
                    () = heard => {}
                    () = tokio::time::sleep(POLL) => {}
                }
            }
        })
    }

    fn settle(&mut self, settled: Vec<(Tag, Settle)>) -> BoxFuture<'_, Result<(), QueueError>> {
        Box::pin(async move {
            if settled.is_empty() {
                return Ok(());
            }
            self.record(&settled).await?;
            for (tag, _) in settled {
                if let Some(row) = row(tag) {
                    self.unsettled.remove(&row);
                }
            }
            Ok(())
        })
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if self.looking.is_some()
                && let Err(error) = self.look(0).await
            {
                tracing::debug!(%error, "the last look into the queue failed");
            }
            self.found.clear();
            let left = std::mem::take(&mut self.unsettled);
            if left.is_empty() {
                return;
            }
            let left: Vec<_> = left
                .into_iter()
                .map(|(message, dispatch_no)| (Tag::Row { message, dispatch_no }, Settle::GiveBack))
                .collect();
            if let Err(error) = self.record(&left).await {
                let minutes = TAKEN_FOR.as_secs() / 60;
                tracing::warn!(%error, items = left.len(), "items stay hidden for {minutes} minutes: they could not be given back");
            }
        })
    }
}

/// Takes up to `limit` items, and sets aside what cannot be handled.
async fn take_items(store: Store, channel: Channel, limit: usize) -> Result<Vec<Delivery>, StoreError> {
    loop {
        let mut tx = store.begin_relaxed().await?;
        let millis = TAKEN_FOR.as_millis() as i64;
        let items = queue_items::take(&mut tx, channel.as_str(), limit as i64, millis).await?;
        let mut deliveries = Vec::with_capacity(items.len());
        let mut buried = Vec::new();
        for item in items {
            let decoded = if item.deliveries > MOST_DELIVERIES {
                Err(format!("it came out {MOST_DELIVERIES} times and was never settled"))
            } else {
                payload::decode(&item.payload).map_err(|error| error.to_string())
            };
            match decoded {
                Ok(envelope) => {
                    let tag = Tag::Row { message: item.message_id, dispatch_no: item.dispatch_no };
                    deliveries.push(Delivery { tag, envelope });
                }
                Err(reason) => {
                    queue_items::bury(&mut tx, item.message_id, item.dispatch_no).await?;
                    buried.push((item.message_id, reason));
                }
            }
        }
        tx.commit().await?;
        for (message, reason) in &buried {
            tracing::warn!(message.id = %message, %channel, reason, "set an item of the queue aside");
        }
        // Good ones may stand behind a batch of bad ones.
        if !deliveries.is_empty() || buried.is_empty() {
            return Ok(deliveries);
        }
    }
}

/// The row that a tag of this backend names.
const fn row(tag: Tag) -> Option<(Uuid, i64)> {
    match tag {
        Tag::Row { message, dispatch_no } => Some((message, dispatch_no)),
        Tag::Broker(_) => None,
    }
}
