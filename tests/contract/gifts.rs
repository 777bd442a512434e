//! Gifts, on every size: each member gets a code of their own, once; an empty pool is seen in time; what nobody
//! can have seen goes back. `gifts_contract!` makes the tests; each gets a [`Size`] with nothing in it.

#![allow(dead_code, reason = "each test target uses a part of it")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use rekindle::import::Kind;
use rekindle::store::gifts::{self, Filter, Listed};
use wiremock::MockServer;

use crate::support::contract::contract;
use crate::support::gateway;
use crate::support::shop::{PLAIN, Shop, Size, at};

contract! {
    gifts_contract:
    each_member_gets_a_code_of_their_own
    where_no_code_is_left_the_message_is_skipped
    where_no_code_is_left_the_message_may_go_without
    a_later_step_says_the_code_of_the_step_before_or_brings_its_own
    every_channel_of_a_step_says_the_same_code
    a_code_goes_back_where_its_message_is_refused
    a_code_that_somebody_may_have_seen_does_not_go_back
    a_slot_that_cannot_be_rendered_leaves_the_code_of_the_other
    what_cannot_be_rendered_takes_no_code
    a_code_that_is_given_is_never_free_again
    a_message_that_is_tried_again_keeps_its_code
    points_are_listed_for_the_shop_to_book
    who_used_a_code_is_known_by_the_order
    codes_that_may_have_been_given_are_forgotten_after_a_restore
}

const TEN: &str = "2024-05-02T10:00:00Z";

/// A broadcast that brings something; `rest` are further keys of the campaign.
fn letter(shop: &Shop, gift: &str, rest: &str) {
    shop.write("templates/gift/subject.txt", "For you");
    shop.write(
        "templates/gift/email.txt",
        "Hello{{#if gift}} [{{gift.code}}] {{gift.value}} {{#if gift.valid_until}}{{gift.valid_until}}{{/if}}{{/if}}",
    );
    shop.write("templates/gift/sms.txt", "Hello{{#if gift}} [{{gift.code}}]{{/if}}");
    let keys = format!(
        "trigger: {{ kind: broadcast, at: {TEN} }}\ncontent: gift\ngift: {gift}\nlimits: {{ late: always }}\n{rest}"
    );
    shop.campaign("letter", &keys);
}

async fn people(shop: &Shop, count: usize) {
    let rows: String = (1..=count).map(|n| format!("m{n},m{n}@example.com,+98912123{n:04},true,true\n")).collect();
    shop.import(Kind::Members, format!("external_id,email,phone,email_consent,sms_consent\n{rows}")).await;
}

async fn codes(shop: &Shop, pool: &str, count: usize) {
    let rows: String = (1..=count).map(|n| format!("{pool}-{n:03}\n")).collect();
    shop.import(Kind::Coupons { pool: Some(pool) }, format!("code\n{rows}")).await;
}

async fn listed(shop: &Shop) -> Vec<Listed> {
    let mut tx = shop.store().await.read().await.unwrap();
    gifts::list(&mut tx, &Filter::default()).await.unwrap()
}

/// How many codes nobody has.
async fn left(shop: &Shop, pool: &str) -> i64 {
    let mut tx = shop.store().await.read().await.unwrap();
    gifts::pools(&mut tx, vec![pool.to_owned()], at(TEN)).await.unwrap()[0].left
}

/// What stands in brackets in texts.
fn bracketed<'t>(texts: impl IntoIterator<Item = &'t str>) -> Vec<String> {
    let found = texts.into_iter().filter_map(|text| Some(text.split_once('[')?.1.split_once(']')?.0.to_owned()));
    let mut found: Vec<String> = found.collect();
    found.sort();
    found
}

fn in_mails(shop: &Shop) -> Vec<String> {
    bracketed(shop.mails().values().map(String::as_str))
}

fn in_sms(shop: &Shop) -> Vec<String> {
    let all = shop.sms();
    bracketed(all.iter().map(|line| line["text"].as_str().unwrap()))
}

pub async fn each_member_gets_a_code_of_their_own(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    letter(&shop, "{ coupon: { pool: may, value: 20%, valid_days: 14 } }", "");
    people(&shop, 30).await;
    codes(&shop, "may", 40).await;
    shop.once(TEN).await;
    let given = in_mails(&shop);
    assert_eq!(given.len(), 30);
    assert_eq!(given.iter().collect::<BTreeSet<_>>().len(), 30, "none twice");
    assert!(shop.mails().values().all(|mail| mail.contains("20% 2024-05-16")));
    let rows = listed(&shop).await;
    let mut known: Vec<String> = rows.iter().filter_map(|row| row.code.clone()).collect();
    known.sort();
    assert_eq!(known, given, "what is listed is what was written");
    assert!(rows.iter().all(|row| row.given_at == Some(at(TEN).timestamp_millis())));
    // Another pass gives nobody anything, and another import brings nothing back.
    codes(&shop, "may", 40).await;
    shop.once("2024-05-02T11:00:00Z").await;
    assert_eq!((listed(&shop).await.len(), left(&shop, "may").await), (30, 10));
    shop.close().await;
}

