//! The queue contract on RabbitMQ. Each test has queues of its own.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use lapin::BasicProperties;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use rekindle::queue::Queue;
use rekindle::queue::rabbitmq::RabbitMq;

use crate::broker_contract::broker_contract;
use crate::queue_contract::{Bench, queue_contract};
pub use crate::support::rabbitmq::{Prefix, direct, with_prefix};
use crate::support::tidied;

queue_contract!(on_rabbitmq);
broker_contract!(on_rabbitmq);

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

async fn put(queue: String, bytes: Vec<u8>) {
    let connection = direct().await;
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    let sent = channel.basic_publish("".into(), queue.into(), options, &bytes, properties).await.unwrap();
    assert!(sent.await.unwrap().is_ack());
    connection.close(200, "done".into()).await.unwrap();
}
