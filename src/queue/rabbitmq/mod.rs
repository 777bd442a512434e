//! The queue on RabbitMQ: a durable exchange, one quorum queue for each channel, and one for what
//! could not be handled. Only this folder names the AMQP client.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use lapin::Channel as Line;
use lapin::options::QueueDeclareOptions;
use lapin::types::{FieldTable, ShortString};
use tokio::sync::Mutex;
use uuid::Uuid;

use self::broker::Broker;
use self::link::Link;
use self::publisher::Publisher;
use super::{Consumer, Queue, QueueError};
use crate::domain::message::{Channel, Envelope};

mod broker;
mod consumer;
mod link;
mod publisher;

/// How long to wait for the broker.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For a connection, and for the answer to a single call.
    pub connect: Duration,
    /// For the next confirm while publishing. A broker that blocks publishers (disk or memory
    /// alarm) sends none.
    pub confirm: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), confirm: Duration::from_secs(10) }
    }
}

/// A queue on RabbitMQ. It has two connections, because a broker that blocks publishers stops
/// reading from theirs, acknowledgements included.
pub struct RabbitMq {
    broker: Arc<Broker>,
    /// Opened by the first publish.
    publisher: Mutex<Publisher>,
    /// For consumers and for counting.
    consuming: Mutex<Link>,
}

impl RabbitMq {
    /// Connects to `amqp://user:password@host:5672/%2f` (or `amqps://`) and declares exchange and
    /// queues. The parameter `prefix=NAME` of the URL names them; the default is `rekindle`.
    pub async fn connect(url: &str) -> Result<Self, QueueError> {
        Self::connect_within(url, Limits::default()).await
    }

    /// The same with other limits.
    pub async fn connect_within(url: &str, limits: Limits) -> Result<Self, QueueError> {
        let broker = Arc::new(Broker::at(url, limits)?);
        let queue = Self {
            publisher: Mutex::new(Publisher::new(broker.clone())),
            broker,
            consuming: Mutex::new(Link::new("consumer")),
        };
        let line = queue.line().await?;
        queue.broker.declare(&line).await?;
        Ok(queue)
    }

    async fn line(&self) -> Result<Line, QueueError> {
        self.consuming.lock().await.line(&self.broker).await
    }

    async fn waiting_in(&self, name: ShortString) -> Result<u64, QueueError> {
        let line = self.line().await?;
        let passive = QueueDeclareOptions { passive: true, ..Default::default() };
        match self.broker.within(line.queue_declare(name, passive, FieldTable::default())).await? {
            Ok(queue) => Ok(u64::from(queue.message_count())),
            // Somebody deleted it. Whoever consumes or publishes next declares it again.
            Err(error) if broker::code(&error) == Some(broker::NOT_FOUND) => Ok(0),
            Err(error) => Err(self.broker.failed(&error)),
        }
    }
}

impl Queue for RabbitMq {
    fn publish(&self, envelopes: Vec<Envelope>) -> BoxFuture<'_, Result<Vec<Uuid>, QueueError>> {
        // One call at a time: a returned message is told from the confirms of its own batch only.
        Box::pin(async move { self.publisher.lock().await.publish(&envelopes).await })
    }

    fn consume(&self, channel: Channel, prefetch: u16) -> BoxFuture<'_, Result<Box<dyn Consumer>, QueueError>> {
        Box::pin(async move {
            let line = self.line().await?;
            self.broker.declare(&line).await?;
            let consumer = consumer::start(self.broker.clone(), line, channel, prefetch).await?;
            Ok(Box::new(consumer) as Box<dyn Consumer>)
        })
    }

    fn depth(&self, channel: Channel) -> BoxFuture<'_, Result<u64, QueueError>> {
        Box::pin(self.waiting_in(self.broker.queue(channel)))
    }

    fn dead(&self) -> BoxFuture<'_, Result<u64, QueueError>> {
        Box::pin(self.waiting_in(self.broker.dead_queue()))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.publisher.lock().await.close().await;
            self.consuming.lock().await.close(&self.broker).await;
        })
    }
}
