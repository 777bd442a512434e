//! `reach: fallback` on every size: what fails on one channel goes out on the next, once. `fallback_contract!`
//! makes the tests; each gets a [`Size`] with nothing in it.

#![allow(dead_code, reason = "each test target uses a part of it")]

use rekindle::domain::message::{Channel, EventKind};
use rekindle::import::Kind;
use rekindle::store::attempts;
use rekindle::store::events::{self, Event};

use crate::support::contract::contract;
use crate::support::shop::{PLAIN, Shop, Size, at};

contract! {
    fallback_contract:
    what_one_channel_refuses_the_next_one_takes
    what_comes_back_goes_out_on_the_next_channel
    a_pass_over_days_falls_back_as_well
    an_sms_that_nobody_confirms_in_time_goes_out_as_mail
    an_sms_that_is_confirmed_stays_one
    what_comes_back_too_late_stays_as_it_is
    who_has_no_other_channel_keeps_the_first_answer
}

const NOON: &str = "2024-05-02T12:00:00Z";

/// A shop whose members `both` and `mail` are sent a letter at noon. No mail can hold a subject of so
/// long a word.
async fn shop(size: &Size, channels: &str, more: &str, subject: &str) -> Shop {
    let shop = Shop::new(size, &PLAIN.replace(" }", ", frequency_cap: { messages: 1, per: 7d } }"));
    shop.campaign(
        "letter",
        &format!("trigger: {{ kind: broadcast, at: {NOON} }}\nchannels: {channels}\nreach: fallback\n{more}"),
    );
    shop.write("templates/note/subject.txt", subject);
    let members = "external_id,email,phone,email_consent,sms_consent\n\
        both,both@example.com,+989121234567,true,true\nmail,mail@example.com,,true,true\n";
    shop.import(Kind::Members, members).await;
    shop
}

const NUMBER: &str = "+989121234567";

/// Somebody reports an event about the messages of a member to an address.
async fn hear(shop: &Shop, member: &str, kind: EventKind, address: &str) {
    let rows = shop.ledger().await.into_iter().filter(|row| row.member == member);
    let heard: Vec<Event> = rows
        .map(|row| Event {
            key: format!("test:{}:{kind}", row.id),
            message_id: Some(row.id),
            kind: kind.to_string(),
            at: at(NOON).timestamp_millis(),
            channel: if address == NUMBER { Channel::Sms } else { Channel::Email }.to_string(),
            address: Some(address.to_owned()),
            detail: None,
        })
        .collect();
    shop.write_store(async |tx| assert_eq!(events::record(tx, &heard).await.unwrap().len(), heard.len())).await;
}

/// `member state channel` of every message.
async fn ends(shop: &Shop) -> Vec<String> {
    let rows = shop.ledger().await.into_iter();
    let mut lines: Vec<String> =
        rows.map(|row| format!("{} {} {}", row.member, row.state, row.channel.unwrap_or_default())).collect();
    lines.sort();
    lines
}

pub async fn what_one_channel_refuses_the_next_one_takes(size: Size) {
    let shop = shop(&size, "[email, sms]", "", &"long".repeat(400)).await;
    shop.once(NOON).await;
    assert_eq!(ends(&shop).await, ["both sent sms", "mail failed email"]);
    assert_eq!((shop.mails().len(), shop.sms().len()), (0, 1));
    let ids: Vec<_> = shop.ledger().await.into_iter().filter(|row| row.member == "both").map(|row| row.id).collect();
    assert_eq!(ids.len(), 1, "it is the same message");
    let mut tx = shop.store().await.read().await.unwrap();
    let attempts = attempts::of_message(&mut tx, ids[0]).await.unwrap();
    let outcomes: Vec<_> = attempts.iter().map(|attempt| attempt.outcome.as_deref().unwrap()).collect();
    assert_eq!(outcomes, ["rejected", "sent"]);
    drop(tx);
    shop.close().await;
}

