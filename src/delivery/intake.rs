//! The part of a sender that talks to the queue: takes copies, passes them on, and acknowledges what was recorded.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant as Monotonic;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{BACKOFF, Places, Receipt, Running, Work};
use crate::queue::{Consumer, Delivery, QueueError, Settle, Tag};
use crate::telemetry::Trouble;

/// Messages taken and not yet recorded: what waits for the recorder must not keep connections idle.
const MOST_IN_FLIGHT: usize = 1_000;

/// Deliveries, of up to 32 messages, that are on their way from a broker.
const PREFETCH: usize = 40;

/// How many messages wait for each connection: enough for large transactions, few enough that nothing grows old here.
pub(super) fn ahead(connections: usize) -> usize {
    (connections * 20).clamp(16, 300)
}

/// The part that talks to the queue.
pub(super) struct Intake {
    pub role: std::sync::Arc<Running>,
    /// To the connections; its capacity is how many messages wait for them.
    pub work: mpsc::Sender<Work>,
    pub done: mpsc::UnboundedReceiver<Receipt>,
    pub paused_until: watch::Receiver<Monotonic>,
    /// Taken and not yet recorded.
    pub in_flight: usize,
    /// Counts the consumers that were opened.
    pub consumer: u64,
    /// Taken, and not passed on yet: a delivery brings more than there may be room for.
    pub waiting: VecDeque<Work>,
    /// How many messages of this consumer's deliveries are not done with.
    pub open: HashMap<u64, Open>,
    pub probe: Probe,
}

/// A delivery that is not done with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Open {
    left: usize,
    then: Settle,
}

/// After a pause of the whole sender one message tries whether it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    None,
    Wanted,
    UnderWay,
}

