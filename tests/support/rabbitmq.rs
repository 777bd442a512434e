//! Exchange and queues of one test on RabbitMQ.

use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};
use lapin::{Connection, ConnectionProperties};

use super::{server, unique};

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