pub async fn what_comes_back_goes_out_on_the_next_channel(size: Size) {
    let shop = shop(&size, "[email, sms]", "", "Hi").await;
    shop.once(NOON).await;
    assert_eq!(ends(&shop).await, ["both sent email", "mail sent email"]);
    shop.once("2024-05-02T13:00:00Z").await;
    assert_eq!(shop.sms().len(), 0, "nobody has complained yet");
    hear(&shop, "both", EventKind::Bounced, "both@example.com").await;
    assert_eq!(ends(&shop).await, ["both bounced email", "mail sent email"]);
    shop.once("2024-05-02T14:00:00Z").await;
    assert_eq!(
        ends(&shop).await,
        ["both sent sms", "mail sent email"],
        "a cap of one does not count the message itself"
    );
    // The last channel has none after it.
    hear(&shop, "both", EventKind::Undelivered, NUMBER).await;
    shop.once("2024-05-02T15:00:00Z").await;
    assert_eq!(ends(&shop).await, ["both bounced sms", "mail sent email"]);
    assert_eq!((shop.mails().len(), shop.sms().len()), (2, 1));
    shop.close().await;
}

pub async fn a_pass_over_days_falls_back_as_well(size: Size) {
    let shop = shop(&size, "[email, sms]", "", "Hi").await;
    shop.once_between("2024-05-02T00:00:00Z", "2024-05-03T00:00:00Z").await;
    assert_eq!(ends(&shop).await, ["both sent email", "mail sent email"]);
    hear(&shop, "both", EventKind::Bounced, "both@example.com").await;
    shop.once_between("2024-05-03T00:00:00Z", "2024-05-04T00:00:00Z").await;
    assert_eq!(ends(&shop).await, ["both sent sms", "mail sent email"]);
    shop.close().await;
}

pub async fn an_sms_that_nobody_confirms_in_time_goes_out_as_mail(size: Size) {
    let shop = shop(&size, "[sms, email]", "undelivered_after: 30m", "Hi").await;
    shop.once(NOON).await;
    assert_eq!(ends(&shop).await, ["both sent sms", "mail sent email"]);
    shop.once("2024-05-02T12:29:00Z").await;
    assert_eq!(ends(&shop).await, ["both sent sms", "mail sent email"]);
    shop.once("2024-05-02T12:30:00Z").await;
    assert_eq!(ends(&shop).await, ["both sent email", "mail sent email"]);
    shop.once("2024-05-02T18:00:00Z").await;
    assert_eq!((shop.mails().len(), shop.sms().len()), (2, 1), "a mail has no receipt to wait for");
    shop.close().await;
}

pub async fn an_sms_that_is_confirmed_stays_one(size: Size) {
    let shop = shop(&size, "[sms, email]", "undelivered_after: 30m", "Hi").await;
    shop.once(NOON).await;
    hear(&shop, "both", EventKind::Delivered, NUMBER).await;
    shop.once("2024-05-02T18:00:00Z").await;
    assert_eq!(ends(&shop).await, ["both delivered sms", "mail sent email"]);
    shop.close().await;
}

pub async fn what_comes_back_too_late_stays_as_it_is(size: Size) {
    let shop = shop(&size, "[email, sms]", "limits: { late: { send_within: 12h } }", "Hi").await;
    shop.once(NOON).await;
    hear(&shop, "both", EventKind::SoftBounced, "both@example.com").await;
    shop.once("2024-05-03T01:00:00Z").await;
    assert_eq!(ends(&shop).await, ["both bounced email", "mail sent email"]);
    shop.close().await;
}

pub async fn who_has_no_other_channel_keeps_the_first_answer(size: Size) {
    let shop = shop(&size, "[email, sms]", "", "Hi").await;
    shop.once(NOON).await;
    hear(&shop, "mail", EventKind::Blocked, "mail@example.com").await;
    hear(&shop, "both", EventKind::Complained, "both@example.com").await;
    shop.once("2024-05-02T14:00:00Z").await;
    assert_eq!(ends(&shop).await, ["both complained email", "mail bounced email"]);
    assert_eq!(shop.sms().len(), 0, "who complained is left in peace");
    shop.close().await;
}
