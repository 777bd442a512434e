//! The queue contract on RabbitMQ. Each test has queues of its own.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeleteOptions, QueueDeleteOptions};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use rekindle::queue::Queue;
use rekindle::queue::rabbitmq::RabbitMq;

use crate::queue_contract::{Bench, queue_contract};
use crate::support::{server, tidied, unique};

queue_contract!(on_rabbitmq);

async fn on_rabbitmq<F: Future<Output = ()>>(test: impl FnOnce(Bench) -> F) {
    let prefix = Prefix::new();
    let queue = Arc::new(RabbitMq::connect(&prefix.url()).await.unwrap());
    let put = {
        let prefix = prefix.0.clone();
        move |bytes: Vec<u8>| -> BoxFuture<'static, ()> { Box::pin(put(format!("{prefix}.email"), bytes)) }
    };
    let bench = Bench { queue: queue.clone(), put: Box::new(put) };
    tidied(test(bench), async {
        queue.close().await;
        prefix.remove().await;
    })
    .await;
}

/// The name of one test's exchange and queues.
pub struct Prefix(pub String);

impl Prefix {
    pub fn new() -> Self {
        Self(unique("rekindle_test"))
    }

    pub fn url(&self) -> String {
        with_prefix(&server("REKINDLE_TEST_RABBITMQ"), &self.0)
    }

    pub async fn remove(&self) {
        let connection = direct().await;
        for queue in ["email", "sms", "dead"] {
            self.delete_queue(queue, &connection).await;
        }
        let channel = connection.create_channel().await.unwrap();
        channel.exchange_delete(self.0.as_str().into(), ExchangeDeleteOptions::default()).await.unwrap();
        connection.close(200, "done".into()).await.unwrap();
    }

    pub async fn delete_queue(&self, queue: &str, connection: &Connection) {
        let channel = connection.create_channel().await.unwrap();
        let name = format!("{}.{queue}", self.0);
        channel.queue_delete(name.into(), QueueDeleteOptions::default()).await.unwrap();
    }
}

/// Adds the parameter that names exchange and queues.
pub fn with_prefix(url: &str, prefix: &str) -> String {
    format!("{url}{}prefix={prefix}", if url.contains('?') { '&' } else { '?' })
}

/// A connection of the test's own, past the code under test.
pub async fn direct() -> Connection {
    let url = server("REKINDLE_TEST_RABBITMQ");
    let connection = Connection::connect(&url, ConnectionProperties::default()).await;
    connection.expect("RabbitMQ does not answer at REKINDLE_TEST_RABBITMQ: run ./scripts/test")
}

async fn put(queue: String, bytes: Vec<u8>) {
    let connection = direct().await;
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    let sent = channel.basic_publish("".into(), queue.into(), options, &bytes, properties).await.unwrap();
    assert!(sent.await.unwrap().is_ack());
    connection.close(200, "done".into()).await.unwrap();
}