pub async fn where_no_code_is_left_the_message_is_skipped(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    letter(&shop, "{ coupon: { pool: may, value: 20% } }", "");
    people(&shop, 5).await;
    codes(&shop, "may", 3).await;
    let planned = shop.plan(TEN, "2024-05-03T00:00:00Z").await;
    let planned: BTreeSet<String> = planned
        .into_iter()
        .map(|plan| format!("{} {}", plan.member, plan.reason.map_or("sent", |reason| reason.as_str())))
        .collect();
    shop.once(TEN).await;
    let ended: Vec<String> = shop
        .ledger()
        .await
        .into_iter()
        .map(|row| format!("{} {}", row.member, row.reason.unwrap_or(row.state)))
        .collect();
    assert_eq!(planned, ended.iter().cloned().collect(), "a plan knows how far the pool goes");
    assert_eq!(ended.iter().filter(|line| line.ends_with(" sent")).count(), 3);
    assert_eq!(ended.iter().filter(|line| line.ends_with(" gift_unavailable")).count(), 2);
    assert_eq!(left(&shop, "may").await, 0);
    shop.close().await;
}

pub async fn where_no_code_is_left_the_message_may_go_without(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    letter(&shop, "{ coupon: { pool: may, value: 20% }, when_empty: send_without }", "");
    // Nobody filled the pool, or not enough.
    people(&shop, 2).await;
    shop.once(TEN).await;
    assert_eq!((shop.mails().len(), in_mails(&shop).len()), (2, 0));
    codes(&shop, "may", 1).await;
    people(&shop, 4).await;
    shop.once("2024-05-02T11:00:00Z").await;
    assert_eq!((shop.mails().len(), in_mails(&shop)), (4, vec!["may-001".to_owned()]));
    shop.close().await;
}

pub async fn a_later_step_says_the_code_of_the_step_before_or_brings_its_own(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    let steps = "steps:\n  - { id: reminder, after: 1d, content: gift }\n  - id: again\n    after: 1d\n    content: gift\n    gift: { coupon: { pool: june, value: 30% } }";
    letter(&shop, "{ coupon: { pool: may, value: 20% } }", &format!("channels: [sms]\n{steps}"));
    people(&shop, 1).await;
    codes(&shop, "may", 5).await;
    codes(&shop, "june", 5).await;
    shop.once(TEN).await;
    assert_eq!(in_sms(&shop), ["may-001"]);
    shop.once("2024-05-03T10:00:00Z").await;
    assert_eq!(in_sms(&shop), ["may-001", "may-001"]);
    shop.once("2024-05-04T10:00:00Z").await;
    assert_eq!(in_sms(&shop), ["june-001", "may-001", "may-001"]);
    assert_eq!((left(&shop, "may").await, left(&shop, "june").await), (4, 4));
    shop.close().await;
}

pub async fn every_channel_of_a_step_says_the_same_code(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    letter(&shop, "{ coupon: { pool: may, value: 20% } }", "reach: all");
    people(&shop, 3).await;
    codes(&shop, "may", 3).await;
    shop.once(TEN).await;
    assert_eq!(in_mails(&shop), ["may-001", "may-002", "may-003"]);
    assert_eq!(in_sms(&shop), in_mails(&shop));
    for row in listed(&shop).await {
        let (code, member) = (row.code.unwrap(), row.member);
        let mail = shop.mails().into_values().find(|mail| mail.contains(&code)).unwrap();
        assert!(mail.contains(&format!("{member}@example.com")), "{member} got the code that is listed");
    }
    shop.close().await;
}

/// A shop that sends SMS by a gateway which answers with these, one after another.
async fn by_gateway(size: &Size, answers: &'static [u16]) -> (Shop, MockServer) {
    let asked = AtomicUsize::new(0);
    gateway::shop(size, move |_| answers[asked.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1)]).await
}

async fn told(provider: &MockServer) -> Vec<String> {
    let requests = provider.received_requests().await.unwrap();
    let texts: Vec<String> = requests
        .iter()
        .map(|request| String::from_utf8_lossy(&request.body).replace("%5B", "[").replace("%5D", "]"))
        .collect();
    texts.iter().map(|text| bracketed([text.as_str()]).concat()).collect()
}

