//! What a campaign earned, on every size, against sums over lists that share no code with the report.
//! `effect_contract!` makes the tests; each gets a [`Size`] with nothing in it.

#![allow(dead_code, reason = "each test target uses a part of it")]

use std::collections::BTreeMap;
use std::fmt::Write;

use rekindle::app::App;
use rekindle::clock::Clock;
use rekindle::domain::Instant;
use rekindle::import::Kind;
use rekindle::reports::effect::{Arm, Effect, Period, Whose};
use rekindle::reports::power::Power;
use rekindle::views::forecast::coming;

use crate::support::contract::contract;
use crate::support::shop::{Shop, Size, at};

contract! {
    effect_contract:
    the_report_counts_what_a_list_of_members_and_orders_says
    a_run_is_compared_by_itself
    what_gifts_and_messages_cost_is_taken_off
    how_many_members_it_takes_follows_from_what_the_audience_spends
    what_else_may_have_made_a_difference_is_said
}

const BRAND: &str = "{ name: Shop, timezone: UTC, locale: en, currency: USD, base_url: \"https://shop.example\" }";

fn campaign(holdout: &str) -> String {
    format!(
        "trigger: {{ kind: welcome }}\nchannels: [email]\n\
         experiment: {{ holdout: {holdout}, goal: {{ event: purchase, within: 7d, min_amount: 5 }} }}"
    )
}

/// A day in milliseconds.
const DAY: i64 = 86_400_000;

/// Numbers below a bound, always the same.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % bound) as i64
    }
}

struct Order {
    id: usize,
    member: usize,
    at: i64,
    cents: i64,
    currency: &'static str,
    status: &'static str,
}

fn instant(millis: i64) -> String {
    Instant::from_timestamp_millis(millis).unwrap().to_rfc3339()
}

fn orders_file(orders: &[Order]) -> String {
    let mut file = "order_id,member_external_id,purchased_at,amount,currency,status\n".to_owned();
    for Order { id, member, at, cents, currency, status } in orders {
        writeln!(file, "o{id},m{member},{},{}.{:02},{currency},{status}", instant(*at), cents / 100, cents % 100)
            .unwrap();
    }
    file
}

/// 900 members who join on ten days, and orders before, within and after what counts.
async fn shop(size: &Size) -> (Shop, Vec<Order>) {
    let shop = Shop::new(size, BRAND);
    shop.campaign("hello", &campaign("30%"));
    let first = at("2024-05-01T09:00:00Z").timestamp_millis();
    let joined = |member: usize| first + (member as i64 % 10) * DAY;
    let mut members = "external_id,email,email_consent,joined_at\n".to_owned();
    for member in 0..900 {
        // Who does not consent comes to no arm.
        writeln!(members, "m{member},m{member}@example.com,{},{}", member % 7 != 0, instant(joined(member))).unwrap();
    }
    shop.import(Kind::Members, members).await;
    shop.once_between("2024-05-01T00:00:00Z", "2024-05-12T00:00:00Z").await;
    let mut dice = Dice(7);
    let mut orders = Vec::new();
    for member in 0..900 {
        for _ in 0..dice.below(4) {
            orders.push(Order {
                id: orders.len(),
                member,
                at: joined(member) + (dice.below(14 * 24) - 72) * 3_600_000,
                cents: 100 + dice.below(9_900),
                currency: if dice.below(10) == 0 { "EUR" } else { "USD" },
                status: ["paid", "paid", "paid", "paid", "refunded", "cancelled"][dice.below(6) as usize],
            });
        }
    }
    // Exactly on the edges: with the due instant (before it), and at the end (within).
    for (member, after) in [(1, 0), (2, 1), (3, 7 * DAY), (4, 7 * DAY + 1)] {
        let at = joined(member) + after;
        orders.push(Order { id: orders.len(), member, at, cents: 123_456, currency: "USD", status: "paid" });
    }
    shop.import(Kind::Purchases, orders_file(&orders)).await;
    (shop, orders)
}

async fn effect(shop: &Shop, from: Option<&str>, to: &str, known: &str, run: Option<i64>) -> Effect {
    let app = App::open(shop.settings(), Clock::simulated(at(known))).await.unwrap();
    let catalog = app.catalog().await.unwrap_or_else(|error| panic!("{error}"));
    let mut tx = app.store.read().await.unwrap();
    let period = Period { from: from.map(at), to: at(to), at: at(known), run };
    let found =
        Effect::read(&mut tx, Whose::Campaign(&catalog.campaigns["hello"]), &catalog.brand, period).await.unwrap();
    drop(tx);
    app.store.close().await;
    found
}

