//! What every queue backend must do. A backend gives a [`Bench`] for each test; `queue_contract!`
//! makes the tests.

#![allow(dead_code, reason = "each test target uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests have no clock of the business")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use rekindle::domain::message::{Channel, Content, Envelope, SmsWords};
use rekindle::queue::{Consumer, Delivery, Queue, QueueError, Settle};
use uuid::Uuid;

use crate::support::contract::contract;
use crate::support::{DEADLINE, MOMENT, email, envelope, sms, until};

/// An empty queue, and a way past its own `publish`.
pub struct Bench {
    pub queue: Arc<dyn Queue>,
    /// Puts bytes into the e-mail queue.
    pub put: Box<dyn Fn(Vec<u8>) -> BoxFuture<'static, ()> + Send + Sync>,
}

contract! {
    queue_contract:
    what_is_published_comes_out_the_same
    nothing_published_is_nothing_done
    what_was_acknowledged_never_comes_again
    depth_is_what_waits
    two_consumers_share
    waiting_ends_with_the_first_arrival
    waiting_in_vain_ends
    a_call_of_next_that_is_dropped_loses_nothing
    two_publishers_at_once_are_both_confirmed
}

pub async fn what_is_published_comes_out_the_same(bench: Bench) {
    let emails = [email("<p>hi</p>"), email(&"<p dir=\"rtl\">تولدت مبارک \u{200c}🎂</p>".repeat(20_000)), email("")];
    let pattern = SmsWords::Pattern {
        template: "kadeau-12".to_owned(),
        values: vec![("name".to_owned(), "سارا".to_owned()), ("code".to_owned(), "۱۲۳".to_owned())],
    };
    let text = SmsWords::Text("سلام سارا".to_owned());
    let pattern = Content::sms([("smsir".to_owned(), pattern), ("kavenegar".to_owned(), text)]);
    let short = [sms("سلام سارا"), envelope(pattern)];
    let all: Vec<_> = emails.iter().chain(&short).cloned().collect();
    assert_eq!(set(&publish(&bench, &all).await), ids(&all));
    for (channel, sent) in [(Channel::Sms, &short[..]), (Channel::Email, &emails[..])] {
        let mut consumer = consume(&bench, channel, 10).await;
        let came = take(&mut consumer, sent.len()).await;
        assert_eq!(by_id(came.into_iter().flat_map(|delivery| delivery.envelopes)), by_id(sent.iter().cloned()));
        assert_eq!(consumer.next(10, MOMENT).await.unwrap(), []);
        consumer.close().await;
    }
}

pub async fn nothing_published_is_nothing_done(bench: Bench) {
    assert!(publish(&bench, &[]).await.is_empty());
    let mut consumer = consume(&bench, Channel::Email, 1).await;
    consumer.settle(Vec::new()).await.unwrap();
    assert_eq!(bench.queue.depth(Channel::Email).await.unwrap(), 0);
    assert_eq!(bench.queue.dead().await.unwrap(), 0);
}

pub async fn what_was_acknowledged_never_comes_again(bench: Bench) {
    publish(&bench, &emails(5)).await;
    let mut first = consume(&bench, Channel::Email, 10).await;
    let came = take(&mut first, 5).await;
    acknowledge(&mut first, &came).await;
    // A second time is no harm.
    acknowledge(&mut first, &came).await;
    assert_eq!(first.next(10, MOMENT).await.unwrap(), []);
    first.close().await;
    assert_eq!(consume(&bench, Channel::Email, 10).await.next(10, MOMENT).await.unwrap(), []);
    assert_eq!(bench.queue.depth(Channel::Email).await.unwrap(), 0);
}

pub async fn depth_is_what_waits(bench: Bench) {
    publish(&bench, &emails(4)).await;
    publish(&bench, &[sms("سلام")]).await;
    until(4, async || bench.queue.depth(Channel::Email).await.unwrap()).await;
    until(1, async || bench.queue.depth(Channel::Sms).await.unwrap()).await;
    let mut consumer = consume(&bench, Channel::Email, 10).await;
    let came = take(&mut consumer, 4).await;
    acknowledge(&mut consumer, &came).await;
    until(0, async || bench.queue.depth(Channel::Email).await.unwrap()).await;
    assert_eq!(bench.queue.depth(Channel::Sms).await.unwrap(), 1);
}