impl Intake {
    /// Takes and passes on until `shutdown`, then waits for what is under way.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let prefetch = u16::try_from(PREFETCH).unwrap_or(u16::MAX);
        let mut trouble = Trouble::new(format!("taking messages ({})", self.role.channel));
        while !shutdown.is_cancelled() {
            let opened = self.role.queue.consume(self.role.channel, prefetch).await;
            let result = match opened {
                Ok(mut consumer) => {
                    self.consumer += 1;
                    self.open.clear();
                    trouble.over();
                    let result = self.consume(consumer.as_mut(), &shutdown).await;
                    consumer.close().await;
                    result
                }
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                trouble.met(&error);
                tokio::select! {
                    () = tokio::time::sleep(BACKOFF) => {}
                    () = shutdown.cancelled() => {}
                }
            }
        }
    }

    async fn consume(&mut self, consumer: &mut dyn Consumer, shutdown: &CancellationToken) -> Result<(), QueueError> {
        while !shutdown.is_cancelled() {
            self.settle(consumer, None).await?;
            let paused_until = *self.paused_until.borrow();
            // On a simulated clock what goes back is ready again at once.
            let waits = !self.role.single_pass || self.role.clock.is_simulated();
            if waits && let Some(left) = paused_until.checked_duration_since(Monotonic::now()) {
                tokio::select! {
                    () = tokio::time::sleep(left.min(Duration::from_millis(200))) => {}
                    () = shutdown.cancelled() => {}
                }
                self.probe = Probe::Wanted;
                continue;
            }
            if self.probe != Probe::None && self.in_flight > 0 {
                self.wait_for_done(consumer, Duration::from_millis(20)).await?;
                continue;
            }
            if self.probe == Probe::UnderWay {
                // It ended, and the sender does not pause again.
                self.probe = Probe::None;
            }
            let room = if self.probe == Probe::Wanted { 1 } else { self.work.capacity() };
            if self.in_flight >= MOST_IN_FLIGHT
                || (self.in_flight > 0 && room < self.work.max_capacity() / 2 && self.probe == Probe::None)
            {
                self.wait_for_room(consumer).await?;
                continue;
            }
            if !self.waiting.is_empty() {
                self.pass_on(room).await;
                continue;
            }
            // While others are under way their ends are heard as well.
            let wait = if self.in_flight > 0 { Duration::from_millis(20) } else { Duration::from_millis(200) };
            let deliveries = tokio::select! {
                deliveries = consumer.next(room, wait) => deliveries?,
                receipt = self.done.recv(), if self.in_flight > 0 => {
                    let first = receipt.and_then(|receipt| self.recorded(receipt));
                    self.settle(consumer, first).await?;
                    continue;
                }
                () = shutdown.cancelled() => break,
            };
            self.unpack(deliveries);
        }
        // What is taken is finished or goes back; its deliveries are acknowledged while the consumer lives.
        self.pass_on(self.waiting.len()).await;
        let (closed, _) = mpsc::channel(1);
        drop(std::mem::replace(&mut self.work, closed));
        while self.in_flight > 0 {
            self.wait_for_done(consumer, Duration::from_secs(60)).await?;
        }
        Ok(())
    }

    /// Makes work of deliveries.
    fn unpack(&mut self, deliveries: Vec<Delivery>) {
        for Delivery { tag, envelopes, then } in deliveries {
            if let Tag::Broker(tag) = tag {
                self.open.insert(tag, Open { left: envelopes.len(), then });
            }
            let receipt = Receipt { consumer: self.consumer, tag };
            self.waiting.extend(envelopes.into_iter().map(|envelope| Work {
                claim: Uuid::nil(),
                retries: envelope.retries,
                first_failed_at: envelope.first_failed_at,
                falls_back: envelope.falls_back,
                traceable: false,
                places: Places::default(),
                receipt,
                envelope,
            }));
        }
    }

    /// Passes up to `count` messages on to the connections.
    async fn pass_on(&mut self, count: usize) {
        for _ in 0..count {
            let Some(work) = self.waiting.pop_front() else { break };
            self.in_flight += 1;
            if self.work.send(work).await.is_err() {
                self.in_flight -= 1;
            }
        }
        if self.probe == Probe::Wanted && self.in_flight > 0 {
            self.probe = Probe::UnderWay;
        }
    }

    /// Waits until the connections have taken half of what waits for them, or outcomes can be acknowledged.
    async fn wait_for_room(&mut self, consumer: &mut dyn Consumer) -> Result<(), QueueError> {
        let room = async {
            // A closed channel, or too much that is not recorded yet: only outcomes help.
            if self.in_flight >= MOST_IN_FLIGHT
                || self.work.reserve_many(self.work.max_capacity() / 2).await.map(drop).is_err()
            {
                std::future::pending::<()>().await;
            }
        };
        let receipt = tokio::select! {
            () = room => None,
            receipt = self.done.recv() => receipt,
            () = tokio::time::sleep(Duration::from_secs(1)) => None,
        };
        let first = receipt.and_then(|receipt| self.recorded(receipt));
        self.settle(consumer, first).await
    }

    /// Waits until something was recorded, at most for `limit`, and acknowledges it.
    async fn wait_for_done(&mut self, consumer: &mut dyn Consumer, limit: Duration) -> Result<(), QueueError> {
        if let Ok(Some(receipt)) = tokio::time::timeout(limit, self.done.recv()).await {
            let first = self.recorded(receipt);
            self.settle(consumer, first).await?;
        }
        Ok(())
    }

    /// Acknowledges what was recorded.
    async fn settle(&mut self, consumer: &mut dyn Consumer, first: Option<(Tag, Settle)>) -> Result<(), QueueError> {
        let mut settled: Vec<(Tag, Settle)> = first.into_iter().collect();
        while let Ok(receipt) = self.done.try_recv() {
            settled.extend(self.recorded(receipt));
        }
        if !settled.is_empty() {
            consumer.settle(settled).await?;
        }
        Ok(())
    }

    /// Counts a recorded message; its delivery, if that is this consumer's and was the last of it.
    fn recorded(&mut self, receipt: Receipt) -> Option<(Tag, Settle)> {
        self.in_flight -= 1;
        let Tag::Broker(tag) = receipt.tag else { return None };
        if receipt.consumer != self.consumer {
            return None;
        }
        let open = self.open.get_mut(&tag)?;
        open.left -= 1;
        let Open { left, then } = *open;
        (left == 0).then(|| {
            self.open.remove(&tag);
            (receipt.tag, then)
        })
    }
}