/// The same from lists: of each arm its counts, and what each of its members spent in the window, in cents.
async fn counted(
    shop: &Shop,
    orders: &[Order],
    (from, to): (Option<&str>, &str),
    known: &str,
) -> BTreeMap<&'static str, (Arm, Vec<f64>)> {
    let (from, to) = (from.map_or(i64::MIN, |from| at(from).timestamp_millis()), at(to).timestamp_millis());
    let known = at(known).timestamp_millis();
    let mut arms: BTreeMap<&str, (Arm, Vec<f64>)> = BTreeMap::new();
    for row in shop.ledger().await {
        let arm = match row.state.as_str() {
            "held_out" => "holdout",
            "sent" => "treated",
            _ => continue,
        };
        if !(from..to).contains(&row.due_at) {
            continue;
        }
        let empty = || Arm {
            arm: arm.to_owned(),
            members: 0,
            buyers: 0,
            orders: 0,
            revenue: 0.0,
            gift_cost: 0.0,
            message_cost: 0.0,
            not_yet: 0,
            other_currencies: 0,
        };
        let (arm, spent) = arms.entry(arm).or_insert_with(|| (empty(), Vec::new()));
        if row.due_at + 7 * DAY > known {
            arm.not_yet += 1;
            continue;
        }
        let theirs = orders.iter().filter(|order| format!("m{}", order.member) == row.member && order.status == "paid");
        let within =
            theirs.filter(|order| order.at > row.due_at && order.at <= row.due_at + 7 * DAY && order.at <= known);
        let (ours, others): (Vec<&Order>, Vec<&Order>) = within.partition(|order| order.currency == "USD");
        let ours: Vec<&Order> = ours.into_iter().filter(|order| order.cents >= 500).collect();
        let sum: i64 = ours.iter().map(|order| order.cents).sum();
        arm.members += 1;
        arm.buyers += i64::from(!ours.is_empty());
        arm.orders += ours.len() as i64;
        arm.other_currencies += others.len() as i64;
        arm.revenue += sum as f64 / 100.0;
        spent.push(sum as f64 / 100.0);
    }
    arms
}

fn near(found: f64, wanted: f64) {
    assert!((found - wanted).abs() <= 1e-9 * wanted.abs().max(1.0), "{found} is not {wanted}");
}

/// Holds the report against the lists.
async fn agrees(shop: &Shop, orders: &[Order], period: (Option<&str>, &str), known: &str) -> Effect {
    let found = effect(shop, period.0, period.1, known, None).await;
    let wanted = counted(shop, orders, period, known).await;
    assert_eq!(found.arms.iter().map(|arm| arm.arm.as_str()).collect::<Vec<_>>(), ["holdout", "treated"]);
    for arm in &found.arms {
        let (counts, _) = &wanted[arm.arm.as_str()];
        near(arm.revenue, counts.revenue);
        assert_eq!(arm, &Arm { revenue: arm.revenue, ..counts.clone() });
    }
    let [holdout, treated] = ["holdout", "treated"].map(|arm| &wanted[arm].1);
    let mean = |list: &[f64]| list.iter().sum::<f64>() / list.len() as f64;
    let squares = |list: &[f64]| list.iter().map(|x| (x - mean(list)).powi(2)).sum::<f64>();
    let (n1, n2) = (treated.len() as f64, holdout.len() as f64);
    let pooled = (squares(treated) + squares(holdout)) / (n1 + n2 - 2.0);
    let mean_of = &found.comparisons[0].revenue_per_member;
    near(mean_of.difference.unwrap(), mean(treated) - mean(holdout));
    near(mean_of.se.unwrap(), (pooled / n1 + pooled / n2).sqrt());
    near(found.comparisons[0].net_per_member.se.unwrap(), mean_of.se.unwrap());
    assert_eq!(mean_of.p, mean_of.p_holm, "one comparison needs no correction");
    found
}