pub async fn a_code_goes_back_where_its_message_is_refused(size: Size) {
    let (shop, provider) = by_gateway(&size, &[411, 200]).await;
    letter(&shop, "{ coupon: { pool: may, value: 20% } }", "channels: [sms]");
    people(&shop, 1).await;
    codes(&shop, "may", 1).await;
    shop.once(TEN).await;
    assert_eq!(shop.states().await, ["m1 letter main failed bad_recipient"]);
    assert_eq!((listed(&shop).await.len(), left(&shop, "may").await), (0, 1));
    // Somebody else gets it.
    shop.import(Kind::Members, "external_id,phone,sms_consent\nm2,+989121239999,true\n").await;
    shop.once("2024-05-02T11:00:00Z").await;
    assert_eq!(told(&provider).await, ["may-001", "may-001"]);
    let rows = listed(&shop).await;
    assert_eq!((rows.len(), rows[0].member.as_str(), left(&shop, "may").await), (1, "m2", 0));
    shop.close().await;
}

pub async fn a_code_that_somebody_may_have_seen_does_not_go_back(size: Size) {
    // The answer is lost the first time, and the provider takes the same call only once.
    let (shop, provider) = by_gateway(&size, &[502, 411, 200]).await;
    shop.write(
        "providers/gateway.yaml",
        gateway::DESCRIPTION
            .replace("text: {", "text: { idempotent: true,")
            .replace("to: \"{to}\"", "to: \"{to}\", id: \"{message}\""),
    );
    letter(&shop, "{ coupon: { pool: may, value: 20% } }", "channels: [sms]");
    people(&shop, 1).await;
    codes(&shop, "may", 2).await;
    shop.once(TEN).await;
    assert_eq!(shop.states().await, ["m1 letter main planned -"]);
    shop.once("2024-05-02T12:00:00Z").await;
    assert_eq!(shop.states().await, ["m1 letter main failed bad_recipient"]);
    let rows = listed(&shop).await;
    assert_eq!((rows.len(), left(&shop, "may").await), (1, 1));
    assert_eq!(rows[0].given_at, Some(at(TEN).timestamp_millis()), "perhaps, then");
    shop.import(Kind::Members, "external_id,phone,sms_consent\nm2,+989121239999,true\n").await;
    shop.once("2024-05-02T13:00:00Z").await;
    assert_eq!(told(&provider).await, ["may-001", "may-001", "may-002"]);
    shop.close().await;
}

/// A shop whose SMS may hold no link, and whose SMS say the first name.
fn without_links(size: &Size) -> Shop {
    let lines = "sms: { sender: capture, lines: [{ number: \"3000\", purpose: marketing, links: false }] }\n";
    let shop = Shop::new(size, PLAIN).with_settings(lines);
    letter(&shop, "{ coupon: { pool: may, value: 20% } }", "reach: all");
    shop.write("templates/gift/sms.txt", "{{member.first_name}} [{{gift.code}}]");
    shop
}

pub async fn a_slot_that_cannot_be_rendered_leaves_the_code_of_the_other(size: Size) {
    let shop = without_links(&size);
    let head = "external_id,email,phone,first_name,email_consent,sms_consent\n";
    let row = |n: usize, name: &str| format!("m{n},m{n}@example.com,+98912123{n:04},{name},true,true\n");
    shop.import(Kind::Members, format!("{head}{}", row(1, "bit.ly/x"))).await;
    codes(&shop, "may", 2).await;
    shop.once(TEN).await;
    let states = ["m1 letter main sent -", "m1 letter main skipped render_failed"];
    assert_eq!(shop.states().await, states);
    assert_eq!(
        (in_mails(&shop), listed(&shop).await.len(), left(&shop, "may").await),
        (vec!["may-001".to_owned()], 1, 1)
    );
    // The next member gets another one.
    shop.import(Kind::Members, format!("{head}{}", row(2, "Sara"))).await;
    shop.once("2024-05-02T11:00:00Z").await;
    assert_eq!(in_mails(&shop), ["may-001", "may-002"]);
    assert_eq!(in_sms(&shop), ["may-002"]);
    shop.close().await;
}

pub async fn what_cannot_be_rendered_takes_no_code(size: Size) {
    let shop = without_links(&size);
    let rows = "m1,+989121230001,bit.ly/x,true\nm2,+989121230002,Sara,true\n";
    shop.import(Kind::Members, format!("external_id,phone,first_name,sms_consent\n{rows}")).await;
    // The first of the two batchmates cannot use the only one.
    codes(&shop, "may", 1).await;
    shop.once(TEN).await;
    let sent: Vec<String> = shop.states().await.into_iter().filter(|line| line.contains("sent")).collect();
    assert_eq!((sent, in_sms(&shop)), (vec!["m2 letter main sent -".to_owned()], vec!["may-001".to_owned()]));
    shop.close().await;
}

