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
use rekindle::queue::embedded::Embedded;
use rekindle::queue::{Consumer, Delivery, Queue, QueueError, Settle};
use rekindle::store::{Store, queue_items};
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
    no_more_than_the_prefetch_is_out_at_once
    what_is_given_back_comes_again
    what_was_not_settled_comes_again_after_close
    what_was_acknowledged_never_comes_again
    settling_in_any_order_settles_just_those
    depth_is_what_waits
    what_cannot_be_decoded_is_set_aside_and_blocks_nothing
    what_comes_back_too_often_is_set_aside
    two_consumers_share
    waiting_ends_with_the_first_arrival
    waiting_in_vain_ends
    a_call_of_next_that_is_dropped_loses_nothing
    two_publishers_at_once_are_both_confirmed
    thousands_are_all_confirmed_and_come_out_once
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
        assert_eq!(by_id(came.into_iter().map(|delivery| delivery.envelope)), by_id(sent.iter().cloned()));
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

pub async fn no_more_than_the_prefetch_is_out_at_once(bench: Bench) {
    publish(&bench, &emails(8)).await;
    let mut consumer = consume(&bench, Channel::Email, 3).await;
    let mut out = take(&mut consumer, 3).await;
    assert_eq!(consumer.next(10, MOMENT).await.unwrap(), []);
    let first = out.remove(0);
    consumer.settle(vec![(first.tag, Settle::Acknowledge)]).await.unwrap();
    out.extend(take(&mut consumer, 1).await);
    assert_eq!(consumer.next(10, MOMENT).await.unwrap(), []);
    let limited = consume(&bench, Channel::Email, 5).await.next(2, DEADLINE).await.unwrap();
    assert!((1..=2).contains(&limited.len()), "next gave {} for a limit of 2", limited.len());
}

pub async fn what_is_given_back_comes_again(bench: Bench) {
    let sent = emails(3);
    publish(&bench, &sent).await;
    let mut consumer = consume(&bench, Channel::Email, 10).await;
    let came = take(&mut consumer, 3).await;
    let (back, kept) = came.split_at(2);
    consumer.settle(back.iter().map(|delivery| (delivery.tag, Settle::GiveBack)).collect()).await.unwrap();
    let again = take(&mut consumer, 2).await;
    assert_eq!(set(&messages(&again)), set(&messages(back)));
    acknowledge(&mut consumer, &again).await;
    acknowledge(&mut consumer, kept).await;
    until(0, async || bench.queue.depth(Channel::Email).await.unwrap()).await;
}