pub async fn the_report_counts_what_a_list_of_members_and_orders_says(size: Size) {
    let (shop, mut orders) = shop(&size).await;
    let all = (None, "2024-06-01T00:00:00Z");
    let found = agrees(&shop, &orders, all, "2024-06-01T00:00:00Z").await;
    assert_eq!((found.run, found.without_experiment, found.warnings.len()), (Some(1), 0, 0));
    let members: i64 = found.arms.iter().map(|arm| arm.members).sum();
    assert_eq!(members, 900 - 129, "who did not consent is in no arm");
    assert!(found.arms.iter().all(|arm| arm.other_currencies > 0 && arm.not_yet == 0));
    // In the middle: whose week is not over is left out.
    let middle = agrees(&shop, &orders, all, "2024-05-13T12:00:00Z").await;
    assert!(middle.arms.iter().all(|arm| arm.members > 0 && arm.not_yet > 0), "{middle:?}");
    // Some days of it.
    let days = (Some("2024-05-03T00:00:00Z"), "2024-05-06T00:00:00Z");
    let some = agrees(&shop, &orders, days, "2024-06-01T00:00:00Z").await;
    assert!(some.arms[1].members < found.arms[1].members);
    // What is paid back counts no more, whenever that happens.
    for order in orders.iter_mut().filter(|order| order.member % 5 == 1 && order.status == "paid") {
        order.status = "refunded";
    }
    shop.import(Kind::Purchases, orders_file(&orders)).await;
    let refunded = agrees(&shop, &orders, all, "2024-06-01T00:00:00Z").await;
    assert!(refunded.arms[1].revenue < found.arms[1].revenue);
    shop.close().await;
}

pub async fn a_run_is_compared_by_itself(size: Size) {
    let (shop, orders) = shop(&size).await;
    let all = (None, "2024-06-01T00:00:00Z");
    let first = agrees(&shop, &orders, all, all.1).await;
    // Other shares: whoever comes now belongs to another run.
    shop.campaign("hello", &campaign("60%"));
    shop.import(
        Kind::Members,
        "external_id,email,email_consent,joined_at\n\
         late1,late1@example.com,true,2024-05-20T09:00:00Z\nlate2,late2@example.com,true,2024-05-20T09:00:00Z\n",
    )
    .await;
    shop.once_between("2024-05-20T00:00:00Z", "2024-05-21T00:00:00Z").await;
    let second = effect(&shop, None, all.1, all.1, None).await;
    assert_eq!((second.run, second.other_runs.as_slice()), (Some(2), [1].as_slice()));
    assert_eq!(second.arms.iter().map(|arm| arm.members).sum::<i64>(), 2);
    assert!(second.comparisons.iter().all(|one| one.verdict == "too_few"), "{second:?}");
    let again = effect(&shop, None, all.1, all.1, Some(1)).await;
    assert_eq!((again.arms, again.comparisons), (first.arms, first.comparisons));
    // Without an experiment there is nothing to compare, and it is said how many came meanwhile.
    shop.campaign("hello", "trigger: { kind: welcome }\nchannels: [email]");
    shop.import(
        Kind::Members,
        "external_id,email,email_consent,joined_at\nlater,later@example.com,true,2024-05-22T09:00:00Z\n",
    )
    .await;
    shop.once_between("2024-05-22T00:00:00Z", "2024-05-23T00:00:00Z").await;
    let third = effect(&shop, None, all.1, all.1, None).await;
    assert_eq!((third.run, third.without_experiment), (Some(2), 1));
    shop.close().await;
}