pub async fn a_code_that_is_given_is_never_free_again(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    letter(&shop, "{ coupon: { pool: may, value: 20% } }", "");
    people(&shop, 1).await;
    codes(&shop, "may", 2).await;
    shop.once(TEN).await;
    shop.write_store(async |tx| assert_eq!(gifts::forget_free(tx, Some("may")).await.unwrap(), 1)).await;
    // As if somebody had taken the given one out by hand, too.
    let sql = "DELETE FROM coupons";
    match shop.store().await {
        rekindle::store::Store::Sqlite { readers: pool, .. } => drop(sqlx::query(sql).execute(pool).await.unwrap()),
        rekindle::store::Store::Postgres(pool) => drop(sqlx::query(sql).execute(pool).await.unwrap()),
    }
    codes(&shop, "may", 2).await;
    assert_eq!(left(&shop, "may").await, 1, "the other one");
    people(&shop, 2).await;
    shop.once("2024-05-02T11:00:00Z").await;
    assert_eq!(in_mails(&shop), ["may-001", "may-002"]);
    shop.close().await;
}

pub async fn a_message_that_is_tried_again_keeps_its_code(size: Size) {
    let (shop, provider) = by_gateway(&size, &[429, 429, 200]).await;
    letter(&shop, "{ coupon: { pool: may, value: 20%, valid_days: 1 } }", "channels: [sms]");
    people(&shop, 1).await;
    codes(&shop, "may", 5).await;
    for now in [TEN, "2024-05-02T12:00:00Z", "2024-05-02T18:00:00Z"] {
        assert_eq!(listed(&shop).await.iter().filter(|row| row.given_at.is_some()).count(), 0, "{now}");
        shop.once(now).await;
    }
    assert_eq!(told(&provider).await, ["may-001", "may-001", "may-001"]);
    assert_eq!(shop.states().await, ["m1 letter main sent -"]);
    let rows = listed(&shop).await;
    assert_eq!((rows.len(), left(&shop, "may").await), (1, 4));
    assert_eq!(rows[0].valid_until.as_deref(), Some("2024-05-03"), "from the first dispatch");
    shop.close().await;
}

pub async fn points_are_listed_for_the_shop_to_book(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    letter(&shop, "{ points: 500 }", "channels: [sms]");
    shop.write("templates/gift/sms.txt", "You have [{{number gift.points}}]");
    people(&shop, 2).await;
    shop.once(TEN).await;
    assert_eq!(in_sms(&shop), ["500", "500"]);
    let rows = listed(&shop).await;
    let rows: Vec<_> = rows.iter().map(|row| (row.member.as_str(), row.points, row.given_at.is_some())).collect();
    assert_eq!(rows, [("m1", Some(500), true), ("m2", Some(500), true)]);
    shop.close().await;
}

pub async fn who_used_a_code_is_known_by_the_order(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    letter(&shop, "{ coupon: { pool: may, value: 20% } }", "");
    people(&shop, 2).await;
    codes(&shop, "may", 2).await;
    shop.once(TEN).await;
    let rows = listed(&shop).await;
    let code = rows.iter().find(|row| row.member == "m1").unwrap().code.clone().unwrap();
    let orders = format!(
        "order_id,member_external_id,purchased_at,amount,currency,coupon_code\no1,m1,2024-05-03,10,USD,{code}\n"
    );
    shop.import(Kind::Purchases, orders).await;
    let rows = listed(&shop).await;
    let used: Vec<_> = rows.iter().map(|row| (row.member.as_str(), row.order_id.as_deref())).collect();
    assert_eq!(used, [("m1", Some("o1")), ("m2", None)]);
    shop.close().await;
}

pub async fn codes_that_may_have_been_given_are_forgotten_after_a_restore(size: Size) {
    let shop = Shop::new(&size, PLAIN);
    letter(&shop, "{ coupon: { pool: may, value: 20% } }", "");
    people(&shop, 2).await;
    codes(&shop, "may", 5).await;
    shop.once(TEN).await;
    // The backup is of this moment; three more codes may have been given since.
    let app = shop.app(at("2024-05-03T09:00:00Z")).await;
    assert_eq!(app.restored().await.unwrap(), (0, 3));
    app.store.close().await;
    assert_eq!((listed(&shop).await.len(), left(&shop, "may").await), (2, 0));
    // What was given stays known, so importing the whole list again brings back the others alone.
    codes(&shop, "may", 5).await;
    assert_eq!((listed(&shop).await.len(), left(&shop, "may").await), (2, 3));
    shop.close().await;
}
