//! The queue contract in memory, and what only this queue promises.

use std::sync::Arc;

use rekindle::domain::message::Channel;
use rekindle::queue::Queue;
use rekindle::queue::embedded::Embedded;
use uuid::Uuid;

use crate::queue_contract::{Bench, consume, emails, ids, queue_contract};
use crate::support::sms;

queue_contract!(in_memory);

async fn in_memory<F: Future<Output = ()>>(test: impl FnOnce(Bench) -> F) {
    let queue = Arc::new(Embedded::default());
    test(Bench { queue, put: Box::new(|_| unreachable!("nothing goes past its publish")) }).await;
}

#[tokio::test]
async fn what_nobody_took_is_given_up_in_order_and_once() {
    let queue = Embedded::default();
    let memory = queue.memory().unwrap();
    let room = memory.room();
    let mails = emails(3);
    queue.publish(mails.clone()).await.unwrap();
    memory.push(Uuid::from_u128(7), vec![sms("hi")]);
    assert_eq!(memory.batches().len(), 2);
    assert_eq!(room - memory.room(), 4);
    let bench = Bench { queue: Arc::new(queue.clone()), put: Box::new(|_| unreachable!()) };
    let mut consumer = consume(&bench, Channel::Email, 1).await;
    assert_eq!(consumer.next(1, crate::support::MOMENT).await.unwrap()[0].envelopes, mails[..1]);
    let left = memory.abandon();
    assert_eq!(left[..2], mails[1..]);
    assert_eq!(ids(&left).len(), 3);
    assert!(memory.batches().is_empty() && memory.abandon().is_empty());
}
