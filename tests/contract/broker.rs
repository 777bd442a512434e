//! What a queue that outlives the process must do beside [`crate::queue_contract`]. `broker_contract!` makes the tests.

use rekindle::domain::message::{Channel, Envelope};
use rekindle::queue::Settle;
use rekindle::queue::payload::Bundle;

use crate::queue_contract::{Bench, acknowledge, consume, emails, ids, messages, publish, set, take};
use crate::support::contract::contract;
use crate::support::{DEADLINE, MOMENT, email, until};

contract! {
    broker_contract:
    no_more_than_the_prefetch_is_out_at_once
    what_is_given_back_comes_again
    what_was_not_settled_comes_again_after_close
    settling_in_any_order_settles_just_those
    what_cannot_be_decoded_is_set_aside_and_blocks_nothing
    one_that_cannot_be_decoded_holds_up_no_other_of_its_delivery
    what_comes_back_too_often_is_set_aside
    thousands_are_all_confirmed_and_come_out_once
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
    assert_eq!(set(&messages(&again)), set(&messages(&[left[1].clone(), left[3].clone()])));
    assert_eq!(next.next(12, MOMENT).await.unwrap(), []);
}

pub async fn what_cannot_be_decoded_is_set_aside_and_blocks_nothing(bench: Bench) {
    let sent = emails(3);
    publish(&bench, &sent[..1]).await;
    (bench.put)(b"not an envelope".to_vec()).await;
    (bench.put)([&b"RKB1\0\0\0\x08"[..], br#"{"v":99}"#].concat()).await;
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

pub async fn one_that_cannot_be_decoded_holds_up_no_other_of_its_delivery(bench: Bench) {
    let sent = emails(2);
    let mut bundle = Bundle::default();
    bundle.push(&sent[0]);
    bundle.push(&Envelope { v: 99, ..email("") });
    bundle.push(&sent[1]);
    (bench.put)(bundle.into_bytes()).await;
    let mut consumer = consume(&bench, Channel::Email, 10).await;
    let came = consumer.next(10, DEADLINE).await.unwrap();
    assert_eq!(set(&messages(&came)), ids(&sent));
    assert_eq!(came[0].then, Settle::SetAside);
    consumer.settle(vec![(came[0].tag, came[0].then)]).await.unwrap();
    until(1, async || bench.queue.dead().await.unwrap()).await;
    assert_eq!(consumer.next(1, MOMENT).await.unwrap(), []);
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

pub async fn thousands_are_all_confirmed_and_come_out_once(bench: Bench) {
    let html = "سلام سارا، این هدیهٔ توست. ".repeat(110);
    let sent: Vec<_> = (0..2_000).map(|_| email(&html)).collect();
    assert_eq!(set(&bench.queue.publish(sent.clone()).await.unwrap()), ids(&sent));
    assert!(bench.queue.depth(Channel::Email).await.unwrap() < 100, "many share a delivery");
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