pub async fn what_was_not_settled_comes_again_after_close(bench: Bench) {
    let sent = emails(5);
    publish(&bench, &sent).await;
    let mut first = consume(&bench, Channel::Email, 10).await;
    let came = take(&mut first, 5).await;
    acknowledge(&mut first, &came[..2]).await;
    first.close().await;
    let mut second = consume(&bench, Channel::Email, 10).await;
    let again = take(&mut second, 3).await;
    assert_eq!(set(&messages(&again)), set(&messages(&came[2..])));
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

pub async fn settling_in_any_order_settles_just_those(bench: Bench) {
    publish(&bench, &emails(12)).await;
    let mut consumer = consume(&bench, Channel::Email, 12).await;
    let came = take(&mut consumer, 12).await;
    // Left: 1, 4, 7, 10. Settled from the end, in parts, with gaps.
    for part in [[11, 8], [0, 9], [6, 3], [5, 2]] {
        let part: Vec<_> = part.iter().map(|index| came[*index].clone()).collect();
        acknowledge(&mut consumer, &part).await;
    }
    let left: Vec<_> = [1, 4, 7, 10].iter().map(|index| came[*index].clone()).collect();
    // One goes back in the same breath as its neighbours are acknowledged.
    let both =
        vec![(left[0].tag, Settle::Acknowledge), (left[1].tag, Settle::GiveBack), (left[2].tag, Settle::Acknowledge)];
    consumer.settle(both).await.unwrap();
    consumer.close().await;
    let mut next = consume(&bench, Channel::Email, 12).await;
    let again = take(&mut next, 2).await;
    assert_eq!(set(&messages(&again)), set(&[left[1].envelope.message, left[3].envelope.message]));
    assert_eq!(next.next(12, MOMENT).await.unwrap(), []);
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

pub async fn what_cannot_be_decoded_is_set_aside_and_blocks_nothing(bench: Bench) {
    let sent = emails(3);
    publish(&bench, &sent[..1]).await;
    (bench.put)(b"not an envelope".to_vec()).await;
    (bench.put)(br#"{"v":99}"#.to_vec()).await;
    (bench.put)(Vec::new()).await;
    publish(&bench, &sent[1..]).await;
    // With room for one at a time, one that stayed would stop everything.
    let mut consumer = consume(&bench, Channel::Email, 1).await;
    let mut came = Vec::new();
    for _ in 0..3 {
        let delivery = take(&mut consumer, 1).await;
        acknowledge(&mut consumer, &delivery).await;
        came.extend(messages(&delivery));
    }
    assert_eq!(set(&came), ids(&sent));
    assert_eq!(consumer.next(1, MOMENT).await.unwrap(), []);
    until(3, async || bench.queue.dead().await.unwrap()).await;
    assert_eq!(bench.queue.depth(Channel::Email).await.unwrap(), 0);
}

pub async fn what_comes_back_too_often_is_set_aside(bench: Bench) {
    publish(&bench, &emails(1)).await;
    let mut consumer = consume(&bench, Channel::Email, 1).await;
    let mut deliveries = 0;
    while bench.queue.dead().await.unwrap() == 0 {
        for delivery in consumer.next(1, MOMENT).await.unwrap() {
            deliveries += 1;
            consumer.settle(vec![(delivery.tag, Settle::GiveBack)]).await.unwrap();
        }
    }
    assert!((20..=21).contains(&deliveries), "it came {deliveries} times");
    assert_eq!(consumer.next(1, MOMENT).await.unwrap(), []);
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
    let (first, second) = tokio::join!(publish(&bench, &one), publish(&bench, &other));
    assert_eq!((set(&first), set(&second)), (ids(&one), ids(&other)));
}

pub async fn thousands_are_all_confirmed_and_come_out_once(bench: Bench) {
    let html = "سلام سارا، این هدیهٔ توست. ".repeat(110);
    let sent: Vec<_> = (0..2_000).map(|_| email(&html)).collect();
    assert_eq!(set(&publish(&bench, &sent).await), ids(&sent));
    let mut consumer = consume(&bench, Channel::Email, 200).await;
    let mut came = Vec::new();
    while came.len() < sent.len() {
        let batch = consumer.next(100, DEADLINE).await.unwrap();
        assert!(!batch.is_empty(), "{} of {} came out", came.len(), sent.len());
        acknowledge(&mut consumer, &batch).await;
        came.extend(messages(&batch));
    }
    assert_eq!((came.len(), set(&came)), (2_000, ids(&sent)));
    until(0, async || bench.queue.depth(Channel::Email).await.unwrap()).await;
}

/// A bench on the queue inside a store.
pub fn embedded(store: &Store) -> Bench {
    let queue: Arc<dyn Queue> = Arc::new(Embedded::new(store.clone()));
    let store = store.clone();
    let put = move |bytes: Vec<u8>| -> BoxFuture<'static, ()> {
        let store = store.clone();
        Box::pin(async move {
            let mut tx = store.begin().await.unwrap();
            queue_items::push(&mut tx, Uuid::now_v7(), 1, "email", &bytes).await.unwrap();
            tx.commit().await.unwrap();
        })
    };
    Bench { queue, put: Box::new(put) }
}

pub async fn publish(bench: &Bench, envelopes: &[Envelope]) -> Vec<Uuid> {
    bench.queue.publish(envelopes).await.unwrap()
}

pub async fn consume(bench: &Bench, channel: Channel, prefetch: u16) -> Box<dyn Consumer> {
    bench.queue.consume(channel, prefetch).await.unwrap()
}

/// Takes just so many.
pub async fn take(consumer: &mut Box<dyn Consumer>, count: usize) -> Vec<Delivery> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let batch = consumer.next(count - taken.len(), DEADLINE).await.unwrap();
        assert!(!batch.is_empty(), "{} of {count} came", taken.len());
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
    deliveries.iter().map(|delivery| delivery.envelope.message).collect()
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