/// A gift costs once its code is used in an order that counts, by whoever used it; a mail costs when it is sent.
pub async fn what_gifts_and_messages_cost_is_taken_off(size: Size) {
    let shop = Shop::new(&size, BRAND).with_settings("prices: { currency: USD, email_per_thousand: 7.50 }");
    shop.write("templates/giving/subject.txt", "A gift");
    shop.write("templates/giving/email.html", "<html><body><p>{{gift.code}}</p></body></html>");
    shop.campaign(
        "hello",
        &format!("{}\ncontent: giving\ngift: {{ coupon: {{ pool: p, value: 10%, cost: 2.25 }} }}", campaign("40%")),
    );
    let codes: String = (0..200).map(|n| format!("C-{n}\n")).collect();
    shop.import(Kind::Coupons { pool: Some("p") }, format!("code\n{codes}")).await;
    let mut members = "external_id,email,email_consent,joined_at\n".to_owned();
    for member in 0..200 {
        writeln!(members, "m{member},m{member}@example.com,true,2024-05-01T09:00:00Z").unwrap();
    }
    shop.import(Kind::Members, members).await;
    shop.once_between("2024-05-01T00:00:00Z", "2024-05-02T00:00:00Z").await;
    let mut codes: BTreeMap<String, String> = BTreeMap::new();
    let (ledger, mails) = (shop.ledger().await, shop.mails());
    for row in ledger.iter().filter(|row| row.state == "sent") {
        let mail = &mails[&row.id.to_string()];
        let code = mail.split("<p>").nth(1).unwrap().split("</p>").next().unwrap();
        codes.insert(row.member.clone(), code.to_owned());
    }
    assert!(codes.len() > 100 && codes.len() < 140, "{}", codes.len());
    // Each fifth treated member uses the code in time; one too late, one for too little, one is paid back, and one
    // gives it to a member who got nothing.
    let mut orders = "order_id,member_external_id,purchased_at,amount,currency,status,coupon_code\n".to_owned();
    let mut used = 0;
    for (n, (member, code)) in codes.iter().enumerate().filter(|(n, _)| n % 5 == 0) {
        let (day, amount, status) = match n {
            0 => ("20", "50.00", "paid"),
            5 => ("04", "4.99", "paid"),
            10 => ("04", "50.00", "refunded"),
            _ => ("04", "50.00", "paid"),
        };
        let held = ledger.iter().find(|row| row.state == "held_out").unwrap();
        let buyer = if n == 15 { &held.member } else { member };
        used += i64::from(n >= 15);
        writeln!(orders, "o{n},{buyer},2024-05-{day}T09:00:00Z,{amount},USD,{status},{code}").unwrap();
    }
    shop.import(Kind::Purchases, orders).await;
    let now = "2024-06-01T00:00:00Z";
    let found = effect(&shop, None, now, now, None).await;
    let [holdout, treated] = found.arms.as_slice() else { panic!("{found:?}") };
    assert_eq!((holdout.gift_cost, holdout.message_cost, holdout.revenue), (0.0, 0.0, 50.0));
    near(treated.gift_cost, used as f64 * 2.25);
    near(treated.message_cost, treated.members as f64 * 0.0075);
    near(treated.revenue, (used - 1) as f64 * 50.0);
    let each = |arm: &Arm| (arm.revenue - arm.gift_cost - arm.message_cost) / arm.members as f64;
    let one = &found.comparisons[0];
    near(one.net_per_member.difference.unwrap(), each(treated) - each(holdout));
    let gross = treated.revenue / treated.members as f64 - holdout.revenue / holdout.members as f64;
    near(one.revenue_per_member.difference.unwrap(), gross);
    shop.close().await;
}

pub async fn how_many_members_it_takes_follows_from_what_the_audience_spends(size: Size) {
    let (shop, orders) = shop(&size).await;
    // A draft, for those who joined on three of the ten days.
    let draft = campaign("20%") + "\nstatus: draft\naudience: { field: joined_at, gte: 2024-05-08 }";
    shop.campaign("hello", &draft);
    let now = at("2024-05-12T00:00:00Z");
    let app = App::open(shop.settings(), Clock::simulated(now)).await.unwrap();
    let catalog = std::sync::Arc::into_inner(app.catalog().await.unwrap()).unwrap().with_live("hello");
    // Who joins in the four weeks to come; each seventh does not consent.
    let mut members = "external_id,email,email_consent,joined_at\n".to_owned();
    for n in 0..70 {
        writeln!(members, "n{n},n{n}@example.com,{},2024-05-20T09:00:00Z", n % 7 != 0).unwrap();
    }
    shop.import_at(Kind::Members, members, "2024-05-19T12:00:00Z").await.unwrap();
    let until = at("2024-06-09T00:00:00Z");
    let come = coming(&app.store, &catalog, "hello", (now, until), &mut |_| {}).await.unwrap();
    assert_eq!(come, 60);
    let mut tx = app.store.read().await.unwrap();
    let lifts = [0.1, 0.5];
    let found = Power::read(&mut tx, &catalog.campaigns["hello"], &catalog.brand, (0.2, &lifts), (come, now)).await;
    let found = found.unwrap();
    drop(tx);
    let (until, window) = (now.timestamp_millis(), 7 * DAY);
    let spent = |member: usize| -> f64 {
        let theirs = orders.iter().filter(|order| order.member == member && order.status == "paid");
        let ours = theirs.filter(|order| order.currency == "USD" && order.cents >= 500);
        let within = ours.filter(|order| order.at > until - window && order.at <= until);
        within.map(|order| order.cents as f64 / 100.0).sum()
    };
    let mut values: Vec<f64> = (0..900).filter(|member| member % 10 >= 7).map(spent).collect();
    values.extend([0.0; 70]);
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    assert_eq!((found.members, found.coming), (340, 60));
    assert_eq!(found.buyers, values.iter().filter(|spent| **spent > 0.0).count() as i64);
    near(found.revenue_per_member.unwrap(), mean);
    near(found.deviation.unwrap(), variance.sqrt());
    for (one, lift) in found.wanted.iter().zip(lifts) {
        // (z₀.₉₇₅ + z₀.₈)² σ² (1/0.8 + 1/0.2) / δ²
        let needed = (2.801_585_2_f64 / (mean * lift)).powi(2) * variance * (1.0 / 0.8 + 1.0 / 0.2);
        let found = one.members.unwrap() as f64;
        assert!(found >= needed && found <= needed + 2.0, "{found} {needed}");
        near(one.weeks.unwrap(), found / 15.0);
    }
    app.store.close().await;
    shop.close().await;
}

