//! Takes envelopes of one queue from the broker. It ends with the first error; whoever needs
//! another opens one.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, try_join_all};
use futures_util::{FutureExt, StreamExt};
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions, BasicRejectOptions};
use lapin::types::FieldTable;
use lapin::{Channel as Line, message};

use super::broker::Broker;
use crate::domain::message::Channel;
use crate::queue::{Consumer, Delivery, QueueError, Settle, Tag, payload};

/// Asks the broker to send what is in a channel's queue.
pub(super) async fn start(
    broker: Arc<Broker>,
    line: Line,
    channel: Channel,
    prefetch: u16,
) -> Result<BrokerConsumer, QueueError> {
    let explained = |error: lapin::Error| broker.failed(&error);
    // To the broker 0 means without bound.
    let bound = line.basic_qos(prefetch.max(1), BasicQosOptions::default());
    broker.within(bound).await?.map_err(explained)?;
    let consume =
        line.basic_consume(broker.queue(channel), "".into(), BasicConsumeOptions::default(), FieldTable::default());
    let stream = broker.within(consume).await?.map_err(explained)?;
    Ok(BrokerConsumer { broker, channel, line, stream, unsettled: BTreeSet::new(), batch: Vec::new() })
}

/// A consumer on a channel of its own.
pub(super) struct BrokerConsumer {
    broker: Arc<Broker>,
    channel: Channel,
    line: Line,
    stream: lapin::Consumer,
    /// Delivery tags that came and were not settled, in the order of the broker.
    unsettled: BTreeSet<u64>,
    /// What `next` has gathered. It stays when that call is dropped, and goes out with the next.
    batch: Vec<Delivery>,
}

impl BrokerConsumer {
    async fn gather(&mut self, limit: usize, wait: Duration) -> Result<(), QueueError> {
        let mut timer = std::pin::pin!(tokio::time::sleep(wait));
        while self.batch.iter().map(|delivery| delivery.envelopes.len()).sum::<usize>() < limit {
            let arrived = if self.batch.is_empty() {
                tokio::select! {
                    biased;
                    arrived = self.stream.next() => arrived,
                    () = &mut timer => return Ok(()),
                }
            } else {
                match self.stream.next().now_or_never() {
                    Some(arrived) => arrived,
                    None => return Ok(()),
                }
            };
            match arrived {
                Some(Ok(delivery)) => self.unpack(delivery).await?,
                Some(Err(error)) => return Err(self.broker.failed(&error)),
                None => {
                    let queue = self.broker.queue(self.channel);
                    return Err(self.broker.unavailable(format!("it stopped sending from `{queue}`")));
                }
            }
        }
        Ok(())
    }

    async fn unpack(&mut self, delivery: message::Delivery) -> Result<(), QueueError> {
        let tag = delivery.delivery_tag;
        let read = payload::decode(&delivery.data).unwrap_or_else(|reason| vec![Err(reason)]);
        let (mut envelopes, mut then) = (Vec::with_capacity(read.len()), Settle::Acknowledge);
        for envelope in read {
            match envelope {
                Ok(envelope) => envelopes.push(envelope),
                // What a stranger published may hold anything: nothing of it is quoted. The others of the delivery go on.
                Err(reason) => {
                    tracing::warn!(channel = %self.channel, %reason, "set a delivery of the queue aside");
                    then = Settle::SetAside;
                }
            }
        }
        if envelopes.is_empty() {
            let rejected = self.line.basic_reject(tag, BasicRejectOptions { requeue: false });
            return self.broker.within(rejected).await?.map_err(|error| self.broker.failed(&error));
        }
        self.unsettled.insert(tag);
        self.batch.push(Delivery { tag: Tag::Broker(tag), envelopes, then });
        Ok(())
    }

    /// Tells the broker, in as few frames as is safe: none of them is answered.
    async fn tell(&self, settled: &HashMap<u64, Settle>) -> lapin::Result<()> {
        let done = |tag: &u64| settled.get(tag) == Some(&Settle::Acknowledge);
        // One frame may acknowledge everything up to a tag, but only while nothing before it is
        // still being worked on or goes back.
        let last = self.unsettled.iter().take_while(|tag| done(tag)).last().copied();
        if let Some(last) = last {
            self.line.basic_ack(last, BasicAckOptions { multiple: true }).await?;
        }
        let single = settled.iter().filter(|(tag, _)| last.is_none_or(|last| **tag > last));
        try_join_all(single.map(|(tag, settle)| async move {
            match settle {
                Settle::Acknowledge => self.line.basic_ack(*tag, BasicAckOptions { multiple: false }).await,
                Settle::GiveBack => {
                    self.line.basic_nack(*tag, BasicNackOptions { multiple: false, requeue: true }).await
                }
                Settle::SetAside => self.line.basic_reject(*tag, BasicRejectOptions { requeue: false }).await,
            }
        }))
        .await?;
        Ok(())
    }
}

impl Consumer for BrokerConsumer {
    fn next(&mut self, limit: usize, wait: Duration) -> BoxFuture<'_, Result<Vec<Delivery>, QueueError>> {
        Box::pin(async move {
            self.gather(limit, wait).await?;
            Ok(std::mem::take(&mut self.batch))
        })
    }

    fn settle(&mut self, settled: Vec<(Tag, Settle)>) -> BoxFuture<'_, Result<(), QueueError>> {
        Box::pin(async move {
            // The broker closes the channel when a tag is settled twice.
            let settled: HashMap<u64, Settle> = settled
                .into_iter()
                .filter_map(|(tag, settle)| match tag {
                    Tag::Broker(tag) if self.unsettled.contains(&tag) => Some((tag, settle)),
                    _ => None,
                })
                .collect();
            self.broker.within(self.tell(&settled)).await?.map_err(|error| self.broker.failed(&error))?;
            self.unsettled.retain(|tag| !settled.contains_key(tag));
            Ok(())
        })
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // With its channel goes the consumer, and the broker gives what is unsettled to others.
            if let Ok(Err(error)) = self.broker.within(self.line.close(200, "done".into())).await {
                tracing::debug!(%error, "a consumer's channel was gone before it was closed");
            }
        })
    }
}