pub async fn two_consumers_share(bench: Bench) {
    let mut first = consume(&bench, Channel::Email, 5).await;
    let mut second = consume(&bench, Channel::Email, 5).await;
    let sent = emails(10);
    publish(&bench, &sent).await;
    let (one, other) = tokio::join!(take(&mut first, 5), take(&mut second, 5));
    let mut came = messages(&one);
    came.extend(messages(&other));
    assert_eq!(came.len(), 10);
    assert_eq!(set(&came), ids(&sent));
}

pub async fn waiting_ends_with_the_first_arrival(bench: Bench) {
    let mut consumer = consume(&bench, Channel::Email, 5).await;
    let sent = emails(1);
    let start = tokio::time::Instant::now();
    let (came, _) = tokio::join!(consumer.next(5, 2 * DEADLINE), publish(&bench, &sent));
    assert_eq!(set(&messages(&came.unwrap())), ids(&sent));
    assert!(start.elapsed() < DEADLINE);
}

pub async fn waiting_in_vain_ends(bench: Bench) {
    let mut consumer = consume(&bench, Channel::Email, 5).await;
    assert_eq!(consumer.next(5, Duration::ZERO).await.unwrap(), []);
    assert_eq!(consumer.next(5, MOMENT).await.unwrap(), []);
}

pub async fn a_call_of_next_that_is_dropped_loses_nothing(bench: Bench) {
    let sent = emails(20);
    let mut consumer = consume(&bench, Channel::Email, 30).await;
    publish(&bench, &sent).await;
    let mut came = Vec::new();
    for patience in (0..).step_by(20).map(Duration::from_micros) {
        if let Ok(batch) = tokio::time::timeout(patience, consumer.next(3, DEADLINE)).await {
            came.extend(messages(&batch.unwrap()));
        }
        if came.len() >= sent.len() {
            break;
        }
    }
    assert_eq!((came.len(), set(&came)), (20, ids(&sent)));
}

pub async fn two_publishers_at_once_are_both_confirmed(bench: Bench) {
    let (one, other) = (emails(300), emails(300));
    let (first, second) = tokio::join!(bench.queue.publish(one.clone()), bench.queue.publish(other.clone()));
    assert_eq!((set(&first.unwrap()), set(&second.unwrap())), (ids(&one), ids(&other)));
}

/// Publishes each in a delivery of its own.
pub async fn publish(bench: &Bench, envelopes: &[Envelope]) -> Vec<Uuid> {
    let mut ids = Vec::new();
    for envelope in envelopes {
        ids.extend(bench.queue.publish(vec![envelope.clone()]).await.unwrap());
    }
    ids
}

pub async fn consume(bench: &Bench, channel: Channel, prefetch: u16) -> Box<dyn Consumer> {
    bench.queue.consume(channel, prefetch).await.unwrap()
}

/// Takes just so many.
pub async fn take(consumer: &mut Box<dyn Consumer>, count: usize) -> Vec<Delivery> {
    let (mut taken, mut came) = (Vec::new(), 0);
    while came < count {
        let batch = consumer.next(count - came, DEADLINE).await.unwrap();
        assert!(!batch.is_empty(), "{came} of {count} came");
        came += messages(&batch).len();
        taken.extend(batch);
    }
    taken
}

pub async fn acknowledge(consumer: &mut Box<dyn Consumer>, deliveries: &[Delivery]) {
    let settled = deliveries.iter().map(|delivery| (delivery.tag, Settle::Acknowledge)).collect();
    consumer.settle(settled).await.unwrap();
}

pub fn emails(count: usize) -> Vec<Envelope> {
    (0..count).map(|n| email(&format!("<p>{n}</p>"))).collect()
}

pub fn messages(deliveries: &[Delivery]) -> Vec<Uuid> {
    deliveries.iter().flat_map(|delivery| &delivery.envelopes).map(|envelope| envelope.message).collect()
}

pub fn ids(envelopes: &[Envelope]) -> BTreeSet<Uuid> {
    envelopes.iter().map(|envelope| envelope.message).collect()
}

pub fn set(ids: &[Uuid]) -> BTreeSet<Uuid> {
    ids.iter().copied().collect()
}

fn by_id(envelopes: impl Iterator<Item = Envelope>) -> BTreeMap<Uuid, Envelope> {
    envelopes.map(|envelope| (envelope.message, envelope)).collect()
}

/// What a person reads when the queue cannot be used.
pub fn complaint<T>(result: Result<T, QueueError>) -> String {
    result.err().expect("it worked").to_string()
}