pub async fn what_else_may_have_made_a_difference_is_said(size: Size) {
    let shop = Shop::new(&size, BRAND);
    shop.campaign("hello", &campaign("30%"));
    let mut members = "external_id,email,email_consent,joined_at\n".to_owned();
    for member in 0..100 {
        writeln!(members, "m{member},m{member}@example.com,true,2024-05-01T09:00:00Z").unwrap();
    }
    shop.import(Kind::Members, members).await;
    shop.once_between("2024-05-01T00:00:00Z", "2024-05-02T00:00:00Z").await;
    let warnings = async |from: Option<&str>, to: &str| effect(&shop, from, to, to, None).await.warnings;
    assert_eq!(warnings(None, "2024-05-20T00:00:00Z").await, [""; 0]);
    // Another experiment, for nine of a hundred; then for ten of them.
    let second = |tier: &str| {
        format!(
            "trigger: {{ kind: broadcast, at: 2024-05-07T09:00:00Z }}\nchannels: [email]\nexperiment: {{ holdout: 50% }}\n\
             audience: {{ field: tier, eq: {tier} }}"
        )
    };
    let tiers = |count: usize, tier: &str| {
        let mut file = "external_id,tier\n".to_owned();
        (0..count).for_each(|member| writeln!(file, "m{member},{tier}").unwrap());
        file
    };
    shop.import_at(Kind::Members, tiers(9, "gold"), "2024-05-06T00:00:00Z").await.unwrap();
    shop.campaign("second", &second("gold"));
    shop.once_between("2024-05-07T00:00:00Z", "2024-05-08T00:00:00Z").await;
    assert_eq!(warnings(None, "2024-05-20T00:00:00Z").await, [""; 0]);
    shop.import_at(Kind::Members, tiers(1, "silver"), "2024-05-07T10:00:00Z").await.unwrap();
    shop.import_at(Kind::Members, "external_id,tier\nm50,silver\n", "2024-05-07T10:00:00Z").await.unwrap();
    shop.campaign("third", &second("silver").replace("05-07T09", "05-07T20"));
    shop.once_between("2024-05-07T19:00:00Z", "2024-05-08T00:00:00Z").await;
    assert_eq!(warnings(None, "2024-05-20T00:00:00Z").await, ["overlap"]);
    // The same audience in other words changes nothing; another one does, for whoever looks at members of before.
    shop.campaign("hello", &format!("# anew\n{}", campaign("30%")));
    shop.once("2024-05-09T00:00:00Z").await;
    assert_eq!(warnings(None, "2024-05-20T00:00:00Z").await, ["overlap"]);
    shop.campaign("hello", &format!("{}\naudience: {{ field: tier, exists: false }}", campaign("30%")));
    shop.once("2024-05-10T00:00:00Z").await;
    assert_eq!(warnings(None, "2024-05-20T00:00:00Z").await, ["audience_changed", "overlap"]);
    assert_eq!(warnings(None, "2024-05-09T00:00:00Z").await, ["overlap"], "not by then");
    assert_eq!(
        warnings(Some("2024-05-11T00:00:00Z"), "2024-05-20T00:00:00Z").await,
        [""; 0],
        "all are of one audience"
    );
    shop.close().await;
}
